"""Bilinear warps made of gathers: they compile with XLA and convert to LiteRT's builtin ops."""

from keras import ops


def warp_affine(images, output_to_input, size_hw):
    """Samples each image of a batch once, bilinearly, through its own affine map.

    A tap outside of the image counts as black (0), as in TensorFlow's
    ``ImageProjectiveTransformV3`` with constant fill, so an image fades out over one pixel.
    Written with gathers because that op has neither an XLA kernel nor a LiteRT builtin.

    Args:
        images: [B, H, W, C], uint8 or float.
        output_to_input: float32 [B, 2, 3], from output pixels to input pixels, both with integer
            pixel centers (`wing_tf.geometry`).
        size_hw: the output's height h and width w.

    Returns:
        float32 [B, h, w, C], in the range of the input.
    """
    height, width, channels = images.shape[1:]
    out_height, out_width = size_hw
    matrix = ops.cast(output_to_input, "float32")[:, :, :, None, None]
    x = ops.reshape(ops.arange(out_width, dtype="float32"), (1, 1, out_width))
    y = ops.reshape(ops.arange(out_height, dtype="float32"), (1, out_height, 1))
    source_x = matrix[:, 0, 0] * x + matrix[:, 0, 1] * y + matrix[:, 0, 2]
    source_y = matrix[:, 1, 0] * x + matrix[:, 1, 1] * y + matrix[:, 1, 2]
    # Beyond one pixel outside all taps are black: the clip changes nothing and keeps the casts
    # to integers in range for any matrix.
    source_x = ops.clip(source_x, -1.5, width + 0.5)
    source_y = ops.clip(source_y, -1.5, height + 0.5)
    left, top = ops.floor(source_x), ops.floor(source_y)
    right_share, bottom_share = source_x - left, source_y - top
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")

    pixels = ops.reshape(images, (-1, channels))
    first = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None] * (height * width)

    def tap(column, row, share):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = first + ops.clip(row, 0, height - 1) * width + ops.clip(column, 0, width - 1)
        values = ops.cast(ops.take(pixels, index, axis=0), "float32")
        return values * ops.where(inside, share, 0.0)[..., None]

    return (
        tap(left, top, (1.0 - right_share) * (1.0 - bottom_share))
        + tap(left + 1, top, right_share * (1.0 - bottom_share))
        + tap(left, top + 1, (1.0 - right_share) * bottom_share)
        + tap(left + 1, top + 1, right_share * bottom_share)
    )
