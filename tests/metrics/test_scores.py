import keras
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from wing_tf import metrics as m
from wing_tf.landmarks import SCHEMES, get_scheme

IBUG = get_scheme("ibug_68")


def test_recall_at_precision_golden():
    """Ten landmarks, four occluded. Precisions of the thresholds: 1/1, 1/2, 3/4, 4/5, 4/10."""
    scores = np.array([0.9, 0.8, 0.7, 0.7, 0.6, 0.1, 0.1, 0.1, 0.1, 0.1])
    occluded = np.array([1, 0, 1, 1, 1, 0, 0, 0, 0, 0], bool)
    assert m.recall_at_precision(occluded, scores) == 1.0  # 4 of 5 at .6
    occluded[4], occluded[5] = False, True
    assert m.recall_at_precision(occluded, scores) == 0.25  # 1/1 at .9; 3/4 at .7 is too few
    assert m.recall_at_precision(occluded, scores, 0.75) == 0.75
    # The two at .7 are detected together: .7 alone would be 2 of 3 with the right one first.
    assert m.recall_at_precision([True, False], [0.7, 0.7], 0.6) == 0.0
    assert np.isnan(m.recall_at_precision(np.zeros(3, bool), np.ones(3)))
    with pytest.raises(ValueError, match="must be"):
        m.recall_at_precision([True], [np.nan])


def test_recall_at_precision_agrees_with_keras():
    generator = np.random.default_rng(0)
    occluded = generator.random(2000) < 0.3
    scores = np.clip(0.3 * occluded + generator.normal(0.4, 0.15, 2000), 0, 1)
    metric = keras.metrics.RecallAtPrecision(0.8, num_thresholds=5000)
    metric.update_state(occluded, scores)
    assert 0.1 < m.recall_at_precision(occluded, scores) < 0.9
    assert m.recall_at_precision(occluded, scores) == pytest.approx(
        float(metric.result()), abs=0.01
    )


def _faces(count=20, scheme=IBUG, seed=0):
    generator = np.random.default_rng(seed)
    true = generator.uniform(0, 200, (count, scheme.num_landmarks, 2))
    return true, true + generator.normal(0, 5, true.shape)


def test_nme_golden():
    true = np.zeros((1, 68, 2))
    true[0, 36], true[0, 45] = [10, 0], [70, 80]  # 100 apart
    predicted = true.copy()
    predicted[0, 0] = [3, 4]  # 5 off
    distance = m.normalizing_distance(true, IBUG, "inter_ocular")
    np.testing.assert_allclose(distance, [100])
    np.testing.assert_allclose(m.nme(true, predicted, distance), [5 / 68 / 100])
    np.testing.assert_allclose(m.nme(true, predicted, distance, (0, 1)), [5 / 2 / 100])


def test_inter_pupil_distance_is_between_eye_means():
    true, _ = _faces(3)
    left, right = true[:, 36:42].mean(axis=1), true[:, 42:48].mean(axis=1)
    np.testing.assert_allclose(
        m.normalizing_distance(true, IBUG, "inter_pupil"), np.linalg.norm(left - right, axis=1)
    )


def test_box_normalizers_golden():
    true = np.zeros((1, 68, 2))
    true[0, 1] = [30, 40]
    for name, expected in {"box": np.sqrt(1200), "box_width": 30, "diagonal": 50}.items():
        np.testing.assert_allclose(m.normalizing_distance(true, IBUG, name), [expected])
    given_box = m.normalizing_distance(
        true, IBUG, "box_width", box_xyxy_px=np.array([[0.0, 0, 7, 9]])
    )
    assert given_box == [7]
    scale = m.normalizing_distance(true, IBUG, "given", scale_px=np.array([12.0]))
    assert scale == [12]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda s: s.name)
def test_default_normalizer_of_every_scheme(scheme):
    true, predicted = _faces(4, scheme)
    distance = m.normalizing_distance(true, scheme)
    assert (m.nme(true, predicted, distance) > 0).all()


