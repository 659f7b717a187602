"""Synthetic faces: reproducible, exactly annotated, and drawn where the landmarks say."""

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tfrecords_tools.synthetic import SyntheticFace, render_face
from tfrecords_tools.synthetic import face as face_module
from tfrecords_tools.synthetic.head import GRID_SHAPE, mean_controls, surface
from tfrecords_tools.synthetic.random_head import random_head
from tfrecords_tools.synthetic.rasterizer import Camera
from wing_tf.geometry.pose import rotation_matrix
from wing_tf.landmarks import get_scheme

SEED = 7


@pytest.fixture(scope="module")
def faces() -> list[SyntheticFace]:
    """A run of faces that many tests look at."""
    return [render_face(SEED, index) for index in range(120)]


@pytest.fixture(scope="module")
def clean_faces() -> list[SyntheticFace]:
    """Bare frontal faces: nothing in front, no flaws of the photograph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_module, "_random_angles", lambda rng, *_: np.array(rng.normal(0, 4, 3)))
        patch.setattr(face_module, "degrade", lambda image, rng: image)
        patch.setattr(face_module, "cast_shadow", lambda image, rng: image)
        patch.setattr(face_module, "glasses", lambda *_: False)
        patch.setattr(face_module, "occlude", lambda image, *_: np.zeros(image.shape[:2]))
        return [render_face(SEED, index, size=256) for index in range(40)]


@pytest.fixture(scope="module")
def geometry() -> tuple[np.ndarray, np.ndarray]:
    """Angles `[300, 3]` and landmarks `[300, 68, 2]`, drawn as the renderer draws them."""
    angles, landmarks = [], []
    for index in range(300):
        rng = np.random.default_rng([SEED, index])
        turned = face_module._random_angles(rng, 0.38, 22.0)
        head = random_head(rng)
        rotation = rotation_matrix(*turned)
        camera = face_module._frame_camera(head.landmarks, rotation, 192, rng)
        angles.append(turned)
        landmarks.append(camera.project(head.landmarks)[0])
    return np.array(angles), np.array(landmarks)


def _digest(face: SyntheticFace) -> str:
    parts = (face.image, face.landmarks_px, face.visibility, face.angles_deg, face.box_xyxy_px)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def _upright(landmarks: np.ndarray, roll_deg: float) -> np.ndarray:
    turn = rotation_matrix(0, 0, -roll_deg)[:2, :2]
    return landmarks @ turn.T


def _inside(landmarks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask.astype(bool)


def test_same_numbers_give_the_same_bytes_in_any_order(faces):
    for index in (5, 119, 0, 64):
        assert _digest(render_face(SEED, index)) == _digest(faces[index])


def test_same_bytes_in_another_process(faces):
    code = (
        "import hashlib; from tfrecords_tools.synthetic import render_face;"
        f"print(hashlib.sha256(render_face({SEED}, 3).image.tobytes()).hexdigest())"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(faces[3].image.tobytes()).hexdigest()


def test_each_index_and_each_seed_is_another_face(faces):
    assert len({_digest(face) for face in faces}) == len(faces)
    assert _digest(render_face(SEED + 1, 0)) != _digest(faces[0])


def test_types_and_shapes(faces):
    face = faces[0]
    arrays = face.landmarks_px, face.visibility, face.angles_deg, face.box_xyxy_px
    assert [array.shape for array in arrays] == [(68, 2), (68,), (3,), (4,)]
    assert all(array.dtype == np.float32 for array in arrays)
    assert face.image.dtype == np.uint8
    assert set(np.unique([face.visibility for face in faces])) == {0.0, 1.0}


@pytest.mark.parametrize("size", [64, 193, 320])
def test_other_sizes_scale_the_same_face(size, faces):
    face = render_face(SEED, 1, size=size)
    assert face.image.shape == (size, size, 3)
    # Pixel centers are integers, so a resize by s maps x to (x + .5) s - .5.
    expected = (faces[1].landmarks_px + 0.5) * size / 192 - 0.5
    np.testing.assert_allclose(face.landmarks_px, expected, atol=1e-3)


@pytest.mark.parametrize("arguments", [(0, 0, 16), (-1, 0, 192), (0, -2, 192)])
def test_bad_arguments_are_named(arguments):
    seed, index, size = arguments
    with pytest.raises(ValueError, match="Received:"):
        render_face(seed, index, size=size)


def test_landmark_box_is_tight_inside_and_half_the_image(faces):
    for face in faces:
        low, high = face.landmarks_px.min(0), face.landmarks_px.max(0)
        np.testing.assert_array_equal(face.box_xyxy_px, [*low, *high])
        assert low.min() > 0
        assert high.max() < 191
        assert 0.44 * 192 < (high - low).max() < 0.57 * 192
        assert np.abs((low + high) / 2 - 95.5).max() < 0.05 * 192


def test_angles_cover_the_range(geometry):
    yaw, pitch, roll = geometry[0].T
    assert yaw.min() < -75
    assert yaw.max() > 75
    assert 0.6 < (np.abs(yaw) < 45).mean() < 0.95
    for angle in (pitch, roll):
        assert np.abs(angle).max() <= 30
        assert angle.min() < -15
        assert angle.max() > 15


def test_positive_yaw_shows_the_left_half_and_hides_the_right(faces):
    turned = [face for face in faces if face.angles_deg[0] > 40]
    left = np.mean([face.visibility[[36, 37, 41, 17, 18]].mean() for face in turned])
    right = np.mean([face.visibility[[45, 44, 46, 26, 25]].mean() for face in turned])
    assert left > right + 0.3


@pytest.mark.parametrize("yaw", [-90, -75, 75, 90])
def test_the_outline_goes_sideways_only_whatever_the_nod(yaw):
    """Where the axis to the head's side points at the camera, what is left of it is a nod."""
    head = random_head(np.random.default_rng(0))
    camera = Camera(rotation_matrix(yaw, 25, 0), 1000.0, 1000.0, np.zeros(2))
    seen, _ = camera.project(face_module._visible_outline(head, camera))
    own, _ = camera.project(head.landmarks[:17])
    assert np.isfinite(seen).all()
    assert (seen[:8, 0] <= own[:8, 0] + 1e-6).all()
    assert (seen[9:, 0] >= own[9:, 0] - 1e-6).all()


