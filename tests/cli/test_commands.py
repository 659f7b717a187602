"""Flags of the commands, and errors in one line."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest
from commands import MODULES, ROOT, run_command

import wing_tf.configs
from wing_tf.cli.train import own_config
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6
from wing_tf.models.saving import save_network

# The registry of sources is imported for the choices of --source.
_NEEDED_FOR_FLAGS = {"tfrecords": {"cv2"}}


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
        (
            ["tfrecords", "inspect", "--data=nowhere", "--missing=-1,-1"],
            "--missing is for write, not inspect",
        ),
        (["tfrecords", "write", "--source=lsp", "--other_data=x"], "not write"),
        (["evaluate", "--model=m", "--data=d"], "--output"),
        (["train"], "error: Name a config and a run folder: wing-train --config=FILE.py"),
        (["train", "--config=configs/absent.py", "--workdir=w"],
         "error: --config: There is no file configs/absent.py. There are configs in "),
        (["train", "--config=wing_cnn", "--workdir=w"],
         "error: --config: There is no file wing_cnn. Did you mean "),
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
    done = run_command(*arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_own_configs_are_found_from_any_folder(tmp_path, monkeypatch):
    folder = pathlib.Path(wing_tf.configs.__file__).parent
    monkeypatch.chdir(tmp_path)
    own = f"--config={folder}/finetune_cpu.py"
    assert own_config("--config=finetune_cpu") == own
    assert own_config("--config=configs/finetune_cpu.py:head") == f"{own}:head"
    others = (
        "--config=other/configs/finetune_cpu.py", "--config=finetune_cpu.txt", "--config=absent",
        "--config.name=smoke", "--x",
    )  # fmt: skip
    assert tuple(map(own_config, others)) == others
    (tmp_path / "smoke.py").write_text("")
    assert own_config("--config=smoke.py") == "--config=smoke.py"


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
    done = run_command("train", f"--config={tmp_path / 'own.py'}", "--workdir=w")
    assert done.stderr.startswith("error: --config: ")
    assert done.stderr.endswith(f"{message}\n")
    assert len(done.stderr.splitlines()) == 1


def test_evaluation_lists_the_splits_that_are_there(model, synthetic_records, tmp_path):
    output = tmp_path / "report"
    done = run_command(
        "evaluate", f"--model={model}", f"--data={synthetic_records}/val-*", f"--output={output}"
    )
    assert not output.exists()
    assert done.stderr == (
        f"error: No record file matches {synthetic_records}/val-*. {synthetic_records} has the "
        f"splits test, train, validation, such as {synthetic_records}/test-*.\n"
    )


def test_unwritable_folder_is_refused(model, synthetic_records, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = run_command(
        "evaluate", f"--model={model}", f"--data={synthetic_records}",
        f"--output={blocked / 'report'}",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")


def test_home_is_expanded_behind_equals_and_commas(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tfrecords_tools.cli", "inspect", "--data=~/records"],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert f"No manifest at {tmp_path}/records/manifest.json" in done.stderr
