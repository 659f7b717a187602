"""Geometry of synthetic faces: heads, cameras, angles and the order of the landmarks."""

import numpy as np
import pytest

from tfrecords_tools.synthetic import face as face_module
from tfrecords_tools.synthetic.head import GRID_SHAPE, mean_controls, surface
from tfrecords_tools.synthetic.outline import visible_outline
from tfrecords_tools.synthetic.random_head import random_head
from tfrecords_tools.synthetic.rasterizer import Camera
from wing_tf.geometry.pose import rotation_matrix
from wing_tf.landmarks import get_scheme

SEED = 7


@pytest.fixture(scope="module")
def geometry() -> tuple[np.ndarray, np.ndarray]:
    """Angles [300, 3] and landmarks [300, 68, 2] of the distribution of `render_face`."""
    angles, landmarks = [], []
    for index in range(300):
        rng = np.random.default_rng([SEED, index])
        angles_deg = face_module._random_angles(rng, 0.38, 22.0)
        head = random_head(rng)
        rotation = rotation_matrix(*angles_deg)
        camera = face_module._frame_camera(head.landmarks, rotation, 192, rng)
        angles.append(angles_deg)
        landmarks.append(camera.project(head.landmarks)[0])
    return np.array(angles), np.array(landmarks)


def _upright(landmarks: np.ndarray, roll_deg: float) -> np.ndarray:
    return landmarks @ rotation_matrix(0, 0, -roll_deg)[:2, :2].T


def test_angles_cover_the_range(geometry):
    yaw, pitch, roll = geometry[0].T
    assert yaw.min() < -75
    assert yaw.max() > 75
    assert 0.6 < (np.abs(yaw) < 45).mean() < 0.95
    for angle in (pitch, roll):
        assert np.abs(angle).max() <= 30
        assert angle.min() < -15
        assert angle.max() > 15


@pytest.mark.parametrize("yaw", [-90, -75, 75, 90])
def test_outline_moves_only_outwards_at_any_pitch(yaw):
    """In profile, the projected horizontal axis of the head depends on the pitch only."""
    head = random_head(np.random.default_rng(0))
    camera = Camera(rotation_matrix(yaw, 25, 0), 1000.0, 1000.0, np.zeros(2))
    visible, _ = camera.project(visible_outline(head, camera))
    own, _ = camera.project(head.landmarks[:17])
    assert np.isfinite(visible).all()
    assert (visible[:8, 0] <= own[:8, 0] + 1e-6).all()
    assert (visible[9:, 0] >= own[9:, 0] - 1e-6).all()


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 10, 5), (-45, -15, 0)])
def test_outline_landmarks_are_evenly_spaced(angles):
    for index in range(8):
        head = random_head(np.random.default_rng([3, index]))
        camera = Camera(rotation_matrix(*angles), 1000.0, 1000.0, np.zeros(2))
        outline, _ = camera.project(visible_outline(head, camera))
        steps = np.linalg.norm(np.diff(outline, axis=0), axis=1)
        for half in (steps[:8], steps[8:]):
            np.testing.assert_allclose(half / half.mean(), 1, atol=0.3)


def test_chin_of_a_face_that_looks_up_is_its_lowest_edge():
    lower = []
    for index in range(20):
        head = random_head(np.random.default_rng([4, index]))
        camera = Camera(rotation_matrix(0, 25, 0), 1000.0, 1000.0, np.zeros(2))
        chin = camera.project(visible_outline(head, camera)[8:9])[0][0, 1]
        lower.append(chin - camera.project(head.landmarks[8:9])[0][0, 1])
    assert np.min(lower) > -0.1  # 1 pixel is 1 mm
    assert np.median(lower) > 0.5


def test_angle_signs():
    nose = np.array([0.0, 0.0, 1.0])
    assert (rotation_matrix(30, 0, 0) @ nose)[0] > 0.4  # to the image's right
    assert (rotation_matrix(0, 30, 0) @ nose)[1] < -0.4  # up
    assert (rotation_matrix(0, 0, 30) @ [1.0, 0, 0])[1] > 0.4  # clockwise


def test_asymmetry_follows_yaw(geometry):
    angles, landmarks = geometry
    asymmetry = []
    for (_, _, roll), points in zip(angles, landmarks, strict=True):
        upright = _upright(points, roll)
        middle = (upright[2, 0] + upright[14, 0]) / 2
        asymmetry.append((upright[30, 0] - middle) / np.ptp(upright[:, 1]))
    assert np.corrcoef(asymmetry, angles[:, 0])[0, 1] > 0.95


