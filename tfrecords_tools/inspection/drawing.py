"""Contact sheets of faces from records, and the mean shape with numbered landmarks."""

import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from wing_tf.data import record_schema as schema
from wing_tf.data.read import read_faces
from wing_tf.data.records import RecordSet, find_shards, open_records
from wing_tf.geometry import apply_affine, crop_matrix, crop_square, landmark_box
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.landmarks import LandmarkScheme
from wing_tf.visualization import contact_sheet, draw_landmarks

_MIN_BOX_SIDE_PX = 2.0
_NUMBERED_SIDE = 1024
_MIN_NUMBERED_SIDE = 640
_GAP = 4
_MAX_CAPTION_LENGTH = 20


def draw_contact_sheet(folder: str | pathlib.Path, num_images: int = 36) -> np.ndarray:
    """Returns the first faces of each split, below two enlarged ones with numbered landmarks.

    Args:
        folder: Record folder.
        num_images: Number of faces below the enlarged ones, over all splits.
    """
    splits = sorted({schema.split_of(pathlib.Path(f).name) for f in find_shards(str(folder))})
    cells: list[np.ndarray] = []
    captions: list[str] = []
    numbered: list[np.ndarray] = []
    for number, split in enumerate(splits):
        count = max(1, (num_images - len(cells)) // (len(splits) - number))
        records = open_records(str(folder), split=split)
        for face in read_faces(records).take(count).as_numpy_iterator():
            if len(numbered) < 2 and (not numbered or number > 0 or len(splits) == 1):
                numbered.append(_draw_enlarged(face, records.scheme))
            cells.append(_draw(face, records))
            name = pathlib.PurePath(face["key"].decode()).name
            captions.append(f"{split}: {name[-max(_MAX_CAPTION_LENGTH - len(split), 4) :]}")
    below = contact_sheet(cells, captions=captions)
    side = min(_NUMBERED_SIDE, (below.shape[1] - 3 * _GAP) // 2)
    side = max(side, _MIN_NUMBERED_SIDE)
    above = [cv2.resize(n, (side, side), interpolation=cv2.INTER_AREA) for n in numbered]
    return _stack(contact_sheet(above, columns=2, gap_px=_GAP), below)


def draw_record_faces(
    records: RecordSet, indices: Sequence[int], captions: Sequence[str]
) -> np.ndarray:
    """Returns a contact sheet of some faces of records, by index."""
    wanted = {int(index) for index in indices}
    faces = enumerate(read_faces(records).as_numpy_iterator())
    cells = {index: _draw(face, records) for index, face in faces if index in wanted}
    return contact_sheet([cells[int(i)] for i in indices], captions=list(captions), columns=8)


def draw_mean_shape(
    mean: np.ndarray, aligned: np.ndarray, scheme: LandmarkScheme, side: int = _NUMBERED_SIDE
) -> np.ndarray:
    """Returns an image of a mean shape with numbered landmarks, over those of aligned faces.

    Args:
        mean: [K, 2].
        aligned: [N, K, 2], faces in the frame of the mean; NaN where not annotated.
        scheme: Landmark scheme, for lines and colors.
        side: Side of the image in pixels.
    """
    matrix = crop_matrix(crop_square(landmark_box(mean), 1.3), (side, side))
    canvas = np.full((side, side, 3), 24, np.uint8)
    points = apply_affine(matrix, aligned[np.isfinite(aligned).all(axis=-1)])
    for x, y in np.round(points).astype(int):
        if 1 <= x < side - 1 and 1 <= y < side - 1:
            canvas[y - 1 : y + 1, x - 1 : x + 1] = 80
    return _draw_numbered(canvas, apply_affine(matrix, mean), scheme)


def _stack(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    width = max(above.shape[1], below.shape[1])
    parts = []
    for part in (above, below):
        left = (width - part.shape[1]) // 2
        sides = ((0, 0), (left, width - part.shape[1] - left), (0, 0))
        parts.append(np.pad(part, sides, constant_values=24))
    return np.concatenate(parts)


def _landmarks(face: dict) -> np.ndarray:
    not_annotated = face["visibility"][:, None] == schema.NOT_ANNOTATED
    return np.where(not_annotated, np.nan, face["landmarks_square_px"]).astype(np.float64)


def _draw(face: dict, records: RecordSet) -> np.ndarray:
    return draw_landmarks(
        face["image"], _landmarks(face), records.scheme, box_xyxy_px=face["box_square_px"]
    )


def _draw_enlarged(face: dict, scheme: LandmarkScheme) -> np.ndarray:
    """Returns a tight and enlarged crop of a face with numbered landmarks."""
    landmarks, side = _landmarks(face), _NUMBERED_SIDE
    box = landmark_box(landmarks)
    if np.max(box[2:] - box[:2]) < _MIN_BOX_SIDE_PX:  # such as that of a single landmark
        box = face["box_square_px"].astype(np.float64)
    image, matrix = crop_and_resize(face["image"], crop_square(box, 1.2), (side, side))
    # Darkened, so that the numbers are legible on any image.
    return _draw_numbered(
        (0.6 * image + 16).astype(np.uint8), apply_affine(matrix, landmarks), scheme
    )


def _draw_numbered(image: np.ndarray, landmarks: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    return draw_landmarks(image, landmarks, scheme, radius_px=image.shape[0] / 250, numbers=True)
