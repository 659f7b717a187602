"""Rendered faces: reproducible images that fit their annotations."""

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tfrecords_tools.synthetic import SyntheticFace, render_face
from tfrecords_tools.synthetic import face as face_module

SEED = 7


@pytest.fixture(scope="module")
def faces() -> list[SyntheticFace]:
    """Faces of one seed, for many tests."""
    return [render_face(SEED, index) for index in range(120)]


@pytest.fixture(scope="module")
def clean_faces() -> list[SyntheticFace]:
    """Frontal faces without occluders, shadows, blur and noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_module, "_random_angles", lambda rng, *_: np.array(rng.normal(0, 4, 3)))
        patch.setattr(face_module, "degrade", lambda image, rng: image)
        patch.setattr(face_module, "cast_shadow", lambda image, rng: image)
        patch.setattr(face_module, "glasses", lambda *_: False)
        patch.setattr(
            face_module, "hair_locks", lambda image, *_: np.zeros(image.shape[:2], np.uint8)
        )
        patch.setattr(face_module, "occlude", lambda image, *_: np.zeros(image.shape[:2]))
        return [render_face(SEED, index, size=256) for index in range(40)]


def _digest(face: SyntheticFace) -> str:
    parts = (face.image, face.landmarks_px, face.visibility, face.angles_deg, face.box_xyxy_px)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def _inside(landmarks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask.astype(bool)


def test_faces_do_not_depend_on_the_order(faces):
    for index in (5, 119, 0, 64):
        assert _digest(render_face(SEED, index)) == _digest(faces[index])


def test_faces_do_not_depend_on_the_process(faces):
    code = (
        "import hashlib; from tfrecords_tools.synthetic import render_face;"
        f"print(hashlib.sha256(render_face({SEED}, 3).image.tobytes()).hexdigest())"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(faces[3].image.tobytes()).hexdigest()


def test_faces_of_other_indices_and_seeds_differ(faces):
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
def test_size_scales_the_face(size, faces):
    face = render_face(SEED, 1, size=size)
    assert face.image.shape == (size, size, 3)
    # Pixel centers are integers, so a resize by s maps x to (x + .5) s - .5.
    expected = (faces[1].landmarks_px + 0.5) * size / 192 - 0.5
    np.testing.assert_allclose(face.landmarks_px, expected, atol=1e-3)


@pytest.mark.parametrize("arguments", [(0, 0, 16), (-1, 0, 192), (0, -2, 192)])
def test_invalid_arguments_raise(arguments):
    seed, index, size = arguments
    with pytest.raises(ValueError, match="Received:"):
        render_face(seed, index, size=size)


def test_landmark_box_is_tight_and_half_the_image(faces):
    for face in faces:
        low, high = face.landmarks_px.min(0), face.landmarks_px.max(0)
        np.testing.assert_array_equal(face.box_xyxy_px, [*low, *high])
        assert low.min() > 0
        assert high.max() < 191
        assert 0.44 * 192 < (high - low).max() < 0.62 * 192
        assert np.abs((low + high) / 2 - 95.5).max() < 0.08 * 192


def test_positive_yaw_occludes_the_right_half(faces):
    rotated = [face for face in faces if face.angles_deg[0] > 40]
    left = np.mean([face.visibility[[36, 37, 41, 17, 18]].mean() for face in rotated])
    right = np.mean([face.visibility[[45, 44, 46, 26, 25]].mean() for face in rotated])
    assert left > right + 0.3


def test_outline_landmarks_are_on_the_visible_outline(faces):
    """On the far side, the cheek does not occlude them as it occludes the jaw."""
    rotated = 0
    for face in faces:
        yaw, _, roll = face.angles_deg
        if not 20 < abs(yaw) < 50:
            continue
        rotated += 1
        outwards = np.sign(yaw) * np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))])
        reach = face.landmarks_px @ outwards
        far, eye = ((11, 16), 45) if yaw > 0 else ((1, 6), 36)
        assert reach[slice(*far)].max() > reach[eye] - 3
    assert rotated > 5


def test_frontal_faces_occlude_few_landmarks(clean_faces):
    visible = np.mean([face.visibility for face in clean_faces], 0)
    assert visible[17:].mean() > 0.95
    assert visible[:17].mean() > 0.8


def test_locks_of_hair_occlude_landmarks(monkeypatch):
    bare = [render_face(SEED + 6, index) for index in range(40)]
    monkeypatch.setattr(
        face_module, "hair_locks", lambda image, *_: np.full(image.shape[:2], 255, np.uint8)
    )
    covered = [render_face(SEED + 6, index) for index in range(40)]
    fewer = [after.visibility.sum() == 0 < before.visibility.sum()
             for before, after in zip(bare, covered, strict=True)]  # fmt: skip
    assert 2 <= sum(fewer) <= 20  # 25 % of those with hair and without a hat are 8


def test_long_beards_occlude_the_chin(monkeypatch):
    original, visible = face_module.random_style, {}
    monkeypatch.setattr(face_module, "occlude", lambda image, *_: np.zeros(image.shape[:2]))
    for length in (0.0, 50.0):
        monkeypatch.setattr(
            face_module,
            "random_style",
            lambda rng, length=length: original(rng)._replace(beard="beard", beard_length=length),
        )
        faces = [render_face(SEED, index, wide_yaw_fraction=0.0) for index in range(12)]
        visible[length] = np.mean([face.visibility[7:10].mean() for face in faces])
    assert visible[0.0] > 0.8
    assert visible[50.0] < 0.4


def test_drawn_eyes_are_inside_the_eye_landmarks(clean_faces):
    """White and iris give open eyes a higher contrast than the cheek below."""
    is_higher = []
    for face in clean_faces:
        gray = cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY).astype(float)
        for start in (36, 42):
            eye = face.landmarks_px[start : start + 6]
            height = (eye[[4, 5], 1] - eye[[1, 2], 1]).mean()
            if height < 5:
                continue
            below = _inside(eye + [0, 3.2 * height], gray.shape)
            is_higher.append(gray[_inside(eye, gray.shape)].std() > 1.5 * gray[below].std())
    assert len(is_higher) > 30
    assert np.mean(is_higher) > 0.9


def test_drawn_lips_are_inside_the_lip_landmarks(clean_faces):
    """The ratio of red to green is higher in lips than in the skin around them."""
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


def test_open_mouths_are_darker_than_their_lips(clean_faces):
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
    assert np.mean(contrast) > 0.65  # teeth may fill the mouth


def test_a_fraction_of_faces_is_occluded(monkeypatch):
    covers = []
    original = face_module.occlude

    def count(*arguments):
        covers.append(original(*arguments))
        return covers[-1]

    monkeypatch.setattr(face_module, "occlude", count)
    faces = [render_face(SEED + 5, index) for index in range(60)]
    assert 3 <= len(covers) <= 22  # 18 % of 60 are 11
    assert np.mean([cover.max() == 1 for cover in covers]) > 0.8
    assert np.mean([face.visibility.mean() for face in faces]) < 0.99
