"""Contact sheets of faces from records, and the mean shape with numbered landmarks."""

import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from tfrecords_tools.inspection.face_table import FaceTable
from wing_tf.data import record_schema as schema
from wing_tf.data.read import read_faces
from wing_tf.data.records import RecordSet
from wing_tf.geometry import apply_affine, crop_matrix, crop_square, landmark_box
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.landmarks import LandmarkScheme
from wing_tf.visualization import contact_sheet, draw_landmarks

_MIN_BOX_SIDE_PX = 2.0
_NUMBERED_SIDE = 1024
_MIN_NUMBERED_SIDE = 640
_GAP = 4
_FRAME_RGB, _FRAME_PX = (230, 30, 30), 6  # a half of which is inside of the image
_MAX_CAPTION_LENGTH = 21


def draw_contact_sheet(
    table: FaceTable, num_images: int = 36, named: Sequence[int] = ()
) -> np.ndarray:
    """Returns faces of each split, below two enlarged ones with numbered landmarks.

    Args:
        table: The faces.
        num_images: Number of faces below the enlarged ones, over all splits.
        named: Indices of faces that come first, in a red frame.
    """
    framed = list(named)[:num_images]
    by_split: dict[str, list[int]] = {split: [] for split in sorted(set(table.splits))}
    for index, split in enumerate(table.splits):
        by_split[split].append(index)
    first, *others = by_split.values()
    enlarged = [first[0], others[0][0]] if others else first[:2]
    shown = list(framed)
    for number, indices in enumerate(by_split.values()):
        count = max(1, (num_images - len(shown)) // (len(by_split) - number))
        shown += [index for index in indices if index not in framed][:count]
    records = table.records
    faces = _read_some(records, shown + enlarged)
    cells = [_draw(faces[index], records) for index in shown]
    for cell in cells[: len(framed)]:
        cv2.rectangle(cell, (0, 0), (cell.shape[1] - 1, cell.shape[0] - 1), _FRAME_RGB, _FRAME_PX)
    captions = []
    for number, index in enumerate(shown):
        split = f"{table.splits[index]}: " * (number >= len(framed))
        length = max(_MAX_CAPTION_LENGTH - len(split), 4)
        image, number_sign, face = pathlib.PurePath(table.keys[index]).name.partition("#")
        stem = pathlib.PurePath(image).stem
        name = f"{stem}{number_sign}{face}"
        captions.append(split + (name if len(name) <= length else stem[-length:]))
    numbered = [_draw_enlarged(faces[index], records.scheme) for index in enlarged]
    below = contact_sheet(cells, captions=captions)
    side = min(_NUMBERED_SIDE, (below.shape[1] - 3 * _GAP) // 2)
    side = max(side, _MIN_NUMBERED_SIDE)
    above = [cv2.resize(n, (side, side), interpolation=cv2.INTER_AREA) for n in numbered]
    return _stack(contact_sheet(above, columns=2, gap_px=_GAP), below)


def draw_record_faces(
    records: RecordSet, indices: Sequence[int], captions: Sequence[str]
) -> np.ndarray:
    """Returns a contact sheet of some faces of records, by index."""
    faces = _read_some(records, indices)
    cells = [_draw(faces[int(index)], records) for index in indices]
    return contact_sheet(cells, captions=list(captions), columns=8)


def _read_some(records: RecordSet, indices: Sequence[int]) -> dict[int, dict]:
    """Returns some faces by index."""
    wanted = sorted({int(index) for index in indices})
    faces = read_faces(records, indices=wanted).as_numpy_iterator()
    return dict(zip(wanted, faces, strict=True))


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
