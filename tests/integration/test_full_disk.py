"""Commands on a full disk: one line, nothing incomplete; with space again they end well."""

import numpy as np
import pytest
import video_files
from full_disk import SmallDisk, check_complete, fail, run

from wing_tf.utils.image_files import save_image

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path):
    small = SmallDisk(tmp_path / "disk")
    yield small
    small.close()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number in range(40):
        save_image(folder / f"{number}.png", generator.integers(0, 256, (60, 80, 3), np.uint8))
    return folder


@pytest.fixture
def survive(disk, tmp_path):
    """Runs a command with more and more space, and at last with enough."""

    def check(module, arguments, spaces):
        output, log = disk.folder / "out", tmp_path / "log.txt"
        arguments = [str(a).replace("OUT", str(output)) for a in arguments]
        for num_bytes in spaces:
            fail(disk, module, arguments, num_bytes=num_bytes, log=log, output=output)
        status, printed = run(module, arguments, log=log)
        assert status == 0, printed
        check_complete(output)
        return output

    return check


def test_records(survive):
    arguments = ["write", "--source=synthetic", "--num_train=60", "--num_test=12", "--side=64",
                 "--output=OUT", "--num_processes=0"]  # fmt: skip
    output = survive("tfrecords_tools.cli", arguments, [0, 20_000, 100_000, 400_000])
    assert (output / "manifest.json").is_file()


def test_video(survive, tmp_path):
    video = video_files.make(tmp_path / "video.mp4")
    arguments = [f"--video={video}", "--output=OUT", "--detector=whole"]
    output = survive("wing_tf.cli.predict", arguments, [4096, 40_000])
    assert {path.name for path in output.iterdir()} == {"landmarks.jsonl", "output.mp4"}


def test_image(survive, images):
    arguments = [f"--image={images}/0.png", "--output=OUT", "--detector=whole"]
    survive("wing_tf.cli.predict", arguments, [0])
