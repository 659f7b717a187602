"""Export of models into folders."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecords_tools.sources import SOURCES
from wing_tf.data.records import find_shards, open_records
from wing_tf.evaluation.predict import CropBatch
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.export_model import export_model
from wing_tf.export.exported_spec import exported_spec
from wing_tf.export.faces import comparison_faces
from wing_tf.export.litert import write_litert
from wing_tf.export.model_card import LICENSES, Origin, find_origin, model_card
from wing_tf.export.parity import Parity
from wing_tf.inference.litert_backend import LiteRtBackend
from wing_tf.landmarks import SCHEMES, register_scheme, scheme_from_dict, scheme_to_dict
from wing_tf.model_spec import ModelSpec, read_model_spec
from wing_tf.models import cnn6
from wing_tf.models.saving import save_network
from wing_tf.zoo import model_path

FINGERS = {"name": "fingers_4", "points": 4, "pairs": [[0, 3], [1, 2]], "normalizer": [0, 3]}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The file of a small untrained network with 68 landmarks."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    spec = ModelSpec(
        scheme="ibug_68", input_size=64, margin=1.2, trained_on={"synthetic": 144},
        held_out={"synthetic": 16}, trained_crops=["landmark_box"], trained_boxes=["landmark"],
    )  # fmt: skip
    save_network(cnn6(68, input_size=64, width=0.25), path, spec)
    return path


def test_folder_and_file_hold_spec_and_card(model, synthetic_records, tmp_path):
    report = export_model(model, tmp_path, data=str(synthetic_records))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.tflite", "model_spec.json", "model_card.md", "export.json"}
    assert report == json.loads((tmp_path / "export.json").read_text())
    assert report["size_bytes"] == (tmp_path / "model.tflite").stat().st_size
    parity = report["parity"]
    # Compared on the validation faces.
    files = find_shards(synthetic_records, "validation")
    assert parity["num_faces"] == sum(1 for _ in tf.data.TFRecordDataset(files)) < 160
    assert parity["max_px"] < 1e-3
    # Rendered faces have ground truth; the network and the export are untrained.
    assert parity["nme_before"] == pytest.approx(parity["nme_after"], abs=1e-5)
    assert parity["nme_before"] > 0.2
    assert set(report["latency_ms"]) == {"1", "2"}

    facts = json.loads((tmp_path / "model_spec.json").read_text())
    assert facts["input"] == {
        "name": "image", "shape": [1, 64, 64, 3], "dtype": "uint8", "color": "RGB"
    }  # fmt: skip
    assert facts["crop"]["margin"] == 1.2
    assert facts["crop"]["boxes"] == ["landmark"]
    assert facts["outputs"] == {"landmarks": {"shape": [1, 68, 2], "dtype": "float32"}}
    assert facts["scheme"] == scheme_to_dict(SCHEMES["ibug_68"])
    card = (tmp_path / "model_card.md").read_text()
    assert "144 of synthetic" in card
    assert "rendered images" in card
    assert "1.2 times" in card
    with zipfile.ZipFile(tmp_path / "model.tflite") as archive:
        assert json.loads(archive.read("model_spec.json")) == facts
        assert archive.read("model_card.md").decode() == card


def test_int8_is_calibrated_on_training_faces_only(model, synthetic_records, tmp_path):
    with pytest.raises(ValueError, match=r"`data` must name records"):
        export_model(model, tmp_path, precision="int8", faces=str(synthetic_records))
    with pytest.raises(ValueError, match="holds no training face .*it has: test"):
        export_model(model, tmp_path, precision="int8", data=f"{synthetic_records}/test-*.tfrecord")
    assert not list(tmp_path.iterdir())


def test_an_export_with_increased_nme_is_refused_unless_forced(model, synthetic_records, tmp_path):
    options = {"precision": "int8", "data": str(synthetic_records), "max_nme_cost": -1.0}
    with pytest.raises(ValueError, match=r"int8 costs .* points of NME .*--force"):
        export_model(model, tmp_path, **options)
    assert not list(tmp_path.iterdir())
    report = export_model(model, tmp_path, **options, force=True, batch_size=16)
    files = find_shards(synthetic_records, "train")
    assert report["calibration_faces"] == sum(1 for _ in tf.data.TFRecordDataset(files))
    # An error of more than half a pixel of 64 would mean quantized coordinates, not features.
    assert 0 < report["parity"]["mean_px"] < 0.5
    assert abs(report["parity"]["nme_cost"]) < 0.005
    assert report["batch_size"] == 16
    assert read_model_spec(tmp_path).batch_size == 16
    facts = json.loads((tmp_path / "model_spec.json").read_text())
    assert facts["input"]["shape"] == [16, 64, 64, 3]
    assert facts["outputs"]["landmarks"]["shape"] == [16, 68, 2]
    assert "[16, 64, 64, 3]: 16 face crops. Fill" in (tmp_path / "model_card.md").read_text()


def test_a_custom_scheme_is_exported_with_the_model(synthetic_records, tmp_path):
    keras.utils.set_random_seed(0)
    fingers = register_scheme(scheme_from_dict(FINGERS))
    try:
        spec = ModelSpec(scheme="fingers_4", input_size=64, margin=1.2)
        save_network(cnn6(4, input_size=64, width=0.25), tmp_path / "m.keras", spec)
        del SCHEMES["fingers_4"]  # as in another process
        with pytest.raises(ValueError, match="predicts fingers_4, the records hold ibug_68"):
            export_model(tmp_path / "m.keras", tmp_path, data=str(synthetic_records))
        output = tmp_path / "export"
        output.mkdir()
        export_model(tmp_path / "m.keras", output, faces=_noise(4))
        facts = json.loads((output / "model_spec.json").read_text())
        assert scheme_from_dict(facts["scheme"]) == fingers
        report = json.loads((output / "export.json").read_text())
        assert report["parity"]["nme_before"] is None  # no ground truth
        assert report["parity"]["nme_between"] < 1e-5
    finally:
        SCHEMES.pop("fingers_4", None)


def _noise(num_landmarks, count=3):
    """Noise images without ground truth."""
    image = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)
    return [
        CropBatch(
            image=image, crop_to_source=np.tile([[1.0, 0, 0], [0, 1, 0]], (count, 1, 1)),
            true_px=np.full((count, num_landmarks, 2), np.nan),
            box_xyxy_px=np.tile([5.0, 5, 58, 58], (count, 1)),
            dataset_box_xyxy_px=np.full((count, 4), np.nan),
            key=[str(i) for i in range(count)], groups=[frozenset()] * count,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "tflite"}, "`format` must be one of"),
        ({"precision": "int4"}, "`precision` must be one of"),
        ({"format": "saved_model", "precision": "int8"}, "A SavedModel is float32"),
        ({"format": "saved_model", "batch_size": 2}, "A SavedModel takes batches of any size"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer. Received: 0"),
        ({"batch_size": 2.0}, "`batch_size` must be a positive integer. Received: 2.0"),
        ({"format": "onnx", "precision": "int8"}, "int8 is calibrated on training faces"),
        ({}, "`faces` or `data` must say"),
    ],
)
def test_wrong_options_are_refused_before_work_begins(model, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_model(model, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_an_exported_file_is_not_exported_again(tmp_path):
    with pytest.raises(
        ValueError, match="face_68.tflite is an exported model. Expected the .keras"
    ):
        export_model(model_path(), tmp_path, faces=_noise(68))


@pytest.mark.slow
def test_without_ground_truth_landmarks_must_not_move(model, synthetic_records, tmp_path):
    # The untrained network's landmarks are close together: its eye distance is small.
    options = {"precision": "int8", "data": str(synthetic_records), "faces": _noise(68)}
    with pytest.raises(ValueError, match="moves landmarks by .* no ground truth .*--force"):
        export_model(model, tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
    report = export_model(model, tmp_path / "new", **options, force=True)
    assert report["compared_on"] == "given faces"
    with pytest.raises(ValueError, match=r"export\.json exists already"):
        export_model(model, tmp_path / "new", **options, force=True)


def test_comparison_prefers_validation_faces_then_faces_that_are_not_for_training(
    model, synthetic_records
):
    spec = read_model_spec(model)
    for pattern, split, count in (
        ("*", "validation", 8),
        ("t*", "test", 24),
        ("train*", "train", 9),
    ):
        batches, name = comparison_faces(f"{synthetic_records}/{pattern}.tfrecord", spec, count)
        assert name.startswith(f"{split} faces of")
        assert {group for batch in batches for groups in batch.groups for group in groups} == {
            split
        }
        assert sum(len(batch.key) for batch in batches) == count
        assert all(batch.image.dtype == np.uint8 for batch in batches)


def test_few_validation_faces_are_compared_with_others(model, synthetic_records, monkeypatch):
    spec = read_model_spec(model)
    count = open_records(str(synthetic_records), split="validation").num_faces
    monkeypatch.setattr("wing_tf.export.faces._MIN_FACES", count + 1)
    _, name = comparison_faces(f"{synthetic_records}/*.tfrecord", spec)
    assert name.startswith("test and validation faces of")


@pytest.mark.parametrize("square", [True, False])
def test_the_card_describes_the_crop(square, tmp_path):
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2, square=square)
    deployed = deployed_network(cnn6(68, input_size=64, width=0.25), spec)
    facts = exported_spec(deployed, spec, format="saved_model", precision="float32")
    parity = Parity(3, 0.1, 0.01, None, "inter_ocular", None, None, 0.001)
    card = model_card(spec, facts, find_origin(tmp_path / "m.keras"), parity, "faces")
    assert ("a square around the center" in card) == square
    assert ("stretched to a square" in card) != square
    assert "landmarks_px" in card
    assert facts["images"]["outputs"] == {
        "landmarks_px": {"shape": [None, 68, 2], "dtype": "float32"}
    }


def test_the_license_of_a_pretrained_model_is_known(tmp_path):
    """By its content, whatever the name of the file."""
    shutil.copy(model_path("face_68_fast", ".keras"), tmp_path / "m.keras")
    assert find_origin(tmp_path / "m.keras").license == "Apache-2.0"
    (tmp_path / "m.keras").write_bytes(b"another")
    assert not find_origin(tmp_path / "m.keras").license
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2)
    deployed = deployed_network(cnn6(68, input_size=64, width=0.25), spec)
    facts = exported_spec(deployed, spec, format="saved_model", precision="float32")
    parity = Parity(3, 0.1, 0.01, None, "inter_ocular", None, None, 0.001)
    card = model_card(spec, facts, Origin("m.keras", license="Apache-2.0"), parity, "faces")
    assert "License of the weights: Apache-2.0.\n\nThe model inherits" in card


@pytest.mark.parametrize(("name", "noted"), [("lapa", True), ("wflw", False)])
def test_the_card_says_that_lapa_holds_faces_of_300w(name, noted, tmp_path):
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.2, trained_on={name: 100})
    deployed = deployed_network(cnn6(68, input_size=64, width=0.25), spec)
    facts = exported_spec(deployed, spec, format="saved_model", precision="float32")
    parity = Parity(3, 0.1, 0.01, None, "inter_ocular", None, None, 0.001)
    card = model_card(spec, facts, find_origin(tmp_path / "m.keras"), parity, "faces")
    assert ("LaPa holds warped copies of faces of AFW, HELEN, LFPW" in card) == noted


def test_every_source_has_a_license_note():
    # Images of the user.
    own = {"csv", "coco", "cvat", "imglab", "labelme", "labelstudio", "pts"}
    assert set(SOURCES) - own <= set(LICENSES)


def test_a_damaged_model_is_named_in_the_error(model, tmp_path):
    content = bytearray(model.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(255 - byte for byte in content[middle : middle + 64])
    (tmp_path / "broken.keras").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.keras is a damaged zip archive: Bad CRC-32"):
        export_model(tmp_path / "broken.keras", tmp_path / "out", faces=_noise(68))


def test_a_network_in_mixed_precision_is_exported_as_float32(tmp_path):
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = cnn6(68, input_size=32, width=0.25)
    finally:
        keras.config.set_dtype_policy("float32")
    spec = ModelSpec(scheme="ibug_68", input_size=32, margin=1.0)
    write_litert(deployed_network(network, spec), tmp_path / "m.tflite")
    plain = cnn6(68, input_size=32, width=0.25)
    plain.set_weights(network.get_weights())
    crops = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    path = tmp_path / "m.tflite"
    found, _ = LiteRtBackend(path.read_bytes(), path=path, num_threads=1)(crops)
    np.testing.assert_allclose(found, plain(crops.astype(np.float32)), atol=1e-4)


def test_an_operation_without_litert_kernel_is_named(tmp_path):
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    x = keras.ops.image.affine_transform(
        keras.ops.cast(image, "float32"), np.eye(3, dtype=np.float32).reshape(1, 9)[:, :8]
    )
    landmarks = keras.layers.Reshape((68, 2))(
        keras.layers.Dense(136)(keras.layers.GlobalAveragePooling2D()(x))
    )
    with pytest.raises(ValueError, match="no built-in operation for tf.ImageProjectiveTransformV3"):
        write_litert(keras.Model(image, {"landmarks": landmarks}), tmp_path / "m.tflite")
    assert not (tmp_path / "m.tflite").exists()
