"""The page in a real browser gives the landmarks of Python for the same images and boxes."""

import json
import pathlib
import shutil
import urllib.parse
import zipfile

import cv2
import keras
import numpy as np
import pytest
from keras import ops

from tfrecords_tools.synthetic import render_face
from wing_tf.export.deployed_network import deployed_network
from wing_tf.export.exported_spec import exported_spec
from wing_tf.export.litert import write_litert
from wing_tf.geometry import landmark_box
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.inference import Landmarker
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6, two_stage
from wing_tf.models.two_stage import reference_in_crop
from wing_tf.utils.image_files import load_image
from wing_tf.utils.zip_files import attach_files
from wing_tf.zoo import model_path

pytestmark = pytest.mark.slow

REAL_FACES = pathlib.Path(__file__).parents[3] / "shared" / "data" / "300w"
FACE = render_face(3, 1, size=420, wide_yaw_fraction=0.0)
BOX = landmark_box(FACE.landmarks_px)
BOXES = {
    "shrunk": BOX.tolist(),
    "outside": (BOX - [150.3, 90.7, 40.2, 30.1]).tolist(),  # its crop leaves the image
    "enlarged": (BOX[[0, 1, 0, 1]] + [30.25, 20.5, 70.0, 58.75]).tolist(),
    "much_shrunk": [-700.0, -800.0, 900.0, 850.0],
}
FAST = "face_68_fast"
MODELS = ("cnn6", "two_stage", FAST)
REFUSED = {
    "newer": {"version": 2},
    "other": {"format": "onnx"},
    "bgr": {"input": {"color": "BGR"}},
    "marginless": {"crop": {"margin": 0}},
    "half_square": {"crop": {"square": "no"}},
    "boxed": {"crop": {"boxes": "landmark"}},
    "unplaced": {"crop": {"box_around_landmarks": [0.5, 0.5, -0.5]}},
    "mirrored": {"crop": {"outside": "mirror"}},
}
"""Model specs that the page refuses, as changes of a valid one."""


def _shape(side):
    return reference_in_crop(FACE.landmarks_px, side, 1.3)


def _network(side, name):
    network = cnn6(68, input_size=side, width=0.25, name=name)
    # Like a trained network's: close to a face's shape, a few pixels different for each image.
    network.get_layer("output").bias.assign(_shape(side).ravel())
    return network


def _with_scores():
    network = _network(64, "cnn6")
    scores = ops.sigmoid(network.output[..., 0] / 16 - 2)
    outputs = {"landmarks": network.output, "scores": scores}
    spec = ModelSpec(scheme="ibug_68", input_size=64, margin=1.3, trained_boxes=["landmark"])
    return keras.Model(network.input, outputs), spec


def _two_stage():
    stages = _network(64, "first"), _network(96, "second")
    network = two_stage(*stages, _shape(96), first_margin=1.2, second_margin=1.2)
    side = network.input_shape[1]
    spec = ModelSpec(
        scheme="ibug_68", input_size=side, margin=1.6, square=False, trained_boxes=["dataset"],
        box_around_landmarks=[-0.5, -0.6, 0.6, 0.5],
    )  # fmt: skip
    return network, spec


def _export(network, spec, folder):
    folder.mkdir()
    deployed = deployed_network(network, spec)
    write_litert(deployed, folder / "model.tflite")
    facts = exported_spec(deployed, spec, format="litert", precision="float32")
    text = json.dumps(facts)
    attach_files(folder / "model.tflite", {"model_spec.json": text})
    (folder / "model_spec.json").write_text(text)
    return facts


def _query(folder, image=None, box=None):
    parts = {"model": f"files/{folder}/"}
    if image is not None:
        parts["image"] = f"files/{image}"
    if box is not None:
        parts["box"] = ",".join(map(str, box))
    return urllib.parse.urlencode(parts)


