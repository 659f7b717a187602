"""Training crops of a second stage: cut by the first stage's landmarks, then varied."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from keras import ops

from wing_tf.data.augment import Augmenter, pixel_noise
from wing_tf.geometry import align_to, apply_affine, invert


class FirstStage:
    """A trained first network and how its crops are cut for the training of a second one.

    Args:
        network: images to landmarks [B, K, 2] in their pixels.
        augmenter: of its crops.
        shrink_ratio: by how much squares are shrunk before the crop is sampled; see
            `wing_tf.geometry.shrink_ratio`.
        jit_compile: compile the cutting with XLA; the network's own calls are as they are.
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
        self._run = tf.function(self._cut, jit_compile=True) if jit_compile else self._cut

    def __call__(self, faces):
        """Returns the network's landmarks [B, K, 2] in pixels of the faces' squares."""
        crops, to_crop, flipped = self._run(faces)
        landmarks = ops.cast(self.network(crops), "float32")
        return self._in_square(self.augmenter.restore_landmarks(landmarks, to_crop, flipped))

    def _cut(self, faces):
        image = faces["image"]
        if self.shrink_ratio > 1:
            image = ops.cast(image, "float32")
            image = ops.average_pool(image, self.shrink_ratio, data_format="channels_last")
        shrunk = {
            **faces,
            "image": image,
            "box_square_px": self._in_shrunk(faces["box_square_px"]),
            "landmarks_square_px": self._in_shrunk(faces["landmarks_square_px"]),
            "draws": faces["draws"][:, : Augmenter.num_draws],
        }
        to_crop, flipped = self.augmenter.crop_matrices(shrunk["box_square_px"], shrunk["draws"])
        crops, _, _ = self.augmenter.crop(shrunk, to_crop, flipped)
        return crops, to_crop, flipped

    def _in_shrunk(self, points):
        return (points + 0.5) / self.shrink_ratio - 0.5

    def _in_square(self, points):
        return (points + 0.5) * self.shrink_ratio - 0.5


class RefinementAugmenter:
    """Turns a batch of squares into the inputs and targets of a second stage.

    The first network locates the landmarks in a crop of its own, with its own augmentation (so
    that its errors are those of boxes and rotations as they will come). The similarity from them to
    the reference shape is composed with the second stage's augmentation, and the square is sampled
    once.

    Args:
        augmenter: the second stage's; its margin counts where the first stage fails.
        reference_shape: [K, 2], in pixels of the second stage's crop.
        first_stage: squares to landmarks; None simulates it by the ground truth with
            ``simulated_error``.
        simulated_error: standard deviation of each coordinate, as a share of the box's longer side.
        correction: the second stage is a correction: it gets the first stage's landmarks too.
        jit_compile: compile with XLA, all but the first stage.
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
        self._run = tf.function(self._refine, jit_compile=True) if jit_compile else self._refine

    def __call__(self, faces):
        """Augments a batch.

        Args:
            faces: as for `Augmenter`, with twice as many draws.

        Returns:
            Images float32 [B, side, side, 3], 0..255, of a correction together with the first
            stage's landmarks [B, K, 2] in their pixels; landmarks float32 [B, K, 2] in their
            pixels; weights float32 [B, K] as of `Augmenter`.
        """
        return self._run(faces, None if self.first_stage is None else self.first_stage(faces))

    def _refine(self, faces, rough):
        plain = self.augmenter.plain_matrices(faces["box_square_px"])
        if rough is None:
            present = faces["visibility"] > 0
            rough, weights = self._perturbed_truth(faces), ops.cast(present, "float32")
            to_second, aligned = self._align(rough, plain, weights)
            # A missing point stands as in the reference.
            aligned = ops.where(present[..., None], aligned, self._reference())
        else:
            to_second, aligned = self._align(rough, plain)
        draws = faces["draws"][:, Augmenter.num_draws :]
        to_crop, flipped = self.augmenter.augment_matrices(to_second, draws)
        image, landmarks, weights = self.augmenter.crop({**faces, "draws": draws}, to_crop, flipped)
        if self.correction:
            rough = apply_affine(invert(to_second, xp=ops), aligned, xp=ops)
            image = (image, self.augmenter.transform_landmarks(rough, to_crop, flipped))
        return image, landmarks, weights

    def _reference(self):
        return ops.convert_to_tensor(self.reference_shape)[None]

    def _align(self, landmarks_square_px, plain, weights=None):
        return align_to(landmarks_square_px, self._reference(), plain, weights=weights, xp=ops)

    def _perturbed_truth(self, faces):
        truth, box = faces["landmarks_square_px"], faces["box_square_px"]
        side = ops.max(box[:, 2:] - box[:, :2], axis=1)[:, None, None]
        noise = pixel_noise(faces["draws"][:, 0], (None, *truth.shape[1:], 1))[..., 0]
        return truth + self.simulated_error * side * noise

    def augmented_landmarks(self, faces):
        """Returns landmarks [B, K, 2] as in training, with a first stage that makes no error."""
        plain = self.augmenter.plain_matrices(faces["box_square_px"])
        aligned, _ = self._align(faces["landmarks_square_px"], plain)
        to_crop, flipped = self.augmenter.augment_matrices(
            aligned, faces["draws"][:, Augmenter.num_draws :]
        )
        return self.augmenter.transform_landmarks(faces["landmarks_square_px"], to_crop, flipped)
