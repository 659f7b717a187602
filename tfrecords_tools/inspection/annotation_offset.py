"""Constant offsets between two annotations of the same faces.

Annotations count pixels from 0 or from 1, and place the center of a pixel at .0 or at .5. If the
convention is mistaken, all landmarks are half a pixel or a pixel off: too little to be seen, but
more than the error of a good model. A second set of annotations reveals it.
"""

import collections
import dataclasses
import pathlib

import numpy as np

from tfrecords_tools.inspection.face_table import FaceTable
from wing_tf.geometry import box_iou

_MIN_IOU = 0.5
_MIN_OFFSET_PX = 0.1
_MIN_AGREEMENT = 0.75


@dataclasses.dataclass(frozen=True)
class AnnotationOffset:
    """Offset of landmarks from those of another record set, in source image pixels by axis (x, y).

    Attributes:
        num_faces: Number of faces in both sets.
        median_px: Median over faces of the median over landmarks.
        quartiles_px: Likewise, for each axis.
        agreement: Fraction of faces with an offset in the direction of the median, and of at least
            a quarter of it.
        explanations: Likely cause, for each axis with a constant offset.
    """

    num_faces: int
    median_px: tuple[float, float]
    quartiles_px: tuple[tuple[float, float], tuple[float, float]]
    agreement: tuple[float, float]
    explanations: tuple[str, ...]


def annotation_offset(table: FaceTable, other: FaceTable) -> AnnotationOffset:
    """Compares landmarks in pixels of the source images; see `match_faces`.

    Raises:
        ValueError: If the schemes differ, or no face is in both sets.
    """
    scheme, other_scheme = table.records.scheme.name, other.records.scheme.name
    if scheme != other_scheme:
        raise ValueError(f"Landmarks of {scheme} can't be compared with those of {other_scheme}.")
    first, second = np.array(match_faces(table, other), int).reshape(-1, 2).T
    if not len(first):
        raise ValueError(
            "The record sets have no face in common: neither keys nor names of images agree, such "
            f"as {table.keys[0]!r} and {other.keys[0]!r}."
        )
    difference = table.landmarks_source_px(first) - other.landmarks_source_px(second)
    known = np.isfinite(difference).all(axis=(-1)).any(axis=1)
    by_face = np.nanmedian(difference[known], axis=1)
    if not len(by_face):
        raise ValueError("The faces that are in both record sets share no annotated landmark.")
    median = np.median(by_face, axis=0)
    quartiles = np.quantile(by_face, [0.25, 0.75], axis=0)
    agreement = np.mean(by_face * np.sign(median) > np.abs(median) / 4, axis=0)
    explanations = [
        f"{axis}: {offset:+.3f} px, {_explain(abs(offset))}"
        for axis, offset, agreeing in zip("xy", median, agreement, strict=True)
        if abs(offset) >= _MIN_OFFSET_PX and agreeing >= _MIN_AGREEMENT
    ]
    return AnnotationOffset(
        num_faces=len(by_face),
        median_px=(float(median[0]), float(median[1])),
        quartiles_px=(
            (float(quartiles[0, 0]), float(quartiles[1, 0])),
            (float(quartiles[0, 1]), float(quartiles[1, 1])),
        ),
        agreement=(float(agreement[0]), float(agreement[1])),
        explanations=tuple(explanations),
    )


def _explain(offset_px: float) -> str:
    if abs(offset_px - 1) < 0.2:
        return "as if one counts pixels from 1 and the other from 0"
    if abs(offset_px - 0.5) < 0.15:
        return "as if one has pixel centers at .0 and the other at .5"
    return "a constant shift"


def match_faces(table: FaceTable, other: FaceTable) -> list[tuple[int, int]]:
    """Returns pairs of indices of the same faces; each face is in one pair at most.

    Faces are matched by key. The remaining ones are matched by the name of the image, or by its
    last part, and by the largest overlap of the landmark boxes.
    """
    by_key = {key: number for number, key in enumerate(other.keys)}
    pairs = [(i, by_key[key]) for i, key in enumerate(table.keys) if key in by_key]
    if len(pairs) == min(len(table), len(other)):
        return pairs
    used, other_used = {i for i, _ in pairs}, {j for _, j in pairs}
    for name in (str, lambda image: pathlib.PurePath(image).stem):
        by_image = collections.defaultdict(list)
        for j, image in enumerate(other.images):
            if j not in other_used:
                by_image[name(image)].append(j)
        for i, image in enumerate(table.images):
            candidates = [j for j in by_image.get(name(image), ()) if j not in other_used]
            if i in used or not candidates:
                continue
            box = table.boxes_source_px(np.array([i]))
            overlaps = box_iou(box, other.boxes_source_px(np.array(candidates)))
            best = int(np.argmax(overlaps))
            if overlaps[best] >= _MIN_IOU:
                pairs.append((i, candidates[best]))
                used.add(i)
                other_used.add(candidates[best])
    return pairs
