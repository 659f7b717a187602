"""Augmented training crops of a second stage, aligned by the landmarks of a first stage."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from keras import ops

from wing_tf.data.augment import Augmenter
from wing_tf.data.pixel_noise import pixel_noise
from wing_tf.geometry import align_to, apply_affine, invert


class FirstStage:
    """A trained first-stage network, applied to augmented crops of its own.

    Args:
        network: Maps images to landmarks [B, K, 2] in pixels of these images.
        augmenter: Augmenter of the network's crops.
        shrink_ratio: Factor by which squares are shrunk before they are cropped; see
            `wing_tf.geometry.shrink_ratio`.
        jit_compile: Whether to compile the cropping with XLA. The network is called as it is.
    """

    def __init__(
        self,
        network: Callable,
        augmenter: Augmenter,
        *,
        shrink_ratio: int,
        jit_compile: bool = False,
    ):
        self.network, self.augmenter, self.shrink_ratio = network, augmenter, shrink_ratio
        self._run = (
            tf.function(self._crop, jit_compile=True, autograph=False)
            if jit_compile
            else self._crop
        )

    def __call__(self, faces):
        """Returns the network's landmarks [B, K, 2] in pixels of the faces' squares."""
        crops, to_crop, flipped = self._run(faces)
        landmarks = ops.cast(self.network(crops), "float32")
        landmarks = self.augmenter.restore_landmarks(landmarks, to_crop, flipped)
        return (landmarks + 0.5) * self.shrink_ratio - 0.5

    def _crop(self, faces):
        image = faces["image"]
        if self.shrink_ratio > 1:
            image = ops.cast(image, "float32")
            image = ops.average_pool(image, self.shrink_ratio, data_format="channels_last")
        shrunk = {
            **faces,
            "image": image,
            "box_square_px": self._to_shrunk(faces["box_square_px"]),
            "landmarks_square_px": self._to_shrunk(faces["landmarks_square_px"]),
            "draws": faces["draws"][:, : Augmenter.num_draws],
        }
        to_crop, flipped = self.augmenter.crop_matrices(shrunk["box_square_px"], shrunk["draws"])
        crops, _, _ = self.augmenter.crop(shrunk, to_crop, flipped)
        return crops, to_crop, flipped

    def _to_shrunk(self, points):
        return (points + 0.5) / self.shrink_ratio - 0.5


class RefinementAugmenter:
    """Maps a batch of stored squares to inputs and targets of a second stage.

    The first stage locates the landmarks in a crop with its own augmentation, so that it errs as it
    will with inexact boxes and rotated faces. The similarity from its landmarks to the reference
    shape is composed with the second stage's augmentation, and the square is sampled once.

    Args:
        augmenter: Augmenter of the second stage; its margin is used where the first stage fails.
        reference_shape: [K, 2], in pixels of the second stage's crop.
        first_stage: Maps squares to landmarks. If None, it is simulated by the ground truth with
            ``simulated_error``.
        simulated_error: Standard deviation of each coordinate, as a fraction of the longer side of
            the box.
        correction: Whether the second stage predicts a correction, for which it gets the landmarks
            of the first stage, too.
        jit_compile: Whether to compile all but the first stage with XLA.
    """

    num_draws = 2 * Augmenter.num_draws

    def __init__(
        self,
        augmenter: Augmenter,
        reference_shape: np.ndarray,
        *,
        first_stage: FirstStage | None = None,
        simulated_error: float = 0.0,
        correction: bool = False,
        jit_compile: bool = False,
    ):
        self.augmenter, self.first_stage = augmenter, first_stage
        self.reference_shape = np.asarray(reference_shape, np.float32)
        self.simulated_error, self.correction = simulated_error, correction
        self._run = (
            tf.function(self._refine, jit_compile=True, autograph=False)
            if jit_compile
            else self._refine
        )

    def __call__(self, faces):
        """Augments a batch.

        Args:
            faces: See `Augmenter`; with twice as many draws.

        Returns:
            Images, float32 [B, side, side, 3] in 0..255, and with ``correction`` a tuple of these
            and the landmarks [B, K, 2] of the first stage; landmarks, float32 [B, K, 2]; and
            weights, float32 [B, K], as of `Augmenter`. All landmarks are in pixels of the images.
            If ``augmenter`` returns the visibility, targets are a dictionary as there.
        """
        return self._run(faces, None if self.first_stage is None else self.first_stage(faces))

    def _refine(self, faces, rough):
        plain = self.augmenter.plain_matrices(faces["box_square_px"])
        if rough is None:
            present = faces["visibility"] > 0
            rough, weights = self._perturbed_ground_truth(faces), ops.cast(present, "float32")
            to_second, aligned = self._align(rough, plain, weights)
            # Landmarks that are not annotated are those of the reference shape.
            aligned = ops.where(present[..., None], aligned, self._reference())
        else:
            to_second, aligned = self._align(rough, plain)
        draws = faces["draws"][:, Augmenter.num_draws :]
        to_crop, flipped = self.augmenter.augment_matrices(to_second, draws)
        image, targets, weights = self.augmenter.crop({**faces, "draws": draws}, to_crop, flipped)
        if self.correction:
            rough = apply_affine(invert(to_second, xp=ops), aligned, xp=ops)
            image = (image, self.augmenter.transform_landmarks(rough, to_crop, flipped))
        return image, targets, weights

    def _reference(self):
        return ops.convert_to_tensor(self.reference_shape)[None]

    def _align(self, landmarks_square_px, plain, weights=None):
        return align_to(landmarks_square_px, self._reference(), plain, weights=weights, xp=ops)

    def _perturbed_ground_truth(self, faces):
        landmarks, box = faces["landmarks_square_px"], faces["box_square_px"]
        side = ops.max(box[:, 2:] - box[:, :2], axis=1)[:, None, None]
        noise = pixel_noise(faces["draws"][:, 0], (None, *landmarks.shape[1:], 1))[..., 0]
        return landmarks + self.simulated_error * side * noise

    def augmented_landmarks(self, faces):
        """Returns landmarks [B, K, 2] as in training, with a first stage that makes no errors."""
        plain = self.augmenter.plain_matrices(faces["box_square_px"])
        aligned, _ = self._align(faces["landmarks_square_px"], plain)
        draws = faces["draws"][:, Augmenter.num_draws :]
        to_crop, flipped = self.augmenter.augment_matrices(aligned, draws)
        return self.augmenter.transform_landmarks(faces["landmarks_square_px"], to_crop, flipped)