def test_landmarks_not_annotated_are_ignored():
    true, predicted = _faces(2)
    distance = np.full(2, 100.0)
    full = m.landmark_errors(true, predicted, distance)
    true[0, 5] = np.nan
    expected = np.delete(full[0], 5).mean()
    np.testing.assert_allclose(m.nme(true, predicted, distance)[0], expected)
    true[1] = np.nan
    assert np.isnan(m.nme(true, predicted, distance)[1])


def test_invalid_inputs_raise():
    true, predicted = _faces(2)
    with pytest.raises(ValueError, match="must be one of"):
        m.normalizing_distance(true, IBUG, "interocular")
    with pytest.raises(ValueError, match=r"`distance_px` must be \[2\]"):
        m.nme(true, predicted, np.ones(1))
    with pytest.raises(ValueError, match="needs `scale_px`"):
        m.normalizing_distance(true, IBUG, "given")
    with pytest.raises(ValueError, match="one entry per face"):
        m.normalizing_distance(true, IBUG, "given", scale_px=np.ones(3))
    with pytest.raises(ValueError, match="same shape"):
        m.nme(true, predicted[:1], np.ones(2))
    with pytest.raises(ValueError, match=r"must be \[N, 68, 2\]"):
        m.normalizing_distance(np.ones((2, 98, 2)), IBUG)
    for thresholds in ((0.08, 0.075), (0.001,), (0.0,)):
        with pytest.raises(ValueError, match="whole percents"):
            m.summarize_errors(np.array([0.1]), thresholds)
    with pytest.raises(ValueError, match=r"must both be \[N\]"):
        m.reliability(np.array([[0.5, 0.6]]), np.array([[True, False]]))
    predicted[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        m.nme(true, predicted, np.ones(2))
    with pytest.raises(ValueError, match="contain NaN"):
        m.failure_rate(np.array([0.1, np.nan]), 0.08)
    with pytest.raises(ValueError, match="N >= 1"):
        m.ced_auc(np.array([]), 0.08)
    with pytest.raises(ValueError, match="`threshold` must be positive"):
        m.ced_auc(np.array([0.1]), 0.0)


def test_a_landmark_with_one_nan_is_not_annotated():
    true, predicted = _faces(2)
    true[0, 0, 0], predicted[0, 0, 1] = np.nan, np.nan
    errors = m.landmark_errors(true, predicted, np.ones(2))
    assert np.isnan(errors[0, 0])
    assert np.isfinite(errors).sum() == errors.size - 1
    boxes = np.array([[10.0, 10.0, 3.0, 4.0], [0.0, 0.0, 4.0, 9.0]])
    distance = m.normalizing_distance(true, IBUG, "box", box_xyxy_px=boxes)
    assert np.isnan(distance[0])  # both sides are negative
    assert distance[1] == 6
    named = m.normalizing_distance(true, IBUG.name)
    np.testing.assert_array_equal(named, m.normalizing_distance(true, IBUG))


def test_faces_without_normalizing_distance_have_no_score():
    true, predicted = _faces(3)
    true[1] = 7.0  # all landmarks in one place
    true[2, 36] = np.nan
    for normalizer, scored in {"inter_ocular": [1, 0, 0], "box": [1, 0, 1]}.items():
        distance = m.normalizing_distance(true, IBUG, normalizer)
        errors = m.nme(true, predicted, distance)
        np.testing.assert_array_equal(np.isfinite(errors), np.array(scored, bool))
        assert m.nmde(true, predicted, distance) == pytest.approx(np.median(errors[errors > 0]))


def test_nmde_is_the_median_of_nme():
    """SMT-Net, equations 15 and 17; of no face it is NaN."""
    true = np.zeros((3, 68, 2))
    predicted = true.copy()
    predicted[:, 17:, 0] = [[10.0], [20.0], [90.0]]
    distance = np.full(3, 100.0)
    assert m.nmde(true, predicted, distance) == pytest.approx(0.2 * 51 / 68)
    assert m.nmde(true, predicted, distance, IBUG.subset("inner_49")) == pytest.approx(0.2)
    assert np.isnan(m.nmde(np.full_like(true, np.nan), predicted, distance))


def test_only_annotated_landmarks_need_finite_predictions():
    true, predicted = _faces(2)
    distance = np.full(2, 100.0)
    predicted[0, 3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        m.nme(true, predicted, distance)
    true[0, 3] = np.nan
    assert np.isfinite(m.nme(true, predicted, distance)).all()


def test_failure_rate_and_auc_golden():
    errors = np.array([0.01, 0.03, 0.05, 0.2])
    assert m.failure_rate(errors, 0.08) == 0.25
    # 1 - (.01 + .03 + .05 + .08) / 4 / .08
    assert m.ced_auc(errors, 0.08) == pytest.approx(0.46875)
    for count in range(1, 50):  # Rounding makes some of these means larger than the threshold.
        assert m.ced_auc(np.full(count, 0.2), 0.08) >= 0


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=50))
def test_auc_is_the_area_below_the_ced_curve(values):
    errors, threshold = np.array(values), 0.1
    ordered, fractions = m.ced_curve(errors)
    edges = np.concatenate([[0], np.minimum(ordered, threshold), [threshold]])
    heights = np.concatenate([[0], fractions])
    area = np.sum(np.diff(edges) * heights) / threshold
    assert m.ced_auc(errors, threshold) == pytest.approx(area, abs=1e-9)


