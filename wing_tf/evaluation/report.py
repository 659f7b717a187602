"""Scores of a model on a set of faces: numbers, tables and images in a folder."""

import csv
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from wing_tf.data.read import read_faces
from wing_tf.data.records import RecordSet
from wing_tf.evaluation.predict import Predictions
from wing_tf.evaluation.protocol_report import format_protocol
from wing_tf.geometry import apply_affine, invert, landmark_box, mean_shape, place_shape_in_boxes
from wing_tf.landmarks import LandmarkScheme
from wing_tf.metrics import (
    bootstrap_interval,
    ced_auc,
    failure_rate,
    nmde,
    nme,
    normalizing_distance,
)
from wing_tf.utils.atomic import write_text
from wing_tf.utils.image_files import save_image
from wing_tf.visualization import contact_sheet, draw_landmarks
from wing_tf.visualization.plots import plot_ced

THRESHOLDS = (0.08, 0.10)


def summarize(errors: np.ndarray) -> dict[str, Any]:
    """Returns the usual scores of one NME a face [N], all as fractions, with 95 % intervals."""
    summary: dict[str, Any] = {
        "num_faces": len(errors),
        "nme_mean": float(np.mean(errors)),
        "nme_median": float(np.median(errors)),
        "nme_mean_interval": bootstrap_interval(errors),
        "nme_median_interval": bootstrap_interval(errors, np.median),
    }
    for threshold in THRESHOLDS:
        name = f"{round(100 * threshold):02d}"
        summary[f"fr_{name}"] = failure_rate(errors, threshold)
        summary[f"auc_{name}"] = ced_auc(errors, threshold)
        over = (errors > threshold).astype(float)
        below = 1 - np.minimum(errors, threshold) / threshold
        summary[f"fr_{name}_interval"] = bootstrap_interval(over)
        summary[f"auc_{name}_interval"] = bootstrap_interval(below)
    return summary


