import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from wing_tf.data.label_noise import LabelNoise
from wing_tf.landmarks import get_scheme

SCHEME = get_scheme("ibug_68")


def _face(key=b"a", not_annotated=()):
    landmarks = np.random.default_rng(0).uniform(0, 100, (68, 2)).astype(np.float32)
    landmarks[36], landmarks[45] = (20, 50), (80, 50)  # 60 px apart
    visibility = np.full(68, 2, np.int32)
    visibility[list(not_annotated)] = 0
    return {
        "landmarks_square_px": tf.constant(landmarks),
        "visibility": tf.constant(visibility),
        "key": tf.constant(key),
    }


def _moved(face, **options):
    after = LabelNoise(SCHEME, **options)(face)["landmarks_square_px"]
    return np.linalg.norm(np.asarray(after - face["landmarks_square_px"]), axis=-1)


def test_landmarks_move_by_a_fraction_of_the_inter_ocular_distance():
    moved = np.concatenate(
        [_moved(_face(b"%d" % i), fraction=0.3, distance=0.2) for i in range(30)]
    )
    np.testing.assert_allclose(moved[moved > 0], 12.0, rtol=1e-4)
    assert 0.25 < np.mean(moved > 0) < 0.35  # 2040 points: .3 +- .01
    assert _moved(_face(), fraction=1.0, distance=0.1).min() == pytest.approx(6.0, rel=1e-3)


def test_noise_is_determined_by_face_and_seed():
    def after(key=b"a", seed=0):
        return np.asarray(
            LabelNoise(SCHEME, fraction=0.5, distance=0.2, seed=seed)(_face(key))[
                "landmarks_square_px"
            ]
        )

    np.testing.assert_array_equal(after(), after())
    assert (after() != after(key=b"b")).any()
    assert (after() != after(seed=1)).any()


def test_landmarks_not_annotated_do_not_move():
    moved = _moved(_face(not_annotated=[3]), fraction=1.0, distance=0.2)
    assert moved[3] == 0
    assert moved[4] == pytest.approx(12.0, rel=1e-4)
    assert not _moved(_face(not_annotated=[36]), fraction=1.0, distance=0.2).any()  # no distance


def test_box_normalizer_raises():
    boxed = dataclasses.replace(SCHEME, default_normalizer="box")
    with pytest.raises(ValueError, match="default normalizer of .* is .box"):
        LabelNoise(boxed, fraction=0.1, distance=0.1)
