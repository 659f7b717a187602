"""Speed and accuracy of whole images to landmarks, by face detector and beside MediaPipe.

    pip install -e '.[bench]'
    python -m venv MEDIAPIPE && MEDIAPIPE/bin/pip install mediapipe==0.10.21
    python benchmarks/landmarker.py [MODEL] --data=300W_TREE --detectors=haar,yunet [--quick]
        --yunet=face_detection_yunet_2023mar.onnx --mediapipe_python=MEDIAPIPE/bin/python
    python benchmarks/landmarker.py --calibrate --data=300W_TREE --sets=train --detectors=haar

One run prints, for each detector on the images of ``--sets``, each enlarged or reduced to a longer
side of ``--side`` pixels and with one annotated face:

* recall: how many annotated faces were found (`wing_tf.detection.matching_box`), other: the other
  faces per image (many are faces without annotation), alone: those of them that no other system
  found;
* milliseconds per image on one thread, from pixels in memory: detection, the whole call of the
  `Landmarker`, and the part of it that is spent in networks (invocations of LiteRT; OpenCV's
  detectors are not counted), with the ratios of the whole to that part, of Haar's detection to this
  one's, and of the whole to MediaPipe FaceMesh in static image mode;
* NME in % of the distance of the outer eye corners, of the same faces by their ground truth boxes
  ("true") and by the detected ones ("found"), and the ratio of the two.

The systems take turns image by image on one core. Times are processor time, which other processes
lengthen less than wall time; the median of ``--rounds`` per image, then the mean over images.
MediaPipe's mesh is mapped to the 68 landmarks by a ridge regression that is fitted on the training
faces outside of ``--sets``.

The last command needs no network. It measures the correction of detectors on whole images
(`wing_tf.detection.calibrate`); records contain only crops around the faces.
"""

import argparse
import collections
import contextlib
import os
import sys
import time

import cv2
import numpy as np
import tqdm
from ai_edge_litert.interpreter import Interpreter
from mediapipe_faces import MediaPipe, fit_mesh_map, matching_number

from tfrecords_tools.sources import Ibug300WSource
from wing_tf.detection import DETECTORS, calibrate, make_detector
from wing_tf.geometry import box_iou, landmark_box
from wing_tf.inference import Landmarker
from wing_tf.metrics import failure_rate, nme, normalizing_distance

_FAILED = 0.08
_SAME_FACE_IOU = 0.2  # meshes reach the forehead, landmark boxes do not
_MEDIAPIPE = "mediapipe"
_NUM_QUICK = 6


def list_items(source, sets, limit=None):
    """Returns the items of splits such as "test_helen" and of folders such as "afw"."""
    items = []
    for name in sets:
        some = [i for i in source.items() if i.split == name or i.key.startswith(f"{name}/")]
        if not some:
            raise SystemExit(f"No faces of {name} in {source.root}.")
        items += some[:limit]
    return items


def load_photo(source, item, side):
    """Returns the image of an item, resized to a longer side, and its landmarks [K, 2]."""
    face = source.load(item)
    size = face.image.shape[1::-1]
    scale = side / max(size)
    resized = [round(length * scale) for length in size]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    landmarks_px = (face.landmarks_px + 0.5) * (np.array(resized) / size) - 0.5
    return cv2.resize(face.image, resized, interpolation=how), landmarks_px


