"""Weights of faces, as functions of a batch, and repetition by them."""

from collections.abc import Callable

import tensorflow as tf

FaceWeights = Callable[[dict], tf.Tensor]
"""Maps a batch of faces to their weights [B], such as a `wing_tf.data.PoseBalance`.

It is traced without AutoGraph: use `tf.where`, not `if`, for conditions that depend on tensors.
"""


def weights_of_faces(name: str, function: FaceWeights, faces: dict) -> tf.Tensor:
    """Returns the weights [B] of a batch of faces.

    Args:
        name: Name of the argument that the function is, for the message.
        function: Maps the faces to their weights.
        faces: Batch of faces.

    Raises:
        ValueError: If ``function`` is not a function, or does not return one weight per face.
    """
    if not callable(function):
        raise ValueError(
            f"`{name}` must be a function of a batch of faces, such as a PoseBalance. Received: "
            f"{type(function).__name__}."
        )
    weights = tf.convert_to_tensor(function(faces))
    if weights.shape.rank != 1:
        raise ValueError(
            f"`{name}` must return one weight per face [B]. Received: shape={weights.shape}."
        )
    return weights


def with_loss_weights(faces: dict, loss_weights: FaceWeights | None) -> dict:
    """Returns a batch of faces with ``face_weight`` [B], or as it is without ``loss_weights``."""
    if loss_weights is None:
        return faces
    return {**faces, "face_weight": weights_of_faces("loss_weights", loss_weights, faces)}


def repeat_faces(values, times, seed):
    """Repeats [N] values ``times`` [N] each, rounding fractions at random; once each if None."""
    if times is None:
        return values
    thresholds = tf.random.stateless_uniform(tf.shape(times), seed)
    return tf.repeat(values, tf.cast(tf.floor(times + thresholds), tf.int32))
