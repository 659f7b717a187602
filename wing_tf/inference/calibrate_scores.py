"""Calibration of the scores of faces on annotated faces that the network was not trained on."""

import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from wing_tf.data.read import read_faces
from wing_tf.data.record_schema import NOT_ANNOTATED
from wing_tf.data.records import RecordSet
from wing_tf.geometry import crop_square
from wing_tf.inference.landmarker import Landmarker
from wing_tf.metrics import nme, normalizing_distance
from wing_tf.model_spec import MODEL_SPEC_FILE, ModelSpec
from wing_tf.score_calibration import ACCURATE_NME, ScoreCalibration, fit_calibration
from wing_tf.utils.zip_files import open_archive, replace_member

MIN_FACES, MAX_FACES = 50, 1000
"""Numbers of faces that a calibration needs, and that it uses."""

_BATCH = 16
# Boxes per face, and how often each of them counts. The errors of the first kind are a little
# larger than those of the built-in detectors (standard deviations, in sides of the box).
_NEAR, _MOVED, _BACKGROUND = (2, 1.0), (2, 0.5), (3, 0.2)
_NEAR_SHIFT, _NEAR_SCALE = 0.04, 0.08
_MAX_FACE_OVERLAP, _MAX_TRIES = 0.15, 60


def calibrate_scores(
    landmarker: Landmarker,
    faces: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    *,
    seed: int = 0,
) -> ScoreCalibration | None:
    """Fits the calibration of a network's scores to annotated faces.

    Each face is located in boxes with errors like a detector's, in boxes with large errors, and in
    boxes of the background. All of them are labeled by whether the NME, divided by the scheme's
    default normalizer, is below `wing_tf.score_calibration.ACCURATE_NME`; one of the background
    never is.

    Args:
        landmarker: Landmarker of the network, without a scheme map.
        faces: Images (uint8 RGB [H, W, 3]), their landmarks [K, 2] in pixels, NaN where not
            annotated, and boxes [4] as in training. Faces whose normalizer is not annotated are
            ignored, and so are those after `MAX_FACES`.
        seed: Seed of the errors of the boxes.

    Returns:
        The calibration for `wing_tf.model_spec.ModelSpec`. None if there are fewer than `MIN_FACES`
        faces, or if the network is accurate, or inaccurate, in fewer boxes than
        that.
    """
    generator = np.random.default_rng(seed)
    parts: list[tuple[np.ndarray, ...]] = []
    usable = (face for face in faces if _is_usable(face[1], landmarker))
    first = list(itertools.islice(usable, MIN_FACES))
    if len(first) < MIN_FACES:
        return None
    for batch in _batches(itertools.islice(itertools.chain(first, usable), MAX_FACES), _BATCH):
        drawn = [_draw_boxes(image, box, generator) for image, _, box in batch]
        located = landmarker([image for image, _, _ in batch], [boxes for boxes, _ in drawn])
        for (_, true_px, _), (_, kinds), found in zip(batch, drawn, located, strict=True):
            landmarks_px = np.stack([face.landmarks_px for face in found])
            true = np.broadcast_to(true_px, landmarks_px.shape)
            errors = nme(true, landmarks_px, normalizing_distance(true, landmarker.scheme))
            own_scores = [face.scores for face in found if face.scores is not None]
            face = np.full(len(kinds), len(parts))
            parts.append((landmarks_px, errors, kinds, face, np.array(own_scores)))
    landmarks, errors, kinds, face, scores = map(np.concatenate, zip(*parts, strict=True))
    is_accurate = (errors < ACCURATE_NME) & (kinds != 2)
    if min(np.sum(is_accurate[kinds == 0]), np.sum(~is_accurate)) < MIN_FACES:
        return None
    return fit_calibration(
        landmarks,
        scores if len(scores) else None,
        is_accurate,
        face=face,
        weights=np.array([weight for _, weight in (_NEAR, _MOVED, _BACKGROUND)])[kinds],
        is_typical=kinds == 0,
        flip_permutation=landmarker.scheme.flip_permutation,
    )


