"""Tasks of Label Studio."""

import json
import pathlib
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from wing_tf.inference.pre_annotations.common import (
    CATEGORY,
    CENTER,
    Files,
    Images,
    joined,
    landmark_labels,
    tight_box,
)
from wing_tf.landmarks import LandmarkScheme


def write_label_studio(
    images: Images, scheme: LandmarkScheme, folder: pathlib.Path, base: pathlib.Path
) -> Files:
    """Tasks of Label Studio with predictions, and the labeling configuration for them.

    Images are local files: the document root of Label Studio is the folder that `folder` is in.
    """
    labels = landmark_labels(scheme)
    tasks = []
    for image in images:
        results: list[dict[str, Any]] = []
        for number, face in enumerate(image["faces"], start=1):
            results += _studio_results(number, face, labels, image["size_hw"])
        path = urllib.parse.quote(
            f"{folder.resolve().name}/{image['image']}", errors="surrogateescape"
        )
        scores = [face["score"] for face in image["faces"] if face["score"] is not None]
        prediction = {"model_version": "wing_tf", "result": results}
        if scores:
            prediction["score"] = min(scores)
        task = {"data": {"image": f"/data/local-files/?d={path}"}, "predictions": [prediction]}
        tasks.append(json.dumps(task))
    yield base.with_name(f"{base.name}.json"), f"[\n{joined(tasks)}\n]\n"
    values = "\n".join(f"    <Label value={quoteattr(label)}/>" for label in labels)
    yield (
        base.with_name(f"{base.name}_config.xml"),
        (
            '<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
            f'  <RectangleLabels name="box" toName="image">\n    <Label value="{CATEGORY}"/>\n'
            "  </RectangleLabels>\n"
            f'  <KeyPointLabels name="landmark" toName="image">\n{values}\n'
            "  </KeyPointLabels>\n</View>\n"
        ),
    )


def _studio_results(
    number: int, face: Mapping[str, Any], labels: list[str], size_hw: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    """Yields the results of a face: the box of its landmarks, and the landmarks."""
    height, width = size_hw

    def result(identifier: str, name: str, kind: str, score: float | None, **value: Any) -> dict:
        return {
            "id": identifier,
            "from_name": name,
            "to_name": "image",
            "type": kind,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": value,
        } | ({} if score is None else {"score": score})

    def percent(pixels: float, side: int) -> float:
        return round(pixels / side * 100, 7)

    points = face["landmarks_px"]
    x0, y0, x1, y1 = tight_box(points)
    yield result(
        f"face{number}",
        "box",
        "rectanglelabels",
        face["score"],
        x=percent(x0 + CENTER, width),
        y=percent(y0 + CENTER, height),
        width=percent(x1 - x0, width),
        height=percent(y1 - y0, height),
        rotation=0,
        rectanglelabels=[CATEGORY],
    )
    scores = face["scores"] or [None] * len(labels)
    for index, (label, point, score) in enumerate(zip(labels, points, scores, strict=True)):
        if point:
            x, y = percent(point[0] + CENTER, width), percent(point[1] + CENTER, height)
            size = {"x": x, "y": y, "width": 0.5, "keypointlabels": [label]}
            identifier = f"face{number}_{index}"
            found = result(identifier, "landmark", "keypointlabels", score, **size)
            yield found | {"parentID": f"face{number}"}
