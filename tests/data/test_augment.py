import numpy as np
import pytest
import tensorflow as tf

from wing_tf.data.augment import _DRAWS, Augmentation, Augmenter
from wing_tf.data.crop import crop_faces
from wing_tf.data.pixel_noise import pixel_noise
from wing_tf.geometry import apply_affine, invert
from wing_tf.landmarks import get_scheme

SCHEME = get_scheme("ibug_68")
SIDE = 96
GEOMETRY = Augmentation(flip=0.5, rotation_deg=30, scale=0.1, translation=0.05, box_jitter=0.05)


def _batch(count=8, seed=0, **fixed):
    """Images with a Gaussian dot at landmark 36 of a random shape."""
    generator = np.random.default_rng(seed)
    landmarks = generator.uniform(30, 66, (count, 68, 2)).astype(np.float32)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    x, y = (landmarks[:, 36, axis][:, None, None] for axis in (0, 1))
    dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
    draws = generator.uniform(size=(count, Augmenter.num_draws)).astype(np.float32)
    for name, value in fixed.items():
        draws[:, _DRAWS.index(name)] = value
    return {
        "image": np.repeat(dot[..., None], 3, axis=3).round().astype(np.uint8),
        "landmarks_square_px": landmarks,
        "visibility": np.full((count, 68), 2, np.int32),
        "box_square_px": np.tile(np.float32([24, 24, 72, 72]), (count, 1)),
        "draws": draws,
    }


def _augmenter(augmentation=GEOMETRY, input_size=64):
    return Augmenter(SCHEME, input_size=input_size, margin=1.3, augmentation=augmentation)


def _centroids(images):
    weight = np.asarray(images)[..., 0].astype(float)
    rows, columns = np.mgrid[: weight.shape[1], : weight.shape[2]]
    total = weight.sum(axis=(1, 2))
    return np.stack(
        [(weight * columns).sum(axis=(1, 2)) / total, (weight * rows).sum(axis=(1, 2)) / total], 1
    )


def test_image_and_landmarks_move_together():
    batch = _batch(64)
    image, landmarks, _ = _augmenter()(batch)
    flipped = batch["draws"][:, 0] < 0.5
    assert 10 < flipped.sum() < 54
    dot = np.where(flipped[:, None], landmarks.numpy()[:, 45], landmarks.numpy()[:, 36])
    np.testing.assert_allclose(_centroids(image), dot, atol=0.05)


def test_numbers_of_any_dtype_are_taken():
    batch = _batch(4)
    batch["landmarks_square_px"] = batch["landmarks_square_px"].round()
    expected = _augmenter()(batch)
    keys = ("landmarks_square_px", "box_square_px")
    for dtype in (np.float64, np.int64):
        found = _augmenter()(batch | {key: batch[key].astype(dtype) for key in keys})
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_flip_moves_left_eye_to_the_right():
    batch = _batch(4, flip=0.0)
    batch["landmarks_square_px"][:, 36] = [40, 45]
    batch["landmarks_square_px"][:, 45] = [60, 45]
    _, landmarks, _ = _augmenter(Augmentation(flip=1.0))(batch)
    _, straight, _ = _augmenter(Augmentation())(batch)
    # The left eye corner has become the right one ...
    np.testing.assert_allclose(landmarks[:, 45, 0], 63 - straight[:, 36, 0], atol=1e-4)
    # ... and the left one is still on its left.
    assert np.all(landmarks[:, 36, 0] < landmarks[:, 45, 0])


def test_flipping_twice_is_the_identity():
    augmenter = _augmenter(Augmentation(flip=1.0), input_size=SIDE)
    augmenter.margin = 2.0
    batch = _batch(3)
    batch["box_square_px"] -= 0.5  # the crop is the square itself
    image, landmarks, _ = augmenter(batch)
    again = {**batch, "image": image, "landmarks_square_px": landmarks}
    image, landmarks, _ = augmenter(again)
    np.testing.assert_allclose(landmarks, batch["landmarks_square_px"], atol=1e-4)
    np.testing.assert_allclose(image, batch["image"], atol=0.02)


def test_without_augmentation_crops_equal_evaluation_crops():
    batch = _batch(4)
    image, landmarks, _ = _augmenter(Augmentation())(batch)
    plain, to_square = crop_faces(batch, input_size=64, margin=1.3)
    np.testing.assert_allclose(image, plain, atol=1e-2)
    back = apply_affine(np.asarray(to_square, np.float64), np.asarray(landmarks, np.float64))
    np.testing.assert_allclose(back, batch["landmarks_square_px"], atol=1e-3)


