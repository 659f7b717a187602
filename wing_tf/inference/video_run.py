"""A video or a camera from its first frame to its last: landmarks, a drawn video, a window."""

import dataclasses
import os
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
from tqdm import tqdm

from wing_tf.inference.face import Face
from wing_tf.inference.output import ImageFaces
from wing_tf.inference.run_files import ResultFile
from wing_tf.inference.video import VideoReader, VideoWriter
from wing_tf.landmarks import LandmarkScheme

_LONGEST_GAP_S = 5.0
# A browser's videos state 1000 frames a second, the unit of their times.
_FASTEST_RATE, _USUAL_RATE = 240.0, 60.0


@dataclasses.dataclass(frozen=True)
class VideoSummary:
    """What a run over a video came to.

    Attributes:
        frames: how many were read.
        broken: how many could not be read.
        faces: how many identities there were.
        stopped: whether it was ended before the last frame.
        files: that were written.
    """

    frames: int
    broken: int
    faces: int
    stopped: bool
    files: tuple[pathlib.Path, ...]


def run_video(
    video: VideoReader,
    tracker: Callable[[np.ndarray, float], list[Face]],
    output: pathlib.Path,
    *,
    name: str,
    scheme: LandmarkScheme,
    form: str = "jsonl",
    draw: Callable[[np.ndarray, Sequence[Face]], np.ndarray] | None = None,
    write_video: bool = True,
    show: Callable[[np.ndarray], bool] | None = None,
) -> VideoSummary:
    """Locates the faces of all frames.

    Ctrl-C ends it behind the frame at hand, with whole files of what there was. A fault leaves the
    landmarks up to it. Until the end they are in ``landmarks.partial.jsonl``, which is all that is
    left of a run that was killed; the next run into the same folder begins it anew.

    Args:
        video: is closed at the end.
        tracker: RGB frames and their times to faces.
        output: a new folder; gets ``landmarks.jsonl`` (``landmarks.csv``) and ``output.mp4``.
        name: what the video is called in the results.
        scheme: of the landmarks.
        form: "jsonl" or "csv".
        draw: a frame and its faces to the drawn frame; nothing is drawn if None.
        write_video: whether drawn frames are written; if not, they are only shown.
        show: takes each drawn frame, or the plain one; False ends the run.

    Raises:
        ValueError: if a file is there already.
        OSError: if one can't be written.
    """
    results, drawn_video = output / f"landmarks.{form}", output / "output.mp4"
    write_video = write_video and draw is not None
    files = (results, drawn_video) if write_video else (results,)
    for path in files:
        if path.exists():
            raise ValueError(f"{path} exists already. Name another --output.")
    output.mkdir(parents=True, exist_ok=True)
    frames, identities, stopped = 0, set(), False
    with ExitStack() as stack:
        stack.enter_context(video)
        # First, as it may fail: no results are begun then.
        writer = stack.enter_context(_EvenVideo(drawn_video, video)) if write_video else None
        file = stack.enter_context(_new_results(results, scheme))
        bar = stack.enter_context(tqdm(total=video.num_frames, unit="frame", disable=None))
        asked_to_stop = stack.enter_context(_StopOnInterrupt())
        for frame in video:
            faces = tracker(frame.image, frame.time_s)
            size_hw = (frame.image.shape[0], frame.image.shape[1])
            file.write([ImageFaces(name, size_hw, faces, frame.index, frame.time_s)])
            frames += 1
            identities |= {face.identity for face in faces}
            image = frame.image
            if draw is not None and (writer is not None or show is not None):
                image = draw(frame.image, faces)
            if writer is not None:
                writer.write(image, frame.time_s)
            bar.update()
            stopped = asked_to_stop.is_set() or (show is not None and not show(image))
            if stopped:
                break
    return VideoSummary(frames, video.num_broken, len(identities), stopped, files)


@contextmanager
def _new_results(path: pathlib.Path, scheme: LandmarkScheme) -> Iterator[ResultFile]:
    """Opens a file of results that gets its name when all is in it, or all up to a fault."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    partial.unlink(missing_ok=True)
    file = ResultFile(partial, scheme, video=True)
    try:
        with file:
            yield file
    finally:
        if file.done:
            os.replace(partial, path)
        else:  # nothing that a second try should have to be moved away for
            partial.unlink()


class _EvenVideo:
    """A video whose frames are equally long, from frames at any times.

    What a broken frame or a slow camera leaves out is filled with the frame before, so that the
    video lasts as long as what it shows. Its rate is the one that is stated, or 60 where that is
    above 240 and so hardly a rate at all.
    """

    def __init__(self, path: pathlib.Path, video: VideoReader):
        stated = video.frames_per_s
        rate = stated if stated <= _FASTEST_RATE else _USUAL_RATE
        self._writer = VideoWriter(path, frames_per_s=rate, size_hw=video.size_hw)
        self._rate = self._writer.frames_per_s
        self._start_s: float | None = None
        self._written = 0
        self._last: np.ndarray | None = None

    def write(self, image: np.ndarray, time_s: float) -> None:
        """Adds a frame, after as many repetitions of the last one as are missing."""
        if self._start_s is None:
            self._start_s = time_s
        due = round((time_s - self._start_s) * self._rate)
        missing = min(due - self._written, round(_LONGEST_GAP_S * self._rate))
        for _ in range(missing if self._last is not None else 0):
            self._writer.write(self._last)
        if due >= self._written:
            self._writer.write(image)
            self._written = due + 1
        self._last = image

    def __enter__(self) -> "_EvenVideo":
        self._writer.__enter__()
        return self

    def __exit__(self, *details) -> None:
        self._writer.__exit__(*details)


class _StopOnInterrupt:
    """Turns the first Ctrl-C into a request; the second one ends as ever."""

    def __enter__(self) -> threading.Event:
        asked = threading.Event()
        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)

            def ask(*_: object) -> None:
                asked.set()
                signal.signal(signal.SIGINT, self._before)

            signal.signal(signal.SIGINT, ask)
        return asked

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
