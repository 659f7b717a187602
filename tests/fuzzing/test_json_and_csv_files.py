"""Damaged schemes, boxes, reports and results are refused in one line, or make sense."""

import json
import math

import numpy as np
import pytest
from fuzzed import check_reader, damaged_bytes, damaged_json

from wing_tf.data.crop_rules import BOX_KINDS, CropRule
from wing_tf.detection import BoxFile, Correction
from wing_tf.evaluation.comparison import read_face_scores
from wing_tf.inference.run_files import ResultFile, SkippedFile, claim_output
from wing_tf.landmarks import get_scheme, load_scheme_map
from wing_tf.landmarks.scheme_file import scheme_from_dict, scheme_to_dict
from wing_tf.model_spec import ModelSpec
from wing_tf.reproduction.cell_file import read_cell
from wing_tf.reproduction.peers import peer_errors
from wing_tf.score_calibration import ScoreCalibration
from wing_tf.utils.text_files import read_json

pytestmark = pytest.mark.slow  # 300 inputs for each reader

FIVE = np.array([[20.0, 20], [40, 20], [30, 30], [22, 42], [38, 42]])


SCHEME = {
    "name": "fuzzed_7", "points": list("abcdefg"), "pairs": [["a", "b"], ["c", "d"]],
    "normalizer": ["a", "b"], "curves": [["a", "e", "b"]], "regions": {"all": list("abcdefg")},
    "subsets": {"eyes": ["a", "b"]}, "reference": "none",
}  # fmt: skip
MAP = {
    "source": "ibug_68", "target": "celeba_5", "reference": "none", "known_residual": 0.5,
    "groups": [[36, 39], [42, 45], [30], [48], [54]],
}  # fmt: skip
RUN = {"model": "face_68", "format": "jsonl", "scheme": "ibug_68"}
TEST = {"faces": 2, "keys_sha256": "ab", "nme": [0.05, None], "nme_by_subset": {"eyes": [1, 2]}}
CELL = {
    "cell": "cnn6 l2", "recipe": "tuned", "normalizer": "inter_ocular", "precision": "float32",
    "seed": 0, "epochs": 2, "training_faces": 9, "parameters": 10, "setup": {"config": {}},
    "tests": {"helen": TEST}, "validation_nme": {"1": 0.1},
}  # fmt: skip
BOX_CSV = b"path,x0,y0,x1,y1\na.jpg,1,2,30,40\nb/c.jpg,5.5,6,70,80\nd.jpg,,,,\n"
BOX_JSON = (
    b'{"path": "a.jpg", "boxes_xyxy_px": [[1, 2, 30, 40], [3, 4, 50, 60]]}\n'
    b'{"image": "b.jpg", "faces": [{"box_xyxy_px": [1, 2, 30, 40]}]}\n'
)
LINES = b'{"image": "a.png", "faces": []}\n{"image": "b.png", "faces": [{"landmarks": [1]}]}\n'


def _named(path, read):
    """The readers of parts of a file don't know its name."""
    values = read_json(path)
    try:
        return read(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # `ModelSpec.from_dict` declares these kinds, and `read_model_spec` names the file.
        raise ValueError(f"{path}: {error}") from None


def _scheme(path):
    scheme = _named(path, scheme_from_dict)
    flip = scheme.flip_permutation
    assert [flip[flip[i]] for i in range(scheme.num_landmarks)] == list(range(scheme.num_landmarks))
    assert scheme_from_dict(json.loads(json.dumps(scheme_to_dict(scheme)))) == scheme


def _map(path):
    scheme_map = load_scheme_map(path)
    assert len(scheme_map.groups) == scheme_map.target.num_landmarks
    assert scheme_map.known_residual is None or 0 <= scheme_map.known_residual < math.inf
    assert isinstance(scheme_map.reference, str)


def _correction(path):
    boxes = Correction.load(path)(np.array([[0.0, 0.0, 10.0, 20.0]]))
    assert np.isfinite(boxes).all()
    assert np.abs(boxes).max() < 1e5
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def _crop_rule(path):
    rule = _named(path, lambda values: CropRule.from_json(json.dumps(values)))
    assert rule.box in BOX_KINDS
    assert 1 <= rule.margin <= 4
    assert CropRule.from_json(rule.to_json()) == rule
    assert str(rule)


def _boxes(path):
    detector = BoxFile(path, correction=Correction((0.0, 0.1), 0.9))
    for name in detector.names:
        boxes = detector(np.zeros((9, 9, 3), np.uint8), name)
        assert np.abs(boxes[:, :4]).max(initial=0) < 1e7
        assert (boxes[:, 2:4] > boxes[:, :2]).all()


def _claim(path):
    claim_output(path.parent, {"model": "face_68", "format": "jsonl", "scheme": "ibug_68"})


def _spec(path):
    spec = _named(path, ModelSpec.from_dict)
    assert 0 < spec.input_size <= 4096
    assert 0 < spec.margin <= 100
    assert all(count >= 0 for count in spec.known_faces.values())
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))).scheme == spec.scheme