@pytest.fixture(scope="module")
def localizers(tmp_path_factory):
    """Python's landmarkers by name, and the folder that is served to the browser."""
    files = tmp_path_factory.mktemp("web")
    keras.utils.set_random_seed(0)
    made = {"cnn6": _with_scores(), "two_stage": _two_stage()}
    for name, (network, spec) in made.items():
        facts = _export(network, spec, files / name)
    (files / FAST).mkdir()
    shutil.copy(model_path(FAST), files / FAST / "model.tflite")
    with zipfile.ZipFile(model_path(FAST)) as archive:
        archive.extract("model_spec.json", files / FAST)
    for name, change in REFUSED.items():
        (files / name).mkdir()
        parts = {key: facts[key] | part if isinstance(part, dict) else part
                 for key, part in change.items()}  # fmt: skip
        (files / name / "model_spec.json").write_text(json.dumps(facts | parts))
    (files / "broken").mkdir()
    (files / "broken" / "model_spec.json").write_text(json.dumps(facts))
    (files / "broken" / "model.tflite").write_bytes(b"not a model")
    (files / "evil.js").write_text("document.body.dataset.ran = 'other script'")
    (files / "text.png").write_text("not an image")
    cv2.imwrite(str(files / "face.png"), FACE.image[..., ::-1])
    landmarkers = {name: Landmarker(net, spec=c) for name, (net, c) in made.items()}
    return landmarkers | {FAST: Landmarker(FAST, detector=None)}, files


@pytest.fixture(scope="module")
def said(localizers, browse):
    """Results of the page by case, from one browser."""
    _, files = localizers
    cases = {
        f"crop_{name}": {"crop": "files/face.png", "box": box, "size": 64}
        for name, box in BOXES.items()
    }
    for model in MODELS:
        for name in ("shrunk", "outside"):
            cases[f"{model}_{name}"] = {"query": _query(model, "face.png", BOXES[name])}
    cases["dragged"] = {"query": _query("cnn6", "face.png"), "dragged": BOXES["shrunk"]}
    cases["two_drags"] = cases["dragged"] | {"dragged_meanwhile": BOXES["enlarged"]}
    for model in MODELS:
        cases[f"{model}_camera"] = {"query": _query(model), "clicked": "camera", "faces": 3}
    cases["no_model"] = {"query": _query("nothing")}
    cases |= {name: {"query": _query(name)} for name in REFUSED}
    cases["broken"] = {"query": _query("broken")}
    cases["no_image"] = {"query": _query("cnn6", "nothing.png")}
    cases["text"] = {"query": _query("cnn6", "text.png")}
    cases["empty_box"] = {"query": _query("cnn6", "face.png", [9, 9, 9, 20])}
    query = _query("cnn6", "face.png", BOXES["shrunk"])
    cases["policy"] = {"query": _query("cnn6"), "forbidden": "OTHER/"}
    cases["other_model"] = {"query": query.replace("model=files", "model=OTHER/files")}
    cases["other_image"] = {"query": query.replace("image=files", "image=OTHER/files")}
    allowed = query.replace("=files", "=OTHER/files")
    cases["allowed"] = {"query": allowed, "page": "open.html"}
    cases["far_box"] = {"query": _query("cnn6", "face.png", [0, 0, 1e9, 1e9])}
    if REAL_FACES.is_dir():
        image = sorted((REAL_FACES / "helen" / "testset").glob("*.jpg"))[0]
        (files / "real.jpg").write_bytes(image.read_bytes())
        cases["real"] = {"query": _query("two_stage", "real.jpg", [60, 90, 180, 230])}
    return browse(cases, files)


def _largest_difference(face, landmarks_px):
    return np.abs(np.array(face["landmarksPx"]) - landmarks_px).max()


@pytest.mark.parametrize("name", BOXES)
def test_crops_equal_those_of_python(said, name):
    expected, _ = crop_and_resize(FACE.image, np.array(BOXES[name]), (64, 64))
    crop = np.array(said[f"crop_{name}"]["crop"]).reshape(64, 64, 3)
    difference = np.abs(crop - expected.astype(int))
    assert difference.max() <= 1  # where a mean lies on a half, rounding may differ
    assert difference.mean() < 0.01
    assert expected.std() > 20


@pytest.mark.parametrize("name", ["shrunk", "outside"])
@pytest.mark.parametrize("model", MODELS)
def test_landmarks_equal_those_of_python(said, localizers, model, name):
    result = said[f"{model}_{name}"]
    assert result["state"] == "done", result["message"]
    (face,) = result["faces"]
    expected = localizers[0][model](FACE.image, np.array([BOXES[name]]))[0]
    assert _largest_difference(face, expected.landmarks_px) < 0.05
    np.testing.assert_allclose(face["box"], BOXES[name])
    assert result["drawn"] == 68
    if model != "two_stage":
        np.testing.assert_allclose(face["scores"], expected.scores, atol=1e-3)
        assert "mean score" in result["message"]
    else:
        assert face["scores"] is None
    # Another image gives other landmarks, so the bound above is meaningful.
    blank = localizers[0][model](np.zeros_like(FACE.image), np.array([BOXES[name]]))[0]
    assert _largest_difference(face, blank.landmarks_px) > 1


