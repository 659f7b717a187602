"""Network crops and augmentation of batches, computed on the device.

`Augmenter` is a pure function of a batch of `wing_tf.data.training_batches`. The trainer calls it
inside its compiled step, `wing_tf.data.dataset_from_records` inside `tf.data`.
One matrix per sample transforms both its image and its landmarks.
"""

import dataclasses
import math

import tensorflow as tf
from keras import ops

from wing_tf.codecs.boundary import Curves
from wing_tf.data.pixel_noise import pixel_noise
from wing_tf.data.record_schema import VISIBLE
from wing_tf.geometry import (
    apply_affine,
    compose,
    crop_matrix,
    crop_region,
    flip_matrix,
    invert,
    similarity_matrix,
)
from wing_tf.landmarks import LandmarkScheme
from wing_tf.layers import gaussian_blur, warp_affine


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Strength of each augmentation. 0 disables one; amounts are drawn uniformly up to the limit.

    Attributes:
        flip: Probability of a horizontal flip, which also permutes the landmarks.
        rotation_deg: Maximum in-plane rotation in degrees, in either direction.
        scale: Maximum relative change of the face's size.
        translation: Maximum shift in x and in y, as a fraction of the crop's side.
        box_jitter: Maximum shift of each side of the crop box, as a fraction of its length. The
            four sides move independently.
        blur: Probability of a Gaussian blur.
        blur_sigma_px: Standard deviation of the blur, in pixels of the network input.
        brightness: Maximum change, as a fraction of the full range.
        contrast: Maximum relative change, about the mean of the crop.
        color: Maximum relative change of the gain of each channel.
        noise: Maximum standard deviation of the noise, as a fraction of the full range.
        occlusion: Probability of a rectangle of one color in front of the face. Landmarks behind
            it are occluded in the targets of ``with_visibility``. # The paper is silent.
        occlusion_size: Maximum side of the rectangle, as a fraction of the crop's side.
    """

    flip: float = 0.0
    rotation_deg: float = 0.0
    scale: float = 0.0
    translation: float = 0.0
    box_jitter: float = 0.0
    blur: float = 0.0
    blur_sigma_px: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    color: float = 0.0
    noise: float = 0.0
    occlusion: float = 0.0
    occlusion_size: float = 0.4

    def __post_init__(self):
        limits = dict.fromkeys(("flip", "blur", "occlusion", "occlusion_size"), 1.0)
        limits |= {"scale": 0.9, "box_jitter": 0.4, "rotation_deg": 180.0}
        for field in dataclasses.fields(self):
            value, limit = getattr(self, field.name), limits.get(field.name, math.inf)
            if not 0 <= value <= limit:
                raise ValueError(
                    f"`{field.name}` must be in [0, {limit}]. Received: {field.name}={value}."
                )


# Names of a sample's random numbers. Changing their order changes what a seed gives.
_DRAWS = (
    "flip rotation scale shift_x shift_y box_x0 box_y0 box_x1 box_y1 blur brightness contrast "
    "red green blue noise noise_key occlude occluder_x occluder_y occluder_width occluder_height "
    "occluder_red occluder_green occluder_blue"
).split()


class Augmenter:
    """Maps a batch of stored squares and random numbers to network inputs and targets.

    Args:
        scheme: Landmark scheme, for the flip permutation.
        input_size: Side of the network input in pixels.
        margin: Side of the crop over the longer side of the face box.
        augmentation: Strength of each augmentation. Defaults to None, no augmentation.
        square: See `wing_tf.geometry.crop_region`. A non-square crop is stretched first and then
            rotated, scaled and shifted.
        with_visibility: Whether to return the visibility of the landmarks, too.
        jit_compile: Whether to compile with XLA. Leave it False inside a compiled function.
    """

    num_draws = len(_DRAWS)
    boundary_curves: Curves = ()

    def __init__(
        self,
        scheme: LandmarkScheme,
        *,
        input_size: int,
        margin: float,
        augmentation: Augmentation | None = None,
        square: bool = True,
        with_visibility: bool = False,
        jit_compile: bool = False,
    ):
        if not isinstance(scheme, LandmarkScheme):
            raise ValueError(
                "`scheme` must be a LandmarkScheme, such as `records.scheme` or "
                f"`wing_tf.landmarks.get_scheme(name)`. Received: scheme={scheme!r}."
            )
        for name, value in {"input_size": input_size, "margin": margin}.items():
            if not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")
        self.scheme = scheme
        self.with_visibility = with_visibility
        self.square = square
        self.input_size = input_size
        self.margin = margin
        self.augmentation = augmentation or Augmentation()
        self.jit_compile = jit_compile
        self._run = (
            tf.function(self._augment, jit_compile=True, autograph=False)
            if jit_compile
            else self._augment
        )

    def __call__(self, faces):
        """Augments a batch.

        Args:
            faces: Dictionary of ``image`` uint8 [B, S, S, 3], ``landmarks_square_px`` [B, K, 2],
                ``visibility`` [B, K], ``box_square_px`` [B, 4], ``draws`` [B, num_draws], random
                numbers in [0, 1) that only augmentation needs, and optionally ``face_weight`` [B],
                the weight of each face in the loss. All but the images are of any dtype.

        Returns:
            Images, float32 [B, side, side, 3] in 0..255; landmarks, float32 [B, K, 2] in pixels of
            these images; and weights, float32 [B, K]: 0 for landmarks that are not annotated, and
            the face's weight (default 1) for the others. With ``with_visibility``, a dictionary of
            ``landmarks`` and of ``visibility``, float32 [B, K], 1 for visible landmarks and 0 for
            others, is in the place of the landmarks.

        Raises:
            ValueError: If the faces are not a batch, or have no ``draws`` for the augmentation.
        """
        if len(faces["image"].shape) != 4:
            raise ValueError(
                "`faces` must be a batch, with `image` [B, S, S, 3]. Received: an image of the "
                f"shape {tuple(faces['image'].shape)}. Call `dataset.batch(...)` before."
            )
        if "draws" not in faces:
            if self.augmentation != Augmentation():
                raise ValueError(
                    f"Augmentation needs `draws` [B, {self.num_draws}], random numbers in [0, 1), "
                    "as `training_batches` adds them. Received: faces with the keys "
                    f"{', '.join(faces)}."
                )
            draws = ops.zeros((ops.shape(faces["image"])[0], self.num_draws))
            faces = {**faces, "draws": draws}
        floats = ("landmarks_square_px", "box_square_px", "draws", "face_weight")
        cast = {key: ops.cast(faces[key], "float32") for key in floats if key in faces}
        return self._run({**faces, **cast})

    def _augment(self, faces):
        return self.crop(faces, *self.crop_matrices(faces["box_square_px"], faces["draws"]))

    def crop(self, faces, to_crop, flipped):
        """Returns the outputs of `__call__` for given matrices and flips of `augment_matrices`."""
        size_hw = (self.input_size, self.input_size)
        image = warp_affine(faces["image"], invert(to_crop, xp=ops), size_hw)
        landmarks = self.transform_landmarks(faces["landmarks_square_px"], to_crop, flipped)
        weights = ops.cast(faces["visibility"] > 0, "float32")
        if "face_weight" in faces:
            weights = weights * faces["face_weight"][:, None]
        image = self._recolor(image, faces["draws"])
        weights = self._permute(weights, flipped)
        if not self.with_visibility:
            return image, landmarks, weights
        covered_x, covered_y = self._occluder(landmarks, _named(faces["draws"]))
        visible = self._permute(faces["visibility"] == VISIBLE, flipped) & ~(covered_x & covered_y)
        return image, {"landmarks": landmarks, "visibility": ops.cast(visible, "float32")}, weights

    def crop_matrices(self, box_square_px, draws):
        """Returns the matrices [B, 2, 3] from square to crop pixels, and which are flipped [B]."""
        return self.augment_matrices(self.plain_matrices(box_square_px), draws)

    def plain_matrices(self, box_square_px):
        """Returns the matrices [B, 2, 3] from square to crop pixels without augmentation."""
        box = crop_region(box_square_px, self.margin, self.square, xp=ops)
        return crop_matrix(box, (self.input_size, self.input_size), xp=ops)

    def augment_matrices(self, to_crop, draws):
        """Applies the drawn box jitter, rotation, scale, shift and flip to crop matrices.

        Args:
            to_crop: [B, 2, 3], as from `plain_matrices`.
            draws: [B, num_draws].

        Returns:
            The matrices [B, 2, 3] from square to crop pixels, and which faces are flipped [B].
        """
        a, draw, size = self.augmentation, _named(draws), self.input_size
        corners = ops.stack([draw[f"box_{c}"] for c in ("x0", "y0", "x1", "y1")], axis=1)
        whole = ops.convert_to_tensor([-0.5, -0.5, size - 0.5, size - 0.5])
        box = whole + (a.box_jitter * size) * (2.0 * corners - 1.0)
        jitter = crop_matrix(box, (size, size), xp=ops)
        shift = 2.0 * ops.stack([draw["shift_x"], draw["shift_y"]], axis=1) - 1.0
        rotation = similarity_matrix(
            ops.full_like(shift, (size - 1) / 2),
            (2.0 * draw["rotation"] - 1.0) * math.radians(a.rotation_deg),
            1.0 + (2.0 * draw["scale"] - 1.0) * a.scale,
            shift * (a.translation * size),
            xp=ops,
        )
        matrix = compose(rotation, compose(jitter, to_crop, xp=ops), xp=ops)
        flipped = draw["flip"] < a.flip
        mirror = ops.convert_to_tensor(flip_matrix(size), dtype="float32")
        mirrored = compose(mirror[None], matrix, xp=ops)
        return ops.where(flipped[:, None, None], mirrored, matrix), flipped

    def augmented_landmarks(self, faces):
        """Returns the landmarks [B, K, 2] that `__call__` would return, without needing images."""
        to_crop, flipped = self.crop_matrices(faces["box_square_px"], faces["draws"])
        return self.transform_landmarks(faces["landmarks_square_px"], to_crop, flipped)

    def transform_landmarks(self, landmarks_square_px, to_crop, flipped):
        """Maps landmarks [B, K, 2] to the crop, and permutes those of flipped faces."""
        return self._permute(apply_affine(to_crop, landmarks_square_px, xp=ops), flipped)

    def restore_landmarks(self, landmarks_crop_px, to_crop, flipped):
        """Maps landmarks [B, K, 2] of a crop to the square; inverts `transform_landmarks`."""
        unflipped = self._permute(landmarks_crop_px, flipped)
        return apply_affine(invert(to_crop, xp=ops), unflipped, xp=ops)

    def _permute(self, values, flipped):
        swapped = ops.take(values, list(self.scheme.flip_permutation), axis=1)
        shape = (-1,) + (1,) * (len(values.shape) - 1)
        return ops.where(ops.reshape(flipped, shape), swapped, values)

    def _recolor(self, image, draws):
        a, draw = self.augmentation, _named(draws)
        # The mean is taken before the blur, which hardly changes it: otherwise XLA would compute
        # the blur twice.
        mean = ops.mean(image, axis=(1, 2, 3))[:, None]
        if a.blur:
            sigma = ops.where(draw["blur"] < a.blur, a.blur_sigma_px, 0.0)
            image = gaussian_blur(image, sigma, radius=math.ceil(3 * a.blur_sigma_px))
        if a.brightness or a.contrast or a.color:
            channels = ops.stack([draw["red"], draw["green"], draw["blue"]], axis=1)
            gain = 1.0 + a.color * (2.0 * channels - 1.0)
            contrast = (1.0 + a.contrast * (2.0 * draw["contrast"] - 1.0))[:, None]
            offset = 255.0 * a.brightness * (2.0 * draw["brightness"] - 1.0)[:, None]
            # gain * ((image - mean) * contrast + mean + offset), in one pass over the pixels
            shift = gain * (mean * (1.0 - contrast) + offset)
            image = image * (gain * contrast)[:, None, None] + shift[:, None, None]
        if a.occlusion:
            image = self._occlude(image, draw)
        if a.noise:
            sigma = 255.0 * a.noise * draw["noise"]
            image = image + sigma[:, None, None, None] * pixel_noise(draw["noise_key"], image.shape)
        return ops.clip(image, 0.0, 255.0)

    def _occlude(self, image, draw):
        """Draws a rectangle of one color on the images that are to be occluded."""
        pixels = ops.arange(self.input_size, dtype="float32")[None, :, None]
        covered_x, covered_y = self._occluder(ops.concatenate([pixels, pixels], axis=-1), draw)
        mask = covered_y[:, :, None] & covered_x[:, None, :]
        names = ("occluder_red", "occluder_green", "occluder_blue")
        color = 255.0 * ops.stack([draw[name] for name in names], axis=1)
        return ops.where(mask[..., None], color[:, None, None], image)

    def _occluder(self, points, draw):
        """Returns which x and which y [B, N] of points [B, N, 2] are those of the rectangle."""
        a, covered = self.augmentation, []
        points = points / (self.input_size - 1)
        for axis, (name, length) in enumerate((("x", "width"), ("y", "height"))):
            half = 0.5 * a.occlusion_size * (0.25 + 0.75 * draw[f"occluder_{length}"])[:, None]
            covered.append(ops.abs(points[..., axis] - draw[f"occluder_{name}"][:, None]) <= half)
        return covered[0] & (draw["occlude"] < a.occlusion)[:, None], covered[1]


def _named(draws) -> dict:
    return {name: draws[:, i] for i, name in enumerate(_DRAWS)}
