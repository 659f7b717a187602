"""What a file says of itself, and files that can't be used."""

import json
import shutil
import zipfile

import pytest

from wing_tf.inference import Landmarker
from wing_tf.landmarks import SCHEMES, register_scheme, scheme_from_dict
from wing_tf.model_spec import ModelSpec, read_model_spec
from wing_tf.models import cnn6

FINGERS = {"name": "fingers_4", "points": 4, "pairs": [[0, 3], [1, 2]], "normalizer": [0, 3]}


def _network_only(path):
    """Returns a file's content without the archive behind the network, and the model spec."""
    with zipfile.ZipFile(path) as archive:
        begin = min(info.header_offset for info in archive.infolist())
        return path.read_bytes()[:begin], json.loads(archive.read("model_spec.json"))


def test_spec_is_in_the_file(exported, tmp_path):
    _, spec, path = exported("plain")
    alone = shutil.copy(path, tmp_path / "renamed.tflite")
    read = read_model_spec(alone)
    assert (read.input_size, read.margin, read.square) == (64, spec.margin, True)
    assert (read.precision, read.has_scores) == ("float32", False)
    assert read.trained_boxes == ("landmark",)
    assert read.scheme == SCHEMES["ibug_68"]
    assert Landmarker(alone).spec == read
    heatmaps = read_model_spec(exported("heatmaps")[2])
    assert (heatmaps.has_scores, heatmaps.square) == (True, False)


def test_spec_beside_the_file_is_read(exported, tmp_path, frame):
    path = exported("plain")[2]
    network, facts = _network_only(path)
    (tmp_path / "model.tflite").write_bytes(network)
    with pytest.raises(ValueError, match="has no model_spec.json inside or beside it"):
        Landmarker(tmp_path / "model.tflite")
    (tmp_path / "model_spec.json").write_text(json.dumps(facts))
    landmarker = Landmarker(tmp_path)
    assert landmarker.spec == read_model_spec(path)
    # What is inside counts more.
    shutil.copy(path, tmp_path / "model.tflite")
    (tmp_path / "model_spec.json").write_text("{}")
    assert read_model_spec(tmp_path) == landmarker.spec


def test_custom_scheme_is_read_from_the_file(tmp_path, export):
    scheme = register_scheme(scheme_from_dict(FINGERS))
    try:
        spec = ModelSpec(scheme="fingers_4", input_size=64, margin=1.2)
        path = export(cnn6(4, input_size=64, width=0.1), spec, tmp_path / "model.tflite")
    finally:
        del SCHEMES["fingers_4"]  # as in another process
    assert Landmarker(path, scheme="fingers_4").scheme == scheme
    assert "fingers_4" not in SCHEMES


