"""The report of a model's predictions: scores, tables and figures in a folder."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wing_tf.data.read import read_faces
from wing_tf.data.record_schema import NOT_ANNOTATED, OCCLUDED
from wing_tf.data.records import RecordSet
from wing_tf.evaluation.predict import Predictions
from wing_tf.evaluation.protocol_report import format_protocol
from wing_tf.geometry import apply_affine, invert, landmark_box, mean_shape, place_shape_in_boxes
from wing_tf.landmarks import LandmarkScheme
from wing_tf.metrics import (
    format_interval,
    format_percent,
    format_reliability,
    format_scores,
    nmde,
    nme,
    normalizing_distance,
    recall_at_precision,
    reliability,
    summarize_errors,
)
from wing_tf.score_calibration import ACCURATE_NME
from wing_tf.utils.atomic import write_json, write_text
from wing_tf.utils.image_files import save_image
from wing_tf.utils.printable import format_csv, printable_lines
from wing_tf.visualization import contact_sheet, draw_landmarks
from wing_tf.visualization.plots import plot_ced, plot_reliability


def face_errors(
    predictions: Predictions,
    scheme: LandmarkScheme,
    normalizer: str | None = None,
    *,
    normalizer_box: str = "dataset_or_landmark",
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the NME [N] and the normalizing distance [N] of each face.

    The NME is NaN if the distance is unknown or no landmark is annotated.

    Args:
        predictions: The predictions of N faces.
        scheme: Their landmark scheme.
        normalizer: See `wing_tf.metrics.normalizing_distance`.
        normalizer_box: The box of box normalizers: "dataset" (of the data set), "landmark" (the
            tight box of the ground truth landmarks) or "dataset_or_landmark" (the latter where the
            data set has no box).
    """
    tight, own = landmark_box(predictions.true_px), predictions.dataset_box_xyxy_px
    boxes = {
        "dataset": own,
        "landmark": tight,
        "dataset_or_landmark": np.where(np.isfinite(own), own, tight),
    }[normalizer_box]
    distance = normalizing_distance(predictions.true_px, scheme, normalizer, box_xyxy_px=boxes)
    return nme(predictions.evaluated_true_px, predictions.predicted_px, distance), distance


def make_report(
    predictions: Predictions,
    scheme: LandmarkScheme,
    normalizer: str | None = None,
    *,
    normalizer_box: str = "dataset_or_landmark",
) -> dict[str, Any]:
    """Returns the scores over all faces, by region, by landmark subset and by prefix of the keys.

    ``mean_shape_nme`` is a baseline: the mean shape of the faces, placed in each box.
    ``reliability`` is that of the calibrated scores of faces, if the model has them
    (`wing_tf.metrics.reliability`).
    ``occlusion`` is that of `occlusion_scores`, of networks that emit the visibility.
    ``nmde_by_subset`` is the NMDE of some landmarks, and ``nmde_gap_by_subset`` how much smaller it
    is than that of all landmarks, as in SMT-Net's table 3. None means that nothing is annotated.

    Raises:
        ValueError: If no face can be scored.
    """
    errors, distance = face_errors(predictions, scheme, normalizer, normalizer_box=normalizer_box)
    scored = np.isfinite(errors)
    if not scored.any():
        raise ValueError(
            "No face can be scored: the landmarks of the normalizer are not annotated in any face."
        )
    true, predicted = predictions.evaluated_true_px[scored], predictions.predicted_px[scored]
    distance, box = distance[scored], predictions.box_xyxy_px[scored]
    # A landmark that is not annotated in any face has no error; its mean is arbitrary.
    baseline = np.nan_to_num(place_shape_in_boxes(mean_shape(true, box), box))
    subsets = {
        name: nmde(true, predicted, distance, subset) for name, subset in scheme.subsets.items()
    }
    report = summarize_errors(errors[scored])
    report |= {
        "num_not_scored": int(np.sum(~scored)),
        "mean_shape_nme": _finite_mean(nme(true, baseline, distance)),
        "nme_by_region": {
            name: _finite_mean(nme(true, predicted, distance, region))
            for name, region in scheme.regions.items()
        },
        "nme_by_subset": {
            name: _finite_mean(nme(true, predicted, distance, subset))
            for name, subset in scheme.subsets.items()
        },
        "nmde_by_subset": {k: v if np.isfinite(v) else None for k, v in subsets.items()},
        "nmde_gap_by_subset": {
            k: report["nmde"] - v if np.isfinite(v) else None for k, v in subsets.items()
        },
    }
    if occlusion := occlusion_scores(predictions):
        report["occlusion"] = occlusion
    # The calibration is for the errors of the network's own landmarks by the default normalizer.
    is_default = normalizer in (None, scheme.default_normalizer) and predictions.evaluated is None
    if predictions.score is not None and is_default:
        is_accurate = errors[scored] < ACCURATE_NME
        report["reliability"] = reliability(predictions.score[scored], is_accurate)
    prefixes = np.array([key.rpartition("/")[0] or "-" for key in predictions.key])[scored]
    report["by_prefix"] = {
        str(prefix): summarize_errors(errors[scored][prefixes == prefix])
        for prefix in np.unique(prefixes)
    }
    return report


def occlusion_scores(predictions: Predictions) -> dict[str, Any]:
    """Returns how well occluded landmarks are detected.

    Returns:
        ``num_landmarks`` that are annotated and evaluated, ``num_occluded`` of them, and
        ``recall_at_80_precision`` of the detection of these, None if there are none. Empty if the
        network does not emit the visibility.
    """
    true, visible = predictions.true_visibility, predictions.visibility
    if true is None or visible is None:
        return {}
    counts = (true != NOT_ANNOTATED) & np.isfinite(visible)
    is_occluded = true[counts] == OCCLUDED
    recall = recall_at_precision(is_occluded, 1 - visible[counts]) if is_occluded.any() else None
    return {
        "num_landmarks": int(counts.sum()),
        "num_occluded": int(is_occluded.sum()),
        "recall_at_80_precision": recall,
    }


