import json
import os
import pathlib
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest

from wing_tf.inference.output import format_pts
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6
from wing_tf.models.saving import save_network

ROOT = pathlib.Path(__file__).parents[2]
MODULES = {
    "train": "wing_tf.cli.train",
    "evaluate": "wing_tf.cli.evaluate",
    "predict": "wing_tf.cli.predict",
    "demo": "wing_tf.cli.demo",
    "reproduce": "wing_tf.cli.reproduce",
    "export": "wing_tf.cli.export",
    "tfrecords": "tfrecords_tools.cli",
}


# The registry of sources is imported for the choices of --source.
_NEEDED_FOR_FLAGS = {"tfrecords": {"cv2"}}


def _command(name, *arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", MODULES[name], *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("model") / "cnn6.keras"
    spec = ModelSpec(scheme="ibug_68", input_size=32, margin=1.2)
    save_network(cnn6(68, input_size=32), path, spec)
    return path


def _entry(name, *arguments):
    """Calls a command's entry point; returns its output and the slow modules it has imported."""
    script = (
        f"import sys, {MODULES[name]} as module\n"
        f"sys.argv = ['wing-{name}', *{list(arguments)!r}]\n"
        "try: module.entry()\n"
        "except SystemExit as exit: print(exit)\n"
        "slow = ('tensorflow', 'keras', 'cv2', 'scipy', 'matplotlib')\n"
        "print('slow:', *[name for name in slow if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    output, _, imported = done.stdout.rpartition("slow:")
    return output, imported.split()


@pytest.mark.parametrize("name", MODULES)
def test_help_names_the_flags_without_slow_imports(name):
    output, imported = _entry(name, "--help")
    assert f"wing-{name}" in output
    assert "--output" in output or "--workdir" in output
    assert set(imported) <= _NEEDED_FOR_FLAGS.get(name, set())


def test_help_ends_quietly_with_its_reader():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", MODULES["predict"], "--help"]
    with open(writer, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", MODULES)
def test_flags_are_checked_without_slow_imports(name):
    output, imported = _entry(name, "--confg=x")
    assert output.startswith("error: Unknown command line flag 'confg'")
    assert set(imported) <= _NEEDED_FOR_FLAGS.get(name, set())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tfrecords"], "Name one of: write, scheme, inspect, balance, residual"),
        (["tfrecords", "balance", "--output=x"], "--data is needed"),
        (["reproduce", "--table=wing_losses", "--output=x"], "--data is required"),
        (["reproduce", "--table=wing_loses", "--output=x"], "wing_losses"),
        (["tfrecords", "write", "--output=x"], "--source is needed"),
        (["tfrecords", "write", "--source=csv", "--output=x", "--csv=y"], "needs --scheme"),
        (["tfrecords", "write", "--source=csv", "--output=x", "--csv=y", "--scheme=face_10"],
         "or the JSON file of your own scheme, such as --scheme=face_10.json. "
         "Received: face_10.\n"),
        (["tfrecords", "write", "--source=csv", "--output=x", "--csv=y", "--scheme=wflw98"],
         "Did you mean 'wflw_98'?"),
        (["tfrecords", "inspect", "--data=nowhere"], "error: No manifest at"),
        (["evaluate", "--model=m", "--data=d"], "--output"),
        (["train"], "error: Name a config and a run folder: wing-train --config=FILE.py"),
        (["train", "--config=configs/absent.py", "--workdir=w"],
         "error: --config: There is no file configs/absent.py. There are configs in "),
        (["train", "--config=wing_cnn6", "--workdir=w"],
         "error: --config: There is no file wing_cnn6. Did you mean "),
        (["train", "--config=absent.py", "--workdir=w", "--config.batch_size=3"],
         "error: --config: There is no file absent.py."),
        (["train", "--workdir=w", "--config.batch_size=3"], "needs --config=FILE.py"),
        (["train", "--config=setup.cfg", "--workdir=w"], "error: --config: "),
        (["train", "--config=configs/smoke.py", "--workdir=w", "--config.batchsize=3"],
         'Did you mean "batch_size"'),
        (["train", "--config=configs/smoke.py", "--workdir=w", "--config.batch_size=x"],
         "invalid literal for int"),
        (["train", "--config=configs/awing_4hg.py:wlfw", "--workdir=w"], "the variants 300w, "),
        (["train", "--config=configs/smoke.py"],
         "error: Name the run folder by --workdir=RUN. See --help."),
        (["train", "--config=configs/smoke.py", "--workdir=w", "--config.loss.alpha=2.0"],
         "config.loss.alpha does not apply to the loss wing"),
        (["demo", "surplus"], "Unexpected argument: surplus"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)  # fmt: skip
def test_usage_errors_are_one_line(arguments, message):
    done = _command(*arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config():\n    return 1 +\n", "invalid syntax (own.py, line 2)"),
        ("import absent_module\n", "own.py, line 1: No module named 'absent_module'"),
        ("def get_config():\n    return 1 / 0\n", "own.py, line 2: division by zero"),
        ("x = 1\n", "The config file has no function 'get_config'"),
    ],
)
def test_error_in_a_config_file_is_one_line(tmp_path, text, message):
    (tmp_path / "own.py").write_text(text)
    done = _command("train", f"--config={tmp_path / 'own.py'}", "--workdir=w")
    assert done.stderr.startswith("error: --config: ")
    assert done.stderr.endswith(f"{message}\n")
    assert len(done.stderr.splitlines()) == 1


def test_evaluation_lists_the_splits_that_are_there(model, synthetic_records, tmp_path):
    output = tmp_path / "report"
    done = _command(
        "evaluate", f"--model={model}", f"--data={synthetic_records}/val-*", f"--output={output}"
    )
    assert not output.exists()
    assert done.stderr == (
        f"error: No record file matches {synthetic_records}/val-*. {synthetic_records} has the "
        f"splits test, train, validation, such as {synthetic_records}/test-*.\n"
    )


@pytest.mark.slow
def test_commands_from_images_to_predictions(tmp_path):
    """Records from a folder of images, a training, a report, a prediction; as in the README."""
    from tfrecords_tools.synthetic import render_face

    tree = tmp_path / "300w"
    for folder, first, count in (("helen/trainset", 0, 60), ("helen/testset", 100, 8)):
        (tree / folder).mkdir(parents=True)
        for index in range(first, first + count):
            face = render_face(0, index)
            path = tree / folder / f"{index}_1.png"
            cv2.imwrite(str(path), face.image[..., ::-1])
            path.with_suffix(".pts").write_text(format_pts(face.landmarks_px))
    (tree / "helen/trainset/000 broken.jpg").write_bytes(b"no image")
    (tree / "helen/trainset/000 broken.pts").write_text(format_pts(face.landmarks_px))
    records, run, report = tmp_path / "records", tmp_path / "run", tmp_path / "report"

    done = _command(
        "tfrecords", "write", "--source=ibug_300w", f"--root={tree}", f"--output={records}",
        "--side=96", "--validation_fraction=0.2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 skipped: 1 because Cannot decode image" in done.stdout
    assert "(helen/trainset/000 broken). All are in " in done.stdout
    assert done.stdout.endswith(f"\nNext: wing-tfrecords inspect --data={records}\n")
    manifest = json.loads((records / "manifest.json").read_text())
    assert manifest["counts"]["test_helen"] == 8
    assert set(manifest["counts"]) == {"train", "validation", "test_helen"}

    done = _command("tfrecords", "inspect", f"--data={records}")
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(tmp_path / "records_inspection/contact_sheet.png")).shape[0] > 300

    done = _command("tfrecords", "write", "--source=synthetic", f"--output={records}")
    assert "error: `output` must be a new or an empty folder" in done.stderr

    done = _command(
        "train", "--config=configs/smoke.py", f"--workdir={run}", f"--config.data.path={records}",
        "--config.epochs=1", "--config.batch_size=8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "epoch 1/1" in done.stdout

    again = tmp_path / "again"
    done = _command(
        "train", "--config=configs/smoke.py", f"--workdir={again}",
        f"--config.data.path={records}", "--config.epochs=1", f"--config.init_from={run}",
        "--config.batch_size=8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "New: 0 layer(s)" in done.stdout

    data = f"{records}/test_helen-*"
    done = _command(
        "evaluate", f"--model={run}", f"--data={data}", f"--output={report}", "--box_noise=0.1",
        "--normalizer=box",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "helen/testset" in done.stdout
    assert json.loads((report / "report.json").read_text())["num_faces"] == 8
    done = _command("evaluate", f"--model={run}", f"--data={data}", f"--output={report}")
    assert "must be a new or an empty folder" in done.stderr

    image = next((tree / "helen/testset").glob("*.png"))
    done = _command(
        "predict", f"--model={run}", f"--image={image}", f"--output={tmp_path / 'out'}",
        "--box=40,40,150,150",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / f"{image.stem}_landmarks.json").read_text())
    assert np.array(result["faces"][0]["landmarks_px"]).shape == (68, 2)
    assert cv2.imread(str(tmp_path / "out" / f"{image.stem}_landmarks.png")).shape == (192, 192, 3)


@pytest.mark.slow
def test_demo_runs_and_resumes(tmp_path):
    arguments = ["--num_faces=96", "--epochs=1", f"--output={tmp_path / 'demo'}"]
    done = _command("demo", *arguments)
    assert done.returncode == 0, done.stderr
    assert "Images:" in done.stdout
    for name in ("records/manifest.json", "run/checkpoints/best.keras", "report/report.json",
                 "images.png"):  # fmt: skip
        assert (tmp_path / "demo" / name).is_file()
    done = _command("demo", *arguments)
    assert done.returncode == 0, done.stderr
    assert "exists already" in done.stdout
    assert "finished training of 1 epochs" in done.stdout


def test_unwritable_folder_is_refused(model, synthetic_records, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = _command(
        "evaluate", f"--model={model}", f"--data={synthetic_records}",
        f"--output={blocked / 'report'}",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


@pytest.mark.slow
def test_balance_and_reproduce(synthetic_records, tmp_path):
    done = _command(
        "tfrecords", "balance", f"--data={synthetic_records}/train-*",
        f"--output={tmp_path / 'balance'}", "--num_bins=5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = {path.name for path in (tmp_path / "balance").iterdir()}
    assert files == {"balance.json", "extremes.png", "histogram.png"}
    assert len(json.loads((tmp_path / "balance" / "balance.json").read_text())["bin_weights"]) == 5
    arguments = [
        "--table=wing_losses", f"--data={synthetic_records}", f"--output={tmp_path / 'table'}",
        "--epochs=1", "--cells=cnn6 wing", "--normalizer=box",
    ]  # fmt: skip
    done = _command("reproduce", *arguments)
    assert done.returncode == 0, done.stderr
    assert "| cnn6 wing |" in done.stdout
    assert "Not run: cnn6 l2, cnn6 l1, cnn6 smooth_l1." in done.stdout
    again = _command("reproduce", *arguments)
    assert "| cnn6 wing |" in again.stdout
    assert "epoch 1/1" not in again.stdout
    (tmp_path / "empty").mkdir()
    done = _command(
        "reproduce", "--table=wing_losses", f"--data={tmp_path / 'empty'}", "--output=x"
    )
    assert "No test split" in done.stderr


def test_home_is_expanded_behind_equals_and_commas(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tfrecords_tools.cli", "inspect", "--data=~/records"],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert f"No manifest at {tmp_path}/records/manifest.json" in done.stderr
