"""Faces followed through videos whose truth is known: identities, jitter, lag and speed.

    python benchmarks/video.py --model=model.tflite --output=video.json
    python benchmarks/video.py --model=model.tflite --still=face.jpg
    python benchmarks/video.py --model=model.tflite --choose

The video: 30 s of 30 frames, 640 x 480, two rendered faces (`tfrecords_tools.synthetic.clip`) with
sensor noise, written as Motion JPEG and read again. They rest, move as a sine and at constant speed
to and fro, cross twice, each time one hides the other, and rest. The portraits are the first two of
a seed that the detector finds: tracking is measured here, not detection.

* jitter: how far landmarks move from frame to frame, less what the truth moves; mean at rest.
* lag: the shift in time that brings the landmarks closest to the truth's, each landmark's constant
  error taken off, while the faces move.
* switches: how often a face's number changes.
* frames/s of a stage: frames over the seconds that all of them took.

``--still`` videos an image with the same noise. ``--choose`` tries filters on other seeds than
those reported.
"""

import argparse
import itertools
import json
import pathlib
import tempfile
import time

import cv2
import numpy as np

from tfrecords_tools.synthetic.clip import Motion, SyntheticClip
from wing_tf.detection import HaarDetector
from wing_tf.geometry import box_iou, crop_square, landmark_box
from wing_tf.inference import Landmarker, OneEuroFilter, Tracker, VideoWriter, open_video
from wing_tf.landmarks import get_scheme
from wing_tf.visualization import draw_landmarks

RATE = 30.0
SEEDS, OTHER_SEEDS = (101, 102, 103), (201, 202, 203)
# Seconds of the video; each part starts where the one before ends.
PARTS = {"rest": (0.5, 5.0), "sine": (6.0, 12.0), "constant": (13.0, 19.0), "end": (28.5, 30.0)}
CROSSINGS = ((20.0, 22.5), (25.0, 27.5))
SIDE_PX, GROWTH = (130.0, 145.0), 0.1


def motions() -> list[Motion]:
    """Returns the motions of the two faces."""
    t = np.arange(round(30 * RATE)) / RATE
    moves = []
    for number, (home, away) in enumerate(((170.0, 470.0), (470.0, 170.0))):
        x, y = np.full_like(t, home), np.full_like(t, 250.0 - 20 * number)
        side, roll = np.full_like(t, SIDE_PX[number]), np.zeros_like(t)
        wave = np.sin(2 * np.pi * (t - 6) / 2) * ((t >= 6) & (t < 12))  # .5 Hz
        (x if number else y)[:] += 50 * wave
        side *= 1 + GROWTH * wave
        roll += 8 * wave
        # To and fro at 100 px/s, 2 s each way and back.
        saw = np.interp(t, 13 + np.arange(7), [0, 1, 0, 1, 0, 1, 0], left=0, right=0)
        (y if number else x)[:] += 100 * (saw if number else -saw)
        for (start, stop), (a, b) in zip(CROSSINGS, ((home, away), (away, home)), strict=True):
            x += np.interp(t, (start, stop), (0, b - a))
        moves.append(Motion(np.stack([x, y], axis=1), side, roll))
    return moves


def found_portraits(seed: int, detector) -> list[int]:
    """Returns the first two portraits of a seed that the detector finds, where each will be."""
    chosen: list[int] = []
    for index in range(40):
        motion = motions()[len(chosen)]
        clip = SyntheticClip([motion], seed=seed, portraits=[index])
        square = crop_square(landmark_box(clip.landmarks_px[0, 0]), 1.0)
        if any(box_iou(box, square) > 0.5 for box in detector(clip.frame(0))):
            chosen.append(index)
        if len(chosen) == 2:
            return chosen
    raise SystemExit(f"The detector finds no two of 40 rendered faces of seed {seed}.")


class Stopwatch:
    """Seconds by stage."""

    def __init__(self):
        self.seconds = {}

    def timed(self, stage, function):
        def call(*arguments, **options):
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.perf_counter() - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + taken

        return call


def follow(path, model, detector, *, draw=False, **options):
    """Runs a tracker over a video; returns its faces frame by frame and seconds by stage."""
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
    inner = sum(watch.seconds.get(k, 0.0) for k in ("detect", "cut", "network", "filter"))
    watch.seconds["rest of tracker"] = watch.seconds.pop("tracker") - inner
    return faces, watch.seconds


