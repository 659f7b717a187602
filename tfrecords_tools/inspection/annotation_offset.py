"""Constant offsets between two annotations of the same faces.

Annotations count pixels from 0 or from 1, and place the center of a pixel at .0 or at .5. If the
convention is mistaken, all landmarks are half a pixel or a pixel off: too little to be seen, but
more than the error of a good model. A second set of annotations reveals it.
"""

import collections
import pathlib
from typing import Any

import numpy as np

from tfrecords_tools.inspection.face_table import FaceTable
from wing_tf.geometry import box_iou

_MIN_IOU = 0.5
_MIN_OFFSET_PX = 0.1
_MIN_AGREEMENT = 0.75


def annotation_offset(table: FaceTable, other: FaceTable) -> dict[str, Any]:
    """Compares the landmarks of two record sets in pixels of the source images.

    Returns:
        Dictionary of ``num_faces``, the number of faces in both sets, and by axis (x, y):
        ``median_px``, the median over faces of the median offset over landmarks; its
        ``quartiles_px``; ``agreement``, the fraction of faces with an offset in the direction of
        the median, and of at least a quarter of it; and ``explanations``, the likely cause, of axes
        with a constant offset.

    Raises:
        ValueError: If the schemes differ, or no face is in both sets.
    """
    scheme, other_scheme = table.records.scheme.name, other.records.scheme.name
    if scheme != other_scheme:
        raise ValueError(f"Landmarks of {scheme} can't be compared with those of {other_scheme}.")
    first, second = match_faces(table, other).T
    difference = table.landmarks_source_px(first) - other.landmarks_source_px(second)
    known = np.isfinite(difference).all(axis=-1).any(axis=1)
    by_face = np.nanmedian(difference[known], axis=1)
    if not len(by_face):
        raise ValueError("The faces that are in both record sets share no annotated landmark.")
    median = np.median(by_face, axis=0)
    agreement = np.mean(by_face * np.sign(median) > np.abs(median) / 4, axis=0)
    explanations = [
        f"{axis}: {offset:+.3f} px, {_explain(abs(offset))}"
        for axis, offset, agreeing in zip("xy", median, agreement, strict=True)
        if abs(offset) >= _MIN_OFFSET_PX and agreeing >= _MIN_AGREEMENT
    ]
    return {
        "num_faces": len(by_face),
        "median_px": median.tolist(),
        "quartiles_px": np.quantile(by_face, [0.25, 0.75], axis=0).T.tolist(),
        "agreement": agreement.tolist(),
        "explanations": explanations,
    }


def _explain(offset_px: float) -> str:
    if abs(offset_px - 1) < 0.2:
        return "as if one counts pixels from 1 and the other from 0"
    if abs(offset_px - 0.5) < 0.15:
        return "as if one has pixel centers at .0 and the other at .5"
    return "a constant shift"


def match_faces(table: FaceTable, other: FaceTable) -> np.ndarray:
    """Returns pairs [P, 2] of indices of the same faces; each face is in one pair at most.

    Faces are matched by key. The remaining ones are matched by the name of the image, or by its
    last part, and by the largest overlap of the landmark boxes.

    Raises:
        ValueError: If no face is in both record sets.
    """
    by_key = {key: number for number, key in enumerate(other.keys)}
    pairs = [(i, by_key[key]) for i, key in enumerate(table.keys) if key in by_key]
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
    if not pairs:
        raise ValueError(
            "The record sets have no face in common: neither keys nor names of images agree, such "
            f"as {table.keys[0]!r} and {other.keys[0]!r}."
        )
    return np.array(pairs)
