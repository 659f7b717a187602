"""Error of a map between two landmark schemes, on faces that are annotated in both."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrecords_tools.inspection.annotation_offset import match_faces
from tfrecords_tools.inspection.face_table import read_face_table
from wing_tf.geometry import landmark_box
from wing_tf.landmarks import SchemeMap, find_scheme_map
from wing_tf.metrics import nme, normalizing_distance


def map_residual(
    folder: str | pathlib.Path,
    other: str | pathlib.Path,
    *,
    scheme_map: SchemeMap | None = None,
    normalizer: str | None = None,
) -> dict[str, Any]:
    """Compares mapped ground truth with ground truth.

    No model that is evaluated through the map can be expected to have a smaller error.

    Args:
        folder: Records in the map's source scheme.
        other: Records in its target scheme. Faces are matched by `match_faces`.
        scheme_map: The map. Defaults to the built-in one.
        normalizer: Normalizer of the distances. Defaults to that of the target scheme. Box
            normalizers use the data set's own box if there is one, else the landmark box.

    Returns:
        Dictionary of ``source``, ``target``, ``faces``, ``normalizer``, the mean ``nme`` over
        faces, ``by_landmark`` (a list; None for landmarks that the map does not define) and
        ``shift`` (x, y), the mean difference. Errors are fractions of the normalizer.

    Raises:
        ValueError: If the records are not of the map's schemes, or share no face.
    """
    source, target = read_face_table(folder, images=False), read_face_table(other, images=False)
    schemes = source.records.scheme, target.records.scheme
    if scheme_map is None:
        scheme_map = find_scheme_map(*schemes)
    if (scheme_map.source.name, scheme_map.target.name) != tuple(s.name for s in schemes):
        raise ValueError(
            f"The map is from {scheme_map.source.name} to {scheme_map.target.name}, the records "
            f"are of {schemes[0].name} and {schemes[1].name}."
        )
    source_faces, target_faces = match_faces(source, target).T
    landmarks = source.landmarks_source_px(source_faces)
    mapped = scheme_map(landmarks)
    ground_truth = target.landmarks_source_px(target_faces)
    normalizer = normalizer or scheme_map.target.default_normalizer
    dataset_boxes = target.dataset_boxes_source_px(target_faces)
    boxes = np.where(np.isfinite(dataset_boxes), dataset_boxes, landmark_box(ground_truth))
    distance = normalizing_distance(ground_truth, scheme_map.target, normalizer, box_xyxy_px=boxes)
    ground_truth = np.where(np.isfinite(mapped), ground_truth, np.nan)
    errors = nme(ground_truth, np.nan_to_num(mapped), distance)
    by_landmark = scheme_map.residual(landmarks, ground_truth, distance)
    shift = np.nanmean((mapped - ground_truth) / distance[:, None, None], axis=(0, 1))
    return {
        "source": scheme_map.source.name,
        "target": scheme_map.target.name,
        "faces": int(np.isfinite(errors).sum()),
        "normalizer": normalizer,
        "nme": float(np.nanmean(errors)),
        "by_landmark": [float(e) if np.isfinite(e) else None for e in by_landmark],
        "shift": shift.tolist(),
    }


def format_residual(result: Mapping[str, Any]) -> str:
    """Returns a result of `map_residual` as text, in percent."""
    shift = ", ".join(f"{100 * value:+.2f}" for value in result["shift"])
    lines = [
        f"{result['source']} as {result['target']}, {result['faces']} faces, in % of "
        f"{result['normalizer']}",
        f"residual NME {100 * result['nme']:.2f}, mean shift (x, y) {shift}",
    ]
    cells = [
        f"{index}: {'-' if error is None else f'{100 * error:.2f}'}"
        for index, error in enumerate(result["by_landmark"])
    ]
    lines += ["  " + "   ".join(cells[i : i + 10]) for i in range(0, len(cells), 10)]
    return "\n".join(lines)
