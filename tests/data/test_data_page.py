"""docs/data.md: its record schema is that of the code and of the files, and its examples run."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from tfrecords_tools.balancing import write_balance
from wing_tf.data import open_records, record_schema

PAGE = (pathlib.Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
DTYPES = {"bytes": tf.string, "int64": tf.int64, "float32": tf.float32}


def _rows(text: str) -> list[list[str]]:
    """Returns the cells of the schema's rows in a text."""
    table = text.partition("| key | dtype | shape | meaning |\n")[2].partition("\n\n")[0]
    return [[c.strip() for c in line.split("|")[1:5]] for line in table.splitlines()[1:]]


def test_page_module_and_constants_have_the_same_schema():
    rows = _rows(PAGE)
    assert rows == _rows(record_schema.__doc__)
    others = {"MANIFEST"}
    constants = {
        value
        for name, value in vars(record_schema).items()
        if isinstance(value, str) and name.isupper() and name not in others
    }
    assert {row[0].strip("`") for row in rows} == constants
    assert len(rows) == len(constants)


def test_records_have_the_documented_dtypes_and_shapes(synthetic_records):
    records = open_records(synthetic_records, split="train")
    record = next(iter(tf.data.TFRecordDataset(records.files[0])))
    written = tf.train.Example.FromString(record.numpy()).features.feature
    sizes = {"K": 68, "K * 2": 136, "": 1}
    documented = {key.strip("`"): (dtype, shape, text) for key, dtype, shape, text in _rows(PAGE)}
    assert set(written) <= set(documented)
    for key, (dtype, shape, text) in documented.items():
        if key not in written:
            assert "; absent" in text, key
            continue
        size = shape.strip("[]")
        count = sizes[size] if size in sizes else int(size)
        spec = {key: tf.io.FixedLenFeature([count], DTYPES[dtype])}
        assert tf.io.parse_single_example(record, spec)[key].shape == (count,)


@pytest.fixture
def folder(synthetic_records, tmp_path, monkeypatch):
    """A folder with what the commands of the page write."""
    (tmp_path / "records").symlink_to(synthetic_records)
    (tmp_path / "balance").mkdir()
    monkeypatch.chdir(tmp_path)
    write_balance("records", pathlib.Path("balance"))
    return tmp_path


def test_examples_run_in_order(folder, capsys):
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE):
        exec(compile(block, "docs/data.md", "exec"), names)  # noqa: S102
    output = capsys.readouterr().out
    assert "(32, 16, 16, 68) (32, 68)" in output
    for name in ("- loss", "val_loss"):
        first, last = map(float, re.findall(rf"{name}: ([\d.]+)", output))
        assert last < first
    np.testing.assert_allclose(np.mean(names["face_weights"]), 1)
    assert next(iter(names["heatmaps"]))[1].shape == (32, 16, 16, 69)
    assert next(iter(names["batches"]))[1].shape == (32, 68, 2)
    assert len(names["repeated"]) == len(names["weighted"]) == len(names["train"])
    # The record that was read without the package is that of the package.
    face = next(iter(names["read_faces"](names["records"])))
    own = names["landmarks_px"]
    matrix = face["square_to_source"].numpy()
    expected = face["landmarks_square_px"].numpy() @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(own, expected, rtol=1e-5)
