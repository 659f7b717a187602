"""Accuracy of the Landmarker with detected boxes, compared with ground truth boxes.

    python benchmarks/landmarker.py RUN_OR_EXPORT --data=300W_TREE [--detector=haar]
    python benchmarks/landmarker.py --calibrate --data=300W_TREE --split=train

The detector searches the whole image of each annotated face, and its box of the face is chosen by
`wing_tf.detection.matching_box`. For one and two passes, without and with flip averaging, it prints
NME (normalized by the distance of the outer eye corners) and FR8 with the ground truth boxes of all
faces ("true"), the ground truth boxes of the detected faces ("same") and their detected boxes
("found"), then the ratio of the last two NMEs, and the images per second of detection and network.

The second command needs no network. It measures the correction of a detector on whole images
(`wing_tf.detection.calibrate`); records contain only crops around the faces.
"""

import argparse
import itertools
import time

import numpy as np
import tqdm

from tfrecords_tools.sources import Ibug300WSource
from wing_tf.detection import DETECTORS, calibrate, make_detector, matching_box
from wing_tf.geometry import landmark_box
from wing_tf.inference import Landmarker
from wing_tf.metrics import failure_rate, nme, normalizing_distance

_FAILED = 0.08


def read_faces(options):
    """Yields images, their landmarks [K, 2] and their file names."""
    source = Ibug300WSource(options.data)
    items = [item for item in source.items() if item.split == options.split]
    if not items:
        raise SystemExit(f"No faces of split {options.split} in {options.data}.")
    for item in tqdm.tqdm(items, "reading", unit="face"):
        face = source.load(item)
        yield face.image, face.landmarks_px, str(item.source_data[0])


def locate(landmarker, images, boxes):
    """Returns the landmarks [N, K, 2] of images with one box each."""
    found = landmarker(list(images), [box[None] for box in boxes])
    return np.stack([faces[0].landmarks_px for faces in found])


def main():
    """Prints the scores of each combination of passes and flip averaging."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="test_helen")
    parser.add_argument("--detector", default="haar", choices=list(DETECTORS))
    parser.add_argument("--detector_model")
    parser.add_argument("--box_file")
    parser.add_argument("--correction")
    options = parser.parse_args()
    if (options.model is None) != options.calibrate:
        parser.error("expected either a model or --calibrate")

    detector = make_detector(
        options.detector,
        model_path=options.detector_model,
        box_file=options.box_file,
        correction=options.correction,
    )
    if options.calibrate:
        print(calibrate(detector, read_faces(options)))
        return
    images, landmarks, names = zip(*read_faces(options), strict=True)
    true = np.stack(landmarks)
    first = Landmarker(options.model, detector=detector)
    start = time.perf_counter()
    all_boxes = [first.detect(image, name) for image, name in zip(images, names, strict=True)]
    detecting = time.perf_counter() - start
    boxes = [matching_box(found, points) for found, points in zip(all_boxes, true, strict=True)]
    found = np.array([box is not None for box in boxes])
    others = sum(len(some) for some in all_boxes) - found.sum()
    print(
        f"{len(images)} faces, {100 * found.mean():.1f} % found, "
        f"{others / len(images):.3f} other boxes per image"
    )
    distance = normalizing_distance(true, first.scheme, "inter_ocular")
    print("passes flip   by    faces   NME  median  FR8 %  ratio  images/s")
    for passes, flip in itertools.product((1, 2), (False, True)):
        landmarker = Landmarker(options.model, detector=detector, passes=passes, flip=flip)
        start = time.perf_counter()
        for image, some in zip(images, all_boxes, strict=True):
            landmarker(image, some)
        speed = len(images) / (detecting + time.perf_counter() - start)
        by_true = nme(true, locate(landmarker, images, landmark_box(true)), distance)
        picked = [image for image, box in zip(images, boxes, strict=True) if box is not None]
        located = locate(landmarker, picked, [box for box in boxes if box is not None])
        by_found = nme(true[found], located, distance[found])
        rows = {
            "true": (by_true, ""),
            "same": (by_true[found], ""),
            "found": (by_found, f"{by_found.mean() / by_true[found].mean():6.3f} {speed:10.1f}"),
        }
        for by, (errors, rest) in rows.items():
            print(
                f"{passes:6d} {'on' if flip else 'off':>4} {by:>5} {len(errors):7d} "
                f"{100 * errors.mean():6.2f} {100 * np.median(errors):6.2f} "
                f"{100 * failure_rate(errors, _FAILED):6.1f} {rest}"
            )


if __name__ == "__main__":
    main()
