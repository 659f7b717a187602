"""Batch normalization of the train step on CPUs, by oneDNN's kernels."""

import functools
import math

import keras
import tensorflow as tf

_VECTOR = 16  # Channels that oneDNN's fast kernels process at a time.


def fuse_batch_norm(network: keras.Model) -> list[str]:
    """Computes batch normalization in training as one operation, which oneDNN provides.

    Keras computes it as means, differences and products, with one pass over the maps for each.
    oneDNN has fast kernels for multiples of 16 channels only: 24 channels take 14 times as long as
    48 in bfloat16. Neighboring pixels are therefore regarded as channels of one pixel where that
    makes the channels a multiple, and their statistics are combined
    (``docs/performance/training.md``).

    Args:
        network: Changed in place.

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
    gamma, beta = tf.convert_to_tensor(layer.gamma), tf.convert_to_tensor(layer.beta)
    height, width, channels = inputs.shape[1:]
    group = _VECTOR // math.gcd(_VECTOR, channels)
    if group > 1 and None not in (height, width) and height * width % group == 0:
        # Without the copies of a transposition: rows of pixels are contiguous.
        wide = tf.reshape(inputs, (-1, height * width // group, 1, group * channels))
        out, mean, variance = _normalize_groups(wide, gamma, beta, layer.epsilon)
        out = tf.reshape(out, tf.shape(inputs))
    else:
        out, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=gamma, offset=beta, mean=[], variance=[], epsilon=layer.epsilon
        )
        variance *= _biased(inputs)
    for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(layer.momentum * moving + (1.0 - layer.momentum) * value)
    return out


def _biased(maps):
    """Returns (n - 1) / n for n values in each channel: TensorFlow's variance is the unbiased."""
    count = tf.cast(tf.reduce_prod(tf.shape(maps)[:3]), tf.float32)
    return (count - 1.0) / count


def _normalize_groups(wide, gamma, beta, epsilon):
    """Normalizes maps of which G neighboring pixels are in the channels.

    Args:
        wide: Maps [B, h w / G, 1, G C].
        gamma: Scale [C].
        beta: Offset [C].
        epsilon: Added to the variance.

    Returns:
        The normalized maps [B, h w / G, 1, G C], and the mean and variance [C].
    """
    columns, channels = wide.shape[-1], gamma.shape[0]

    def repeat(values):
        return tf.tile(values, [columns // channels])

    @tf.custom_gradient
    def normalize(wide, gamma, beta):
        _, means, variances, *_ = tf.raw_ops.FusedBatchNormV3(
            x=wide, scale=tf.ones(columns), offset=tf.zeros(columns), mean=[], variance=[],
            epsilon=epsilon,
        )  # fmt: skip
        means, variances = (tf.reshape(v, (-1, channels)) for v in (means, variances))
        mean = tf.reduce_mean(means, axis=0)
        variance = variances * _biased(wide) + tf.square(means - mean)
        variance = tf.reduce_mean(variance, axis=0)
        out, *_ = tf.raw_ops.FusedBatchNormV3(
            x=wide, scale=repeat(gamma), offset=repeat(beta), mean=repeat(mean),
            variance=repeat(variance), epsilon=epsilon, is_training=False,
        )  # fmt: skip

        def gradient(upstream, *_):
            # As if mean and variance were constants; the gradient through them is added.
            _, d_gamma, d_beta, *_ = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=upstream, x=wide, scale=repeat(gamma), reserve_space_1=repeat(mean),
                reserve_space_2=repeat(variance), reserve_space_3=[], epsilon=epsilon,
                is_training=False,
            )  # fmt: skip
            return _gradients(wide, upstream, gamma, mean, variance + epsilon, d_gamma, d_beta)

        return (out, mean, variance), gradient

    return normalize(wide, gamma, beta)


@functools.partial(tf.function, jit_compile=True, autograph=False)
def _gradients(wide, upstream, gamma, mean, variance, d_gamma, d_beta):
    """Returns the gradients of maps, scale and offset, from sums of the groups' columns."""
    channels = gamma.shape[0]
    d_gamma, d_beta = (tf.reduce_sum(tf.reshape(d, (-1, channels)), 0) for d in (d_gamma, d_beta))
    count = tf.cast(tf.size(wide) // channels, tf.float32)
    # gamma / std (upstream - d_beta / n - (x - mean) / std d_gamma / n)
    scale = gamma * tf.math.rsqrt(variance)
    slope = -scale * tf.math.rsqrt(variance) * d_gamma / count
    constant = -scale * d_beta / count - slope * mean
    scale, slope, constant = (
        tf.tile(v, [wide.shape[-1] // channels]) for v in (scale, slope, constant)
    )
    d_wide = tf.cast(upstream, tf.float32) * scale + tf.cast(wide, tf.float32) * slope + constant
    return tf.cast(d_wide, wide.dtype), d_gamma, d_beta
