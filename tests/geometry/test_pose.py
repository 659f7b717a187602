import numpy as np
import pytest

from tfrecords_tools.synthetic import render_face
from wing_tf.geometry.pose import head_pose, rotation_matrix
from wing_tf.landmarks import find_scheme_map, get_scheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM

IBUG_68 = get_scheme("ibug_68")


def test_pose_of_the_rotated_average_head():
    generator = np.random.default_rng(0)
    for _ in range(50):
        angles = generator.uniform([-88, -80, -170], [88, 80, 170])
        seen = 1.7 * (AVERAGE_HEAD_MM @ rotation_matrix(*angles).T)[:, :2] + [30, -9]
        pose = head_pose(seen, IBUG_68)
        np.testing.assert_allclose(pose.angles_deg, angles, atol=0.05)
        assert pose.residual < 1e-3


def test_pose_of_rendered_faces():
    """Varied faces with open mouths, projected by a perspective camera."""
    errors = []
    for number in range(40):
        face = render_face(5, number, size=32)
        pose = head_pose(face.landmarks_px, IBUG_68)
        assert pose.residual < 0.25
        errors.append(np.abs(pose.angles_deg - face.angles_deg))
    assert np.all(np.mean(errors, axis=0) < [5, 6, 3])


def test_signs_of_yaw_pitch_and_roll():
    nose = AVERAGE_HEAD_MM[30]
    assert (rotation_matrix(30, 0, 0) @ nose)[0] > nose[0]  # yaw: to the right
    assert (rotation_matrix(0, 20, 0) @ nose)[1] < nose[1]  # pitch: up
    eyes = AVERAGE_HEAD_MM[[36, 45]] @ rotation_matrix(0, 0, 20).T
    assert eyes[1, 1] > eyes[0, 1]  # roll: clockwise as seen
    for angles in ((30, 0, 0), (0, 20, 0), (0, 0, 20)):
        seen = (AVERAGE_HEAD_MM @ rotation_matrix(*angles).T)[:, :2]
        np.testing.assert_allclose(head_pose(seen, IBUG_68).angles_deg, angles, atol=0.05)


@pytest.mark.parametrize("name", ["ibug_51", "aflw_19", "celeba_5"])
def test_pose_from_other_schemes(name):
    mapping = find_scheme_map("ibug_68", name)
    seen = (AVERAGE_HEAD_MM @ rotation_matrix(25, -10, 15).T)[:, :2]
    pose = head_pose(mapping(seen[None])[0], mapping.target)
    np.testing.assert_allclose(pose.angles_deg, [25, -10, 15], atol=0.1)


def test_landmarks_that_are_not_a_face_have_no_pose_or_a_large_residual():
    assert head_pose(np.full((68, 2), 7.0), IBUG_68) is None
    assert head_pose(np.full((68, 2), np.nan), IBUG_68) is None
    assert head_pose(np.zeros((14, 2)), get_scheme("lsp_14")) is None
    noise = np.random.default_rng(0).normal(size=(68, 2))
    assert head_pose(noise, IBUG_68).residual > 0.5
    line = np.linspace(0, 1, 68)[:, None] * [1.0, 2.0]
    assert np.isfinite(head_pose(line, IBUG_68).angles_deg).all()


def test_pose_ignores_landmarks_that_are_nan():
    seen = AVERAGE_HEAD_MM[:, :2].copy()
    seen[[36, 48, 60]] = np.nan
    np.testing.assert_allclose(head_pose(seen, IBUG_68).angles_deg, 0, atol=0.01)