def test_the_outline_is_where_the_head_ends(faces):
    """On the side that turns away it is not behind the cheek, as points of the jaw itself are."""
    turned = 0
    for face in faces:
        yaw, _, roll = face.angles_deg
        if not 20 < abs(yaw) < 50:
            continue
        turned += 1
        outwards = np.sign(yaw) * np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))])
        reach = face.landmarks_px @ outwards
        far, eye = ((11, 16), 45) if yaw > 0 else ((1, 6), 36)
        assert reach[slice(*far)].max() > reach[eye] - 3
    assert turned > 5


def test_frontal_bare_faces_hide_almost_nothing(clean_faces):
    visible = np.mean([face.visibility for face in clean_faces], 0)
    assert visible[17:].mean() > 0.95
    assert visible[:17].mean() > 0.8


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
        assert (np.diff(x[17:22]) > 0).all()
        assert (np.diff(x[22:27]) > 0).all()
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
    # Ratios to the distance of the outer eye corners, from anthropometry, within a tenth or so.
    assert np.linalg.norm(mean[42] - mean[39]) / eyes == pytest.approx(0.43, abs=0.05)
    assert np.linalg.norm(mean[54] - mean[48]) / eyes == pytest.approx(0.64, abs=0.08)
    assert np.linalg.norm(mean[35] - mean[31]) / eyes == pytest.approx(0.33, abs=0.05)
    assert np.linalg.norm(mean[16] - mean[0]) / eyes == pytest.approx(1.62, abs=0.12)
    assert np.linalg.norm(mean[8] - mean[27]) / eyes == pytest.approx(1.32, abs=0.12)
    assert np.linalg.norm(mean[33] - mean[27]) / eyes == pytest.approx(0.56, abs=0.06)
    mirrored = mean[list(get_scheme("ibug_68").flip_permutation)] * [-1, 1]
    np.testing.assert_allclose(mean, mirrored, atol=0.05 * eyes)