def test_incomplete_files_raise(exported, tmp_path):
    path = exported("plain")[2]
    content = path.read_bytes()
    size = len(_network_only(path)[0])
    cut = tmp_path / "model.tflite"
    lengths = [8, 100, 1000, size // 2, size - 4000, size - 1, size + 60, len(content) - 1]
    for length in lengths:
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut off|incomplete"):
            Landmarker(cut)
        if length > size:
            with pytest.raises(ValueError, match="cut off|incomplete"):
                read_model_spec(cut)
    # A model spec beside it makes nothing whole.
    with zipfile.ZipFile(path) as archive:
        archive.extract("model_spec.json", tmp_path)
    for length in lengths:
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut off|incomplete"):
            Landmarker(cut)


def test_foreign_files_raise(tmp_path):
    for content in (b"", b"TFL3", b"\x89PNG\r\n\x1a\n" + bytes(1000), b"no model" * 100):
        (tmp_path / "model.tflite").write_bytes(content)
        with pytest.raises(ValueError, match="is not a LiteRT model"):
            Landmarker(tmp_path / "model.tflite")
    with pytest.raises(ValueError, match=r"No model at .*nothing.tflite: expected a .tflite file"):
        Landmarker(tmp_path / "nothing.tflite")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="No model at .*empty"):
        read_model_spec(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "it is of version 2, this package reads version 1; update this package"),
        ({"version": None}, "it is of version None, .* export the model again"),
        ({"format": "onnx"}, "the format must be 'litert'. Received: 'onnx'"),
        ({"crop": {"margin": 1.2}}, "can't be used: no 'square'"),
        ({"scheme": {"name": "x"}}, "can't be used: A scheme has the keys"),
        ({"input": {"shape": 64, "dtype": "uint8"}}, "can't be used"),
    ],
)
def test_unknown_spec_versions_raise(change, message, exported, tmp_path):
    network, facts = _network_only(exported("plain")[2])
    (tmp_path / "model.tflite").write_bytes(network)
    _refused(tmp_path, facts | change, message)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("input", {"dtype": "float32"}, r"the input is not uint8 \[N, S, S, 3\] in RGB"),
        ("input", {"color": "BGR"}, r"the input is not uint8 \[N, S, S, 3\] in RGB"),
        ("input", {"shape": [1, 64, 48, 3]}, r"the input is not uint8 \[N, S, S, 3\] in RGB"),
        ("input", {"shape": [1, None, None, 3]}, r"the input is not uint8 \[N, S, S, 3\] in RGB"),
        ("input", {"shape": [0, 64, 64, 3]}, r"the input is not uint8 \[N, S, S, 3\] in RGB"),
        ("input", {"shape": [None, 64, 64, 3]}, r"the input is not uint8 \[N, S, S, 3\] in RGB"),
        ("crop", {"margin": 0}, "margin must be a positive number of at most 100. Received: 0"),
        ("crop", {"margin": -1.2}, "margin must be a positive number of .* Received: -1.2"),
        ("crop", {"margin": float("nan")}, "the number NaN, which is not finite"),
        ("crop", {"margin": 1e308}, r"positive number of at most 100. Received: 1e\+308"),
        ("crop", {"margin": "1.2"}, "margin must be a positive number of .* Received: '1.2'"),
        ("crop", {"margin": True}, "margin must be a positive number of .* Received: True"),
        ("crop", {"square": "false"}, "`square` must be true or false. Received: 'false'"),
        ("crop", {"square": 1}, "`square` must be true or false. Received: 1"),
        ("crop", {"boxes": "landmark"}, "`boxes` must be a list of names. Received: 'landmark'"),
        ("crop", {"boxes": [1]}, r"`boxes` must be a list of names. Received: \[1\]"),
        ("crop", {"box_around_landmarks": [0, 0, 1]}, r"must be numbers \[4\] .* \[0, 0, 1\]"),
        ("crop", {"box_around_landmarks": [0, 0, 1, 1e9]}, "must be numbers .* of at most 100"),
        ("crop", {"box_around_landmarks": [0, 0, "1", 1]}, "must be numbers"),
        ("crop", {"box_around_landmarks": [1, 0, 0, 1]}, r"is an empty box: \[1.0, 0.0, 0.0, 1.0"),
        ("crop", {"outside": "edge"}, "must be black outside of the image. Received: 'edge'"),
    ],
)
def test_unsupported_spec_values_raise(part, change, message, exported, tmp_path):
    network, facts = _network_only(exported("plain")[2])
    (tmp_path / "model.tflite").write_bytes(network)
    _refused(tmp_path, facts | {part: facts[part] | change}, message)


def test_facts_about_the_training_are_optional(exported, tmp_path):
    network, facts = _network_only(exported("plain")[2])
    (tmp_path / "model.tflite").write_bytes(network)
    used = ("version", "format", "precision", "input", "crop", "outputs", "scheme")
    (tmp_path / "model_spec.json").write_text(json.dumps({key: facts[key] for key in used}))
    assert read_model_spec(tmp_path) == read_model_spec(exported("plain")[2])


def _refused(folder, facts, message):
    (folder / "model_spec.json").write_text(json.dumps(facts))
    for read in (read_model_spec, Landmarker):
        with pytest.raises(ValueError, match=rf"model spec in .*model_spec.json .*{message}"):
            read(folder)


@pytest.mark.parametrize("text", ["", "[1]", '{"version"', "{}", "\xff"])
def test_files_without_valid_spec_raise(text, exported, tmp_path):
    (tmp_path / "model.tflite").write_bytes(_network_only(exported("plain")[2])[0])
    (tmp_path / "model_spec.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="model spec in .*model_spec.json can't be used"):
        Landmarker(tmp_path)


def test_model_spec_of_another_file_raises(exported, tmp_path):
    (tmp_path / "model.tflite").write_bytes(_network_only(exported("plain")[2])[0])
    other = _network_only(exported("heatmaps")[2])[1]
    (tmp_path / "model_spec.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="and its model spec disagree"):
        Landmarker(tmp_path)
