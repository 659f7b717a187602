"""Training crops of a second stage: cut by the first stage's landmarks, then varied."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from keras import ops

from wing_tf.data.augment import Augmenter, pixel_noise
from wing_tf.geometry import apply_affine, invert, similarity_to


class RefinedAugmenter:
    """Turns a batch of squares into the inputs and targets of a second stage.

    The first network locates the landmarks in a crop of its own, with its own augmentation (so
    that its errors are those of faces it has not seen, and of boxes and rotations as they will
    come). The similarity from them to the reference shape is composed with the second stage's
    augmentation, and the square is sampled once.

    Args:
        second: the second stage's augmenter; its margin counts where the first stage fails.
        reference_shape: [K, 2], in pixels of the second stage's crop.
        first: pictures to landmarks; None to simulate it, by the truth with ``simulated_error``.
        first_augmenter: of the first network; not needed without one.
        first_shrink: by how much squares are shrunk before the first crop is sampled; see
            `wing_tf.geometry.shrink_ratio`.
        simulated_error: standard deviation of each coordinate, as a share of the box's longer side.
        correct: the second stage is a correction: it gets the first stage's landmarks too.
        jit_compile: compile with XLA, all but the first network, which is its caller's.
    """

    num_draws = 2 * Augmenter.num_draws

    def __init__(
        self,
        second: Augmenter,
        reference_shape: np.ndarray,
        *,
        first: Callable | None = None,
        first_augmenter: Augmenter | None = None,
        first_shrink: int = 1,
        simulated_error: float = 0.0,
        correct: bool = False,
        jit_compile: bool = False,
    ):
        self.second, self.first, self.first_augmenter = second, first, first_augmenter
        self.reference_shape = np.asarray(reference_shape, np.float32)
        self.first_shrink, self.correct = first_shrink, correct
        self.simulated_error = simulated_error
        self._run = tf.function(self._refine, jit_compile=True) if jit_compile else self._refine

    def __call__(self, faces):
        """Augments a batch.

        Args:
            faces: as for `Augmenter`, with twice as many draws.

        Returns:
            Pictures float32 [B, side, side, 3], 0..255, of a correction together with the first
            stage's landmarks [B, K, 2] in their pixels; landmarks float32 [B, K, 2] in their
            pixels; weights float32 [B, K] as of `Augmenter`.
        """
        rough = None
        if self.first is not None:
            picture, _, _ = self.first_augmenter(self._first_faces(faces))
            rough = ops.cast(self.first(picture), "float32")
        return self._run(faces, rough)

    def _first_faces(self, faces):
        """The batch as the first augmenter takes it: its own draws, shrunk squares."""
        ratio = self.first_shrink
        shrunk = {**faces, "draws": faces["draws"][:, : Augmenter.num_draws]}
        if ratio > 1:
            image = ops.cast(faces["image"], "float32")
            shrunk["image"] = ops.average_pool(image, ratio, data_format="channels_last")
            for name in ("box_square_px", "landmarks_square_px"):
                shrunk[name] = (faces[name] + 0.5) / ratio - 0.5
        return shrunk

    def _refine(self, faces, rough):
        plain = self.second.plain_maps(faces["box_square_px"])
        if rough is None:
            rough, to_second = self._simulate(faces, plain)
        else:
            own = self._first_faces({**faces, "image": ops.zeros((1, 8, 8, 3))})
            to_crop, flipped = self.first_augmenter.matrices(own["box_square_px"], own["draws"])
            rough = self.first_augmenter.restore(rough, to_crop, flipped)
            rough = (rough + 0.5) * self.first_shrink - 0.5
            to_second = self._align(rough, plain)
        draws = faces["draws"][:, Augmenter.num_draws :]
        to_crop, flipped = self.second.vary(to_second, draws)
        image, landmarks, weights = self.second.cut({**faces, "draws": draws}, to_crop, flipped)
        if self.correct:
            image = (image, self.second.landmarks(rough, to_crop, flipped))
        return image, landmarks, weights

    def _align(self, landmarks_square_px, plain, weights=None):
        reference = ops.convert_to_tensor(self.reference_shape)[None]
        return similarity_to(
            landmarks_square_px, reference, weights=weights, fallback=plain, xp=ops
        )

    def _simulate(self, faces, plain):
        """Returns perturbed truth and its alignment; a missing point stands as in the reference."""
        truth, present = faces["landmarks_square_px"], faces["visibility"] > 0
        box = faces["box_square_px"]
        side = ops.max(box[:, 2:] - box[:, :2], axis=1)[:, None, None]
        noise = pixel_noise(faces["draws"][:, 0], (None, *truth.shape[1:], 1))[..., 0]
        rough = truth + self.simulated_error * side * noise
        to_second = self._align(rough, plain, ops.cast(present, "float32"))
        usual = ops.convert_to_tensor(self.reference_shape)[None]
        usual = apply_affine(invert(to_second, xp=ops), usual, xp=ops)
        return ops.where(present[..., None], rough, usual), to_second

    def training_shapes(self, faces):
        """Returns landmarks [B, K, 2] as in training, with a first stage that makes no error."""
        plain = self.second.plain_maps(faces["box_square_px"])
        aligned = self._align(faces["landmarks_square_px"], plain)
        to_crop, flipped = self.second.vary(aligned, faces["draws"][:, Augmenter.num_draws :])
        return self.second.landmarks(faces["landmarks_square_px"], to_crop, flipped)
