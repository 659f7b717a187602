"""Commands on a full disk: one line, nothing incomplete; with space again they end well."""

import pathlib

import numpy as np
import pytest
import video_files
from experiments import untrained_model
from full_disk import SmallDisk, check_complete, fail, run

from tfrecords_tools.sources import SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.utils.image_files import save_image

ROOT = pathlib.Path(__file__).parents[2]

# Keras unpacks a model that it reads, which is as large as what is made of it.
_OF_MODELS = ()

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path):
    small = SmallDisk(tmp_path / "disk")
    yield small
    small.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return untrained_model(tmp_path_factory.mktemp("model") / "model.keras", 32)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "records"
    source = SyntheticSource(num_train=48, num_test=8, seed=1)
    write_records(source, folder, square_format=SquareFormat(side=48), progress=False)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number in range(40):
        save_image(folder / f"{number}.png", generator.integers(0, 256, (60, 80, 3), np.uint8))
    return folder


@pytest.fixture
def survive(disk):
    """Runs a command with more and more space, and at last with enough.

    The limits are those of the file size where no disk can be mounted, `spaces` by default.
    """

    def check(module, arguments, spaces, limits=None):
        output = disk.folder / "out"
        arguments = [str(a).replace("OUT", str(output)) for a in arguments]
        for num_bytes in spaces if disk.is_mounted or limits is None else limits:
            fail(disk, module, arguments, num_bytes=num_bytes, output=output)
        status, printed = run(module, arguments)
        assert status == 0, printed
        check_complete(output)
        return output

    return check


def test_records(survive):
    arguments = ["write", "--source=synthetic", "--num_train=60", "--num_test=12", "--side=64",
                 "--output=OUT", "--num_processes=0"]  # fmt: skip
    output = survive("tfrecords_tools.cli", arguments, [0, 20_000, 100_000, 400_000], [0, 20_000])
    assert (output / "manifest.json").is_file()


def test_inspection_and_balance(survive, records):
    data = f"--data={records}"
    survive("tfrecords_tools.cli", ["inspect", data, "--output=OUT"], [0, 300_000], [0, 40_000])
    survive("tfrecords_tools.cli", ["balance", data, "--output=OUT/balance"], [40_000], [0])


def test_training(survive, records):
    arguments = [f"--config={ROOT}/configs/smoke.py", "--workdir=OUT",
                 f"--config.data.path={records}", "--config.jit_compile=off",
                 "--config.checkpoint_epochs=1", "--config.model.width=0.1"]  # fmt: skip
    output = survive("wing_tf.cli.train", arguments, [4096, 100_000, 400_000])
    assert len((output / "metrics.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("format", "spaces"), [("litert", [4096, 200_000]), ("saved_model", [200_000])]
)
def test_export(survive, model, records, format, spaces):
    arguments = [f"--model={model}", f"--data={records}", "--output=OUT",
                 f"--format={format}"]  # fmt: skip
    output = survive("wing_tf.cli.export", arguments, spaces, _OF_MODELS)
    assert (output / "export.json").is_file()


def test_report(survive, model, records):
    arguments = [f"--model={model}", f"--data={records}/test-*", "--output=OUT",
                 "--normalizer=box"]  # fmt: skip
    output = survive("wing_tf.cli.evaluate", arguments, [0, 60_000], _OF_MODELS)
    assert (output / "report.json").is_file()


@pytest.mark.parametrize("format", ["csv", "pts"])
def test_folder(survive, images, format):
    arguments = [f"--folder={images}", "--output=OUT", "--detector=whole", f"--format={format}"]
    output = survive("wing_tf.cli.predict", arguments, [4096, 120_000], [4096, 20_000])
    assert len(list((output / "drawn").iterdir())) == 40
    assert len(list(output.rglob("*.pts"))) == (40 if format == "pts" else 0)


def test_video(survive, tmp_path):
    video = video_files.make(tmp_path / "video.mp4")
    arguments = [f"--video={video}", "--output=OUT", "--detector=whole"]
    output = survive("wing_tf.cli.predict", arguments, [4096, 40_000])
    assert {path.name for path in output.iterdir()} == {"landmarks.jsonl", "output.mp4"}


def test_image(survive, images):
    arguments = [f"--image={images}/0.png", "--output=OUT", "--detector=whole"]
    survive("wing_tf.cli.predict", arguments, [0])


def test_reproduction(survive, records):
    arguments = ["--table=wing_losses", f"--data={records}", "--output=OUT",
                 "--epochs=1", "--cells=cnn6 l2", "--normalizer=box", "--set=model.width=0.1",
                 "--set=model.input_size=32", "--set=jit_compile=off"]  # fmt: skip
    output = survive("wing_tf.cli.reproduce", arguments, [400_000])
    assert (output / "table.json").is_file()
