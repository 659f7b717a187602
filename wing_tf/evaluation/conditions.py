"""Evaluation with perturbed boxes, with detected boxes and with rotated faces."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tqdm

from wing_tf.data import record_schema as schema
from wing_tf.data.read import decode_ratio, read_faces
from wing_tf.data.records import RecordSet
from wing_tf.detection import matching_box
from wing_tf.evaluation.predict import Predictions
from wing_tf.geometry import perturb_box
from wing_tf.model_spec import ModelSpec


def noisy_boxes(amount: float, seed: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a `move_boxes` function for `crop_batches`: shifts and scales of up to `amount`."""
    generator = np.random.default_rng(seed)
    return lambda boxes: perturb_box(boxes.astype(np.float64), amount, generator)


def random_angles(max_deg: float, seed: int = 0) -> Callable[[int], np.ndarray]:
    """Returns a `draw_angles` function for `crop_batches`: uniform in [-max_deg, max_deg)."""
    generator = np.random.default_rng([seed, 1])
    return lambda count: generator.uniform(-max_deg, max_deg, count)


def detect_in_squares(
    records: RecordSet, detector: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Runs a face detector on the stored squares at full resolution.

    Args:
        records: The faces.
        detector: A function from an image to boxes [N, 4] or [N, 5].

    Returns:
        Boxes [N, 4] in pixels of the squares at full resolution, and whether each face was detected
        [N]; see `wing_tf.detection.matching_box`. The box of a face that was not detected is the
        recorded one.
    """
    boxes, found = [], []
    faces = read_faces(records).as_numpy_iterator()
    for face in tqdm.tqdm(faces, "detecting", records.num_faces, unit="face"):
        missing = face["visibility"][:, None] == schema.NOT_ANNOTATED
        landmarks = np.where(missing, np.nan, face["landmarks_square_px"].astype(np.float64))
        box = matching_box(detector(face["image"]), landmarks)
        found.append(box is not None)
        boxes.append(face["box_square_px"].astype(np.float64) if box is None else box[:4])
    return np.stack(boxes), np.array(found)


def detected_boxes(
    records: RecordSet, spec: ModelSpec, boxes_full_px: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a `move_boxes` function for `crop_batches` with the boxes of `detect_in_squares`."""
    ratio = decode_ratio(records.side, records.context, spec.margin, spec.input_size)
    rest = iter((boxes_full_px + 0.5) / ratio - 0.5)
    return lambda boxes: np.stack([next(rest) for _ in boxes])


def select_faces(predictions: Predictions, chosen: np.ndarray) -> Predictions:
    """Returns the predictions of some faces, given as a boolean mask [N]."""
    names = ("true_px", "predicted_px", "box_xyxy_px", "dataset_box_xyxy_px", "index",
             "true_visibility", "visibility", "score")  # fmt: skip
    arrays = {name: getattr(predictions, name) for name in names}
    parts: dict[str, Any] = {k: None if v is None else v[chosen] for k, v in arrays.items()}
    return dataclasses.replace(
        predictions,
        key=list(itertools.compress(predictions.key, chosen)),
        groups=list(itertools.compress(predictions.groups, chosen)),
        **parts,
    )
