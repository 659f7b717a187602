"""The model that comes with the package: small, whole, and of use on faces it has not seen."""

import numpy as np

from tfrecords_tools.sources import Ibug300WSource, SyntheticSource
from wing_tf.geometry import landmark_box
from wing_tf.inference import Landmarker
from wing_tf.zoo import model_path

MAX_BYTES = 4_000_000


def _nme(predicted, true):
    """Errors over the distance of the outer eye corners."""
    errors = np.linalg.norm(predicted - true, axis=1).mean()
    return errors / np.linalg.norm(true[36] - true[45])


def test_shipped_model_is_small_and_has_its_spec():
    assert model_path().stat().st_size < MAX_BYTES
    landmarker = Landmarker()
    assert landmarker.scheme.name == "ibug_68"
    assert landmarker.spec.has_scores
    assert landmarker.spec.trained_boxes == ("landmark",)


def test_shipped_model_locates_rendered_faces():
    landmarker = Landmarker(scheme="ibug_68")
    source = SyntheticSource(
        num_train=0, num_test=12, seed=77, image_size=240, test_wide_yaw_fraction=0.0
    )
    errors = []
    for item in source.items():
        face = source.load(item)
        (located,) = landmarker(face.image, landmark_box(face.landmarks_px)[None])
        errors.append(_nme(located.landmarks_px, face.landmarks_px))
    assert np.median(errors) < 0.06


def test_shipped_model_locates_unseen_real_faces(real_faces):
    """Twenty of Helen's test faces by their true boxes; the whole set is in docs/use.md."""
    source = Ibug300WSource(root=real_faces)
    items = [item for item in source.items() if item.split == "test_helen"][::17]
    landmarker = Landmarker()
    errors = []
    for item in items:
        face = source.load(item)
        (located,) = landmarker(face.image, landmark_box(face.landmarks_px)[None])
        errors.append(_nme(located.landmarks_px, face.landmarks_px))
    assert len(errors) >= 19
    assert np.mean(errors) < 0.08


def test_default_threshold_keeps_rendered_faces_and_drops_background():
    source = SyntheticSource(
        num_train=0, num_test=12, seed=77, image_size=240, test_wide_yaw_fraction=0.0
    )
    landmarker = Landmarker()
    assert landmarker.min_score == landmarker.spec.score_calibration.min_score > 0
    faces, background = [], []
    for item in source.items():
        face = source.load(item)
        (box,) = landmark_box(face.landmarks_px)[None]
        side = max(box[2:] - box[:2])
        corners = np.array([[0, 0], [240 - side / 3, 0]])  # beside the head, at its top
        boxes = np.concatenate([box[None], np.concatenate([corners, corners + side / 3], axis=1)])
        one, *others = landmarker(face.image, boxes)
        faces.append(one.score)
        background += [other.score for other in others]
    assert np.mean(np.array(faces) >= landmarker.min_score) == 1
    assert np.median(faces) > 0.8
    assert np.mean(np.array(background) < landmarker.min_score) > 0.95