def face_errors(
    predictions: Predictions,
    scheme: LandmarkScheme,
    normalizer: str | None = None,
    *,
    normalizer_box: str = "dataset_or_landmark",
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the NME [N] of each face and the distances [N] it was normalized by.

    ``normalizer_box`` is the box of box normalizers: "dataset" (of the data set), "landmark" (the
    tight box of the ground truth landmarks), or "dataset_or_landmark" (the latter where the data
    set has no box). The NME is NaN if the distance is unknown or no landmark is annotated.
    """
    tight, own = landmark_box(predictions.true_px), predictions.dataset_box_xyxy_px
    taken = {
        "dataset": own,
        "landmark": tight,
        "dataset_or_landmark": np.where(np.isfinite(own), own, tight),
    }[normalizer_box]
    distance = normalizing_distance(predictions.true_px, scheme, normalizer, box_xyxy_px=taken)
    return nme(predictions.evaluated_true_px, predictions.predicted_px, distance), distance


def make_report(
    predictions: Predictions,
    scheme: LandmarkScheme,
    normalizer: str | None = None,
    *,
    normalizer_box: str = "dataset_or_landmark",
) -> dict[str, Any]:
    """Returns the scores over all faces, by region, by sub-set and by file prefix.

    ``mean_shape_nme`` is the baseline: the faces' own mean shape, placed in each box. The NMDE,
    the median over faces, is ``nme_median``; ``nmde_by_subset`` is that of some landmarks, and
    ``nmde_gap_by_subset`` what it is smaller by, as in SMT-Net's table 3.

    Raises:
        ValueError: if no face can be scored.
    """
    errors, distance = face_errors(predictions, scheme, normalizer, normalizer_box=normalizer_box)
    scored = np.isfinite(errors)
    if not scored.any():
        raise ValueError("No face can be scored: the normalizer's landmarks are missing in all.")
    true, predicted = predictions.evaluated_true_px[scored], predictions.predicted_px[scored]
    distance, box = distance[scored], predictions.box_xyxy_px[scored]
    # A point that no face has a truth for counts nowhere; any place will do.
    baseline = np.nan_to_num(place_shape_in_boxes(mean_shape(true, box), box))
    report = summarize(errors[scored])
    report["num_not_scored"] = int(np.sum(~scored))
    report["mean_shape_nme"] = _mean(nme(true, baseline, distance))
    report["nme_by_region"] = {
        name: _mean(nme(true, predicted, distance, region))
        for name, region in scheme.regions.items()
    }
    report["nme_by_subset"] = {
        name: _mean(nme(true, predicted, distance, subset))
        for name, subset in scheme.subsets.items()
    }
    medians = {
        name: nmde(true, predicted, distance, subset) for name, subset in scheme.subsets.items()
    }
    report["nmde_by_subset"] = {
        name: value if np.isfinite(value) else None for name, value in medians.items()
    }
    report["nmde_gap_by_subset"] = {
        name: report["nme_median"] - value if np.isfinite(value) else None
        for name, value in medians.items()
    }
    prefixes = np.array([key.rpartition("/")[0] or "-" for key in predictions.key])[scored]
    report["by_prefix"] = {
        str(prefix): summarize(errors[scored][prefixes == prefix]) for prefix in np.unique(prefixes)
    }
    return report


def _mean(values: np.ndarray) -> float | None:
    """Returns the mean of the finite values; None (JSON's null) where there is none."""
    finite = values[np.isfinite(values)]
    return float(np.mean(finite)) if finite.size else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def format_report(report: dict[str, Any]) -> str:
    """Returns the report as a table for people, in percent."""
    lines = [f"protocol: {report['protocol']}", *report.get("warnings", ()), ""]
    head = f"{'faces':<33}{'number':>7}{'mean':>8}{'median':>8}"
    head += "".join(f"{f'FR{round(100 * t)}':>8}{f'AUC{round(100 * t)}':>8}" for t in THRESHOLDS)
    lines += [head + "   95 % of the mean"]
    groups = {"all": report, **report.get("by_prefix", {})}
    groups |= {name: part for name, part in report.get("conditions", {}).items()}
    for name, part in groups.items():
        low, high = part["nme_mean_interval"]
        row = f"{name:<33}{part['num_faces']:>7}"
        row += f"{100 * part['nme_mean']:>8.2f}{100 * part['nme_median']:>8.2f}"
        for threshold in THRESHOLDS:
            key = f"{round(100 * threshold):02d}"
            row += f"{100 * part[f'fr_{key}']:>8.2f}{100 * part[f'auc_{key}']:>8.2f}"
        row += f"   {100 * low:.2f} to {100 * high:.2f}"
        if "recall" in part:
            row += f", recall {100 * part['recall']:.1f}"
        lines.append(row)
    lines += ["", f"mean shape (baseline): {100 * report['mean_shape_nme']:.2f}", ""]
    for title, key in (("region", "nme_by_region"), ("sub-set", "nme_by_subset")):
        for name, value in report[key].items():
            lines.append(f"{title} {name:<26}{_percent(value):>8}")
    lines += ["", f"NMDE {'all':<28}{_percent(report['nme_median']):>8}"]
    for name, value in report["nmde_by_subset"].items():
        gap = _percent(report["nmde_gap_by_subset"][name])
        lines.append(f"NMDE {name:<28}{_percent(value):>8}   all less these: {gap}")
    if "named_protocol" in report:
        lines += ["", format_protocol(report["named_protocol"]).rstrip()]
    return "\n".join(lines) + "\n"


def write_report(
    folder: pathlib.Path,
    report: dict[str, Any],
    predictions: Predictions,
    records: RecordSet,
    *,
    name: str,
    errors: np.ndarray,
    more: Mapping[str, np.ndarray] | None = None,
    num_worst: int = 16,
) -> None:
    """Writes report.json, report.txt, nme.csv, ced.png and worst.png into a folder.

    Args:
        folder: that exists.
        report: as from `make_report`, and more.
        predictions: of N faces.
        records: what they are of.
        name: the system's, for the plot.
        errors: [N], as from `face_errors`.
        more: further scores of each face [N], by their column's name.
        num_worst: how many faces worst.png shows.
    """
    (folder / "report.txt").write_text(format_report(report))
    with (folder / "nme.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "nme", "groups", *(more or {})])
        groups = (" ".join(sorted(group)) for group in predictions.groups)
        columns = (values.tolist() for values in (more or {}).values())
        writer.writerows(zip(predictions.key, errors.tolist(), groups, *columns, strict=True))
    scored = np.isfinite(errors)
    plot_ced(folder / "ced.png", {name: errors[scored]}, title=report["protocol"])
    worst = np.argsort(np.where(scored, -errors, np.inf))[: min(num_worst, scored.sum())]
    save_image(
        folder / "worst.png", draw_predictions(records, predictions, worst.tolist(), errors=errors)
    )
    # Last: where there is a report.json, all the rest is there too.
    write_text(folder / "report.json", json.dumps(report, indent=1) + "\n")


def draw_predictions(
    records: RecordSet, predictions: Predictions, faces: list[int], *, errors: np.ndarray
) -> np.ndarray:
    """Draws some of the predictions by number: the truth in white, the prediction in colors."""
    wanted = {int(predictions.index[index]): index for index in faces}
    cells = {}
    for place, face in enumerate(read_faces(records).as_numpy_iterator()):
        number = wanted.get(place)
        if number is None:
            continue
        to_square = invert(face["square_to_source"].astype(np.float64))
        image = draw_landmarks(
            face["image"],
            apply_affine(to_square, predictions.true_px[number]),
            records.scheme,
            color=(255, 255, 255),
        )
        predicted = apply_affine(to_square, predictions.predicted_px[number])
        cells[number] = draw_landmarks(image, predicted, records.scheme, lines=False)
    return contact_sheet(
        [cells[number] for number in faces],
        captions=[f"{100 * errors[number]:.1f} %" for number in faces],
    )
