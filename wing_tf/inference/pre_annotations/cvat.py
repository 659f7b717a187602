"""CVAT's own format, "CVAT for images 1.1"."""

import json
import pathlib
import re
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from wing_tf.inference.pre_annotations.common import (
    CATEGORY,
    CENTER,
    Files,
    Images,
    drawn_edges,
    landmark_labels,
    occluded_flags,
    tight_box,
)
from wing_tf.landmarks import LandmarkScheme

# Characters that XML does not allow, in names of files.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_cvat(
    images: Images, scheme: LandmarkScheme, folder: pathlib.Path, base: pathlib.Path
) -> Files:
    """Yields annotations with a skeleton for each face, and the labels of a task for them.

    The labels are pasted into CVAT's raw label constructor. Scores are attributes.
    """
    labels = landmark_labels(scheme)
    first = None
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        "  <meta>\n    <task>\n      <mode>annotation</mode>\n      <labels>\n"
        f"        <label><name>{CATEGORY}</name><type>skeleton</type></label>\n"
    ]
    parts += [
        f"        <label><name>{escape(label)}</name><type>points</type>"
        f"<parent>{CATEGORY}</parent></label>\n"
        for label in labels
    ]
    parts.append("      </labels>\n    </task>\n  </meta>\n")
    for number, image in enumerate(images):
        height, width = image["size_hw"]
        name = quoteattr(_NOT_XML.sub("_", image["image"]))
        parts.append(f'  <image id="{number}" name={name} width="{width}" height="{height}">\n')
        for face in image["faces"]:
            points = face["landmarks_px"]
            first = first or points
            scores = face["scores"] or [None] * len(labels)
            parts.append(f'    <skeleton label="{CATEGORY}" source="auto" z_order="0">\n')
            rows = zip(labels, points, scores, occluded_flags(face), strict=True)
            for label, point, score, is_occluded in rows:
                x, y = point or (0.0, 0.0)
                parts.append(
                    f'      <points label={quoteattr(label)} source="auto" '
                    f'outside="{int(point is None)}" occluded="{int(is_occluded)}" '
                    f'points="{x + CENTER:.3f},{y + CENTER:.3f}">{_score(score)}</points>\n'
                )
            parts.append(f"      {_score(face['score'])}\n    </skeleton>\n")
        parts.append("  </image>\n")
    parts.append("</annotations>\n")
    yield base.with_name(f"{base.name}.xml"), "".join(parts)
    task = [_cvat_label(scheme, labels, first)]
    yield base.with_name(f"{base.name}_labels.json"), json.dumps(task, indent=1)


def _score(score: float | None) -> str:
    return "" if score is None else f'<attribute name="score">{score}</attribute>'


def _cvat_label(
    scheme: LandmarkScheme, labels: list[str], points: list[Any] | None
) -> dict[str, Any]:
    """Returns the label of a CVAT task. Its drawing has the shape of `points`, in 0 to 100."""
    known = [point for point in points or () if point]
    x0, y0, x1, y1 = tight_box(known)
    scale = 80 / max(x1 - x0, y1 - y0, 1e-3)
    drawn = [
        (10 + (p[0] - x0) * scale, 10 + (p[1] - y0) * scale) if p else (5.0, 5.0)
        for p in points or [(0.0, float(i)) for i in range(len(labels))]
    ]
    lines = [
        f'<line x1="{drawn[i][0]:.2f}" y1="{drawn[i][1]:.2f}" x2="{drawn[j][0]:.2f}" '
        f'y2="{drawn[j][1]:.2f}" stroke="black" data-type="edge" data-node-from="{i + 1}" '
        f'data-node-to="{j + 1}"></line>'
        for i, j in drawn_edges(scheme)
    ]
    nodes = [
        f'<circle r="0.75" cx="{x:.2f}" cy="{y:.2f}" data-type="element node" '
        f'data-element-id="{i}" data-node-id="{i}" data-label-name={quoteattr(label)}></circle>'
        for i, (label, (x, y)) in enumerate(zip(labels, drawn, strict=True), start=1)
    ]
    score = {"name": "score", "mutable": False, "input_type": "text", "values": [""]}
    return {
        "name": CATEGORY,
        "type": "skeleton",
        "attributes": [score],
        "sublabels": [{"name": n, "type": "points", "attributes": [score]} for n in labels],
        "svg": "".join(lines + nodes),
    }
