"""COCO key points."""

import json
import pathlib

from wing_tf.inference.pre_annotations.common import (
    CATEGORY,
    Files,
    Images,
    drawn_edges,
    joined,
    landmark_labels,
    occluded_flags,
    tight_box,
)
from wing_tf.landmarks import LandmarkScheme


def write_coco(
    images: Images, scheme: LandmarkScheme, folder: pathlib.Path, base: pathlib.Path
) -> Files:
    """Yields key points with ``score`` and ``keypoint_scores``, and boxes of the landmarks."""
    rows: list[str] = []
    annotations: list[str] = []
    for number, image in enumerate(images, start=1):
        height, width = image["size_hw"]
        row = {"id": number, "file_name": image["image"], "width": width, "height": height}
        rows.append(json.dumps(row))
        for face in image["faces"]:
            points = face["landmarks_px"]
            x0, y0, x1, y1 = tight_box(points)
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": 1,
                "keypoints": [
                    value
                    for point, is_occluded in zip(points, occluded_flags(face), strict=True)
                    for value in ([*point, 1 if is_occluded else 2] if point else [0, 0, 0])
                ],
                "num_keypoints": sum(point is not None for point in points),
                "bbox": [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)],
                "area": round((x1 - x0) * (y1 - y0), 3),
                "iscrowd": 0,
                "score": face["score"],
                "keypoint_scores": face["scores"],
            }
            annotations.append(json.dumps(annotation))
    category = {
        "id": 1,
        "name": CATEGORY,
        "supercategory": CATEGORY,
        "keypoints": landmark_labels(scheme),
        "skeleton": [[i + 1, j + 1] for i, j in drawn_edges(scheme)],  # COCO counts from 1
    }
    yield (
        base.with_name(f"{base.name}.json"),
        (
            f'{{\n"images": [\n{joined(rows)}\n],\n"annotations": [\n{joined(annotations)}\n],\n'
            f'"categories": [{json.dumps(category)}]\n}}\n'
        ),
    )
