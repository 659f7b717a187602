"""A data set at a glance: images, figures, and warnings of what is likely to be wrong."""

import collections
import contextlib
import dataclasses
import json
import pathlib

import numpy as np

from tfrecords_tools.inspection.checks import (
    Warned,
    check_boxes,
    check_duplicates,
    check_origin,
    check_pairs,
    check_swaps,
)
from tfrecords_tools.inspection.plots import plot_boxes, plot_pose, plot_visibility
from tfrecords_tools.inspection.sheets import draw_mean_shape, draw_sheet
from tfrecords_tools.inspection.survey import Survey, survey_records
from wing_tf.data import record_schema as schema
from wing_tf.data.balance import fit_balance
from wing_tf.geometry import procrustes
from wing_tf.utils.atomic import write_text
from wing_tf.utils.image_files import save_image

_SAMPLE = 20_000  # faces of which mean shape and pose axis are computed
_CLOUD = 300


def inspect_records(
    folder: str | pathlib.Path,
    output: str | pathlib.Path,
    *,
    num_images: int = 36,
    other: str | pathlib.Path | None = None,
) -> dict:
    """Writes images and figures of a record folder, and says what looks wrong.

    Into ``output`` go contact_sheet.png, mean_shape.png, pose.png, boxes.png, visibility.png,
    inspection.json and inspection.txt; files of these names are overwritten.

    Args:
        folder: of records.
        output: a folder; it is made if it is absent.
        num_images: on the contact sheet.
        other: records of the same faces from another source, to find an origin that is off.

    Returns:
        What inspection.json holds: figures, and under ``warnings`` the fields of `Warned`.

    Raises:
        ValueError: if there are no records, or those of ``other`` don't go with them.
    """
    survey = survey_records(folder)
    warnings: list[Warned] = []
    origin = None
    if other is not None:  # first, as it may be refused
        second = survey_records(other, images=False)
        origin = check_origin(survey, second, str(other), warnings)
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    save_image(output / "contact_sheet.png", draw_sheet(folder, num_images))
    records = survey.records
    report: dict = {
        "records": str(folder),
        "faces": len(survey),
        "splits": dict(sorted(collections.Counter(survey.splits).items())),
        "images": len(set(survey.images)),
        "sources": dict(records.sources),
        "scheme": records.scheme.name,
        "crop_rules": [str(crop) for crop in records.crops],
        "side": records.side,
    }
    report["boxes"], figures = check_boxes(survey, warnings)
    plot_boxes(output / "boxes.png", figures)
    plot_visibility(output / "visibility.png", survey.visibility, records.scheme)
    flags = (("visible", schema.VISIBLE), ("hidden", schema.HIDDEN), ("missing", schema.MISSING))
    report["visibility"] = {
        name: np.mean(survey.visibility == flag, axis=0).round(4).tolist() for name, flag in flags
    }
    mean = _mean_shape(survey, output, report)
    report["pose"] = _pose(survey, output)
    if mean is not None:
        check_swaps(survey, mean, warnings)
    check_pairs(survey, _sample(survey), warnings)
    report["duplicates"] = check_duplicates(survey, warnings)
    if origin is not None:
        report["origin"] = origin
    report["warnings"] = [dataclasses.asdict(warning) for warning in warnings]
    write_text(output / "inspection.json", json.dumps(report, indent=1) + "\n")
    write_text(output / "inspection.txt", describe(report) + "\n")
    return report


def _sample(survey: Survey) -> np.ndarray:
    count = min(len(survey), _SAMPLE)
    return np.linspace(0, len(survey) - 1, count).astype(int)


def _mean_shape(survey: Survey, output: pathlib.Path, report: dict) -> np.ndarray | None:
    scheme = survey.records.scheme
    shapes = survey.landmarks_square_px[_sample(survey)].astype(np.float64)
    try:
        mean, aligned = procrustes(shapes, scheme.flip_permutation)
    except ValueError as error:
        report["mean_shape"] = f"none: {error}"
        return None
    report["mean_shape"] = mean.round(5).tolist()
    cloud = aligned[:: -(-len(aligned) // _CLOUD)]
    save_image(output / "mean_shape.png", draw_mean_shape(mean, cloud, scheme))
    return mean


def _pose(survey: Survey, output: pathlib.Path) -> dict:
    angles = survey.angles_deg
    values, unit = {}, ""
    if np.isfinite(angles).any():
        values, unit = dict(zip(("yaw", "pitch", "roll"), angles.T, strict=True)), "degrees"
    else:
        some = _sample(survey)
        landmarks = survey.landmarks_square_px
        with contextlib.suppress(ValueError):  # too few faces, or points that none has
            model = fit_balance(landmarks[some], survey.visibility[some], survey.records.scheme)
            parts = [
                model.coefficients(landmarks[i : i + 4096], survey.visibility[i : i + 4096])
                for i in range(0, len(survey), 4096)
            ]
            values = {"pose coefficient (left to right)": np.concatenate(parts)}
    if not values:
        return {}
    plot_pose(output / "pose.png", values, survey.splits, unit)
    quantiles = (0.01, 0.05, 0.5, 0.95, 0.99)
    return {
        name: [round(float(q), 4) for q in np.nanquantile(series, quantiles)]
        for name, series in values.items()
    }


def describe(report: dict) -> str:
    """Returns a report's figures and warnings as text."""
    splits = ", ".join(f"{name} {count}" for name, count in report["splits"].items())
    lines = [
        f"{report['faces']} faces on {report['images']} images of {report['scheme']} from "
        f"{', '.join(report['sources'])}: {splits}",
        f"crops: {'; '.join(report['crop_rules'])}; squares of {report['side']} px",
        "",
        f"{'':<38}{'5 %':>9}{'median':>9}{'95 %':>9}",
    ]
    for kind, figures in report["boxes"].items():
        if isinstance(figures, dict):
            lines.append(f"boxes {kind}, {figures['faces']} faces")
            lines += [
                f"  {name.replace('_', ' '):<36}{v[0]:>9.3f}{v[1]:>9.3f}{v[2]:>9.3f}"
                for name, v in figures.items()
                if isinstance(v, list)
            ]
    for name, (_, low, middle, high, _) in report["pose"].items():
        lines.append(f"{name:<38}{low:>9.3f}{middle:>9.3f}{high:>9.3f}")
    lines.append("")
    shares = {name: float(np.mean(values)) for name, values in report["visibility"].items()}
    lines.append("points: " + ", ".join(f"{name} {share:.2%}" for name, share in shares.items()))
    if "origin" in report:
        origin = report["origin"]
        x, y = origin["median_px"]
        lines.append(f"off {origin['other']}: x {x:+.3f}, y {y:+.3f} px in {origin['faces']} faces")
    lines += ["", "no warning"] if not report["warnings"] else [""]
    for warning in report["warnings"]:
        share = "" if warning["share"] is None else f" ({warning['share']:.2%})"
        lines.append(f"WARNING {warning['kind']}: {warning['count']}{share}: {warning['message']}")
        lines += [f"    {name}" for name in warning["first"]]
    return "\n".join(lines)
