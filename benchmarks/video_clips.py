"""Synthetic videos of `video.py`: motions of two faces, and files with known ground truth."""

import dataclasses
import pathlib

import cv2
import numpy as np

from tfrecords_tools.synthetic.clip import Motion, SyntheticClip
from wing_tf.geometry import box_iou, crop_square, landmark_box
from wing_tf.inference.video_writer import VideoWriter

RATE = 30.0
_SIDE_PX, _GROWTH = (130.0, 145.0), 0.1


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Parts of a video in seconds; between two parts the faces come to rest."""

    rest: tuple[float, float]
    sine: tuple[float, float]
    constant: tuple[float, float]
    crossings: tuple[tuple[float, float], ...]
    end_s: float

    def part(self, name: str) -> slice:
        """Returns the frames of a part."""
        start, stop = getattr(self, name)
        return slice(round(start * RATE), round(stop * RATE))


FULL = Timeline((0.5, 5.0), (6.0, 12.0), (13.0, 19.0), ((20.0, 22.5), (25.0, 27.5)), 30.0)
QUICK = Timeline((0.5, 2.0), (2.5, 4.5), (5.0, 7.0), ((7.5, 9.5),), 10.0)


def motions(timeline: Timeline) -> list[Motion]:
    """Returns the motions of the two faces."""
    t = np.arange(round(timeline.end_s * RATE)) / RATE
    (sine, sine_end), (constant, constant_end) = timeline.sine, timeline.constant
    moves = []
    for number, (home, away) in enumerate(((170.0, 470.0), (470.0, 170.0))):
        x, y = np.full_like(t, home), np.full_like(t, 250.0 - 20 * number)
        side, roll = np.full_like(t, _SIDE_PX[number]), np.zeros_like(t)
        wave = np.sin(2 * np.pi * (t - sine) / 2) * ((t >= sine) & (t < sine_end))  # .5 Hz
        (x if number else y)[:] += 50 * wave
        side *= 1 + _GROWTH * wave
        roll += 8 * wave
        # Back and forth at 100 px/s, 2 s per cycle.
        times = np.arange(constant, constant_end + 0.5)
        saw = np.interp(t, times, np.arange(len(times)) % 2, left=0, right=0)
        (y if number else x)[:] += 100 * (saw if number else -saw)
        ends = (home, away)
        for crossing in timeline.crossings:
            x += np.interp(t, crossing, (0, ends[1] - ends[0]))
            ends = ends[::-1]
        moves.append(Motion(np.stack([x, y], axis=1), side, roll))
    return moves


def make_video(seed, folder, detectors, timeline):
    """Returns a synthetic clip and its video file, which is written if it does not exist."""
    own = motions(timeline)
    clip = SyntheticClip(own, seed=seed, portraits=_found_portraits(seed, detectors, own))
    path = pathlib.Path(folder) / f"{seed}_{len(clip)}.mp4"
    if not path.exists():
        with VideoWriter(path, frames_per_s=RATE, size_hw=clip.size_hw) as writer:
            for index in range(len(clip)):
                writer.write(clip.frame(index))
    return clip, path


def _found_portraits(seed, detectors, own):
    """Returns the first two portraits of a seed that all detectors find at their start."""
    chosen: list[int] = []
    for index in range(40):
        clip = SyntheticClip([own[len(chosen)]], seed=seed, portraits=[index])
        square = crop_square(landmark_box(clip.landmarks_px[0, 0]), 1.0)
        image = clip.frame(0)
        if all(any(box_iou(box, square) > 0.5 for box in find(image)) for find in detectors):
            chosen.append(index)
        if len(chosen) == 2:
            return chosen
    raise SystemExit(f"Fewer than two of 40 rendered faces of seed {seed} are found by all.")


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
