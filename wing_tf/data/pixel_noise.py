"""Approximately normal noise that is the same on all devices."""

import math

import tensorflow as tf


def pixel_noise(key, shape):
    """Returns approximately normal noise [B, H, W, C] as a pure function of each sample's key.

    A counter is hashed with integers, so that plain and XLA-compiled graphs, and any number of
    replicas, give the same pixels; TensorFlow's own generators do not. The sum of the four bytes of
    a hash is close enough to a normal distribution (it ends at 3.45 standard deviations).

    Args:
        key: Float [B] in [0, 1), a random number.
        shape: [B, H, W, C]; B may be None.
    """
    height, width, channels = shape[1:]
    counter = tf.range(height * width * channels, dtype=tf.int32)
    seed = tf.cast(tf.cast(key, tf.float32) * 2.0**24, tf.int32)
    # lowbias32 (Wellons, 2018) of the counter, offset by the hashed seed.
    bits = _hash(tf.cast(counter, tf.uint32)[None] + _hash(tf.cast(seed, tf.uint32))[:, None])
    # Sums the four bytes in pairs, within the two halves of one word.
    low = tf.bitwise.bitwise_and(bits, 0x00FF00FF)
    pairs = low + tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8), 0x00FF00FF)
    total = tf.bitwise.bitwise_and(pairs + tf.bitwise.right_shift(pairs, 16), 0x3FF)
    total = tf.cast(tf.cast(total, tf.int32), tf.float32)
    deviation = math.sqrt(4 * (256**2 - 1) / 12)
    return tf.reshape((total - 510.0) / deviation, (-1, height, width, channels))


def _hash(x):
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, shift))
        x = x * tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, 16))
