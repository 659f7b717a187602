"""Coordinate channels of CoordConv."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="wing_tf")
class CoordinateChannels(keras.layers.Layer):
    """Appends channels of the x and y coordinates and the radius to feature maps.

    A convolution after this layer is a CoordConv. x and y range from -1 at the center of the first
    pixel to 1 at the center of the last one. The radius is sqrt(x^2 + y^2) divided by its maximum,
    so that it is 1 in the corners.

    With a boundary map, two more channels hold x and y where the boundary map is at least
    ``threshold``, and 0 elsewhere. The threshold has no gradient.

    Args:
        threshold: Threshold of the boundary map. Defaults to .05.
        zeroed: Whether all coordinate channels are 0, which leaves a control network with the same
            convolutions and no coordinates. Defaults to False.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        maps: Feature maps [B, h, w, C].
        boundary: Maps [B, h, w, M] of which the last one is the boundary map, or None. Defaults
            to None.

    Returns:
        Feature maps [B, h, w, C + 3], or [B, h, w, C + 5] with a boundary map.

    Reference:
        Liu et al., An Intriguing Failing of Convolutional Neural Networks and the CoordConv
        Solution, NeurIPS 2018; Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, equation 6.
    """

    def __init__(self, *, threshold: float = 0.05, zeroed: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.threshold = threshold
        self.zeroed = zeroed

    def call(self, maps, boundary=None):
        """Returns the feature maps with the coordinate channels."""
        values = _coordinates(*maps.shape[1:3])
        values = np.zeros_like(values) if self.zeroed else values
        coordinates = ops.convert_to_tensor(values, dtype=maps.dtype)
        # Zeros [B, 1, 1, 1] broadcast the constant to a batch of unknown size.
        zeros = ops.zeros_like(maps[:, :1, :1, :1])
        channels = [maps, zeros + coordinates[None]]
        if boundary is not None:
            on_boundary = ops.cast(boundary[..., -1:] >= self.threshold, maps.dtype)
            channels.append(on_boundary * coordinates[None, :, :, :2])
        return ops.concatenate(channels, axis=-1)

    def compute_output_shape(self, maps_shape, boundary_shape=None):
        """Returns the shape with three or five more channels."""
        return (*maps_shape[:-1], maps_shape[-1] + (3 if boundary_shape is None else 5))

    def get_config(self):
        """Returns the constructor's arguments."""
        own = {"threshold": self.threshold, "zeroed": self.zeroed}
        return super().get_config() | own


def _coordinates(height: int, width: int) -> np.ndarray:
    """Returns x, y and the radius, float32 [h, w, 3]."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    radius = np.hypot(x, y)
    return np.stack([x, y, radius / radius.max()], axis=-1).astype(np.float32)
