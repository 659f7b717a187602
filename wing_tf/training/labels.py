"""Changes of the training labels: label noise, and distillation of a teacher's landmarks."""

from collections.abc import Callable

import ml_collections
import numpy as np
import tensorflow as tf

from wing_tf.data.label_noise import LabelNoise
from wing_tf.data.records import RecordSet
from wing_tf.evaluation.predict import check_fit, crop_batches, predict_batches
from wing_tf.models.compiled import compile_localizer
from wing_tf.models.saving import load_network

FaceChange = Callable[[dict], dict]


class TeacherLandmarks:
    """Mixes the landmarks that a teacher predicts into those of the ground truth.

    The result is ``(1 - weight) * truth + weight * prediction``, for annotated landmarks only. The
    student then learns a function that is as smooth as its teacher, without the annotators' errors.

    Args:
        keys: Names of N faces, all different.
        landmarks_px: Predictions [N, K, 2] in pixels of the source images.
        weight: Weight of the predictions, 0 to 1.

    Raises:
        ValueError: If two faces have the same name.

    Reference:
        Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015.
    """

    def __init__(self, keys: list[str], landmarks_px: np.ndarray, *, weight: float):
        if len(set(keys)) < len(keys):
            raise ValueError(
                "A teacher needs faces of different names: the records hold some twice. Name each "
                "record folder once."
            )
        rows = tf.lookup.KeyValueTensorInitializer(
            tf.constant(keys), tf.range(len(keys), dtype=tf.int64)
        )
        self.rows = tf.lookup.StaticHashTable(rows, default_value=-1)
        self.landmarks_px = tf.constant(landmarks_px, tf.float32)
        self.weight = weight

    def __call__(self, face: dict) -> dict:
        """Returns a face of `wing_tf.data.read.parse_face` with mixed landmarks."""
        predicted_px = tf.gather(self.landmarks_px, self.rows.lookup(face["key"]))
        matrix, truth = face["square_to_source"], face["landmarks_square_px"]
        inverse = tf.linalg.inv(matrix[:, :2])
        predicted = tf.linalg.matvec(inverse, predicted_px - matrix[:, 2])
        mixed = (1 - self.weight) * truth + self.weight * predicted
        present = face["visibility"][:, None] > 0
        return {**face, "landmarks_square_px": tf.where(present, mixed, truth)}


def teacher_landmarks(model: str, records: RecordSet, *, weight: float) -> TeacherLandmarks:
    """Returns the landmarks that a model predicts on records, as labels.

    Args:
        model: A ``.keras`` file, a run folder or the name of a model, of the records' scheme.
        records: The faces.
        weight: See `TeacherLandmarks`.

    Raises:
        ValueError: If the model does not fit the records.
    """
    network, spec = load_network(model)
    check_fit(records, spec)
    predictions = predict_batches(compile_localizer(network), crop_batches(records, spec))
    return TeacherLandmarks(predictions.key, predictions.predicted_px, weight=weight)


def label_change(config: ml_collections.ConfigDict, records: RecordSet) -> FaceChange | None:
    """Returns what a training changes in the labels of its faces; None if nothing."""
    if config.teacher.model:
        return teacher_landmarks(config.teacher.model, records, weight=config.teacher.weight)
    if config.label_noise.fraction:
        return LabelNoise(records.scheme, seed=config.seed, **config.label_noise)
    return None
