"""Sheets of faces from records: with the numbers of the points, and without."""

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

_LEAST_PX = 2.0
_NUMBERED_SIDE = 1024
_GAP = 4
_CAPTION = 20  # letters


def draw_contact_sheet(folder: str | pathlib.Path, num_images: int = 36) -> np.ndarray:
    """Returns the first faces of each split, two of them enlarged and with numbers at the top.

    Args:
        folder: of records.
        num_images: below the enlarged ones, over all splits together.
    """
    splits = sorted({schema.split_of(pathlib.Path(f).name) for f in find_shards(str(folder))})
    cells: list[np.ndarray] = []
    captions: list[str] = []
    numbered: list[np.ndarray] = []
    for number, split in enumerate(splits):
        share = max(1, (num_images - len(cells)) // (len(splits) - number))
        part = open_records(find_shards(str(folder), split))
        for face in read_faces(part).take(share).as_numpy_iterator():
            if len(numbered) < 2 and (not numbered or number > 0 or len(splits) == 1):
                numbered.append(_draw_numbered(face, part.scheme))
            cells.append(_draw(face, part))
            name = pathlib.PurePath(face["key"].decode()).name
            captions.append(f"{split}: {name[-max(_CAPTION - len(split), 4) :]}")
    below = contact_sheet(cells, captions=captions)
    side = min(_NUMBERED_SIDE, (below.shape[1] - 3 * _GAP) // 2)
    side = max(side, 640)
    above = [cv2.resize(n, (side, side), interpolation=cv2.INTER_AREA) for n in numbered]
    return _stack(contact_sheet(above, columns=2, gap_px=_GAP), below)


def draw_record_faces(
    records: RecordSet, numbers: Sequence[int], captions: Sequence[str]
) -> np.ndarray:
    """Returns some faces of records, by number, side by side."""
    wanted = {int(number) for number in numbers}
    faces = enumerate(read_faces(records).as_numpy_iterator())
    cells = {number: _draw(face, records) for number, face in faces if number in wanted}
    return contact_sheet([cells[int(n)] for n in numbers], captions=list(captions), columns=8)


def _stack(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    width = max(above.shape[1], below.shape[1])
    parts = []
    for part in (above, below):
        left = (width - part.shape[1]) // 2
        sides = ((0, 0), (left, width - part.shape[1] - left), (0, 0))
        parts.append(np.pad(part, sides, constant_values=24))
    return np.concatenate(parts)


def _landmarks(face: dict) -> np.ndarray:
    missing = face["visibility"][:, None] == schema.NOT_ANNOTATED
    return np.where(missing, np.nan, face["landmarks_square_px"]).astype(np.float64)


def _draw(face: dict, records: RecordSet) -> np.ndarray:
    return draw_landmarks(
        face["image"], _landmarks(face), records.scheme, box_xyxy_px=face["box_square_px"]
    )


def _draw_numbered(face: dict, scheme: LandmarkScheme) -> np.ndarray:
    """Returns one face, cut tightly and enlarged, with the number of each point beside it."""
    landmarks = _landmarks(face)
    side = _NUMBERED_SIDE
    box = landmark_box(landmarks)
    if np.max(box[2:] - box[:2]) < _LEAST_PX:  # of a single point, say
        box = face["box_square_px"].astype(np.float64)
    region = crop_square(box, 1.2)
    image, matrix = crop_and_resize(face["image"], region, (side, side))
    landmarks = apply_affine(matrix, landmarks)
    # Darker, so that numbers stand out on any image.
    return _with_numbers((0.6 * image + 16).astype(np.uint8), landmarks, scheme)


def draw_mean_shape(
    mean: np.ndarray, aligned: np.ndarray, scheme: LandmarkScheme, side: int = _NUMBERED_SIDE
) -> np.ndarray:
    """Returns an image of a mean shape with numbers and lines, on the points of aligned faces.

    Args:
        mean: [K, 2].
        aligned: [N, K, 2], faces in the mean's frame; NaN where missing.
        scheme: gives lines and colors.
        side: of the image in pixels.
    """
    matrix = crop_matrix(crop_square(landmark_box(mean), 1.3), (side, side))
    canvas = np.full((side, side, 3), 24, np.uint8)
    points = apply_affine(matrix, aligned[np.isfinite(aligned).all(axis=-1)])
    for x, y in np.round(points).astype(int):
        if 1 <= x < side - 1 and 1 <= y < side - 1:
            canvas[y - 1 : y + 1, x - 1 : x + 1] = 80
    return _with_numbers(canvas, apply_affine(matrix, mean), scheme)


def _with_numbers(image: np.ndarray, landmarks: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    side = image.shape[0]
    canvas = draw_landmarks(image, landmarks, scheme, radius_px=side / 250)
    for index, place in enumerate(number_positions(landmarks, scheme, side / 50)):
        if np.isfinite(place).all():
            _write(canvas, str(index), place, side / 2000)
    return canvas


def number_positions(
    landmarks_px: np.ndarray, scheme: LandmarkScheme, away_px: float
) -> np.ndarray:
    """Returns where points' numbers [K, 2] go: beside the lines that the points are on.

    On the side that is away from the middle of the region; closer for a line that lies within
    another of its region, as the lips' inner edges do. NaN where a point is missing.
    """
    region_of = {i: members for members in scheme.regions.values() for i in members}
    middles = {m: _mean(landmarks_px[list(m)]) for m in scheme.regions.values()}
    reach = {}
    for line in scheme.lines:
        offsets = landmarks_px[list(line)] - middles[region_of[line[0]]]
        reach[line] = float(np.linalg.norm(_mean(np.abs(offsets))))
    beside = np.zeros_like(landmarks_px)
    share = np.ones(len(landmarks_px))
    for line in scheme.lines:
        region = region_of[line[0]]
        outermost = max(r for other, r in reach.items() if region_of[other[0]] == region)
        points = landmarks_px[list(line)]
        for place, index in enumerate(line):
            before, after = points[max(place - 1, 0)], points[min(place + 1, len(line) - 1)]
            along, down = after - before
            normal = np.array([down, -along])
            if normal @ (points[place] - middles[region]) < 0:
                normal = -normal
            direction = _unit(normal)
            if place in (0, len(line) - 1):  # between beside and beyond
                direction = direction + _unit(2 * points[place] - before - after)
            beside[index] += np.nan_to_num(direction)
            if reach[line] < 0.9 * outermost:
                share[index] = 0.7
    length = np.linalg.norm(beside, axis=1, keepdims=True)
    direction = np.where(length > 1e-6, beside / np.maximum(length, 1e-6), [0.7, -0.7])
    return landmarks_px + away_px * share[:, None] * direction


def _mean(points: np.ndarray) -> np.ndarray:
    known = np.isfinite(points).all(axis=1)
    return points[known].mean(axis=0) if known.any() else np.full(2, np.nan)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _write(canvas: np.ndarray, text: str, center: np.ndarray, scale: float) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), _ = cv2.getTextSize(text, font, scale, 1)
    origin = (round(center[0] - width / 2), round(center[1] + height / 2))
    for tone, weight in ((0, 3), (255, 1)):
        cv2.putText(canvas, text, origin, font, scale, (tone,) * 3, weight, cv2.LINE_AA)