def test_identity_and_expression_vary():
    heads = [random_head(np.random.default_rng([2, k])) for k in range(200)]
    gaps = np.array([head.mouth_gap for head in heads])
    assert (gaps < 1.5).mean() > 0.2
    assert (gaps > 8).mean() > 0.1
    lids = np.array([head.eye_gaps for head in heads])
    assert (lids < 3).mean() > 0.02
    assert (lids > 6).mean() > 0.4
    shapes = np.stack([head.landmarks[:, :2] for head in heads]).reshape(200, -1)
    spread = np.linalg.svd(shapes - shapes.mean(0), compute_uv=False) ** 2
    assert spread[:3].sum() / spread.sum() < 0.8  # more than three ways to differ


def test_surface_runs_through_the_landmarks():
    # On a fine grid (below 2 mm in the face) some vertex must come close to every landmark.
    fine = surface(mean_controls(), 180, 220).reshape(-1, 3)
    for landmark in mean_controls()[:68]:
        assert np.linalg.norm(fine - landmark, axis=1).min() < 1.6
    assert surface(mean_controls(), *GRID_SHAPE).shape == (*GRID_SHAPE, 3)


def test_projection_is_a_pinhole():
    camera = Camera(np.eye(3), 1000.0, 2000.0, np.array([96.0, 90.0]))
    xy, near = camera.project(np.array([[10.0, -20.0, 0.0], [10.0, -20.0, 500.0]]))
    # 10 / 1000 * 2000 = 20 and -20 / 1000 * 2000 = -40; at half the distance twice as much.
    np.testing.assert_allclose(xy, [[116, 50], [136, 10]])
    np.testing.assert_allclose(near, [0, 500])
    np.testing.assert_allclose(camera.zoomed(2).project(np.zeros((1, 3)))[0], [[192.5, 180.5]])


def test_drawn_eyes_are_inside_the_eye_landmarks(clean_faces):
    """White and iris give an open eye more contrast than the cheek below it has."""
    wins = []
    for face in clean_faces:
        gray = cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY).astype(float)
        for start in (36, 42):
            eye = face.landmarks_px[start : start + 6]
            height = (eye[[4, 5], 1] - eye[[1, 2], 1]).mean()
            if height < 5:
                continue
            below = _inside(eye + [0, 3.2 * height], gray.shape)
            wins.append(gray[_inside(eye, gray.shape)].std() > 1.5 * gray[below].std())
    assert len(wins) > 30
    assert np.mean(wins) > 0.9


def test_drawn_lips_are_inside_the_lip_landmarks(clean_faces):
    """Lips are redder than the skin round them, relative to its green."""
    redder = []
    for face in clean_faces:
        outer, inner = face.landmarks_px[48:60], face.landmarks_px[60:68]
        shape = face.image.shape[:2]
        lips = _inside(outer, shape) & ~_inside(inner, shape)
        around = _inside((outer - outer.mean(0)) * 1.6 + outer.mean(0), shape)
        around &= ~_inside((outer - outer.mean(0)) * 1.25 + outer.mean(0), shape)
        red, green = face.image[..., 0].astype(float) + 1, face.image[..., 1].astype(float) + 1
        ratio = np.log(red / green)
        redder.append(np.median(ratio[lips]) > np.median(ratio[around]))
    assert np.mean(redder) > 0.85


def test_an_open_mouth_is_darker_than_its_lips(clean_faces):
    contrast = []
    for face in clean_faces:
        inner = face.landmarks_px[60:68]
        if inner[6, 1] - inner[2, 1] < 8:
            continue
        gray = cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY).astype(float)
        cave = _inside(inner, gray.shape)
        lips = _inside(face.landmarks_px[48:60], gray.shape) & ~cave
        contrast.append(gray[cave].min() < 0.75 * np.median(gray[lips]))
    assert len(contrast) > 3
    assert np.mean(contrast) > 0.9


def test_a_share_of_faces_is_occluded(monkeypatch):
    covered = []
    original = face_module.occlude

    def count(*arguments):
        covered.append(original(*arguments))
        return covered[-1]

    monkeypatch.setattr(face_module, "occlude", count)
    made = [render_face(SEED + 5, index) for index in range(60)]
    assert 3 <= len(covered) <= 22  # 18 % of 60 are 11
    assert all(cover.max() == 1 for cover in covered)
    assert np.mean([face.visibility.mean() for face in made]) < 0.99
