"""What TensorFlow's kernels for CPUs do slowly, done otherwise for the time of a training.

These functions change how an object computes, up to rounding, and not what it is: what is saved is
the plain Keras layer and optimizer.
"""

import functools

import keras
import tensorflow as tf

_LARGEST_MAP = {"float32": 5 * 5, "bfloat16": 7 * 7}  # pixels


def multiply_small_maps(network: keras.Model) -> list[str]:
    """Makes 3x3 convolutions of small maps with many channels multiply matrices.

    oneDNN's gradients of such convolutions rearrange more weights than there are pixels: for 256 to
    512 channels on 4 x 4 pixels, forward and backward take 4/5 (float32) and half (bfloat16) of
    the time this way (``docs/performance.md``).

    Args:
        network: changed in place.

    Returns:
        The names of the layers that were changed.
    """
    changed = []
    for layer in network.layers:
        # A layer that is shared has maps of several sizes.
        used_once = len(layer._inbound_nodes) == 1
        if type(layer) is keras.layers.Conv2D and used_once and _is_small(layer):
            layer.convolution_op = _convolve_3x3
            changed.append(layer.name)
    return changed


def _is_small(layer: keras.layers.Conv2D) -> bool:
    height, width, channels = layer.input.shape[1:]
    return (
        (layer.kernel_size, layer.strides, layer.dilation_rate) == ((3, 3), (1, 1), (1, 1))
        and (layer.padding, layer.groups, layer.data_format) == ("same", 1, "channels_last")
        and None not in (height, width)
        and height * width <= _LARGEST_MAP.get(layer.compute_dtype, 0)
        and min(channels, layer.filters) >= 256
    )


def _convolve_3x3(x, kernel):
    """Convolves [B, H, W, C] with [3, 3, C, D], zeros beyond the border."""
    return _convolve_by_matmul(x, tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _convolve_by_matmul(x, kernel):
    height, width, channels = x.shape[1:]
    matrix = tf.reshape(kernel, (9 * channels, -1))
    padded = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    patches = tf.reshape(tf.concat(taps, axis=-1), (-1, 9 * channels))

    def gradient(upstream):
        upstream = tf.reshape(upstream, (-1, matrix.shape[1]))
        d_kernel = tf.reshape(tf.matmul(patches, upstream, transpose_a=True), kernel.shape)
        d_patches = tf.matmul(upstream, matrix, transpose_b=True)
        # Nine terms are added: in float32, as a convolution does.
        d_patches = tf.cast(tf.reshape(d_patches, (-1, height, width, 9 * channels)), tf.float32)
        d_taps = tf.split(d_patches, 9, axis=-1)
        d_padded = tf.add_n(
            [
                tf.pad(tap, ((0, 0), (k // 3, 2 - k // 3), (k % 3, 2 - k % 3), (0, 0)))
                for k, tap in enumerate(d_taps)
            ]
        )
        return tf.cast(d_padded[:, 1:-1, 1:-1], x.dtype), d_kernel

    return tf.reshape(patches @ matrix, (-1, height, width, matrix.shape[1])), gradient


def fuse_batch_norm(network: keras.Model) -> list[str]:
    """Makes batch normalization in training one operation, which oneDNN has with its gradient.

    Keras writes it out as means, differences and products, with a pass over the maps for each.

    Args:
        network: changed in place.

    Returns:
        The names of the layers that were changed.
    """
    changed = []
    for layer in network.layers:
        if type(layer) is keras.layers.BatchNormalization and _is_fusible(layer):
            layer.call = functools.partial(_batch_norm, layer, layer.call)
            changed.append(layer.name)
    return changed


def _is_fusible(layer: keras.layers.BatchNormalization) -> bool:
    return (
        layer.trainable
        and layer.scale
        and layer.center
        and not layer.synchronized
        and len(layer.input.shape) == 4
        and layer.axis in (-1, 3)
    )


def _batch_norm(layer, plain, inputs, training=None, mask=None):
    if not training:
        return plain(inputs, training=training, mask=mask)
    out, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs,
        tf.convert_to_tensor(layer.gamma),
        tf.convert_to_tensor(layer.beta),
        mean=tf.convert_to_tensor(layer.moving_mean),
        variance=tf.convert_to_tensor(layer.moving_variance),
        epsilon=layer.epsilon,
        is_training=True,
        exponential_avg_factor=1.0 - layer.momentum,
    )
    # It averages the unbiased variance, n / (n - 1) times Keras'; n values a channel.
    count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
    kept = layer.momentum * layer.moving_variance
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(kept + (variance - kept) * (count - 1.0) / count)
    return out


def fuse_update(optimizer: keras.optimizers.Optimizer, variables: list) -> None:
    """Makes an optimizer compile its update with XLA: one pass over the weights, not ten.

    Args:
        optimizer: changed in place, and built if it is not yet.
        variables: all that it will be applied to, in the order of the gradients.
    """
    optimizer.build(variables)
    update = optimizer.apply

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def compiled(grads):
        update(grads, variables)

    def apply(grads, trainable_variables=None):
        given = variables if trainable_variables is None else list(trainable_variables)
        if list(map(id, given)) != list(map(id, variables)):
            raise ValueError("The update was compiled for other variables.")
        compiled(list(grads))

    optimizer.apply = apply