def training_photos(source, items, options):
    """Yields images and landmarks of training faces that are not among the items."""
    used = {item.source_image for item in items} | set(options.sets)
    free = [
        item
        for item in list_items(source, ["train"])
        if item.source_image not in used and item.key.partition("/")[0] not in used
    ]
    count = 60 if options.quick else options.mediapipe_faces
    for item in tqdm.tqdm(free[:: max(1, len(free) // count)], "fitting", unit="face"):
        yield load_photo(source, item, options.side)


class Clock:
    """Sums of processor time in milliseconds of functions that it wraps."""

    def __init__(self):
        self.sums = collections.Counter()

    def wrap(self, name, function):
        """Returns the function, measured."""

        def measured(*args):
            start = time.process_time()
            try:
                return function(*args)
            finally:
                self.sums[name] += 1e3 * (time.process_time() - start)

        return measured


class System:
    """A Landmarker with one detector, or MediaPipe, and its results.

    Args:
        run: Function of an image that returns {"detection", "network", "path"} in milliseconds, and
            the boxes [F, 4] and landmarks [F, K, 2] of the faces.
        rounds: Number of times that each image is measured.

    Attributes:
        times: The milliseconds, for each image those of each round.
        faces: Boxes and landmarks of each image.
    """

    def __init__(self, run, rounds):
        self.run, self.rounds = run, rounds
        self.times, self.faces = collections.defaultdict(list), []

    def add(self, number, image):
        """Runs an image."""
        times, *faces = self.run(image)
        if number not in self.times:
            self.faces.append(faces)
        self.times[number].append(times)

    def mean_ms(self, name):
        """Returns the mean over images of the median over rounds."""
        return np.mean([np.median([t[name] for t in times]) for times in self.times.values()])


def landmarker_run(landmarker, clock):
    """Returns the function of a `System` for a Landmarker."""
    call = clock.wrap("path", landmarker)

    def run(image):
        clock.sums.clear()
        faces = call(image)
        times = {name: clock.sums[name] for name in ("detection", "network", "path")}
        boxes = np.array([face.box_xyxy_px for face in faces]).reshape(-1, 4)
        return times, boxes, [face.landmarks_px for face in faces]

    return run


def unmatched(system, systems, numbers):
    """Returns how many faces are not the annotated one, and how many of these are only here."""
    other = alone = 0
    for i, number in enumerate(numbers):
        boxes = np.delete(system.faces[i][0], [] if number is None else number, axis=0)
        rest = [one.faces[i][0] for one in systems if one is not system]
        overlaps = box_iou(boxes[:, None], np.concatenate([np.zeros((0, 4)), *rest])[None])
        other += len(boxes)
        alone += int(np.sum(~(overlaps > _SAME_FACE_IOU).any(axis=1)))
    return other, alone


def print_table(systems, truth, by_true, distance, mesh_map):
    """Prints one line per system; see the module."""
    nan = float("nan")
    haar = systems["haar"].mean_ms("detection") if "haar" in systems else nan
    mediapipe = systems[_MEDIAPIPE].mean_ms("path") if _MEDIAPIPE in systems else nan
    print(
        f"{'':10} recall  other  alone | detection   path  network  path/network  haar/this  "
        "path/mediapipe |  true  found   FR8  ratio"
    )
    for name, system in systems.items():
        numbers = [matching_number(f[0], t) for f, t in zip(system.faces, truth, strict=True)]
        found = np.array([number is not None for number in numbers])
        other, alone = unmatched(system, systems.values(), numbers)
        located = [f[1][n] for f, n in zip(system.faces, numbers, strict=True) if n is not None]
        if name == _MEDIAPIPE:
            located = mesh_map(np.stack(located))
        errors = nme(truth[found], np.stack(located), distance[found])
        own = nan if name == _MEDIAPIPE else by_true[found].mean()
        detection, network, path = map(system.mean_ms, ("detection", "network", "path"))
        print(
            f"{name:10} {100 * found.mean():6.2f} {other / len(truth):6.3f} "
            f"{alone / len(truth):6.3f} | {detection:9.2f} {path:6.2f} {network:8.2f} "
            f"{path / network:13.2f} {haar / detection:10.1f} {path / mediapipe:15.2f} | "
            f"{100 * own:5.2f} {100 * errors.mean():6.2f} "
            f"{100 * failure_rate(errors, _FAILED):5.1f} {errors.mean() / own:6.3f}"
        )


def compare(options, detectors):
    """Runs all systems on all images and prints their table."""
    source = Ibug300WSource(options.data)
    items = list_items(source, options.sets, _NUM_QUICK if options.quick else None)
    clock = Clock()
    Interpreter.invoke = clock.wrap("network", Interpreter.invoke)
    landmarkers = {
        name: Landmarker(
            options.model,
            detector=clock.wrap("detection", detector),
            num_threads=1,
            passes=options.passes,
            flip=options.flip,
        )
        for name, detector in detectors.items()
    }
    systems = {
        # Haar takes longer than all others together.
        name: System(landmarker_run(one, clock), 1 if name == "haar" else options.rounds)
        for name, one in landmarkers.items()
    }
    by_box = next(iter(landmarkers.values()))
    truth, by_true, mesh_map = [], [], None
    with contextlib.ExitStack() as stack:
        if options.mediapipe_python:
            mediapipe = stack.enter_context(MediaPipe(options.mediapipe_python))
            mesh_map = fit_mesh_map(mediapipe, training_photos(source, items, options))
            systems[_MEDIAPIPE] = System(mediapipe, options.rounds)
        for number, item in enumerate(tqdm.tqdm(items, "running", unit="image")):
            image, landmarks = load_photo(source, item, options.side)
            if not number:  # warm up
                for system in systems.values():
                    system.run(image)
            for turn in range(options.rounds):
                for system in list(systems.values())[:: -1 if turn % 2 else 1]:
                    if turn < system.rounds:
                        system.add(number, image)
            truth.append(landmarks)
            by_true.append(by_box(image, landmark_box(landmarks)[None])[0].landmarks_px)
    truth, by_true = np.stack(truth), np.stack(by_true)
    distance = normalizing_distance(truth, source.scheme, "inter_ocular")
    faces = sum(len(boxes) for boxes, _ in next(iter(systems.values())).faces)
    print(f"{len(items)} images, {faces} faces by {next(iter(systems))}")
    print_table(systems, truth, nme(truth, by_true, distance), distance, mesh_map)


def main():
    """Prints the table, or the corrections of detectors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="defaults to the pretrained model")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a few images, for a try")
    parser.add_argument("--data", required=True)
    parser.add_argument("--sets", type=_names, default=["test_helen", "afw"])
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--detectors", type=_names, default=list(DETECTORS)[:1])
    parser.add_argument("--yunet", help="the .onnx file of YuNet")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mediapipe_python")
    parser.add_argument("--mediapipe_faces", type=int, default=2000, help="of the ridge regression")
    options = parser.parse_args()
    if len(cores := os.sched_getaffinity(0)) > 1:
        # Again from the start, because NumPy's libraries start their threads when imported.
        os.sched_setaffinity(0, {min(cores)})
        os.execv(sys.executable, sys.orig_argv)
    detectors = {
        name: make_detector(name, model_path=options.yunet if name == "yunet" else None)
        for name in options.detectors
    }
    if options.calibrate:
        source = Ibug300WSource(options.data)
        items = list_items(source, options.sets, _NUM_QUICK if options.quick else None)
        for name, detector in detectors.items():
            faces = (source.load(item) for item in items)
            named = ((f.image, f.landmarks_px, i.key) for f, i in zip(faces, items, strict=True))
            print(name, calibrate(detector, named))
        return
    compare(options, detectors)


def _names(text):
    return text.split(",")


if __name__ == "__main__":
    main()