def draw_all(image, faces, scheme):
    for face in faces:
        image = draw_landmarks(image, face.landmarks_px, scheme, box_xyxy_px=face.box_xyxy_px)
    return image


def matched(faces, clip):
    """Returns landmarks [T, N, K, 2] of each true face, NaN where missing, and what went wrong."""
    found = np.full(clip.landmarks_px.shape, np.nan)
    names = [[] for _ in range(found.shape[1])]
    missed = wrong = seen = 0
    for index, frame_faces in enumerate(faces):
        truth = clip.landmarks_px[index]
        hidden = clip.occluded_fraction(index)
        squares = crop_square(landmark_box(truth), 1.0)
        taken = set()
        for number in range(len(truth)):
            near = [
                (np.linalg.norm(f.landmarks_px - truth[number], axis=1).mean(), k)
                for k, f in enumerate(frame_faces)
            ]
            side = squares[number, 2] - squares[number, 0]
            near = [(d, k) for d, k in near if d < 0.25 * side and k not in taken]
            seen += hidden[number] < 0.05
            if not near:
                missed += hidden[number] < 0.05
                continue
            _, k = min(near)
            if hidden[number] < 0.3:
                taken.add(k)
                found[index, number] = frame_faces[k].landmarks_px
                names[number].append(frame_faces[k].identity)
        wrong += hidden.max() < 0.05 and len(frame_faces) > len(taken)
    switches = sum(sum(a != b for a, b in itertools.pairwise(one)) for one in names)
    numbers = [sorted(set(one)) for one in names]
    return found, {
        "identity_switches": switches,
        "identities": numbers,
        "missed_share": missed / max(seen, 1),
        "frames_with_false_faces": int(wrong),
    }


def part(name):
    start, stop = PARTS[name]
    return slice(round(start * RATE), round(stop * RATE))


def inter_ocular(landmarks):
    left, right = ((36,), (45,))
    return np.linalg.norm(landmarks[..., left, :] - landmarks[..., right, :], axis=-1).mean()


def jitter(found, truth):
    """Returns the mean residual from frame to frame, in pixels and % of the inter-ocular."""
    residual = np.linalg.norm(np.diff(found, axis=0) - np.diff(truth, axis=0), axis=-1)
    mean = float(np.nanmean(residual))
    return {"px": mean, "percent": 100 * mean / inter_ocular(truth)}


def lag_frames(found, truth):
    """Returns the shift in frames that best aligns landmarks [T, K, 2] with the truth's."""
    times = np.arange(len(truth))
    known = np.isfinite(found).all(axis=(1, 2)) & (times >= 8) & (times < len(times) - 4)
    flat = truth.reshape(len(truth), -1)
    errors = {}
    for shift in np.arange(-2, 8.01, 0.05):
        low = np.floor(times[known] - shift).astype(int)
        share = (times[known] - shift - low)[:, None]
        late = (1 - share) * flat[low] + share * flat[low + 1]
        gap = found[known].reshape(known.sum(), -1) - late
        errors[float(shift)] = np.mean((gap - gap.mean(axis=0)) ** 2)
    return min(errors, key=errors.get)


def error_percent(found, truth):
    distance = np.linalg.norm(found - truth, axis=-1)
    return 100 * float(np.nanmean(distance)) / inter_ocular(truth)


def tracking_scores(found, truth):
    """Returns the figures of one run."""
    rest = part("rest")
    lags = {
        name: float(np.mean([lag_frames(found[part(name), n], truth[part(name), n])
                             for n in range(truth.shape[1])]))
        for name in ("sine", "constant")
    }  # fmt: skip
    moving = np.r_[part("sine"), part("constant")]
    return {
        "jitter": jitter(found[rest], truth[rest]),
        "lag_frames": lags,
        "nme_percent": {
            "rest": error_percent(found[rest], truth[rest]),
            "moving": error_percent(found[moving], truth[moving]),
        },
    }


def filtered(found, **options):
    """Returns the landmarks [T, N, K, 2] of an unsmoothed run, filtered."""
    result = np.full_like(found, np.nan)
    for number in range(found.shape[1]):
        smoother = OneEuroFilter(**options)
        for index, landmarks in enumerate(found[:, number]):
            if not np.isfinite(landmarks).all():
                smoother.reset()
                continue
            size = float(np.max(np.ptp(landmarks, axis=0)))
            result[index, number] = smoother(landmarks, index / RATE, size_px=size)
    return result