def _finite_mean(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.mean(finite)) if finite.size else None


def format_report(report: Mapping[str, Any]) -> str:
    """Returns a report as text, in percent."""
    by_prefix = report.get("by_prefix", {})
    # One prefix has all the faces.
    rows = (
        {"all": report} | (by_prefix if len(by_prefix) > 1 else {}) | report.get("conditions", {})
    )
    remarks = {}
    for name, part in rows.items():
        remarks[name] = format_interval(part["nme_interval"])
        if "recall" in part:
            remarks[name] += f", recall {100 * part['recall']:.1f}"
    lines = [f"protocol: {report['protocol']}", *report.get("warnings", ()), ""]
    lines += format_scores(rows, remarks=remarks, remark_heading="NME, 95 % interval")
    if count := report.get("num_not_scored"):
        lines.append(f"not scored: {count} face(s), whose normalizer is not annotated")
    lines += ["", f"NME of the mean shape (baseline): {format_percent(report['mean_shape_nme'])}"]
    lines.append("")
    for title, key in (("region", "nme_by_region"), ("subset", "nme_by_subset")):
        lines += [f"NME {title} {k:<26}{format_percent(v):>8}" for k, v in report[key].items()]
    lines += ["", f"NMDE {'all landmarks':<28}{format_percent(report['nmde']):>8}"]
    for name, value in report["nmde_by_subset"].items():
        gap = report["nmde_gap_by_subset"][name]
        remark = ""
        if gap is not None:
            remark = f"   {'larger' if gap < 0 else 'smaller'} by {format_percent(abs(gap))}"
        lines.append(f"NMDE {name:<28}{format_percent(value):>8}{remark}")
    if "occlusion" in report:
        scores = report["occlusion"]
        lines += [
            "",
            f"Occlusion recall at 80 % precision {format_percent(scores['recall_at_80_precision'])}"
            f"   ({scores['num_occluded']} of {scores['num_landmarks']} landmarks are occluded)",
        ]
    if "reliability" in report:
        lines += ["", "Scores of faces:", *format_reliability(report["reliability"])]
    if "named_protocol" in report:
        lines += ["", *format_protocol(report["named_protocol"]).rstrip().split("\n")]
    return printable_lines(lines) + "\n"


def write_report(
    folder: pathlib.Path,
    report: dict[str, Any],
    predictions: Predictions,
    records: RecordSet,
    *,
    name: str,
    errors: np.ndarray,
    extra_columns: Mapping[str, np.ndarray] | None = None,
    max_worst: int = 16,
) -> None:
    """Writes report.json, report.txt, nme.csv, ced.png and worst.png into a folder.

    For a model with calibrated scores of faces also reliability.png.

    Args:
        folder: An existing folder.
        report: The report of `make_report` with "protocol", and with other keys.
        predictions: The predictions of N faces.
        records: The records of the faces.
        name: The system's name in the plot.
        errors: The NME [N] of `face_errors`.
        extra_columns: Further scores of each face [N] for nme.csv, by the column's name.
        max_worst: Maximum number of faces in worst.png. Defaults to 16.
    """
    write_text(folder / "report.txt", format_report(report))
    extra_columns = extra_columns or {}
    groups = (" ".join(sorted(group)) for group in predictions.groups)
    columns = (values.tolist() for values in extra_columns.values())
    rows = zip(predictions.key, errors.tolist(), groups, *columns, strict=True)
    write_text(folder / "nme.csv", format_csv([["key", "nme", "groups", *extra_columns], *rows]))
    scored = np.isfinite(errors)
    plot_ced(folder / "ced.png", {name: errors[scored]}, title=report["protocol"])
    if "reliability" in report:
        plot_reliability(folder / "reliability.png", report["reliability"], title=name)
    worst = np.argsort(np.where(scored, -errors, np.inf))[: min(max_worst, scored.sum())]
    image = draw_predictions(records, predictions, worst.tolist(), errors=errors)
    save_image(folder / "worst.png", image)
    # The last file: if report.json exists, the report is complete.
    write_json(folder / "report.json", report)


def draw_predictions(
    records: RecordSet, predictions: Predictions, faces: Sequence[int], *, errors: np.ndarray
) -> np.ndarray:
    """Draws some faces with the ground truth in white and the prediction in colors.

    Args:
        records: The records of the faces.
        predictions: The predictions of N faces.
        faces: Indices into the predictions.
        errors: The NME [N], for the captions.

    Returns:
        uint8 RGB contact sheet.
    """
    wanted = {int(predictions.index[face]): face for face in faces}
    cells = {}
    for index, sample in enumerate(read_faces(records).as_numpy_iterator()):
        face = wanted.get(index)
        if face is None:
            continue
        to_square = invert(sample["square_to_source"].astype(np.float64))
        true, predicted = (
            apply_affine(to_square, points[face])
            for points in (predictions.true_px, predictions.predicted_px)
        )
        image = draw_landmarks(sample["image"], true, records.scheme, color=(255, 255, 255))
        cells[face] = draw_landmarks(image, predicted, records.scheme, lines=False)
    return contact_sheet(
        [cells[face] for face in faces], captions=[f"{100 * errors[face]:.1f} %" for face in faces]
    )
