"""Strided depthwise convolutions of the train step on CPUs, with a faster gradient."""

import functools

import keras
import tensorflow as tf


def spread_strided_gradients(network: keras.Model) -> list[str]:
    """Computes the input's gradient of depthwise convolutions of stride 2 as that of stride 1.

    oneDNN has no fast kernel for it in bfloat16: it takes ten times as long as with stride 1 on a
    map of the same size (``docs/performance/training.md``). A convolution of stride 2 is every
    second pixel of one of stride 1, so the upstream gradient is spread, with zeros between. The
    result is the same, bit for bit.

    Args:
        network: Changed in place: the layers of it that compute in bfloat16.

    Returns:
        The names of the layers that were changed.
    """
    changed = []
    for layer in network.layers:
        if type(layer) is keras.layers.DepthwiseConv2D and _has_slow_gradient(layer):
            layer.call = functools.partial(_convolve_layer, layer)
            changed.append(layer.name)
    return changed


def _has_slow_gradient(layer: keras.layers.DepthwiseConv2D) -> bool:
    return (
        layer.compute_dtype == "bfloat16"
        and (layer.strides, layer.dilation_rate) == ((2, 2), (1, 1))
        and layer.data_format == "channels_last"
        and not layer.use_bias
        and layer.activation is keras.activations.linear
        and None not in layer.input.shape[1:3]
    )


def _convolve_layer(layer, inputs):
    return convolve_by_two(inputs, tf.convert_to_tensor(layer.kernel), layer.padding.upper())


def convolve_by_two(x, kernel, padding: str):
    """Convolves [B, H, W, C] depthwise with [h, w, C, M] and stride 2; see above."""
    strides = [1, 2, 2, 1]

    @tf.custom_gradient
    def convolve(x, kernel):
        out = tf.raw_ops.DepthwiseConv2dNative(
            input=x, filter=kernel, strides=strides, padding=padding
        )

        def gradient(upstream):
            spread = upstream
            for axis in (2, 1):  # rows last: they are copied whole
                sizes = x.shape[axis], kernel.shape[axis - 1]
                spread = _spread(spread, axis, *sizes, padding)
            d_x = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x), filter=kernel, out_backprop=spread, strides=[1, 1, 1, 1],
                padding=padding,
            )  # fmt: skip
            d_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=upstream, strides=strides,
                padding=padding,
            )  # fmt: skip
            return d_x, d_kernel

        return out, gradient

    return convolve(x, kernel)


def _spread(upstream, axis: int, size: int, kernel_size: int, padding: str):
    """Returns the gradient of the output of stride 1 along an axis, of that of stride 2."""
    count = upstream.shape[axis]
    first, length = 0, size - kernel_size + 1
    if padding == "SAME":
        # Zero padding before the first pixel, of stride 1 and of stride 2.
        before = max(2 * count - 2 + kernel_size - size, 0) // 2
        first, length = (kernel_size - 1) // 2 - before, size
    zeros = tf.zeros_like(upstream)
    pair = tf.stack([zeros, upstream] if first else [upstream, zeros], axis=axis + 1)
    shape = [-1, *upstream.shape[1:]]
    shape[axis] = 2 * count
    spread = tf.reshape(pair, shape)
    return spread[:, :length] if axis == 1 else spread[:, :, :length]
