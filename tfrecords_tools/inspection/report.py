"""Inspection report of a record folder: images, statistics and warnings."""

import collections
import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from tfrecords_tools.inspection.checks import (
    Finding,
    check_annotation_offset,
    check_boxes,
    check_flip_pairs,
    check_swapped_landmarks,
)
from tfrecords_tools.inspection.content_checks import (
    check_duplicates,
    check_placement,
    check_rare_landmarks,
    check_splits,
    check_visibility,
)
from tfrecords_tools.inspection.drawing import draw_contact_sheet, draw_mean_shape
from tfrecords_tools.inspection.face_table import FaceTable, read_face_table
from tfrecords_tools.inspection.plots import (
    VISIBILITY_NAMES,
    plot_boxes,
    plot_pose,
    plot_visibility,
)
from wing_tf.data.pose_balance import fit_balance
from wing_tf.geometry import procrustes
from wing_tf.utils.atomic import write_json, write_text
from wing_tf.utils.image_files import save_image
from wing_tf.utils.local_path import local_path
from wing_tf.utils.printable import printable_lines

_MAX_FITTED_FACES = 20_000  # for the mean shape and the pose axis
_MAX_DRAWN_FACES = 300  # over the mean shape
_MOST = 0.5  # fraction of the faces


def inspect_records(
    folder: str | pathlib.Path,
    output: str | pathlib.Path,
    *,
    num_images: int = 36,
    other: str | pathlib.Path | None = None,
) -> dict:
    """Writes images and statistics of a record folder, with warnings about likely errors.

    Writes contact_sheet.png, mean_shape.png, pose.png, boxes.png, visibility.png, inspection.json
    and inspection.txt to ``output``; existing files of these names are overwritten.

    Args:
        folder: Record folder, local or remote.
        output: Local output folder, which is created if it does not exist.
        num_images: Number of faces on the contact sheet; those that warnings name come first.
        other: Records of the same faces from another source, to find an offset between them.

    Returns:
        The content of inspection.json: statistics, and under ``warnings`` the fields of `Finding`.

    Raises:
        ValueError: If there are no records, or ``other`` has no face in common with them.
    """
    output = local_path(output)
    table = read_face_table(folder)
    findings: list[Finding] = []
    offset = None
    if other is not None:  # First, because it may raise an error.
        offset_table = read_face_table(other, images=False)
        findings, offset = check_annotation_offset(table, offset_table, str(other))
    output.mkdir(parents=True, exist_ok=True)
    records = table.records
    box_findings, boxes, box_statistics = check_boxes(table)
    plot_boxes(output / "boxes.png", box_statistics)
    plot_visibility(output / "visibility.png", table.visibility, records.scheme)
    mean, mean_or_reason = _mean_shape(table, output)
    duplicate_findings, duplicates = check_duplicates(table)
    findings += (
        check_splits(table)
        + check_visibility(table)
        + check_rare_landmarks(table)
        + box_findings
        + check_placement(table, mean)
    )
    if mean is not None:
        findings += check_swapped_landmarks(table, mean)
    findings += check_flip_pairs(table, _fitted_faces(table)) + duplicate_findings
    sheet = draw_contact_sheet(table, num_images, _named_faces(findings))
    save_image(output / "contact_sheet.png", sheet)
    report = {
        "records": str(folder),
        "faces": len(table),
        "splits": dict(sorted(collections.Counter(table.splits).items())),
        "images": len(set(table.images)),
        "sources": dict(records.sources),
        "scheme": records.scheme.name,
        "crop_rules": [str(rule) for rule in records.crop_rules],
        "side": records.side,
        "boxes": boxes,
        "visibility": {
            name: np.mean(table.visibility == value, axis=0).round(4).tolist()
            for name, value in VISIBILITY_NAMES.items()
        },
        "mean_shape": mean_or_reason,
        "pose": _pose(table, output),
        "duplicates": duplicates,
        **({} if offset is None else {"annotation_offset": offset}),
        "warnings": [dataclasses.asdict(finding) for finding in findings],
    }
    write_json(output / "inspection.json", report)
    write_text(output / "inspection.txt", format_report(report) + "\n")
    return report


