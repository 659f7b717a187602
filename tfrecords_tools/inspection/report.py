"""A data set at a glance: images, figures, and warnings of what is likely to be wrong."""

import collections
import contextlib
import dataclasses
import json
import pathlib

import numpy as np

from tfrecords_tools.inspection.checks import (
    Finding,
    check_annotation_offset,
    check_boxes,
    check_duplicates,
    check_pairs,
    check_swapped_landmarks,
)
from tfrecords_tools.inspection.drawing import draw_contact_sheet, draw_mean_shape
from tfrecords_tools.inspection.face_table import FaceTable, read_face_table
from tfrecords_tools.inspection.plots import plot_boxes, plot_pose, plot_visibility
from wing_tf.data import record_schema as schema
from wing_tf.data.pose_balance import fit_balance
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
        What inspection.json holds: figures, and under ``warnings`` the fields of `Finding`.

    Raises:
        ValueError: if there are no records, or those of ``other`` don't go with them.
    """
    table = read_face_table(folder)
    warnings: list[Finding] = []
    origin = None
    if other is not None:  # first, as it may be refused
        second = read_face_table(other, images=False)
        origin = check_annotation_offset(table, second, str(other), warnings)
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    save_image(output / "contact_sheet.png", draw_contact_sheet(folder, num_images))
    records = table.records
    report: dict = {
        "records": str(folder),
        "faces": len(table),
        "splits": dict(sorted(collections.Counter(table.splits).items())),
        "images": len(set(table.images)),
        "sources": dict(records.sources),
        "scheme": records.scheme.name,
        "crop_rules": [str(crop) for crop in records.crop_rules],
        "side": records.side,
    }
    report["boxes"], figures = check_boxes(table, warnings)
    plot_boxes(output / "boxes.png", figures)
    plot_visibility(output / "visibility.png", table.visibility, records.scheme)
    flags = (
        ("visible", schema.VISIBLE),
        ("hidden", schema.OCCLUDED),
        ("missing", schema.NOT_ANNOTATED),
    )
    report["visibility"] = {
        name: np.mean(table.visibility == flag, axis=0).round(4).tolist() for name, flag in flags
    }
    mean = _mean_shape(table, output, report)
    report["pose"] = _pose(table, output)
    if mean is not None:
        check_swapped_landmarks(table, mean, warnings)
    check_pairs(table, _sample(table), warnings)
    report["duplicates"] = check_duplicates(table, warnings)
    if origin is not None:
        report["origin"] = origin
    report["warnings"] = [dataclasses.asdict(warning) for warning in warnings]
    write_text(output / "inspection.json", json.dumps(report, indent=1) + "\n")
    write_text(output / "inspection.txt", format_report(report) + "\n")
    return report


def _sample(table: FaceTable) -> np.ndarray:
    count = min(len(table), _SAMPLE)
    return np.linspace(0, len(table) - 1, count).astype(int)


def _mean_shape(table: FaceTable, output: pathlib.Path, report: dict) -> np.ndarray | None:
    scheme = table.records.scheme
    shapes = table.landmarks_square_px[_sample(table)].astype(np.float64)
    try:
        mean, aligned = procrustes(shapes, scheme.flip_permutation)
    except ValueError as error:
        report["mean_shape"] = f"none: {error}"
        return None
    report["mean_shape"] = mean.round(5).tolist()
    cloud = aligned[:: -(-len(aligned) // _CLOUD)]
    save_image(output / "mean_shape.png", draw_mean_shape(mean, cloud, scheme))
    return mean


def _pose(table: FaceTable, output: pathlib.Path) -> dict:
    angles = table.angles_deg
    values, unit = {}, ""
    if np.isfinite(angles).any():
        values, unit = dict(zip(("yaw", "pitch", "roll"), angles.T, strict=True)), "degrees"
    else:
        some = _sample(table)
        landmarks = table.landmarks_square_px
        with contextlib.suppress(ValueError):  # too few faces, or points that none has
            model = fit_balance(landmarks[some], table.visibility[some], table.records.scheme)
            parts = [
                model.coefficients(landmarks[i : i + 4096], table.visibility[i : i + 4096])
                for i in range(0, len(table), 4096)
            ]
            values = {"pose coefficient (left to right)": np.concatenate(parts)}
    if not values:
        return {}
    plot_pose(output / "pose.png", values, table.splits, unit)
    quantiles = (0.01, 0.05, 0.5, 0.95, 0.99)
    return {
        name: [round(float(q), 4) for q in np.nanquantile(series, quantiles)]
        for name, series in values.items()
    }


def format_report(report: dict) -> str:
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
