"""Identities, jitter, lag and speed of the tracker on videos with known ground truth.

    pip install -e '.[bench]'
    python -m venv MEDIAPIPE && MEDIAPIPE/bin/pip install mediapipe==0.10.21
    python benchmarks/video.py [--model=MODEL] [--detectors=blazeface,haar] [--quick]
        [--mediapipe_python=MEDIAPIPE/bin/python] [--output=video.json]
    python benchmarks/video.py --still=face.jpg
    python benchmarks/video.py --choose

A video has 30 s at 30 frames per second, 640 x 480, of two rendered faces
(`tfrecords_tools.synthetic.clip`) with sensor noise, and is written as Motion JPEG and read back.
The faces rest, move as a sine, move back and forth at constant speed, cross twice, where one
occludes the other, and rest. They are the first two faces of a seed that all detectors find,
because the benchmark measures tracking, not detection. ``--quick`` is one video of 10 s. The
first of the detectors also runs without smoothing.

* jitter: mean change of the error of a landmark from frame to frame, at rest.
* lag: delay that best aligns the landmarks with the ground truth while the faces move, without
  the constant error of each landmark.
* switches: number of changes of the identity of a face.
* frames/s of a step: number of frames over the processor time of the step, on one core.

MediaPipe FaceMesh in tracking mode runs on the same frames, on the same core. It has no identities;
of its mesh, the points that are nearest to the 68 landmarks are scored, so its error includes the
difference between the schemes.

``--still`` measures jitter on a static image with the same noise. ``--choose`` compares settings of
the filter on other seeds than the reported ones.
"""

import argparse
import itertools
import json
import os
import pathlib
import tempfile
import time

import cv2
import numpy as np
from mediapipe_faces import MediaPipe
from video_clips import FULL, QUICK, RATE, make_video, write_still_video
from video_scores import filtered, jitter, matched, tracking_scores

from wing_tf.detection import DETECTORS, make_detector
from wing_tf.geometry import landmark_box
from wing_tf.inference import Face, Landmarker, OneEuroFilter, Tracker, open_video
from wing_tf.landmarks import get_scheme
from wing_tf.utils.atomic import write_json
from wing_tf.visualization import draw_landmarks

SEEDS, OTHER_SEEDS = (101, 102, 103), (201, 202, 203)
# Points of MediaPipe's mesh at the 68 landmarks.
MESH_68 = [
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61, 39, 37, 0, 267, 269),
    *(291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
]


class Stopwatch:
    """Total seconds by stage.

    A method that `timed` returns adds the time of its calls to a stage.
    """

    def __init__(self):
        self.seconds = {}

    def timed(self, stage, function):
        """Returns a function that also measures the time of its calls."""

        def call(*arguments, **options):
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.process_time() - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + taken

        return call


def follow(path, model, detector, *, draw=False, **options):
    """Tracks the faces of a video; returns the faces of each frame and the seconds by stage."""
    watch = Stopwatch()
    landmarker = Landmarker(model, detector=watch.timed("detect", detector), num_threads=1)
    landmarker.crop = watch.timed("crop", landmarker.crop)
    landmarker.predict_crops = watch.timed("network", landmarker.predict_crops)
    tracker = Tracker(landmarker, **options)
    smooth = OneEuroFilter.__call__
    OneEuroFilter.__call__ = watch.timed("filter", smooth)
    follow_frame = watch.timed("tracker", tracker)
    faces = []
    try:
        with open_video(path) as video:
            frames = iter(video)
            while (frame := watch.timed("decode", next)(frames, None)) is not None:
                faces.append(follow_frame(frame.image, frame.time_s))
                if draw:
                    watch.timed("draw", draw_all)(frame.image, faces[-1], landmarker.scheme)
    finally:
        OneEuroFilter.__call__ = smooth
    inner = sum(watch.seconds.get(k, 0.0) for k in ("detect", "crop", "network", "filter"))
    watch.seconds["rest of tracker"] = watch.seconds.pop("tracker") - inner
    return faces, watch.seconds


def draw_all(image, faces, scheme):
    """Returns an image with all of its faces drawn on it."""
    for face in faces:
        image = draw_landmarks(image, face.landmarks_px, scheme, box_xyxy_px=face.box_xyxy_px)
    return image


def follow_by_mediapipe(path, mediapipe):
    """Tracks the faces of a video by MediaPipe; returns as `follow`, without identities."""
    faces, seconds = [], 0.0
    with open_video(path) as video:
        for frame in video:
            milliseconds, meshes = mediapipe.track(frame.image, is_start=not faces)
            seconds += milliseconds / 1000
            found = [mesh[MESH_68] for mesh in meshes]
            faces.append([Face(points, landmark_box(points)) for points in found])
    return faces, {"detect, network and tracker": seconds}


def still(arguments, folder):
    """Prints the jitter on a static image with noise, with and without smoothing."""
    path = pathlib.Path(folder) / "still.mp4"
    write_still_video(arguments.still, path)
    detector, result = make_detector(arguments.detectors[0]), {}
    for name, smooth in (("unsmoothed", False), ("smoothed", True)):
        faces, _ = follow(path, arguments.model, detector, smooth=smooth)
        frames = [f for f in faces if f]
        identities = sorted({face.identity for f in frames for face in f})
        found = np.array([f[0].landmarks_px for f in frames])[:, None]
        if len(found) < 2:
            raise SystemExit(f"The detector finds no face in {arguments.still}.")
        start = round(0.5 * RATE)
        scores = jitter(found[start:], np.repeat(found.mean(axis=0)[None], len(found), 0)[start:])
        result[name] = scores | {"identities": identities, "frames": len(frames)}
    result["ratio"] = result["smoothed"]["px"] / result["unsmoothed"]["px"]
    print(json.dumps(result, indent=1))
    return result