def calibrate_on_records(
    model: Any, spec: ModelSpec, records: RecordSet, *, split: str | None = None
) -> ModelSpec:
    """Returns the model spec with a calibration fitted to faces of records.

    It is returned as it is if it has a calibration or if `calibrate_scores` returns none.

    Args:
        model: A Keras network.
        spec: Its model spec.
        records: Records, on which the network was not trained, of its scheme.
        split: Split of the faces that are used. Defaults to all.
    """
    if spec.score_calibration is not None or spec.scheme != records.scheme:
        return spec
    landmarker = Landmarker(model, spec=spec, detector=None)
    calibration = calibrate_scores(landmarker, _read_annotated(records, split))
    return dataclasses.replace(spec, score_calibration=calibration)


def _read_annotated(
    records: RecordSet, split: str | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the stored square, the landmarks [K, 2] and the box [4] of each face of a split."""
    for face in read_faces(records, details=True).as_numpy_iterator():
        if split is None or face["split"].decode() == split:
            known = face["visibility"][:, None] != NOT_ANNOTATED
            landmarks_px = np.where(known, face["landmarks_square_px"].astype(float), np.nan)
            yield face["image"], landmarks_px, face["box_square_px"].astype(float)


def _is_usable(true_px: np.ndarray, landmarker: Landmarker) -> bool:
    return bool(np.isfinite(normalizing_distance(true_px[None], landmarker.scheme)).all())


def _batches(faces: Iterator, size: int) -> Iterator[list]:
    while batch := list(itertools.islice(faces, size)):
        yield batch


def _draw_boxes(
    image: np.ndarray, box_xyxy_px: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns boxes [N, 4] that overlap the image, and their kinds [N]: 0, 1 or 2 as `_NEAR` ..."""
    height, width = image.shape[:2]
    face = crop_square(np.asarray(box_xyxy_px, np.float64), 1.0)
    side = face[2] - face[0]
    boxes, kinds = [], []

    def add(kind: int, shift_xy: np.ndarray, scale: float) -> None:
        center = (box_xyxy_px[:2] + box_xyxy_px[2:]) / 2 + shift_xy
        center = np.clip(center, 0, [width - 1, height - 1])
        half = scale * (box_xyxy_px[2:] - box_xyxy_px[:2]) / 2
        boxes.append(np.concatenate([center - half, center + half]))
        kinds.append(kind)

    for _ in range(_NEAR[0]):
        shift = generator.normal(0, _NEAR_SHIFT, 2) * side
        add(0, shift, np.exp(generator.normal(0, _NEAR_SCALE)))
    for _ in range(_MOVED[0]):
        angle, distance = generator.uniform(0, 2 * np.pi), generator.uniform(0.1, 0.7)
        shift = distance * side * np.array([np.cos(angle), np.sin(angle)])
        add(1, shift, 2 ** generator.uniform(-1, 1))
    middle = (face[:2] + face[2:]) / 2
    for _ in range(_MAX_TRIES):
        center = generator.uniform(0, [width, height])
        half = side * generator.uniform(0.25, 0.8) / 2
        overlap = np.minimum(center + half, face[2:]) - np.maximum(center - half, face[:2])
        if np.prod(np.maximum(overlap, 0)) < _MAX_FACE_OVERLAP * (2 * half) ** 2:
            add(2, center - middle, 2 * half / side)
        if len(kinds) == _NEAR[0] + _MOVED[0] + _BACKGROUND[0]:
            break
    return np.array(boxes), np.array(kinds)


def replace_model_spec(path: str | os.PathLike, spec: ModelSpec) -> None:
    """Replaces the model spec in a ``.keras`` or ``.tflite`` file atomically.

    An exported file's own keys stay the same.
    """
    with open_archive(path) as archive:
        old = json.loads(archive.read(MODEL_SPEC_FILE))
    new = spec.to_dict()
    new |= {key: old[key] for key in old if key not in new or key == "input"}
    replace_member(path, MODEL_SPEC_FILE, json.dumps(new, indent=1))
