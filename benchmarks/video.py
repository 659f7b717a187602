"""Identities, jitter, lag and speed of the tracker on videos with known ground truth.

    python benchmarks/video.py --model=model.tflite --output=video.json
    python benchmarks/video.py --model=model.tflite --still=face.jpg
    python benchmarks/video.py --model=model.tflite --choose

A video has 30 s at 30 frames per second, 640 x 480, of two rendered faces
(`tfrecords_tools.synthetic.clip`) with sensor noise, and is written as Motion JPEG and read back.
The faces rest, move as a sine, move back and forth at constant speed, cross twice, where one
occludes the other, and rest. They are the first two faces of a seed that the detector finds,
because the benchmark measures tracking, not detection.

* jitter: mean change of the error of a landmark from frame to frame, at rest.
* lag: delay that best aligns the landmarks with the ground truth while the faces move, without
  the constant error of each landmark.
* switches: number of changes of the identity of a face.
* frames/s of a stage: number of frames over the total time of the stage.

``--still`` measures jitter on a static image with the same noise. ``--choose`` compares settings of
the filter on other seeds than the reported ones.
"""

import argparse
import itertools
import json
import pathlib
import tempfile
import time

import cv2
import numpy as np
from video_scores import RATE, filtered, jitter, matched, motions, tracking_scores

from tfrecords_tools.synthetic.clip import SyntheticClip
from wing_tf.detection import HaarDetector
from wing_tf.geometry import box_iou, crop_square, landmark_box
from wing_tf.inference import Landmarker, OneEuroFilter, Tracker, VideoWriter, open_video
from wing_tf.landmarks import get_scheme
from wing_tf.visualization import draw_landmarks

SEEDS, OTHER_SEEDS = (101, 102, 103), (201, 202, 203)


def found_portraits(seed: int, detector) -> list[int]:
    """Returns the first two portraits of a seed that the detector finds at their start."""
    chosen: list[int] = []
    for index in range(40):
        motion = motions()[len(chosen)]
        clip = SyntheticClip([motion], seed=seed, portraits=[index])
        square = crop_square(landmark_box(clip.landmarks_px[0, 0]), 1.0)
        if any(box_iou(box, square) > 0.5 for box in detector(clip.frame(0))):
            chosen.append(index)
        if len(chosen) == 2:
            return chosen
    raise SystemExit(f"The detector finds fewer than two of 40 rendered faces of seed {seed}.")


class Stopwatch:
    """Total seconds by stage.

    A method that `timed` returns adds the time of its calls to a stage.
    """

    def __init__(self):
        self.seconds = {}

    def timed(self, stage, function):
        """Returns a function that also measures the time of its calls."""

        def call(*arguments, **options):
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.perf_counter() - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + taken

        return call


def follow(path, model, detector, *, draw=False, **options):
    """Tracks the faces of a video; returns the faces of each frame and the seconds by stage."""
    watch = Stopwatch()
    landmarker = Landmarker(model, detector=watch.timed("detect", detector))
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


def make_video(seed, folder, detector):
    """Returns a synthetic clip and its video file, which is written if it does not exist."""
    clip = SyntheticClip(motions(), seed=seed, portraits=found_portraits(seed, detector))
    path = pathlib.Path(folder) / f"{seed}.avi"
    if not path.exists():
        with VideoWriter(path, frames_per_s=RATE, size_hw=clip.size_hw) as writer:
            for index in range(len(clip)):
                writer.write(clip.frame(index))
    return clip, path