def test_bootstrap_intervals():
    generator = np.random.default_rng(0)
    errors = generator.normal(0.05, 0.01, 400)
    low, high = m.bootstrap_interval(errors)
    assert low < errors.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 0.01 / 20, rel=0.15)
    assert (low, high) == m.bootstrap_interval(errors)
    hard = generator.normal(0.05, 0.03, 400)
    better, worse = hard + generator.normal(0, 1e-3, 400), hard + 5e-4
    mean, low, high = m.paired_bootstrap(better, worse)
    assert mean == pytest.approx(np.mean(better - worse))
    assert low < mean < high < 0  # told apart though the faces' spread is 60 times as large
    with pytest.raises(ValueError, match="same faces"):
        m.paired_bootstrap(errors, errors[:3])


def test_paired_bootstrap_of_several_trainings_contains_their_variation():
    """Differences a_s + b_n: the variance of their mean is var(a) / S + var(b) / N."""
    rng = np.random.default_rng(0)
    by_training, by_face = np.array([-0.01, 0.0, 0.01, 0.02]), rng.normal(0, 0.02, 200)
    errors = 0.05 + by_training[:, None] + by_face
    baseline = np.full(errors.shape, 0.05)
    mean, low, high = m.paired_bootstrap(errors, baseline)
    assert mean == pytest.approx(np.mean(by_training) + np.mean(by_face))
    parts = np.var(by_training, ddof=1) / 4, np.var(by_face, ddof=1) / 200
    degrees = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 199)
    half = scipy.stats.t.ppf(0.975, degrees) * np.sqrt(sum(parts))
    assert (mean - low, high - mean) == pytest.approx((half, half))
    one = m.paired_bootstrap(errors[:1], baseline[:1])
    assert one == m.paired_bootstrap(errors[0], baseline[0])
    alone = m.paired_bootstrap(errors.mean(axis=0), baseline[0])
    assert alone[2] - alone[1] < 0.6 * (high - low)
    assert m.paired_bootstrap(baseline, baseline) == (0.0, 0.0, 0.0)
    errors[1, 3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        m.paired_bootstrap(errors, baseline)


@pytest.mark.parametrize("spreads", [(0.05, 0.1, 0.1), (0.02, 0.2, 0.6), (0.0, 0.15, 0.75)])
def test_interval_of_three_trainings_contains_no_difference_as_often_as_it_says(spreads):
    """Of trainings, of faces, and of faces in each training. Resampling has .79, .99 and 1."""
    rng = np.random.default_rng(0)
    outside = 0
    for _ in range(400):
        training, face, rest = (
            rng.normal(0, spread, shape)
            for spread, shape in zip(spreads, ((3, 1), 330, (3, 330)), strict=True)
        )
        _, low, high = m.paired_bootstrap(training + face + rest, np.zeros((3, 330)))
        outside += not low <= 0 <= high
    assert outside / 400 < 0.08
