"""Reliability of the scores of faces, with a detector, on whole images.

    python benchmarks/face_scores.py --data=300W_TREE [MODEL] [--detector=blazeface] [--quick]
    python benchmarks/face_scores.py --data=300W_TREE MODEL --calibrate

The first command prints, for validation faces, Helen's test faces and AFW, how often faces of a
score have an NME below 8 %, the expected calibration error, and how many real faces, other
detections and boxes of the background the default threshold keeps. A detection that does not match
the annotated face counts as inaccurate, also where it shows another face without annotation.

The second one fits the calibration of a model that was not trained on the images to the training
faces of Helen and LFPW and writes it into the model file. AFW and the validation faces, held out by
the hash of `wing-tfrecords write`, are not used.
"""

import argparse
import dataclasses

import numpy as np
import tqdm

from tfrecords_tools.sources import Ibug300WSource
from tfrecords_tools.splits import assign_splits
from wing_tf.detection import DETECTORS, make_detector, matching_box
from wing_tf.geometry import box_iou, crop_square, landmark_box
from wing_tf.inference import Landmarker
from wing_tf.inference.calibrate_scores import calibrate_scores, replace_model_spec
from wing_tf.metrics import format_reliability, nme, normalizing_distance, reliability
from wing_tf.model_spec import find_model
from wing_tf.score_calibration import ACCURATE_NME

_VALIDATION_FRACTION = 0.1


def split_items(source):
    """Returns items by group: calibration, validation, Helen test and AFW."""
    groups = {"calibration": [], "validation": [], "Helen test": [], "AFW": []}
    for split, items in assign_splits(source.items(), _VALIDATION_FRACTION).items():
        for item in items:
            if item.key.startswith("afw/"):
                groups["AFW"].append(item)
            elif split in ("train", "validation"):
                groups["calibration" if split == "train" else "validation"].append(item)
            elif split == "test_helen":
                groups["Helen test"].append(item)
    return groups


def background_boxes(image, box, generator, count=3):
    """Returns boxes [N, 4] of the image that hardly overlap the face."""
    height, width = image.shape[:2]
    face = crop_square(box, 1.0)
    boxes = []
    for _ in range(60):
        center = generator.uniform(0, [width, height])
        half = generator.uniform(0.25, 0.8) * (face[2] - face[0]) / 2
        one = np.concatenate([center - half, center + half])
        if box_iou(one, face) < 0.05 and len(boxes) < count:
            boxes.append(one)
    return np.reshape(boxes, (-1, 4))


def measure(landmarker, source, items):
    """Returns scores, kinds ("face", "other" or "background") and which faces are accurate."""
    scores, kinds, accurate, num_missed = [], [], [], 0
    generator = np.random.default_rng(0)
    for item in tqdm.tqdm(items, unit="face", disable=None):
        face = source.load(item)
        boxes = landmarker.detect(face.image)[:, :4]
        own = matching_box(boxes, face.landmarks_px)
        num_missed += own is None
        drawn = background_boxes(face.image, landmark_box(face.landmarks_px), generator)
        kinds += ["face" if own is not None and (b == own).all() else "other" for b in boxes]
        kinds += ["background"] * len(drawn)
        located = landmarker(face.image, np.concatenate([boxes, drawn]))
        distance = normalizing_distance(face.landmarks_px[None], source.scheme)
        for one in located:
            error = nme(face.landmarks_px[None], one.landmarks_px[None], distance)[0]
            accurate.append(error < ACCURATE_NME)
            scores.append(one.score)
    kinds = np.array(kinds)
    return np.array(scores), kinds, np.array(accurate) & (kinds == "face"), num_missed


def main():
    """Prints the tables, or calibrates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?")
    parser.add_argument("--data", required=True)
    parser.add_argument("--detector", default="blazeface", choices=list(DETECTORS))
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--quick", action="store_true", help="five faces of each set")
    options = parser.parse_args()
    source = Ibug300WSource(options.data)
    groups = split_items(source)
    if options.quick:
        groups = {name: items[:5] for name, items in groups.items()}
    if options.calibrate:
        if options.model is None:
            parser.error("--calibrate needs a model file")
        landmarker = Landmarker(options.model, detector=None)
        loaded = map(source.load, tqdm.tqdm(groups["calibration"], unit="face", disable=None))
        faces = ((f.image, f.landmarks_px, landmark_box(f.landmarks_px)) for f in loaded)
        calibration = calibrate_scores(landmarker, faces)
        spec = dataclasses.replace(landmarker.spec, score_calibration=calibration)
        replace_model_spec(find_model(options.model), spec)
        print(f"{calibration.num_faces} faces, default threshold {calibration.min_score}")
        return
    detector = make_detector(options.detector)
    landmarker = Landmarker(options.model, detector=detector, passes=options.passes)
    for name in ("validation", "Helen test", "AFW"):
        scores, kinds, accurate, num_missed = measure(landmarker, source, groups[name])
        is_detected = kinds != "background"
        print(f"\n{name}: {len(groups[name])} faces, {num_missed} not detected")
        print(
            "\n".join(format_reliability(reliability(scores[is_detected], accurate[is_detected])))
        )
        for kind in ("face", "other", "background"):
            chosen = scores[kinds == kind]
            kept = np.sum(chosen >= landmarker.min_score)
            print(f"kept at {landmarker.min_score:g}: {kept} of {len(chosen)} ({kind})")


if __name__ == "__main__":
    main()
