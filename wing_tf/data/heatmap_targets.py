"""Augmented crops with heatmaps as targets, computed on the device."""

from collections.abc import Sequence

import tensorflow as tf
from keras import ops

from wing_tf.codecs import HeatmapCodec, boundary_map
from wing_tf.data.augment import Augmenter
from wing_tf.geometry import apply_affine


class HeatmapAugmenter(Augmenter):
    """An `Augmenter` whose targets are one heatmap per landmark, and optionally a boundary map.

    Landmarks that are not annotated, or lie outside of the crop, have weight 0. So has the boundary
    map of a face if a landmark of one of its curves is not annotated.

    Args:
        scheme: See `Augmenter`.
        codec: Codec that encodes the heatmaps.
        boundary_sigma: Standard deviation of the boundary map in heatmap pixels; 0 for no boundary
            map. Batches then need ``curve_samples_square_px``
            (`wing_tf.data.training_batches`).
        sigma_steps: Offset of the sigma of each stack's heatmaps. With a single offset, all stacks
            share their targets.
        with_positions: Whether to return the positions of the landmarks, too.
        **options: See `Augmenter`.

    Call arguments:
        faces: See `Augmenter`; optionally with ``sigma``, a scalar that replaces the codec's.

    Returns, when called:
        Images, float32 [B, side, side, 3] in 0..255; targets; and weights, float32 [B, K] or
        [B, K + 1]. Targets are heatmaps, float32 [B, h, w, K] or [B, h, w, K + 1], or a list of
        them with several ``sigma_steps``. With ``with_positions``, they are a dictionary of these
        ``maps`` and of ``positions``, float32 [B, K, 2] in heatmap pixels, 0 where the weight is 0;
        with ``with_visibility``, of ``maps`` and of the ``visibility`` of `Augmenter`.

    Raises:
        ValueError: If the codec is for inputs of another size, or if there is to be a boundary map
            and the scheme has no boundary curves.
    """

    def __init__(
        self,
        scheme,
        *,
        codec: HeatmapCodec,
        boundary_sigma: float = 0.0,
        sigma_steps: Sequence[float] = (0.0,),
        with_positions: bool = False,
        **options,
    ):
        super().__init__(scheme, **options)
        if codec.input_size != self.input_size:
            raise ValueError(
                "The codec must be for the size of the network input. Received: "
                f"codec.input_size={codec.input_size}, input_size={self.input_size}."
            )
        if boundary_sigma:
            if not scheme.boundary_curves:
                raise ValueError(
                    f"{scheme.name} has no boundary curves for a boundary map. "
                    f"Received: boundary_sigma={boundary_sigma}."
                )
            self.boundary_curves = scheme.boundary_curves
        self.codec = codec
        self.boundary_sigma = boundary_sigma
        self.sigma_steps = tuple(sigma_steps)
        self.with_positions = with_positions

    def crop(self, faces, to_crop, flipped):
        """Returns the outputs of `__call__` for given matrices and flips of `augment_matrices`."""
        image, landmarks, weights = super().crop(faces, to_crop, flipped)
        more = {}
        if self.with_visibility:
            more["visibility"] = landmarks["visibility"]
            landmarks = landmarks["landmarks"]
        sigma = faces.get("sigma", self.codec.sigma)
        sigmas = [sigma + step for step in self.sigma_steps]
        encoded = [self.codec.encode(landmarks, weights, sigma) for sigma in sigmas]
        stacks, weights = [maps for maps, _ in encoded], encoded[0][1]
        if self.with_positions:
            positions = self.codec.to_heatmap(landmarks)
            more["positions"] = ops.where(weights[..., None] > 0, positions, 0.0)
        if self.boundary_sigma:
            # A flip maps the set of curves to itself, so they are not permuted.
            samples = apply_affine(to_crop, faces["curve_samples_square_px"], xp=ops)
            boundary, present = boundary_map(
                self.codec.to_heatmap(samples),
                heatmap_size=self.codec.heatmap_size,
                sigma=self.boundary_sigma,
                cpu_compiled=self.jit_compile and not tf.config.get_visible_devices("GPU"),
            )
            if "face_weight" in faces:
                present = present * faces["face_weight"][:, None]
            stacks = [ops.concatenate([maps, boundary], axis=-1) for maps in stacks]
            weights = ops.concatenate([weights, present], axis=-1)
        targets = stacks if len(stacks) > 1 else stacks[0]
        return image, {"maps": targets, **more} if more else targets, weights
