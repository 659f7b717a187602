"""Contact sheets of records."""

import pathlib
from collections.abc import Sequence

import numpy as np

from wing_tf.data import example_schema as schema
from wing_tf.data.read import read_faces
from wing_tf.data.records import RecordSet, find_shards, open_records
from wing_tf.visualization import contact_sheet, draw_landmarks


def draw_sheet(folder: str | pathlib.Path, num_pictures: int = 36) -> np.ndarray:
    """Returns the first faces of each split side by side, landmarks and boxes drawn on them.

    Args:
        folder: of records.
        num_pictures: over all splits together.
    """
    records = open_records(find_shards(str(folder)))
    splits = sorted({pathlib.Path(f).name.rpartition("-of-")[0][:-6] for f in records.files})
    cells: list[np.ndarray] = []
    captions: list[str] = []
    for number, split in enumerate(splits):
        share = (num_pictures - len(cells)) // (len(splits) - number)
        part = open_records(find_shards(str(folder), split))
        for face in read_faces(part).take(share).as_numpy_iterator():
            cells.append(_draw(face, part))
            captions.append(f"{split}: {pathlib.PurePath(face['key'].decode()).name}")
    return contact_sheet(cells, captions=captions)


def draw_numbers(records: RecordSet, numbers: Sequence[int], captions: Sequence[str]) -> np.ndarray:
    """Returns some faces of records, by number, side by side."""
    wanted = {int(number) for number in numbers}
    faces = enumerate(read_faces(records).as_numpy_iterator())
    cells = {number: _draw(face, records) for number, face in faces if number in wanted}
    return contact_sheet([cells[int(n)] for n in numbers], captions=list(captions), columns=8)


def _draw(face: dict, records: RecordSet) -> np.ndarray:
    missing = face["visibility"][:, None] == schema.MISSING
    landmarks = np.where(missing, np.nan, face["landmarks_square_px"])
    return draw_landmarks(
        face["image"], landmarks, records.scheme, box_xyxy_px=face["box_square_px"]
    )