def test_inverse_matrices_restore_landmarks():
    augmenter, batch = _augmenter(), _batch(16)
    to_crop, flipped = augmenter.crop_matrices(batch["box_square_px"], batch["draws"])
    landmarks = augmenter.transform_landmarks(
        batch["landmarks_square_px"], to_crop, flipped
    ).numpy()
    swapped = landmarks[:, list(SCHEME.flip_permutation)]
    landmarks = np.where(np.asarray(flipped)[:, None, None], swapped, landmarks)
    back = apply_affine(invert(np.asarray(to_crop, np.float64)), landmarks)
    np.testing.assert_allclose(back, batch["landmarks_square_px"], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("rotation", -30, 30), ("scale", 0.9, 1.1), ("shift_x", -3.2, 3.2)]
)
def test_extreme_draws_reach_the_limits(name, low, high):
    augmentation = Augmentation(rotation_deg=30, scale=0.1, translation=0.05)
    neutral = dict.fromkeys(("rotation", "scale", "shift_x", "shift_y"), 0.5)
    values = []
    for draw in (0.0, 1.0):
        batch = _batch(1, **{**neutral, name: draw})
        matrix, _ = _augmenter(augmentation).crop_matrices(batch["box_square_px"], batch["draws"])
        (a, _, _), (c, _, _) = np.asarray(matrix[0])
        base = 64 / (48 * 1.3)
        if name == "rotation":
            values.append(np.degrees(np.arctan2(c, a)))
        elif name == "scale":
            values.append(a / base)
        else:
            center = apply_affine(np.asarray(matrix[0]), np.array([[48.0, 48.0]]))[0]
            values.append(center[0] - 31.5)
    np.testing.assert_allclose(values, [low, high], atol=1e-3)


def test_box_corners_are_jittered_independently():
    neutral = dict.fromkeys(("box_x0", "box_y0", "box_x1", "box_y1"), 0.5)
    batch = _batch(1, **{**neutral, "box_x1": 1.0})
    matrix, _ = _augmenter(Augmentation(box_jitter=0.05)).crop_matrices(
        batch["box_square_px"], batch["draws"]
    )
    side = 48 * 1.3
    scale = np.asarray(matrix)[0, [0, 1], [0, 1]]
    np.testing.assert_allclose(scale, [64 / (side * 1.05), 64 / side], rtol=1e-5)


def test_weights_of_landmarks_not_annotated_are_zero_and_flipped():
    batch = _batch(2, flip=0.0)
    batch["visibility"][:, 36] = 0
    batch["visibility"][:, 37] = 1
    _, _, weights = _augmenter(Augmentation(flip=1.0))(batch)
    expected = np.ones((2, 68))
    expected[:, SCHEME.flip_permutation[36]] = 0
    np.testing.assert_array_equal(weights, expected)


def test_flip_moves_the_visibility_to_the_other_side():
    batch = _batch(2, flip=0.0)
    batch["visibility"][:, 36] = 1
    batch["visibility"][:, 40] = 0
    for flip, hidden in ((0.0, [36, 40]), (1.0, [SCHEME.flip_permutation[i] for i in (36, 40)])):
        augmenter = Augmenter(
            SCHEME, input_size=64, margin=1.3, augmentation=Augmentation(flip=flip),
            with_visibility=True,
        )  # fmt: skip
        _, targets, _ = augmenter(batch)
        _, landmarks, _ = _augmenter(Augmentation(flip=flip))(batch)
        np.testing.assert_array_equal(targets["landmarks"], landmarks)
        expected = np.ones((2, 68))
        expected[:, hidden] = 0
        np.testing.assert_array_equal(targets["visibility"], expected)


