import numpy as np
import pytest
from experiments import smoke_config, untrained_model

from wing_tf.data import open_records, read_faces
from wing_tf.geometry import apply_affine
from wing_tf.inference import Landmarker
from wing_tf.training.labels import TeacherLandmarks, label_change
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train


def _faces(records, ratio=1):
    return list(read_faces(open_records(str(records), split="validation"), ratio))


@pytest.mark.parametrize("ratio", [1, 2])
def test_teachers_landmarks_are_mixed_into_those_that_are_annotated(ratio, synthetic_records):
    faces = _faces(synthetic_records)
    truth = np.array([face["landmarks_square_px"] for face in faces], np.float64)
    predicted = truth + [3, -2]
    matrices = np.array([face["square_to_source"] for face in faces], np.float64)
    keys = [face["key"].numpy().decode() for face in faces]
    change = TeacherLandmarks(keys, apply_affine(matrices, predicted), weight=0.25)
    for face in _faces(synthetic_records, ratio):
        face["visibility"] = face["visibility"].numpy() * (np.arange(68) != 5)
        moved = np.asarray(change(face)["landmarks_square_px"] - face["landmarks_square_px"])
        expected = np.tile([0.75 / ratio, -0.5 / ratio], (68, 1))
        expected[5] = 0
        np.testing.assert_allclose(moved, expected, atol=2e-4)


def test_records_with_a_face_twice_are_refused():
    with pytest.raises(ValueError, match="hold some twice"):
        TeacherLandmarks(["a", "b", "a"], np.zeros((3, 68, 2)), weight=0.5)


def test_labels_are_what_the_teacher_predicts_on_the_squares(synthetic_records, tmp_path):
    teacher = untrained_model(tmp_path / "teacher.keras", 32)
    options = {"teacher.model": str(teacher), "teacher.weight": 1.0}
    config = complete_config(smoke_config(synthetic_records, **options))
    change = label_change(config, open_records(str(synthetic_records), split="validation"))
    face = _faces(synthetic_records)[0]
    image, box = face["image"].numpy(), face["box_square_px"].numpy()
    (found,) = Landmarker(teacher)(image, [box])
    labels = change(face)["landmarks_square_px"]
    # A pixel of the network's input is several of the square, of which half of one would fail.
    np.testing.assert_allclose(labels, found.landmarks_px, atol=0.4)


def test_training_with_a_teacher_records_its_file(synthetic_records, tmp_path):
    teacher = str(untrained_model(tmp_path / "teacher.keras", 32))
    run = train(smoke_config(synthetic_records, **{"teacher.model": teacher}), tmp_path / "run")
    assert "config.teacher.model" in (run / "inputs.json").read_text()
