"""Start the output layer from the shapes that it will have to emit."""

import keras
import numpy as np
import tensorflow as tf

from wing_tf.data.augment import Augmenter
from wing_tf.data.read import read_landmarks
from wing_tf.data.records import RecordSet
from wing_tf.geometry import mean_shape, place_shape_in_boxes


def augmented_shapes(
    records: RecordSet, augmenter: Augmenter, *, num_shapes: int = 8192, seed: int = 0
) -> np.ndarray:
    """Returns shapes as the network will be trained on, without touching an image.

    Args:
        records: the training faces. A missing landmark is taken from the mean shape.
        augmenter: whose geometry is applied.
        num_shapes: about how many; faces are repeated with new numbers.
        seed: of the numbers.

    Returns:
        float32 [N, K, 2], crop pixels.
    """
    landmarks, visibility, boxes = read_landmarks(records)
    landmarks[visibility == 0] = np.nan
    # A point that is missing in all faces stands in the middle.
    usual = place_shape_in_boxes(np.nan_to_num(mean_shape(landmarks, boxes)), boxes)
    landmarks = np.where(np.isnan(landmarks), usual, landmarks).astype(np.float32)
    repeats = max(1, num_shapes // len(boxes))
    boxes, landmarks = np.tile(boxes, (repeats, 1)), np.tile(landmarks, (repeats, 1, 1))
    draws = tf.random.stateless_uniform((len(boxes), augmenter.num_draws), (seed, 7))
    faces = {"box_square_px": boxes, "landmarks_square_px": landmarks, "draws": draws}
    return augmenter.augmented_landmarks({k: tf.constant(v) for k, v in faces.items()}).numpy()


def initialize_output(
    layer: keras.layers.Dense, shapes_crop_px: np.ndarray, *, scale: float, seed: int = 0
) -> None:
    """Sets a dense output layer so that it begins with plausible shapes.

    The bias becomes the mean shape. The kernel becomes Gaussian [features, r] times the r principal
    components of the shapes times their deviations, times ``scale``: the random outputs of an
    untrained network then vary as faces do, not as clouds of points. In trials the network reached
    in 3.5 minutes what plain initialization had not after 6.

    Args:
        layer: of 2K units, in the order x0, y0, x1, ...
        shapes_crop_px: [N, K, 2], see `augmented_shapes`.
        scale: .02 is good for 1024 features.
        seed: of the Gaussian.
    """
    flat = shapes_crop_px.reshape(len(shapes_crop_px), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, singular, components = np.linalg.svd(flat - mean, full_matrices=False)
    deviations = singular / np.sqrt(max(len(flat) - 1, 1))
    features = layer.kernel.shape[0]
    mix = np.random.default_rng(seed).standard_normal((features, len(components)))
    layer.kernel.assign((scale * mix @ (deviations[:, None] * components)).astype(np.float32))
    layer.bias.assign(mean.astype(np.float32))