def choose(arguments, folder):
    """Prints jitter (relative to unsmoothed) and lag of filter settings, on other seeds."""
    detector, runs = make_detector(arguments.detectors[0]), []
    for seed in OTHER_SEEDS:
        clip, path = make_video(seed, folder, [detector], FULL)
        faces, _ = follow(path, arguments.model, detector, smooth=False)
        found, facts = matched(faces, clip)
        print(seed, facts, tracking_scores(found, clip.landmarks_px, FULL), flush=True)
        runs.append((found, clip.landmarks_px))
    plain = np.mean([tracking_scores(*run, FULL)["jitter"]["px"] for run in runs])
    print("cutoff  beta  derivative: jitter ratio, lag sine, lag constant, NME rest, NME moving")
    for cutoff, beta, derivative in itertools.product(
        (0.2, 0.5, 1.0), (5.0, 10.0, 20.0, 40.0), (0.5, 1.0, 2.0)
    ):
        options = {"min_cutoff_hz": cutoff, "beta": beta, "derivative_cutoff_hz": derivative}
        scores = [tracking_scores(filtered(found, **options), gt, FULL) for found, gt in runs]
        rows = [
            np.mean([s["jitter"]["px"] for s in scores]) / plain,
            *(np.mean([s["lag_frames"][k] for s in scores]) for k in ("sine", "constant")),
            *(np.mean([s["nme_percent"][k] for s in scores]) for k in ("rest", "moving")),
        ]
        print(f"{cutoff:5} {beta:5} {derivative:5}: " + "  ".join(f"{v:.2f}" for v in rows))


def report(arguments, folder):
    """Prints and returns the scores of all systems on the videos of all seeds."""
    timeline, seeds = (QUICK, SEEDS[:1]) if arguments.quick else (FULL, SEEDS)
    detectors = {name: make_detector(name) for name in arguments.detectors}
    videos = {}
    for seed in seeds:
        clip, path = make_video(seed, folder, detectors.values(), timeline)
        runs = {}
        for name, detector in detectors.items():
            runs[name] = follow(path, arguments.model, detector, draw=True)
        first = next(iter(detectors))
        runs["unsmoothed"] = follow(path, arguments.model, detectors[first], smooth=False)
        if arguments.mediapipe_python:
            with MediaPipe(arguments.mediapipe_python) as mediapipe:
                runs["MediaPipe"] = follow_by_mediapipe(path, mediapipe)
        print(f"video {seed}: {len(clip)} frames")
        videos[seed] = {}
        for name, (faces, seconds) in runs.items():
            found, facts = matched(faces, clip)
            scores = tracking_scores(found, clip.landmarks_px, timeline) | facts
            parts = {step: len(faces) / taken for step, taken in seconds.items()}
            scores["frames_per_s"] = {"all": len(faces) / sum(seconds.values())} | parts
            videos[seed][name] = scores
            print_scores(name, scores)
        pair = [videos[seed][name]["jitter"]["px"] for name in (first, "unsmoothed")]
        videos[seed]["jitter_ratio"] = pair[0] / pair[1]
        print(f"  jitter ratio of {first}: {pair[0] / pair[1]:.3f}", flush=True)
    return videos


def print_scores(name, run):
    """Prints the scores of one system on one video."""
    lags, errors = run["lag_frames"], run["nme_percent"]
    print(
        f"  {name}: jitter {run['jitter']['px']:.3f} px, {run['jitter']['percent']:.2f} % of the "
        f"eye distance; lag {lags['sine']:.2f} (sine), {lags['constant']:.2f} (constant) frames; "
        f"switches {run['identity_switches']}, identities {run['identities']}, "
        f"missed {100 * run['missed_fraction']:.1f} %, "
        f"false faces in {run['frames_with_false_faces']} frames; "
        f"NME {errors['rest']:.2f} % at rest, {errors['moving']:.2f} % moving"
    )
    speeds = ", ".join(f"{step} {rate:.0f}" for step, rate in run["frames_per_s"].items())
    print(f"    frames/s: {speeds}", flush=True)


def main():
    """Runs the benchmark that the flags select."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="model of ibug_68; the shipped one by default")
    parser.add_argument(
        "--detectors", default="blazeface", type=lambda text: text.split(","),
        help=f"of {', '.join(DETECTORS)}; the first one also runs without smoothing",
    )  # fmt: skip
    parser.add_argument("--mediapipe_python", help="interpreter that has mediapipe 0.10.21")
    parser.add_argument("--quick", action="store_true", help="one short video")
    parser.add_argument("--still", help="image of a face, for the jitter on a static image")
    parser.add_argument("--choose", action="store_true", help="compare filter settings")
    parser.add_argument("--folder", help="folder of the videos; temporary by default")
    parser.add_argument("--output", help="JSON file of the results")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # also for the process of MediaPipe
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    cv2.setNumThreads(1)
    if Landmarker(arguments.model).scheme != get_scheme("ibug_68"):
        raise SystemExit("The model must have the scheme ibug_68, like the rendered faces.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or temporary
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        if arguments.choose:
            return choose(arguments, folder)
        result = (still if arguments.still else report)(arguments, folder)
    if arguments.output:
        write_json(arguments.output, result)
    return None


if __name__ == "__main__":
    main()
