"""Alignment, cropping and mapping of points inside the graph of a two-stage network.

All layers consist of operations that LiteRT has built in, and run on every Keras backend.
"""

import keras
import numpy as np
from keras import ops

from wing_tf.geometry import align_to, apply_affine, invert, shrink_ratio
from wing_tf.layers.warp import warp_affine


class Float32Layer(keras.layers.Layer):
    """Base class of layers that compute in float32 unless another dtype is requested."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)


@keras.saving.register_keras_serializable(package="wing_tf")
class AlignToShape(Float32Layer):
    """Aligns landmarks [B, K, 2] to a reference shape by similarity transforms in closed form.

    Returns the transforms [B, 2, 3] and the aligned landmarks [B, K, 2]. For landmarks that are not
    finite or that nearly coincide, these are ``fallback`` and ``reference_shape`` (see
    `wing_tf.geometry.align_to`).

    Args:
        reference_shape: Reference landmarks [K, 2] in pixels of the crop.
        fallback: Similarity transform [2, 3] from the landmarks' frame to the crop's.
        stop_gradient: Whether the landmarks get no gradient. Defaults to False.
        **kwargs: Arguments of `keras.layers.Layer`. `dtype` defaults to float32.
    """

    def __init__(self, reference_shape, fallback, *, stop_gradient: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.reference_shape = np.asarray(reference_shape, np.float32)
        self.fallback = np.asarray(fallback, np.float32)
        self.stop_gradient = stop_gradient

    def call(self, landmarks):
        """Returns the transforms and the aligned landmarks."""
        if self.stop_gradient:
            landmarks = ops.stop_gradient(landmarks)
        reference = ops.convert_to_tensor(self.reference_shape)[None]
        fallback = ops.convert_to_tensor(self.fallback)[None]
        return align_to(landmarks, reference, fallback, xp=ops)

    def compute_output_shape(self, input_shape):
        """Returns [B, 2, 3] and [B, K, 2]."""
        return (input_shape[0], 2, 3), input_shape

    def get_config(self):
        """Returns the constructor's arguments."""
        own = {
            "reference_shape": self.reference_shape.tolist(),
            "fallback": self.fallback.tolist(),
            "stop_gradient": self.stop_gradient,
        }
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="wing_tf")
class AffineCrop(Float32Layer):
    """Crops squares [B, size, size, C] by affine maps [B, 2, 3] of image pixels to crop pixels.

    Samples bilinearly and is black outside of the image (`wing_tf.layers.warp_affine`).
    Differentiable with respect to images and maps.

    Args:
        size: Side of the crops in pixels.
        **kwargs: Arguments of `keras.layers.Layer`. `dtype` defaults to float32.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, image, to_crop):
        """Returns the crops."""
        return warp_affine(image, invert(to_crop, xp=ops), (self.size, self.size))

    def compute_output_shape(self, image_shape, to_crop_shape):
        """Returns [B, size, size, C]."""
        return (image_shape[0], self.size, self.size, image_shape[-1])

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"size": self.size}


@keras.saving.register_keras_serializable(package="wing_tf")
class ResizedCenterCrop(Float32Layer):
    """Crops the central square of square images [B, S, S, C] and resizes it to [B, size, size, C].

    Unlike `keras.layers.CenterCrop` it resizes, and the side of the crop may be fractional. It
    samples bilinearly and aligns edges, not pixel centers. If the crop has more than about 1.8
    times as many pixels as the output, blocks of pixels are averaged first (see
    `wing_tf.geometry.shrink_ratio`).

    Args:
        crop_side_px: Side of the crop in pixels of the image.
        size: Side of the output in pixels.
        **kwargs: Arguments of `keras.layers.Layer`. `dtype` defaults to float32.

    Raises:
        ValueError: If the image is not square or the crop does not fit in it.
    """

    def __init__(self, crop_side_px: float, size: int, **kwargs):
        super().__init__(**kwargs)
        self.crop_side_px, self.size = float(crop_side_px), size

    def build(self, input_shape):
        """Checks that the crop fits in the image."""
        if input_shape[1] != input_shape[2] or not 0 < self.crop_side_px <= input_shape[1]:
            raise ValueError(
                f"`crop_side_px` must fit in a square image. Received: "
                f"crop_side_px={self.crop_side_px:g} for images of {input_shape[1:3]}."
            )

    def call(self, image):
        """Returns the resized crops."""
        side = image.shape[1]
        ratio = shrink_ratio(self.crop_side_px, self.size, side)
        image = ops.cast(image, "float32")
        if ratio > 1:
            image = ops.average_pool(image, ratio, data_format="channels_last")
        side, span = side // ratio, self.crop_side_px / ratio
        positions = (np.arange(self.size) + 0.5) * (span / self.size) - 0.5 + (side - span) / 2
        for axis in (1, 2):
            image = _interpolate(image, positions, axis)
        return image

    def compute_output_shape(self, input_shape):
        """Returns [B, size, size, C]."""
        return (input_shape[0], self.size, self.size, input_shape[-1])

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"crop_side_px": self.crop_side_px, "size": self.size}


def _interpolate(image, positions: np.ndarray, axis: int):
    """Samples images [B, H, W, C] linearly at positions along an axis."""
    first = np.floor(positions)
    weight = np.expand_dims((positions - first).astype(np.float32), (1, 2) if axis == 1 else (0, 2))
    last = image.shape[axis] - 1
    low, high = (np.clip(first + i, 0, last).astype(np.int32) for i in (0, 1))
    return (
        ops.take(image, low, axis=axis) * (1.0 - weight) + ops.take(image, high, axis=axis) * weight
    )


@keras.saving.register_keras_serializable(package="wing_tf")
class InverseAffine(Float32Layer):
    """Maps points [B, K, 2] by the inverses of affine maps [B, 2, 3]."""

    def call(self, points, matrix):
        """Returns the mapped points."""
        return apply_affine(invert(matrix, xp=ops), points, xp=ops)

    def compute_output_shape(self, points_shape, matrix_shape):
        """Returns the shape of the points."""
        return points_shape
