"""Bilinear affine warps for XLA and LiteRT."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wing_tf")
def warp_affine(images, output_to_input, size_hw):
    """Samples each image of a batch bilinearly through its own affine map.

    Pixels outside of the image are black, as with constant fill of TensorFlow's
    `ImageProjectiveTransformV3`, so the border of an image fades over one pixel. That operation
    has neither an XLA kernel nor a LiteRT builtin, so this function consists of gathers.

    Args:
        images: Images, uint8 or float [B, H, W, C].
        output_to_input: Maps of output pixels to input pixels, float32 [B, 2, 3], both with integer
            pixel centers (see `wing_tf.geometry`).
        size_hw: Height h and width w of the output in pixels.

    Returns:
        Warped images, float32 [B, h, w, C], in the value range of the input.
    """
    height, width, channels = images.shape[1:]
    out_height, out_width = size_hw
    matrix = ops.cast(output_to_input, "float32")[:, :, :, None, None]
    x = ops.reshape(ops.arange(out_width, dtype="float32"), (1, 1, out_width))
    y = ops.reshape(ops.arange(out_height, dtype="float32"), (1, out_height, 1))
    source_x = matrix[:, 0, 0] * x + matrix[:, 0, 1] * y + matrix[:, 0, 2]
    source_y = matrix[:, 1, 0] * x + matrix[:, 1, 1] * y + matrix[:, 1, 2]
    # More than one pixel outside of the image all four neighbors are black. Clipping there changes
    # no result and keeps the casts to integers in range for any matrix.
    source_x = ops.clip(source_x, -1.5, width + 0.5)
    source_y = ops.clip(source_y, -1.5, height + 0.5)
    left, top = ops.floor(source_x), ops.floor(source_y)
    right_weight, bottom_weight = source_x - left, source_y - top
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")

    pixels = ops.reshape(images, (-1, channels))
    first = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None] * (height * width)

    def neighbor(column, row, weight):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = first + ops.clip(row, 0, height - 1) * width + ops.clip(column, 0, width - 1)
        values = ops.cast(ops.take(pixels, index, axis=0), "float32")
        return values * ops.where(inside, weight, 0.0)[..., None]

    return (
        neighbor(left, top, (1.0 - right_weight) * (1.0 - bottom_weight))
        + neighbor(left + 1, top, right_weight * (1.0 - bottom_weight))
        + neighbor(left, top + 1, (1.0 - right_weight) * bottom_weight)
        + neighbor(left + 1, top + 1, right_weight * bottom_weight)
    )
