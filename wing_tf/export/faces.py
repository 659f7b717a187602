"""The faces that an export is calibrated on and compared on, as bytes."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from wing_tf.data.read import read_faces
from wing_tf.data.records import RecordSet, find_shards, open_records
from wing_tf.evaluation.predict import CropBatch, check_fit, crop_batches
from wing_tf.model_spec import ModelSpec

TRAINING, VALIDATION = "train", "validation"


def training_crops(data: str, spec: ModelSpec, count: int = 200) -> np.ndarray:
    """Returns crops of training faces, spread over the records.

    Only faces of the split "train" are taken: ranges that are fitted to test faces make the test
    easier than life.

    Args:
        data: record files, as for `wing_tf.data.records.find_shards`.
        spec: how crops are cut.
        count: at most so many.

    Returns:
        uint8 [N, side, side, 3].

    Raises:
        ValueError: if the records hold no training face or don't fit the model.
    """
    records, splits = _open(data, spec)
    wanted = np.flatnonzero(splits == TRAINING)
    if not len(wanted):
        raise ValueError(
            f"{data} holds no training face (split {TRAINING!r}; it has: "
            f"{', '.join(np.unique(splits))}), and int8 is calibrated on training faces only."
        )
    return np.concatenate([batch.image for batch in _read(records, spec, wanted, count)])


def comparison_faces(data: str, spec: ModelSpec, count: int = 500) -> tuple[list[CropBatch], str]:
    """Returns the crops of the validation faces among the records, and how reports call them.

    Where there are none, those that are not for training; where there are only those, all.

    Args:
        data: record files, as for `wing_tf.data.records.find_shards`.
        spec: how crops are cut.
        count: at most so many faces, spread over the records.

    Returns:
        Batches whose images are uint8; a text such as "validation faces of wflw".

    Raises:
        ValueError: if the records don't fit the model.
    """
    records, splits = _open(data, spec)
    choices = (splits == VALIDATION, splits != TRAINING, np.ones(len(splits), bool))
    chosen = next(choice for choice in choices if choice.any())
    name = f"{' and '.join(np.unique(splits[chosen]))} faces of {' and '.join(records.sources)}"
    return list(_read(records, spec, np.flatnonzero(chosen), count)), name


def as_bytes(batch: CropBatch, chosen: np.ndarray) -> CropBatch:
    """Returns some faces of a batch, their crops rounded to bytes as an exported model takes them.

    Args:
        batch: as from `wing_tf.evaluation.predict.crop_batches`.
        chosen: their numbers in the batch.
    """
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    taken = {
        name: value[chosen] if isinstance(value, np.ndarray) else [value[i] for i in chosen]
        for name, value in values.items()
    }
    taken["image"] = np.rint(taken["image"]).astype(np.uint8)
    return CropBatch(**taken)


def _open(data: str, spec: ModelSpec) -> tuple[RecordSet, np.ndarray]:
    """Returns the records and the split of each face."""
    records = open_records(find_shards(data))
    check_fit(records, spec)
    faces = read_faces(records, image=False, details=True).as_numpy_iterator()
    return records, np.array([face["split"].decode() for face in faces])


def _read(
    records: RecordSet, spec: ModelSpec, wanted: np.ndarray, count: int
) -> Iterator[CropBatch]:
    """Yields the crops of at most ``count`` of the wanted faces, spread evenly."""
    if len(wanted) > count:
        wanted = wanted[np.linspace(0, len(wanted) - 1, count).round().astype(int)]
    first = 0
    for batch in crop_batches(records, spec):
        here = wanted[(wanted >= first) & (wanted < first + len(batch.key))] - first
        first += len(batch.key)
        if len(here):
            yield as_bytes(batch, here)