def test_a_box_can_be_drawn_with_the_mouse(said, localizers):
    (face,) = said["dragged"]["faces"]
    np.testing.assert_allclose(face["box"], BOXES["shrunk"], atol=0.01)
    expected = localizers[0]["cnn6"](FACE.image, np.array([face["box"]]))[0]
    assert _largest_difference(face, expected.landmarks_px) < 0.05


def test_a_late_result_is_not_drawn_over_that_of_the_next_box(said):
    (face,) = said["two_drags"]["faces"]
    np.testing.assert_allclose(face["box"], BOXES["enlarged"], atol=0.01)
    place = ", ".join(f"{value:.1f}" for value in face["box"])
    assert f"Box: {place}." in said["two_drags"]["message"]


@pytest.mark.parametrize("model", MODELS)
def test_camera_frames_are_tracked_from_landmarks_to_box(model, said, localizers):
    result = said[f"{model}_camera"]
    assert result["state"] == "done", result["message"]
    first, second, third = result["faces"][:3]
    x0, y0, x1, y1 = first["box"]
    assert x1 - x0 == pytest.approx(y1 - y0)  # the square in the middle of the first frame
    for before, face in ((first, second), (second, third)):
        expected = localizers[0][model].spec.next_box(np.array(before["landmarksPx"]))
        np.testing.assert_allclose(face["box"], expected, atol=1e-6)


def test_landmarks_of_a_photo_equal_those_of_python(said, localizers):
    if "real" not in said:
        pytest.skip(f"no real faces at {REAL_FACES}")
    (face,) = said["real"]["faces"]
    image = load_image(localizers[1] / "real.jpg")
    expected = localizers[0]["two_stage"](image, np.array([face["box"]]))[0]
    assert _largest_difference(face, expected.landmarks_px) < 0.5  # JPEG decoders differ


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("no_model", "model_spec.json gave HTTP 404. Write a model with wing-export"),
        ("newer", "model_spec.json must be of version 1. Received: version 2."),
        ("other", 'format must be litert (wing-export --format=litert). Received: "onnx".'),
        ("bgr", "input must be uint8 [1, S, S, 3] in RGB. Received: {"),
        ("marginless", "crop margin must be a positive number. Received: 0."),
        ("half_square", 'crop.square must be true or false. Received: "no".'),
        ("boxed", 'crop.boxes must be a list of names. Received: "landmark".'),
        ("mirrored", 'crop must be black outside of the image. Received: "mirror".'),
        ("broken", "model.tflite can't be run here"),
        ("no_image", "No image at files/nothing.png: HTTP 404."),
        ("other_model", ", which the page allows, not from http://localhost:"),
        ("other_image", ", which the page allows, not from http://localhost:"),
        ("text", "files/text.png is not an image that this browser can read."),
        ("far_box", "A box must be four finite numbers, with x0 < x1 and y0 < y1. Received: [0, 0"),
        ("empty_box", "with x0 < x1 and y0 < y1. Received: [9, 9, 9, 20]."),
    ],
)
def test_errors_are_shown_in_one_line(said, case, message):
    assert said[case]["state"] == "error"
    assert message in said[case]["message"]
    assert "\n" not in said[case]["message"]


def test_the_page_runs_no_foreign_code_and_asks_no_other_origin(said):
    assert said["policy"]["ran"] is None
    assert said["policy"]["violated"] == [
        "connect-src", "frame-src", "img-src", "script-src", "script-src-attr", "script-src-elem",
        "style-src-attr",
    ]  # fmt: skip


def test_models_and_images_of_an_origin_that_the_page_allows(said):
    result = said["allowed"]
    assert result["state"] == "done", result["message"]
    assert result["faces"] == said["cnn6_shrunk"]["faces"]


def test_the_page_names_the_model(said):
    assert said["cnn6_shrunk"]["model"] == "ibug_68: 68 points, 64 × 64 input, float32"
