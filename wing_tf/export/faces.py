"""Face crops that an export is calibrated and compared on, as uint8."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from wing_tf.data.read import read_faces
from wing_tf.data.records import RecordSet, open_records
from wing_tf.evaluation.predict import CropBatch, check_fit, crop_batches
from wing_tf.model_spec import ModelSpec

TRAINING, VALIDATION = "train", "validation"

_MIN_FACES = 16


def training_crops(data: str, spec: ModelSpec, max_crops: int = 200) -> np.ndarray:
    """Returns crops of training faces, evenly spread over the records.

    Only faces of the split "train" are used: calibration on test faces would bias the test.

    Args:
        data: Record files, as for `wing_tf.data.records.open_records`.
        spec: Crop rule of the network.
        max_crops: Maximum number of crops.

    Returns:
        uint8 [N, side, side, 3].

    Raises:
        ValueError: If the records hold no training face or don't fit the model.
    """
    records, splits = _open(data, spec)
    wanted = np.flatnonzero(splits == TRAINING)
    if not len(wanted):
        raise ValueError(
            f"{data} holds no training face (split {TRAINING!r}; it has: "
            f"{', '.join(np.unique(splits))}), and int8 is calibrated on training faces only."
        )
    return np.concatenate([batch.image for batch in _read(records, spec, wanted, max_crops)])


def comparison_faces(
    data: str, spec: ModelSpec, max_faces: int = 500
) -> tuple[list[CropBatch], str]:
    """Returns the crops of the validation faces of records, and their name in reports.

    Of fewer than 16 faces the mean error would differ by chance: if there are fewer validation
    faces, all that are not training faces are taken; if there are fewer of those, all faces.

    Args:
        data: Record files, as for `wing_tf.data.records.open_records`.
        spec: Crop rule of the network.
        max_faces: Maximum number of faces, evenly spread over the records.

    Returns:
        Batches whose images are uint8; a name such as "validation faces of wflw".

    Raises:
        ValueError: If the records don't fit the model.
    """
    records, splits = _open(data, spec)
    choices = (splits == VALIDATION, splits != TRAINING, np.ones(len(splits), bool))
    enough = min(_MIN_FACES, len(splits))
    chosen = next(choice for choice in choices if choice.sum() >= enough)
    name = f"{' and '.join(np.unique(splits[chosen]))} faces of {' and '.join(records.sources)}"
    return list(_read(records, spec, np.flatnonzero(chosen), max_faces)), name


def as_uint8(batch: CropBatch, chosen: np.ndarray) -> CropBatch:
    """Returns the chosen faces of a batch, their crops rounded to uint8 as exports take them.

    Args:
        batch: As from `wing_tf.evaluation.predict.crop_batches`.
        chosen: Indices of faces in the batch.
    """
    parts: dict[str, Any] = {}
    for field in dataclasses.fields(batch):
        values = getattr(batch, field.name)
        is_array = isinstance(values, np.ndarray)
        parts[field.name] = values[chosen] if is_array else [values[i] for i in chosen]
    parts["image"] = np.rint(parts["image"]).astype(np.uint8)
    return CropBatch(**parts)


def _open(data: str, spec: ModelSpec) -> tuple[RecordSet, np.ndarray]:
    """Returns the records and the split of each face."""
    records = open_records(data)
    check_fit(records, spec)
    faces = read_faces(records, image=False, details=True).as_numpy_iterator()
    return records, np.array([face["split"].decode() for face in faces])


def _read(
    records: RecordSet, spec: ModelSpec, wanted: np.ndarray, max_faces: int
) -> Iterator[CropBatch]:
    """Yields the crops of the wanted faces, or of ``max_faces`` evenly spread ones of them."""
    if len(wanted) > max_faces:
        wanted = wanted[np.linspace(0, len(wanted) - 1, max_faces).round().astype(int)]
    first = 0
    for batch in crop_batches(records, spec):
        here = wanted[(wanted >= first) & (wanted < first + len(batch.key))] - first
        first += len(batch.key)
        if len(here):
            yield as_uint8(batch, here)
