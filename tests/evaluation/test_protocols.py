"""Tests of the protocols' definitions and scores."""

import numpy as np
import pytest

from wing_tf.evaluation.predict import Predictions
from wing_tf.evaluation.protocol_report import score_groups
from wing_tf.evaluation.protocols import PROTOCOLS, get_protocol
from wing_tf.evaluation.published import PUBLISHED
from wing_tf.evaluation.report import face_errors
from wing_tf.geometry import landmark_box
from wing_tf.landmarks import get_scheme


def _predictions(true, predicted, groups, boxes=None):
    boxes = np.full((len(true), 4), np.nan) if boxes is None else boxes
    keys = [f"face/{i}" for i in range(len(true))]
    index = np.arange(len(true))
    return Predictions(true, predicted, landmark_box(true), boxes, keys, groups, index)


def test_protocols_use_existing_normalizers_and_groups():
    for name, protocol in PROTOCOLS.items():
        if protocol.scheme:
            scheme = get_scheme(protocol.scheme)
            known = {*scheme.normalizers, "box", "box_width", "diagonal"}
            assert protocol.normalizer in known
        assert set(protocol.official_counts) <= {*protocol.groups, "each"}
        for entry in PUBLISHED.get(name, ()):
            joints = {"head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "mean"}
            assert set(entry.values) <= (
                joints if protocol.score == "pck" else set(protocol.groups)
            )
    assert set(PUBLISHED) <= set(PROTOCOLS)
    with pytest.raises(ValueError, match="Did you mean '300w_interocular'"):
        get_protocol("300w_interoccular")


def test_published_scores_golden():
    awing = PUBLISHED["wflw"][0].values
    assert awing["full"] == {"nme": 4.36, "fr_10": 2.84, "auc_10": 57.19}
    assert awing["blur"] == {"nme": 4.96, "fr_10": 3.75, "auc_10": 51.20}
    assert PUBLISHED["wflw"][2].values["make_up"] == {"nme": 4.26}  # HRNet
    assert PUBLISHED["lsp_pck"][0].values["mean"] == {"pck": 85.9}


def test_group_scores_golden():
    """Four faces of 10 px between the eyes' corners: errors of .1, .3, .5 and 2 px everywhere."""
    scheme, protocol = get_scheme("ibug_68"), get_protocol("300w_interocular")
    true = np.zeros((4, 68, 2))
    true[:, 45, 0] = 10.0
    errors_px = np.array([0.1, 0.3, 0.5, 2.0])
    predicted = true + np.array([0.0, 1.0]) * errors_px[:, None, None]
    groups = [frozenset([name]) for name in ("test_helen", "test_lfpw", "test_ibug", "test_ibug")]
    predictions = _predictions(true, predicted, groups)
    scores = score_groups(predictions, *face_errors(predictions, scheme), scheme, protocol)
    full = scores["full"]
    assert full["num_faces"] == 4
    assert full["nme"] == pytest.approx((0.01 + 0.03 + 0.05 + 0.2) / 4)
    assert full["fr_08"] == 0.25
    assert full["auc_08"] == pytest.approx(0.46875)
    assert full["auc_10"] == pytest.approx(1 - (0.01 + 0.03 + 0.05 + 0.1) / 4 / 0.1)
    assert scores["common"]["nme"] == pytest.approx(0.02)
    assert scores["challenge"]["nme"] == pytest.approx(0.125)
    assert scores["challenge"]["nmde"] == pytest.approx(0.125)
    assert scores["challenge"]["fr_10"] == 0.5


def test_pck_golden():
    """A torso of 100 px: errors up to 20 px are correct. A person from behind has swapped sides."""
    scheme, protocol = get_scheme("lsp_14"), get_protocol("lsp_pck")
    true = np.zeros((2, 14, 2))
    true[..., 1] = np.arange(14) * 10.0
    right, left = [0, 1, 2, 6, 7, 8], [5, 4, 3, 11, 10, 9]
    true[:, right, 0], true[:, left, 0] = 30.0, 90.0  # faces the viewer
    true[:, 9], true[:, 2] = [90.0, 90.0], [30.0, 10.0]  # left shoulder, right hip: 60, 80 apart
    true[1, :, 0] = 120.0 - true[1, :, 0]  # seen from behind: sides change places
    predicted = true.copy()
    predicted[0, 0] += [20.0, 0.0]  # right, just
    predicted[0, 1] += [20.1, 0.0]  # wrong
    predicted[1, [2, 3]] = true[1, [3, 2]]  # hips confused: wrong, but for an observer right
    true[1, 13] = np.nan  # not annotated
    predictions = _predictions(true, predicted, [frozenset(["test"])] * 2)
    errors, distance = face_errors(predictions, scheme)
    np.testing.assert_allclose(distance, 100.0)
    scores = score_groups(predictions, errors, distance, scheme, protocol)
    assert scores["ankle"]["pck"] == 1.0
    assert scores["knee"]["pck"] == 0.75
    assert scores["hip"]["pck"] == 0.5
    assert scores["hip"]["pck_observer"] == 1.0
    assert scores["head"]["pck"] == 1.0
    assert scores["mean"]["pck"] == pytest.approx((5 + 0.75 + 0.5) / 7)
    assert scores["mean"]["num_faces"] == 2


def test_observer_centric_pck_ignores_pairs_with_a_joint_not_annotated():
    """A person from behind with one wrist not annotated: a perfect prediction stays perfect."""
    scheme, protocol = get_scheme("lsp_14"), get_protocol("lsp_pck")
    true = np.random.default_rng(0).uniform(0, 100, (5, 14, 2))
    for right, left in ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)):
        true[:, right, 0], true[:, left, 0] = 90.0, 10.0
    predicted = true.copy()
    true[:, 11] = np.nan
    predictions = _predictions(true, predicted, [frozenset(["test"])] * 5)
    errors, distance = face_errors(predictions, scheme)
    scores = score_groups(predictions, errors, distance, scheme, protocol)
    assert scores["wrist"] == {"num_faces": 5, "num_not_scored": 0, "pck": 1.0, "pck_observer": 1.0}
    predictions.true_px[:, [6, 11]] = np.nan
    scores = score_groups(predictions, errors, distance, scheme, protocol)
    assert scores["wrist"]["pck"] is None
    assert scores["mean"]["pck"] == 1.0


def test_inter_pupil_nme_exceeds_inter_ocular_nme_on_real_faces(real_faces, tmp_path):
    """Inter-pupil NME is about 1.4 times the inter-ocular one, face by face."""
    from tfrecords_tools.sources import Ibug300WSource

    source = Ibug300WSource(real_faces)
    true = np.stack([
        source.load(item).landmarks_px for item in source.items() if item.split == "test_helen"
    ])  # fmt: skip
    errors = np.random.default_rng(0).normal(size=true.shape)
    groups = [frozenset(["test_helen"])] * len(true)
    predictions = _predictions(true, true + errors, groups)
    scheme = get_scheme("ibug_68")
    pupil, ocular = (
        face_errors(predictions, scheme, name)[0] for name in ("inter_pupil", "inter_ocular")
    )
    assert pupil.mean() / ocular.mean() == pytest.approx(1.404, abs=0.03)