def test_landmarks_behind_the_occluder_are_not_visible():
    batch = _batch(16)
    batch["draws"][:, _DRAWS.index("occlude")] = np.linspace(0, 0.99, 16)
    augmentation = Augmentation(flip=0.5, rotation_deg=30, occlusion=0.5, occlusion_size=0.8)
    augmenter = Augmenter(
        SCHEME, input_size=64, margin=1.3, augmentation=augmentation, with_visibility=True
    )
    image, targets, _ = augmenter(batch)
    x, y = np.moveaxis(np.asarray(targets["landmarks"]), -1, 0).round().astype(int)
    names = ("occluder_red", "occluder_green", "occluder_blue")
    color = 255 * batch["draws"][:, [_DRAWS.index(name) for name in names]]
    at = np.asarray(image)[np.arange(16)[:, None], y.clip(0, 63), x.clip(0, 63)]
    covered = np.abs(at - color[:, None]).max(axis=-1) < 1e-3
    visible = np.asarray(targets["visibility"]) == 1
    assert visible[8:].all()  # no rectangle
    assert 0.05 < (~visible).mean() < 0.5
    # A landmark is up to half a pixel from the one that was looked at.
    assert (covered == ~visible).mean() > 0.97


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(blur=1.0),
        Augmentation(brightness=0.3),
        Augmentation(contrast=0.5),
        Augmentation(color=0.3),
        Augmentation(noise=0.1),
        Augmentation(occlusion=1.0),
    ],
)
def test_color_augmentation_changes_only_the_image(augmentation):
    batch = _batch(6, occluder_x=0.5, occluder_y=0.5)
    image, landmarks, _ = _augmenter(augmentation)(batch)
    plain, same, _ = _augmenter(Augmentation())(batch)
    np.testing.assert_array_equal(landmarks, same)
    assert np.abs(image - plain).mean() > 0.05
    assert np.min(image) >= 0
    assert np.max(image) <= 255


def test_contrast_keeps_the_mean_and_brightness_shifts_it():
    batch = _batch(1, contrast=0.0, brightness=1.0)
    batch["image"] = np.random.default_rng(0).integers(100, 140, (1, SIDE, SIDE, 3), np.uint8)
    plain = _augmenter(Augmentation())(batch)[0].numpy()
    flat = _augmenter(Augmentation(contrast=0.5))(batch)[0].numpy()
    assert abs(flat.mean() - plain.mean()) < 0.01
    assert flat.std() == pytest.approx(0.5 * plain.std(), rel=1e-3)
    bright = _augmenter(Augmentation(brightness=0.2))(batch)[0].numpy()
    assert bright.mean() - plain.mean() == pytest.approx(51, abs=0.1)


def test_occluder_covers_the_drawn_rectangle():
    batch = _batch(
        1, occlude=0.0, occluder_x=0.5, occluder_y=0.5, occluder_width=1.0, occluder_height=1.0,
        occluder_red=1.0, occluder_green=0.0, occluder_blue=0.0,
    )  # fmt: skip
    augmentation = Augmentation(occlusion=0.5, occlusion_size=0.4)
    image = _augmenter(augmentation)(batch)[0].numpy()[0]
    red = np.all(image == [255, 0, 0], axis=-1)
    assert red.sum() == 26 * 26  # |i / 63 - 1/2| <= .2: 19 to 44
    assert red[19:45, 19:45].all()


def test_noise_is_nearly_normal_and_determined_by_its_key():
    key = np.float32([0.1, 0.1, 0.7])
    noise = pixel_noise(key, (3, 64, 64, 3)).numpy()
    np.testing.assert_array_equal(noise[0], noise[1])
    assert abs(np.corrcoef(noise[0].ravel(), noise[2].ravel())[0, 1]) < 0.03
    assert abs(noise.mean()) < 0.02
    assert noise.std() == pytest.approx(1, abs=0.02)
    flat = noise[0].ravel()
    assert abs(np.corrcoef(flat[:-1], flat[1:])[0, 1]) < 0.03


def test_xla_compiled_augmentation_equals_eager():
    everything = Augmentation(
        flip=0.5, rotation_deg=30, scale=0.1, translation=0.05, box_jitter=0.05, blur=0.5,
        brightness=0.2, contrast=0.2, color=0.2, noise=0.05, occlusion=0.5,
    )  # fmt: skip
    augmenter = Augmenter(
        SCHEME, input_size=64, margin=1.3, augmentation=everything, with_visibility=True
    )
    batch = {name: tf.constant(value) for name, value in _batch(16).items()}
    plain, compiled = augmenter(batch), tf.function(augmenter, jit_compile=True)(batch)
    np.testing.assert_allclose(compiled[0], plain[0], atol=0.05)
    np.testing.assert_allclose(compiled[1]["landmarks"], plain[1]["landmarks"], atol=1e-3)
    differ = np.asarray(compiled[1]["visibility"]) != np.asarray(plain[1]["visibility"])
    assert differ.mean() < 0.01  # at the edge of the rectangle


@pytest.mark.parametrize("bad", [{"flip": 1.5}, {"rotation_deg": -1}, {"noise": float("nan")}])
def test_invalid_amounts_raise(bad):
    with pytest.raises(ValueError, match="must be in"):
        Augmentation(**bad)
