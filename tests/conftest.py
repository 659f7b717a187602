import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the commands do

import hypothesis
import pytest

from tfrecords_tools.sources import SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records

hypothesis.settings.register_profile("any_machine", deadline=None)
hypothesis.settings.load_profile("any_machine")

REAL_FACES = pathlib.Path(__file__).parents[2] / "shared" / "data" / "300w"


def pytest_terminal_summary(terminalreporter, config):
    """Says what a default run leaves out."""
    if config.option.markexpr == "not slow":
        terminalreporter.write_line("Slow tests were not run. Run them by: pytest -m slow")


@pytest.fixture(scope="session")
def real_faces() -> pathlib.Path:
    """The 300-W tree, where the machine has it: its images may not be shipped."""
    if not REAL_FACES.is_dir():
        pytest.skip(f"no real faces at {REAL_FACES}")
    return REAL_FACES


@pytest.fixture(scope="session")
def synthetic_records(tmp_path_factory) -> pathlib.Path:
    """Records of 160 faces for training and validation and 24 for testing, 96 px squares."""
    folder = tmp_path_factory.mktemp("synthetic") / "records"
    source = SyntheticSource(num_train=160, num_test=24, seed=1)
    write_records(
        source, folder, square_format=SquareFormat(side=96), faces_per_shard=80,
        num_processes=0, progress=False,
    )  # fmt: skip
    return folder
