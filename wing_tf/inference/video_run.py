"""Landmarks of a whole video or camera recording: result file, drawn video and window."""

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
from wing_tf.inference.video import VideoReader
from wing_tf.inference.video_file import VideoFile
from wing_tf.inference.video_writer import VideoWriter
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.output_folder import check_free, locked_folder


@dataclasses.dataclass(frozen=True)
class VideoSummary:
    """Result of a run over a video.

    Attributes:
        num_frames: Number of frames that were read.
        num_broken: Number of frames that could not be read.
        num_faces: Number of identities.
        stopped: Whether the run was ended before the last frame.
        files: Files that were written.
    """

    num_frames: int
    num_broken: int
    num_faces: int
    stopped: bool
    files: tuple[pathlib.Path, ...]


def run_video(
    video: VideoReader,
    tracker: Callable[[np.ndarray, float], list[Face]],
    output: pathlib.Path,
    *,
    name: str,
    scheme: LandmarkScheme,
    visibility: bool = False,
    format: str = "jsonl",
    draw: Callable[[np.ndarray, Sequence[Face]], np.ndarray] | None = None,
    write_video: bool = True,
    show: Callable[[np.ndarray | None], bool] | None = None,
) -> VideoSummary:
    """Locates the faces of all frames.

    Ctrl-C ends the run after the current frame, with complete files. Until the end the landmarks
    are in ``landmarks.partial.jsonl``. After an error they stay there, up to the last complete
    frame, and the error says so; the next run in the same folder overwrites them, and removes the
    files of a process that was killed.

    The drawn video has the times of the frames and the audio of a video file.

    Args:
        video: The video; it is closed at the end.
        tracker: Function of an RGB frame and its time that returns the faces.
        output: Folder; gets ``landmarks.jsonl`` (or ``.csv``) and ``output.mp4``.
        name: Name of the video in the results.
        scheme: Scheme of the landmarks.
        visibility: Whether a CSV file has the visibility of the landmarks; the tracker's faces must
            then have it.
        format: "jsonl" or "csv".
        draw: Function of a frame and its faces that returns the drawn frame.
        write_video: Whether to write the drawn frames; otherwise they are only shown.
        show: Function of a drawn frame, or of the frame without `draw`, or of None while there is
            no new frame of a live source. The run ends when it returns False.

    Raises:
        ValueError: If an output file exists already, or if another process writes to the folder.
        OSError: If an output file can't be written.
    """
    results, drawn_video = output / f"landmarks.{format}", output / "output.mp4"
    write_video = write_video and draw is not None
    files = (results, drawn_video) if write_video else (results,)
    names = [path.name for path in files]
    num_frames, identities, stopped = 0, set(), False
    with ExitStack() as stack:
        stack.enter_context(video)
        lock = stack.enter_context(locked_folder(output))
        check_free(output, names)
        lock.note(names)
        file = stack.enter_context(_new_results(results, scheme, visibility))
        # Closed before the results, because it may fail.
        writer = stack.enter_context(_open_writer(drawn_video, video)) if write_video else None
        bar = stack.enter_context(tqdm(total=video.num_frames, unit="frame", disable=None))
        stop_requested = stack.enter_context(_stop_on_interrupt())

        def waits() -> bool:
            if show is not None and not show(None):
                stop_requested.set()
            return not stop_requested.is_set()

        video.on_wait = waits
        for frame in video:
            faces = tracker(frame.image, frame.time_s)
            size_hw = (frame.image.shape[0], frame.image.shape[1])
            file.write([ImageFaces(name, size_hw, faces, frame.number, frame.time_s)])
            num_frames += 1
            identities |= {face.identity for face in faces}
            image = frame.image
            if draw is not None and (writer is not None or show is not None):
                image = draw(frame.image, faces)
            if writer is not None:
                writer.write(image, frame.time_s)
            bar.update()
            stopped = stop_requested.is_set() or (show is not None and not show(image))
            if stopped:
                break
        stopped = stopped or stop_requested.is_set()
    return VideoSummary(num_frames, video.num_broken, len(identities), stopped, files)


@contextmanager
def _new_results(
    path: pathlib.Path, scheme: LandmarkScheme, visibility: bool
) -> Iterator[ResultFile]:
    """Opens a result file under a temporary name; after an error it keeps that name."""
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    partial.unlink(missing_ok=True)
    file = ResultFile(partial, scheme, video=True, visibility=visibility)
    try:
        with file:
            yield file
        os.replace(partial, path)
    except BaseException as error:
        if file.done and partial.exists():
            error.add_note(f"The landmarks of the frames before it are in {partial}.")
        else:  # an empty file would only be in the way
            partial.unlink(missing_ok=True)
        raise


def _open_writer(path: pathlib.Path, video: VideoReader) -> VideoWriter:
    return VideoWriter(
        path,
        frames_per_s=video.frames_per_s,
        size_hw=video.size_hw,
        pixel_aspect=video.pixel_aspect,
        audio_from=video if isinstance(video, VideoFile) else None,
    )


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Yields an event that the first Ctrl-C sets; the second one interrupts as usual."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    previous = signal.getsignal(signal.SIGINT)

    def request(*_: object) -> None:
        requested.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, request)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGINT, previous)