def _calibration(path):
    calibration = _named(path, ScoreCalibration.from_dict)
    if len(calibration.mean_shape) == 5 and len(calibration.weights) == 3:
        scores = calibration(FIVE[None])
        assert np.all((scores >= 0) & (scores <= 1))
    assert 0 <= calibration.min_score <= 1


def _scores(path):
    scores = read_face_scores(path.parent)
    assert all(0 <= value < math.inf for value in scores.values.values())
    assert scores.kind in ("nme", "pck")


def _cell(path):
    cell = read_cell(path)
    for test in cell["tests"].values():
        assert len(test["nme"]) == test["faces"]
        assert np.isfinite([value for value in test["nme"] if value is not None]).all()


def _peers(path):
    cell = {"tests": {"helen": {"keys_sha256": "ab"}}, "normalizer": "inter_ocular"}
    for errors in peer_errors(path.parent.parent, cell, "helen").values():
        assert np.isfinite(errors).all()


def _results(path):
    with ResultFile(path, get_scheme("celeba_5")) as file:
        assert all(isinstance(name, str) and count >= 0 for name, count in file.done.items())


def _skipped(path):
    with SkippedFile(path) as file:
        assert all(isinstance(reason, str) for reason in file.reasons.values())


def _calibration_values():
    two = {"modes": [[0.5] * 4 + [0.0] * 6, [0.0] * 6 + [0.5] * 4]}
    one = dict.fromkeys(("deviations", "inaccurate_means", "inaccurate_deviations"), [0.5, 0.25])
    values = {"mean_shape": FIVE / 20, **two, **one, "max_inaccurate_distance": 9.0, "bias": 0.5,
              "weights": [-1.0, 0.5, 0.25], "min_score": 0.02, "num_faces": 60}  # fmt: skip
    return ScoreCalibration(**values).to_dict()


def _spec_values():
    spec = ModelSpec(
        scheme=scheme_from_dict(SCHEME), input_size=64, margin=1.2, trained_on={"wflw": 9},
        held_out={"wflw": 1}, trained_crops=("landmark_box",), trained_boxes=("landmark",),
    )  # fmt: skip
    outputs = {"landmarks": {"shape": [1, 7, 2], "dtype": "float32"}}
    values = spec.to_dict() | {"format": "litert", "precision": "float32", "outputs": outputs}
    values["input"]["shape"][0] = 1
    return values


REPORT = {"normalizer": "inter_ocular", "protocol": "all", "scheme": "ibug_68",
          "named_protocol": {"score": "nme", "thresholds": [0.08]}, "warnings": []}  # fmt: skip

JSON = {
    "scheme": ("scheme.json", SCHEME, _scheme),
    "scheme map": ("map.json", MAP, _map),
    "correction": ("c.json", {"center_shift_xy": [0.0, 0.1], "side_ratio": 0.9}, _correction),
    "crop rule": ("rule.json", json.loads(CropRule(name="a", box="landmark").to_json()),
                  _crop_rule),
    "folder run": ("run.json", RUN, _claim),
    "model spec": ("model_spec.json", _spec_values(), _spec),
    "score calibration": ("calibration.json", _calibration_values(), _calibration),
    "report": ("report.json", REPORT, _scores),
    "cell": ("cell.json", CELL, _cell),
    "peer": ("peers/dlib.json", {"keys_sha256": "ab", "normalizer": "inter_ocular",
                                 "nme": [0.05, 0.07]}, _peers),
}  # fmt: skip
TEXTS = {
    "box CSV": ("boxes", BOX_CSV, _boxes),
    "box JSON": ("boxes", BOX_JSON, _boxes),
    "scores of faces": ("nme.csv", b"key,nme,groups\na#1,0.05,test\nb#1,nan,test x\n", _scores),
    "results of a folder": ("landmarks.jsonl", LINES, _results),
    "skipped images": ("skipped.csv", b"image,reason\na.png,it is empty\n", _skipped),
}


@pytest.mark.parametrize("name", JSON)
def test_damaged_json_files_are_refused_or_read(name, tmp_path):
    file, values, read = JSON[name]
    path = _folder_of(file, tmp_path)
    check_reader(path, json.dumps(values).encode(), lambda: read(path), damaged_json(values))


@pytest.mark.parametrize("name", TEXTS)
def test_damaged_text_files_are_refused_or_read(name, tmp_path):
    file, data, read = TEXTS[name]
    path = _folder_of(file, tmp_path)
    check_reader(path, data, lambda: read(path), damaged_bytes(data))


def _folder_of(file, folder):
    """Writes the files that are read beside the damaged one."""
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    (folder / "report.json").write_text(json.dumps(REPORT))
    (folder / "nme.csv").write_text("key,nme,pck,groups\na#1,0.05,1,test\n")
    return path
