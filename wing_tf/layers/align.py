"""Layers that cut, turn and map back inside a graph: what a two-stage network needs.

All of them are made of operations that LiteRT has built in, and run on every Keras backend.
"""

import keras
import numpy as np
from keras import ops

from wing_tf.geometry import align_to, apply_affine, invert, shrink_ratio
from wing_tf.layers.warp import warp_affine


@keras.saving.register_keras_serializable(package="wing_tf")
class AlignToShape(keras.layers.Layer):
    """Aligns landmarks [B, K, 2] to a reference shape by similarities, in closed form.

    Returns the maps [B, 2, 3] and the aligned landmarks [B, K, 2]. Landmarks that are not finite,
    or all but equal, give the fallback and the reference shape (`wing_tf.geometry.align_to`).

    Args:
        reference_shape: [K, 2], in pixels of the crop that is to be cut.
        fallback: a similarity [2, 3] into the same pixels.
        **kwargs: of ``keras.layers.Layer``; computes in float32 whatever the policy.
    """

    def __init__(self, reference_shape, fallback, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.reference_shape = np.asarray(reference_shape, np.float32)
        self.fallback = np.asarray(fallback, np.float32)

    def call(self, landmarks):
        """Aligns."""
        reference = ops.convert_to_tensor(self.reference_shape)[None]
        fallback = ops.convert_to_tensor(self.fallback)[None]
        return align_to(landmarks, reference, fallback, xp=ops)

    def compute_output_shape(self, input_shape):
        """Returns [B, 2, 3] and [B, K, 2]."""
        return (input_shape[0], 2, 3), input_shape

    def get_config(self):
        """Returns what the constructor takes."""
        own = {
            "reference_shape": self.reference_shape.tolist(),
            "fallback": self.fallback.tolist(),
        }
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="wing_tf")
class AffineCrop(keras.layers.Layer):
    """Cuts squares [B, side, side, C] out of images by maps [B, 2, 3] of image to crop pixels.

    Bilinear, black outside (`wing_tf.layers.warp_affine`), differentiable in the image and in the
    map.

    Args:
        size: the crop's side in pixels.
        **kwargs: of ``keras.layers.Layer``; computes in float32 whatever the policy.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.size = size

    def call(self, image, to_crop):
        """Cuts."""
        return warp_affine(image, invert(to_crop, xp=ops), (self.size, self.size))

    def compute_output_shape(self, image_shape, to_crop_shape):
        """Returns [B, side, side, C]."""
        return (image_shape[0], self.size, self.size, image_shape[-1])

    def get_config(self):
        """Returns what the constructor takes."""
        return super().get_config() | {"size": self.size}


@keras.saving.register_keras_serializable(package="wing_tf")
class ResizedCenterCrop(keras.layers.Layer):
    """Cuts the same square [B, side, side, C] out of the middle of square images [B, S, S, C].

    Bilinear, and exact for any span: edges are matched, not pixel centers. Where the crop is more
    than about 1.8 times as fine as the result, blocks of pixels are averaged first, by the rule of
    `wing_tf.geometry.shrink_ratio`.

    Args:
        span: the crop's side in the image's pixels, not necessarily whole.
        size: the result's side in pixels.
        **kwargs: of ``keras.layers.Layer``; computes in float32 whatever the policy.

    Raises:
        ValueError: if the crop does not fit in the image.
    """

    def __init__(self, span: float, size: int, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.span, self.size = float(span), size

    def build(self, input_shape):
        """Checks that the crop fits."""
        if input_shape[1] != input_shape[2] or not 0 < self.span <= input_shape[1]:
            raise ValueError(
                f"`span` must fit in a square image. Received: span={self.span:g} for images "
                f"of {input_shape[1:3]}."
            )

    def call(self, image):
        """Cuts."""
        side = image.shape[1]
        ratio = shrink_ratio(self.span, self.size, side)
        image = ops.cast(image, "float32")
        if ratio > 1:
            image = ops.average_pool(image, ratio, data_format="channels_last")
        side, span = side // ratio, self.span / ratio
        place = (np.arange(self.size) + 0.5) * (span / self.size) - 0.5 + (side - span) / 2
        for axis in (1, 2):
            image = _sample_axis(image, place, axis)
        return image

    def compute_output_shape(self, input_shape):
        """Returns [B, side, side, C]."""
        return (input_shape[0], self.size, self.size, input_shape[-1])

    def get_config(self):
        """Returns what the constructor takes."""
        return super().get_config() | {"span": self.span, "size": self.size}


def _sample_axis(image, place: np.ndarray, axis: int):
    """Samples [B, H, W, C] linearly at places along an axis, whole slices at a time."""
    first = np.floor(place)
    share = np.expand_dims((place - first).astype(np.float32), (1, 2) if axis == 1 else (0, 2))
    last = image.shape[axis] - 1
    low, high = (np.clip(first + i, 0, last).astype(np.int32) for i in (0, 1))
    return (
        ops.take(image, low, axis=axis) * (1.0 - share) + ops.take(image, high, axis=axis) * share
    )


@keras.saving.register_keras_serializable(package="wing_tf")
class InverseAffine(keras.layers.Layer):
    """Maps points [B, K, 2] by the inverses of maps [B, 2, 3].

    Args:
        **kwargs: of ``keras.layers.Layer``; computes in float32 whatever the policy.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)

    def call(self, points, matrix):
        """Maps."""
        return apply_affine(invert(matrix, xp=ops), points, xp=ops)

    def compute_output_shape(self, points_shape, matrix_shape):
        """Returns the points' shape."""
        return points_shape