def test_landmark_order_on_nearly_frontal_faces(geometry):
    angles, landmarks = geometry
    frontal = (np.abs(angles[:, 0]) < 20) & (np.abs(angles[:, 2]) < 15)
    for points in landmarks[frontal]:
        x, y = points.T
        assert x[0] < x[36] < x[39] < x[27] < x[42] < x[45] < x[16]
        assert x[48] < x[51] < x[54]
        assert x[60] < x[62] < x[64]
        assert x[31] < x[33] < x[35]
        assert (np.diff(x[17:22]) > -0.5).all()  # the outer end of a far brow is seen edge-on
        assert (np.diff(x[22:27]) > -0.5).all()
        assert y[17:22].mean() < y[36:42].mean()
        assert y[22:27].mean() < y[42:48].mean()
        assert y[[37, 38]].mean() < y[[40, 41]].mean()
        assert y[[43, 44]].mean() < y[[46, 47]].mean()
        assert y[27] < y[28] < y[29] < y[33] < y[51] < y[57] < y[8]
        assert y[62] < y[66] + 0.3
        assert y[[6, 7, 8, 9, 10]].max() == y.max()


def test_mean_frontal_shape_has_human_proportions():
    shapes = [random_head(np.random.default_rng([1, k])).landmarks for k in range(300)]
    mean = np.mean(shapes, 0)[:, :2]
    eyes = np.linalg.norm(mean[45] - mean[36])
    # Ratios to the distance of the outer eye corners, from anthropometry, to about a tenth.
    assert np.linalg.norm(mean[42] - mean[39]) / eyes == pytest.approx(0.43, abs=0.05)
    assert np.linalg.norm(mean[54] - mean[48]) / eyes == pytest.approx(0.64, abs=0.08)
    assert np.linalg.norm(mean[35] - mean[31]) / eyes == pytest.approx(0.33, abs=0.05)
    assert np.linalg.norm(mean[16] - mean[0]) / eyes == pytest.approx(1.62, abs=0.12)
    assert np.linalg.norm(mean[8] - mean[27]) / eyes == pytest.approx(1.32, abs=0.12)
    assert np.linalg.norm(mean[33] - mean[27]) / eyes == pytest.approx(0.56, abs=0.06)
    mirrored = mean[list(get_scheme("ibug_68").flip_permutation)] * [-1, 1]
    np.testing.assert_allclose(mean, mirrored, atol=0.05 * eyes)


def test_heads_vary_in_identity_and_expression():
    heads = [random_head(np.random.default_rng([2, k])) for k in range(200)]
    gaps = np.array([head.mouth_gap for head in heads])
    assert (gaps < 1.5).mean() > 0.2
    assert (gaps > 8).mean() > 0.1
    lids = np.array([head.eye_gaps for head in heads])
    assert (lids < 3).mean() > 0.02
    assert (lids > 6).mean() > 0.4
    shapes = np.stack([head.landmarks[:, :2] for head in heads]).reshape(200, -1)
    smiles = np.array([head.smile for head in heads])
    assert np.median(gaps[smiles > 0.9]) > 3 * np.median(gaps[smiles == 0])  # teeth are shown
    spread = np.linalg.svd(shapes - shapes.mean(0), compute_uv=False) ** 2
    assert spread[:3].sum() / spread.sum() < 0.8  # more than three modes of variation


def test_surface_contains_the_landmarks():
    # A fine grid, below 2 mm in the face, has a vertex close to each landmark.
    fine = surface(mean_controls(), 180, 220).reshape(-1, 3)
    for landmark in mean_controls()[:68]:
        assert np.linalg.norm(fine - landmark, axis=1).min() < 1.9
    assert surface(mean_controls(), *GRID_SHAPE).shape == (*GRID_SHAPE, 3)


def test_projection_of_a_pinhole_camera():
    camera = Camera(np.eye(3), 1000.0, 2000.0, np.array([96.0, 90.0]))
    xy, near = camera.project(np.array([[10.0, -20.0, 0.0], [10.0, -20.0, 500.0]]))
    # 10 / 1000 * 2000 = 20 and -20 / 1000 * 2000 = -40; twice as much at half the distance.
    np.testing.assert_allclose(xy, [[116, 50], [136, 10]])
    np.testing.assert_allclose(near, [0, 500])
    np.testing.assert_allclose(camera.zoomed(2).project(np.zeros((1, 3)))[0], [[192.5, 180.5]])