def write_still_video(image, path, *, seconds=5, noise=3.0):
    """Writes a video of a static image with noise."""
    image = cv2.imread(str(image), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise SystemExit(f"{image} is not an image.")
    scale = min(1.0, 640 / max(image.shape[:2]))
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    rng = np.random.default_rng(0)
    with VideoWriter(path, frames_per_s=RATE, size_hw=image.shape[:2]) as writer:
        for _ in range(round(seconds * RATE)):
            noisy = image + noise * rng.standard_normal(image.shape, np.float32)
            writer.write(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def still(arguments, folder, detector):
    """Returns the jitter on a static image with noise, with and without smoothing."""
    path = pathlib.Path(folder) / "still.avi"
    write_still_video(arguments.still, path)
    result = {}
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
    return result


def choose(arguments, folder, detector):
    """Prints jitter (relative to unsmoothed) and lag of filter settings, on other seeds."""
    runs = []
    for seed in OTHER_SEEDS:
        clip, path = make_video(seed, folder, detector)
        faces, _ = follow(path, arguments.model, detector, smooth=False)
        found, facts = matched(faces, clip)
        print(seed, facts, tracking_scores(found, clip.landmarks_px), flush=True)
        runs.append((found, clip.landmarks_px))
    plain = np.mean([tracking_scores(*run)["jitter"]["px"] for run in runs])
    print("cutoff  beta  derivative: jitter ratio, lag sine, lag constant, NME rest, NME moving")
    for cutoff, beta, derivative in itertools.product(
        (0.2, 0.5, 1.0), (5.0, 10.0, 20.0, 40.0), (0.5, 1.0, 2.0)
    ):
        options = {
            "min_cutoff_hz": cutoff,
            "beta": beta,
            "derivative_cutoff_hz": derivative,
        }
        scores = [tracking_scores(filtered(found, **options), points) for found, points in runs]
        rows = [
            np.mean([s["jitter"]["px"] for s in scores]) / plain,
            *(np.mean([s["lag_frames"][k] for s in scores]) for k in ("sine", "constant")),
            *(np.mean([s["nme_percent"][k] for s in scores]) for k in ("rest", "moving")),
        ]
        print(f"{cutoff:5} {beta:5} {derivative:5}: " + "  ".join(f"{v:.2f}" for v in rows))


def report(arguments, folder, detector):
    """Returns the scores of the videos of all seeds."""
    videos = {}
    for seed in SEEDS[: arguments.videos]:
        clip, path = make_video(seed, folder, detector)
        videos[seed] = {}
        for name, smooth in (("unsmoothed", False), ("smoothed", True)):
            faces, seconds = follow(path, arguments.model, detector, smooth=smooth, draw=True)
            found, facts = matched(faces, clip)
            videos[seed][name] = tracking_scores(found, clip.landmarks_px) | facts
            videos[seed][name]["frames_per_s"] = {
                stage: len(faces) / taken for stage, taken in seconds.items()
            } | {"all": len(faces) / sum(seconds.values())}
        both = videos[seed]
        print(f"video {seed}")
        for name, run in both.items():
            lags = run["lag_frames"]
            print(
                f"  {name}: jitter {run['jitter']['px']:.3f} px, "
                f"{run['jitter']['percent']:.2f} % of the eye distance; lag {lags['sine']:.2f} "
                f"(sine), {lags['constant']:.2f} (constant) frames; "
                f"switches {run['identity_switches']}, identities {run['identities']}, "
                f"missed {100 * run['missed_fraction']:.1f} %, "
                f"false faces in {run['frames_with_false_faces']} frames; "
                f"NME {run['nme_percent']['rest']:.2f} % at rest, "
                f"{run['nme_percent']['moving']:.2f} % moving"
            )
        ratio = both["smoothed"]["jitter"]["px"] / both["unsmoothed"]["jitter"]["px"]
        both["jitter_ratio"] = ratio
        speeds = both["smoothed"]["frames_per_s"]
        print(f"  jitter ratio {ratio:.3f}")
        print("  frames/s: " + ", ".join(f"{k} {v:.0f}" for k, v in speeds.items()), flush=True)
    return videos


def main():
    """Runs the benchmark that the flags select."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="exported LiteRT file of ibug_68")
    parser.add_argument("--videos", type=int, default=len(SEEDS), help="number of videos")
    parser.add_argument("--still", help="image of a face, for the jitter on a static image")
    parser.add_argument("--choose", action="store_true", help="compare filter settings")
    parser.add_argument("--folder", help="folder of the videos; temporary by default")
    parser.add_argument("--output", help="JSON file of the results")
    arguments = parser.parse_args()
    detector = HaarDetector()
    if Landmarker(arguments.model).scheme != get_scheme("ibug_68"):
        raise SystemExit("The model must have the scheme ibug_68, like the rendered faces.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or temporary
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        if arguments.choose:
            return choose(arguments, folder, detector)
        if arguments.still:
            result = {"still": still(arguments, folder, detector)}
            print(json.dumps(result["still"], indent=1))
        else:
            result = {"videos": report(arguments, folder, detector)}
    if arguments.output:
        pathlib.Path(arguments.output).write_text(json.dumps(result, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
