"""Crops with heatmaps as targets, made on the device."""

from collections.abc import Sequence

from keras import ops

from wing_tf.codecs import HeatmapCodec, boundary_map
from wing_tf.data.augment import Augmenter
from wing_tf.geometry import apply_affine


class HeatmapAugmenter(Augmenter):
    """An `Augmenter` whose targets are maps: one a landmark, and maybe one of the boundary.

    Landmarks that a face does not have, or that lie outside of the crop, have the weight 0; so has
    the boundary of a face that a landmark of a curve is missing of.

    Args:
        scheme: as of `Augmenter`.
        codec: how the maps are drawn.
        boundary_sigma: of the boundary map, in heatmap pixels; 0: no such map. Batches then need
            ``curve_samples_square_px`` (`wing_tf.data.read.training_batches`).
        sigma_steps: what each stack's maps' sigma differs by; of one, all have the same maps.
        with_positions: also return where the landmarks are.
        **options: as of `Augmenter`.

    Call arguments:
        faces: as of `Augmenter`; maybe ``sigma``, a scalar, in place of the codec's.

    Returns, when called:
        Images float32 [B, side, side, 3], 0..255; targets; weights float32 [B, K] or [B, K + 1].
        Targets are maps float32 [B, h, w, K] or [B, h, w, K + 1]; a list of them where stacks
        differ; and with ``with_positions`` a dictionary of those ``maps`` and of ``positions``
        float32 [B, K, 2], heatmap pixels, 0 where a landmark's weight is.
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
        self.codec = codec
        self.boundary_sigma = boundary_sigma
        self.sigma_steps = tuple(sigma_steps)
        self.with_positions = with_positions

    def crop(self, faces, to_crop, flipped):
        """Returns what `__call__` returns, for maps and flips as from `augment_matrices`."""
        image, landmarks, weights = super().crop(faces, to_crop, flipped)
        sigma = faces.get("sigma", self.codec.sigma)
        sigmas = [sigma + step for step in self.sigma_steps]
        encoded = [self.codec.encode(landmarks, weights, sigma) for sigma in sigmas]
        drawn, weights = [maps for maps, _ in encoded], encoded[0][1]
        positions = ops.where(weights[..., None] > 0, self.codec.to_heatmap(landmarks), 0.0)
        if self.boundary_sigma:
            # A flip maps the set of curves onto itself: nothing to swap.
            samples = apply_affine(to_crop, faces["curve_samples_square_px"], xp=ops)
            boundary, present = boundary_map(
                self.codec.to_heatmap(samples),
                heatmap_size=self.codec.heatmap_size,
                sigma=self.boundary_sigma,
            )
            if "face_weight" in faces:
                present = present * faces["face_weight"][:, None]
            drawn = [ops.concatenate([maps, boundary], axis=-1) for maps in drawn]
            weights = ops.concatenate([weights, present], axis=-1)
        targets = drawn if len(drawn) > 1 else drawn[0]
        if self.with_positions:
            targets = {"maps": targets, "positions": positions}
        return image, targets, weights