def make_video(seed, folder, detector):
    clip = SyntheticClip(motions(), seed=seed, portraits=found_portraits(seed, detector))
    path = pathlib.Path(folder) / f"{seed}.avi"
    if not path.exists():
        with VideoWriter(path, frames_per_s=RATE, size_hw=clip.size_hw) as writer:
            for index in range(len(clip)):
                writer.write(clip.frame(index))
    return clip, path


def video_still(image, path, *, seconds=5, noise=3.0):
    image = cv2.imread(str(image), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise SystemExit(f"{image} is no image.")
    scale = min(1.0, 640 / max(image.shape[:2]))
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    rng = np.random.default_rng(0)
    with VideoWriter(path, frames_per_s=RATE, size_hw=image.shape[:2]) as writer:
        for _ in range(round(seconds * RATE)):
            noisy = image + noise * rng.standard_normal(image.shape, np.float32)
            writer.write(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


def still(arguments, folder, detector):
    """Returns the jitter on a videoed image, with and without the filter."""
    path = pathlib.Path(folder) / "still.avi"
    video_still(arguments.still, path)
    result = {}
    for name, smooth in (("unsmoothed", False), ("smoothed", True)):
        faces, _ = follow(path, arguments.model, detector, smooth=smooth)
        frames = [f for f in faces if f]
        identities = sorted({face.identity for f in frames for face in f})
        found = np.array([f[0].landmarks_px for f in frames])[:, None]
        if len(found) < 2:
            raise SystemExit(f"The detector finds no face in {arguments.still}.")
        start = round(0.5 * RATE)
        figures = jitter(found[start:], np.repeat(found.mean(axis=0)[None], len(found), 0)[start:])
        result[name] = figures | {"identities": identities, "frames": len(frames)}
    result["ratio"] = result["smoothed"]["px"] / result["unsmoothed"]["px"]
    return result


def choose(arguments, folder, detector):
    """Prints jitter (% of unsmoothed) and lags of many filters, on other seeds."""
    runs = []
    for seed in OTHER_SEEDS:
        clip, path = make_video(seed, folder, detector)
        faces, _ = follow(path, arguments.model, detector, smooth=False)
        found, facts = matched(faces, clip)
        print(seed, facts, tracking_scores(found, clip.landmarks_px), flush=True)
        runs.append((found, clip.landmarks_px))
    plain = np.mean([tracking_scores(*run)["jitter"]["px"] for run in runs])
    print("cutoff  beta  derivative: jitter ratio, lag sine, lag constant, error at rest, moving")
    for cutoff, beta, derivative in itertools.product(
        (0.2, 0.5, 1.0), (5.0, 10.0, 20.0, 40.0), (0.5, 1.0, 2.0)
    ):
        options = {
            "min_cutoff_hz": cutoff,
            "beta": beta,
            "derivative_cutoff_hz": derivative,
        }
        scores = [tracking_scores(filtered(found, **options), truth) for found, truth in runs]
        rows = [
            np.mean([s["jitter"]["px"] for s in scores]) / plain,
            *(np.mean([s["lag_frames"][k] for s in scores]) for k in ("sine", "constant")),
            *(np.mean([s["nme_percent"][k] for s in scores]) for k in ("rest", "moving")),
        ]
        print(f"{cutoff:5} {beta:5} {derivative:5}: " + "  ".join(f"{v:.2f}" for v in rows))


def report(arguments, folder, detector):
    """Returns the figures of the videos of all seeds."""
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
                f"{run['jitter']['percent']:.2f} % of the inter-ocular; lag {lags['sine']:.2f} "
                f"(sine), {lags['constant']:.2f} (constant) frames; "
                f"switches {run['identity_switches']}, identities {run['identities']}, "
                f"missed {100 * run['missed_share']:.1f} %, "
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="an exported LiteRT file, ibug_68")
    parser.add_argument("--videos", type=int, default=len(SEEDS), help="how many")
    parser.add_argument("--still", help="an image with a face, videoed instead")
    parser.add_argument("--choose", action="store_true", help="try filters instead")
    parser.add_argument("--folder", help="keeps the videos; a temporary folder by default")
    parser.add_argument("--output", help="a JSON file")
    arguments = parser.parse_args()
    detector = HaarDetector()
    if Landmarker(arguments.model).scheme != get_scheme("ibug_68"):
        raise SystemExit("The rendered faces have 68 points, the model has others.")
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
