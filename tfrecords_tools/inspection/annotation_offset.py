"""Whether two record sets put the same faces' landmarks at the same place of their images.

Marks-up count pixels from 0 or from 1, and put a pixel's center at .0 or at .5. Taken for one
another, all points are half a pixel or a pixel off: too little to be seen, and more than a good
model's error. A second copy of the annotations shows it.
"""

import collections
import dataclasses
import pathlib

import numpy as np

from tfrecords_tools.inspection.face_table import FaceTable
from wing_tf.geometry import box_iou

_LEAST_IOU = 0.5
_LEAST_PX = 0.1
_SAME_WAY = 0.75  # share of faces


@dataclasses.dataclass(frozen=True)
class AnnotationOffset:
    """How far landmarks are from the other set's, in source pixels, by axis (x, y).

    Attributes:
        faces: how many are in both sets.
        median_px: over faces, of each face's median over landmarks.
        quartiles_px: likewise, for each axis.
        same_way: the share of faces that are off to the median's side, by a quarter of it or more.
        verdicts: what that means, for each axis; empty where nothing is wrong.
    """

    faces: int
    median_px: tuple[float, float]
    quartiles_px: tuple[tuple[float, float], tuple[float, float]]
    same_way: tuple[float, float]
    verdicts: tuple[str, ...]


def annotation_offset(table: FaceTable, other: FaceTable) -> AnnotationOffset:
    """Compares landmarks in the pixels of the source images.

    Faces are matched by key; those that are left by the image's name, or by the last part of it,
    and the landmark box that overlaps most.

    Raises:
        ValueError: if the sets' schemes differ, or no face is in both.
    """
    ours, theirs = table.records.scheme.name, other.records.scheme.name
    if ours != theirs:
        raise ValueError(f"Landmarks of {ours} can't be compared with those of {theirs}.")
    first, second = np.array(match_faces(table, other), int).reshape(-1, 2).T
    if not len(first):
        raise ValueError(
            "No face of the other records is in these: neither keys nor images' names agree, "
            f"such as {table.keys[0]!r} and {other.keys[0]!r}."
        )
    difference = table.landmarks_source_px(first) - other.landmarks_source_px(second)
    known = np.isfinite(difference).all(axis=(-1)).any(axis=1)
    by_face = np.nanmedian(difference[known], axis=1)
    if not len(by_face):
        raise ValueError("The faces that are in both record sets share no landmark.")
    median = np.median(by_face, axis=0)
    quartiles = np.quantile(by_face, [0.25, 0.75], axis=0)
    same_way = np.mean(by_face * np.sign(median) > np.abs(median) / 4, axis=0)
    verdicts = [
        verdict
        for axis in (0, 1)
        if (verdict := _judge("xy"[axis], float(median[axis]), float(same_way[axis])))
    ]
    return AnnotationOffset(
        faces=len(by_face),
        median_px=(float(median[0]), float(median[1])),
        quartiles_px=(
            (float(quartiles[0, 0]), float(quartiles[1, 0])),
            (float(quartiles[0, 1]), float(quartiles[1, 1])),
        ),
        same_way=(float(same_way[0]), float(same_way[1])),
        verdicts=tuple(verdicts),
    )


def _judge(axis: str, median: float, same_way: float) -> str:
    size = abs(median)
    if size < _LEAST_PX or same_way < _SAME_WAY:
        return ""
    if abs(size - 1) < 0.2:
        reason = "as where one counts pixels from 1, the other from 0"
    elif abs(size - 0.5) < 0.15:
        reason = "as where one has pixels' centers at .0, the other at .5"
    else:
        reason = "a shift that faces share"
    return f"{axis}: {median:+.3f} px, {reason}"


def match_faces(table: FaceTable, other: FaceTable) -> list[tuple[int, int]]:
    """Returns pairs of face numbers, each face in one at most."""
    there = {key: number for number, key in enumerate(other.keys)}
    pairs = [(i, there[key]) for i, key in enumerate(table.keys) if key in there]
    if len(pairs) == min(len(table), len(other)):
        return pairs
    taken_here, taken_there = {i for i, _ in pairs}, {j for _, j in pairs}
    for name in (str, lambda image: pathlib.PurePath(image).stem):
        by_image = collections.defaultdict(list)
        for j, image in enumerate(other.images):
            if j not in taken_there:
                by_image[name(image)].append(j)
        for i, image in enumerate(table.images):
            near = [j for j in by_image.get(name(image), ()) if j not in taken_there]
            if i in taken_here or not near:
                continue
            box = table.boxes_source_px(np.array([i]))
            overlaps = box_iou(box, other.boxes_source_px(np.array(near)))
            best = int(np.argmax(overlaps))
            if overlaps[best] >= _LEAST_IOU:
                pairs.append((i, near[best]))
                taken_here.add(i)
                taken_there.add(near[best])
    return pairs