def _named_faces(findings: Sequence[Finding]) -> list[int]:
    """Returns the faces that findings name, those of rare errors first."""
    rare = (f for f in findings if (f.fraction or 0) <= _MOST)  # Any face shows other errors.
    by_count = sorted(rare, key=lambda finding: finding.count)
    return list(dict.fromkeys(face for finding in by_count for face in finding.faces))


def _fitted_faces(table: FaceTable) -> np.ndarray:
    count = min(len(table), _MAX_FITTED_FACES)
    return np.linspace(0, len(table) - 1, count).astype(int)


def _mean_shape(table: FaceTable, output: pathlib.Path) -> tuple[np.ndarray | None, list | str]:
    """Draws the mean shape; returns it, and as a list or the reason why there is none."""
    scheme = table.records.scheme
    shapes = table.landmarks_square_px[_fitted_faces(table)].astype(np.float64)
    try:
        mean, aligned = procrustes(shapes, scheme.flip_permutation)
    except ValueError as error:
        return None, f"none: {error}"
    drawn = aligned[:: -(-len(aligned) // _MAX_DRAWN_FACES)]
    save_image(output / "mean_shape.png", draw_mean_shape(mean, drawn, scheme))
    return mean, mean.round(5).tolist()


def _pose(table: FaceTable, output: pathlib.Path) -> dict:
    """Plots the annotated angles, or else pose coefficients; returns their quantiles."""
    angles = table.angles_deg
    values, unit = {}, ""
    if np.isfinite(angles).any():
        values, unit = dict(zip(("yaw", "pitch", "roll"), angles.T, strict=True)), "degrees"
    else:
        fitted = _fitted_faces(table)
        landmarks, visibility = table.landmarks_square_px, table.visibility
        with contextlib.suppress(ValueError):  # Too few faces, or a landmark without annotations.
            balance = fit_balance(landmarks[fitted], visibility[fitted], table.records.scheme)
            coefficients = [
                balance.coefficients(landmarks[i : i + 4096], visibility[i : i + 4096])
                for i in range(0, len(table), 4096)
            ]
            values = {"pose coefficient (left to right)": np.concatenate(coefficients)}
    if not values:
        return {}
    plot_pose(output / "pose.png", values, table.splits, unit)
    quantiles = (0.01, 0.05, 0.5, 0.95, 0.99)
    return {
        name: [round(float(q), 4) for q in np.nanquantile(series, quantiles)]
        for name, series in values.items()
    }


def format_report(report: dict) -> str:
    """Returns the statistics and warnings of a report as text."""
    splits = ", ".join(f"{name} {count}" for name, count in report["splits"].items())
    lines = [
        f"{report['faces']} faces on {report['images']} images of {report['scheme']} from "
        f"{', '.join(report['sources'])}: {splits}",
        f"crops: {'; '.join(report['crop_rules'])}; squares of {report['side']} px",
        "",
        f"{'':<38}{'5 %':>9}{'median':>9}{'95 %':>9}",
    ]
    for kind, statistics in report["boxes"].items():
        if isinstance(statistics, dict):
            lines.append(f"boxes {kind}, {statistics['faces']} faces")
            lines += [
                f"  {name.replace('_', ' '):<36}{v[0]:>9.3f}{v[1]:>9.3f}{v[2]:>9.3f}"
                for name, v in statistics.items()
                if isinstance(v, list)
            ]
    for name, (_, low, median, high, _) in report["pose"].items():
        lines.append(f"{name:<38}{low:>9.3f}{median:>9.3f}{high:>9.3f}")
    fractions = {name: float(np.mean(values)) for name, values in report["visibility"].items()}
    listing = ", ".join(f"{name.replace('_', ' ')} {f:.2%}" for name, f in fractions.items())
    lines += ["", f"landmarks: {listing}"]
    if "annotation_offset" in report:
        offset = report["annotation_offset"]
        x, y = offset["median_px"]
        lines.append(
            f"offset from {offset['other']}: x {x:+.3f}, y {y:+.3f} px in {offset['num_faces']} "
            "faces"
        )
    lines.append("")
    for warning in report["warnings"]:
        fraction = "" if warning["fraction"] is None else f" ({warning['fraction']:.2%})"
        message = f"{warning['count']}{fraction}: {warning['message']}"
        lines.append(f"WARNING {warning['kind']}: {message}.")
        lines += [f"    {example}" for example in warning["examples"]]
    return printable_lines(lines if report["warnings"] else [*lines, "No warnings."])
