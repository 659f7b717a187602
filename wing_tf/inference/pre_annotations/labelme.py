"""JSON files of labelme."""

import json
import os
import pathlib

from wing_tf.inference.pre_annotations.common import (
    CENTER,
    Files,
    Images,
    landmark_labels,
    occluded_flags,
)
from wing_tf.landmarks import LandmarkScheme


def write_labelme(
    images: Images, scheme: LandmarkScheme, folder: pathlib.Path, base: pathlib.Path
) -> Files:
    """Yields a JSON file for each image with faces, in folders like those of the images."""
    taken: set[pathlib.Path] = set()
    for image in images:
        if not image["faces"]:
            continue
        path = (base / image["image"]).with_suffix(".json")
        if path in taken:  # an image that differs in its suffix only
            path = base / f"{image['image']}.json"
        taken.add(path)
        single = len(image["faces"]) == 1
        shapes = [
            {
                "label": label,
                "points": [[round(x + CENTER, 3) for x in point]],
                "group_id": None if single else number,
                "description": "" if score is None else f"score {score:.3f}",
                "shape_type": "point",
                "flags": {"occluded": True} if is_occluded else {},
                "mask": None,
                "score": score,
            }
            for number, face in enumerate(image["faces"], start=1)
            for label, point, score, is_occluded in zip(
                landmark_labels(scheme),
                face["landmarks_px"],
                face["scores"] or [None] * scheme.num_landmarks,
                occluded_flags(face),
                strict=True,
            )
            if point
        ]
        height, width = image["size_hw"]
        content = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": os.path.relpath(folder / image["image"], path.parent),
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        yield path, json.dumps(content, indent=1)
