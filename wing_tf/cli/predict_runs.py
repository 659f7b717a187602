"""Runs of wing-predict over an image, a folder, a video or a camera, and detector calibration."""

import dataclasses
import hashlib
import pathlib
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import app

from wing_tf.detection import Detector, calibrate, make_detector
from wing_tf.inference.drawing import draw_faces, legible_scale
from wing_tf.inference.face import Face
from wing_tf.inference.landmarker import Landmarker
from wing_tf.inference.output import DEFAULT_OUTPUT, ImageFaces, files_of_image
from wing_tf.landmarks import LandmarkScheme, find_scheme_map, load_scheme_map
from wing_tf.model_spec import find_model, read_model_spec
from wing_tf.utils.atomic import write_text
from wing_tf.utils.image_files import load_image, save_image
from wing_tf.utils.image_size import MAX_PIXELS
from wing_tf.utils.local_path import local_path
from wing_tf.utils.printable import printable
from wing_tf.zoo import resolve_model

# Kinds of training boxes that the corrected boxes of detectors are like.
_BOXES_LIKE_DETECTED = {"landmark", "dataset_or_landmark", "detector"}
_DEFAULT_OUTPUT = pathlib.Path(DEFAULT_OUTPUT)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LandmarkerOptions:
    """Flags of the detector and the landmarker."""

    detector: str
    detector_model: str | None
    box_file: str | None
    correction: str | None
    levels: int | None = None
    passes: int | None
    flip: bool
    min_score: float | None = None
    scheme: str | None
    scheme_map: str | None
    threads: int
    max_pixels: int = MAX_PIXELS

    def open_detector(self) -> Detector:
        """Returns the detector."""
        return make_detector(
            self.detector,
            model_path=self.detector_model,
            box_file=self.box_file,
            correction=self.correction,
            levels=self.levels,
        )

    def open(self, model: str | None, *, with_detector: bool = True) -> Landmarker:
        """Returns a landmarker; prints a note if it was trained with boxes of another kind."""
        import cv2

        cv2.setNumThreads(self.threads)
        detector = self.open_detector() if with_detector else None
        scheme_map = load_scheme_map(self.scheme_map) if self.scheme_map else None
        if self.scheme:
            own = read_model_spec(_model_file(model)).scheme
            if self.scheme != own.name:
                scheme_map = find_scheme_map(own, self.scheme)
        landmarker = Landmarker(
            model,
            detector=detector,
            scheme_map=scheme_map,
            passes=self.number_of_passes(model),
            flip=self.flip,
            min_score=self.min_score,
            num_threads=self.threads,
            max_pixels=self.max_pixels,
        )
        detects = with_detector and self.detector in ("blazeface", "haar", "yunet")
        unlike = sorted(set(landmarker.spec.trained_boxes) - _BOXES_LIKE_DETECTED)
        if detects and unlike and not (landmarker.passes == 2 and landmarker.spec.finds_next_box):
            print(
                f"note: {model} was trained in boxes ({', '.join(unlike)}) unlike the detector's, "
                "which are like tight landmark boxes. Its landmarks may be less accurate.",
                file=sys.stderr,
            )
        return landmarker

    def number_of_passes(self, model: str | None) -> int:
        """Returns how often each face is cropped; by default twice if the model knows where."""
        return self.passes or (2 if read_model_spec(_model_file(model)).finds_next_box else 1)

    def settings(self, model: str | None) -> dict[str, Any]:
        """Returns what determines the results of a run, for `run.json`."""
        values = dataclasses.asdict(self) | {"passes": self.number_of_passes(model)}
        del values["threads"]  # does not change the results
        for name in ("detector_model", "box_file", "correction", "scheme_map"):
            if values[name]:
                values[f"{name}_sha256"] = _digest(pathlib.Path(values[name]))
        return {"model": model or "shipped", "model_sha256": _digest(_model_file(model)), **values}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """Flags of what is drawn and shown."""

    draw: bool
    show: bool
    lines: bool
    boxes: bool
    numbers: bool
    pose_axis: bool

    def drawer(
        self, scheme: LandmarkScheme, *, scale: float | None = None
    ) -> Callable[[np.ndarray, Sequence[Face]], np.ndarray]:
        """Returns a function that draws faces on a copy of an image.

        Args:
            scheme: Scheme of the landmarks.
            scale: Scale of the copy. Defaults to a legible one.
        """

        def draw(image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
            return draw_faces(
                image,
                faces,
                scheme,
                lines=self.lines,
                boxes=self.boxes,
                numbers=self.numbers,
                pose_axis=self.pose_axis,
                scale=scale or legible_scale(image, faces, numbers=self.numbers),
            )

        return draw


def predict_image(
    options: LandmarkerOptions,
    drawing: DrawOptions,
    model: str | None,
    image: str,
    output: str | None,
    box: list[float] | None,
    format: str,
) -> None:
    """Writes the landmarks of one image, and the image with the landmarks drawn."""
    from wing_tf.visualization.window import open_window

    path = local_path(image)
    rgb = load_image(path, max_pixels=options.max_pixels)
    landmarker = options.open(model, with_detector=box is None)
    boxes = landmarker.detect(rgb, image) if box is None else np.array([box])
    faces = landmarker(rgb, boxes)
    if box is None:
        scores = [face.score or 0.0 for face in faces]
        faces = landmarker.without_false_faces(faces)
        if scores and not faces:
            raise ValueError(
                f"No face in {path} has a score of at least {landmarker.min_score:g}: the best of "
                f"{len(scores)} has {max(scores):.3f}. --min_score=0 keeps all."
            )
    if not faces:
        raise ValueError(f"No face found in {path}. Give one with --box=x0,y0,x1,y1.")
    folder = pathlib.Path(output) if output else _DEFAULT_OUTPUT
    base = folder / f"{path.stem}_landmarks"
    found = ImageFaces(image, (rgb.shape[0], rgb.shape[1]), faces)
    files = files_of_image(found, landmarker.scheme, base, format)
    drawn_files = [base.with_name(f"{base.name}.png")] if drawing.draw else []
    if existing := [file for file in (*drawn_files, *files) if file.exists()]:
        raise ValueError(f"{existing[0]} exists already. Name another --output.")
    with open_window(path.name, wanted=drawing.show) as show:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, text)
        drawn = None
        if drawing.draw or drawing.show:
            drawn = drawing.drawer(landmarker.scheme)(rgb, faces)
            for file in drawn_files:
                save_image(file, drawn)
        names = ", ".join(str(file) for file in [*drawn_files, *files])
        print(printable(f"{len(faces)} face(s): {names}"))
        if show is not None and drawn is not None:
            show(drawn, wait_ms=0)


def predict_folder(
    options: LandmarkerOptions,
    drawing: DrawOptions,
    model: str | None,
    folder: str,
    output: str | None,
    format: str,
) -> None:
    """Writes the landmarks of all images of a folder."""
    from wing_tf.inference.folder import run_folder

    landmarker = options.open(model)
    source = local_path(folder)
    target = pathlib.Path(output) if output else _DEFAULT_OUTPUT / source.resolve().name
    settings = dataclasses.asdict(drawing) | {"show": False} if drawing.draw else {"draw": False}
    summary = run_folder(
        landmarker,
        source,
        target,
        format=format,
        settings={**options.settings(model), **settings},
        draw=drawing.drawer(landmarker.scheme) if drawing.draw else None,
    )
    print(f"{summary.num_images} image(s), {summary.num_faces} face(s): {summary.results}")
    if names := list(summary.skipped):
        print(
            f"{len(names)} skipped, see {target / 'skipped.csv'}: "
            f"{printable(', '.join(names[:3]))}{' ...' if len(names) > 3 else ''}",
            file=sys.stderr,
        )
    if summary.others:
        counts = sorted(summary.others.items(), key=lambda pair: (-pair[1], pair[0]))
        print(
            f"{sum(summary.others.values())} other file(s) not read as images: "
            f"{printable(', '.join(f'{count} {suffix}' for suffix, count in counts[:8]))}"
            f"{', ...' if len(counts) > 8 else ''}",
            file=sys.stderr,
        )


def predict_video(
    options: LandmarkerOptions,
    drawing: DrawOptions,
    model: str | None,
    source: str | int,
    output: str | None,
    format: str,
    smooth: bool,
) -> None:
    """Writes the landmarks of the frames of a video or a camera."""
    from wing_tf.inference.live_source import source_name, without_password
    from wing_tf.inference.tracker import Tracker
    from wing_tf.inference.video import open_video
    from wing_tf.inference.video_run import run_video
    from wing_tf.visualization.window import open_window

    is_live = isinstance(source, int) or "://" in source
    name = source_name(source) if is_live else pathlib.Path(str(source)).stem
    with (
        open_window(name, wanted=drawing.show) as show,
        open_video(source, max_pixels=options.max_pixels) as video,
    ):
        landmarker = options.open(model)
        summary = run_video(
            video,
            Tracker(landmarker, smooth=smooth),
            pathlib.Path(output) if output else _DEFAULT_OUTPUT / name,
            name=name if isinstance(source, int) else without_password(source),
            scheme=landmarker.scheme,
            visibility=landmarker.spec.has_visibility,
            format=format,
            draw=drawing.drawer(landmarker.scheme, scale=1.0) if drawing.draw or show else None,
            write_video=drawing.draw,
            show=show,
        )
    files = printable(", ".join(map(str, summary.files)))
    counts = f"{summary.num_frames} frame(s), {summary.num_faces} face(s)"
    print(f"{'stopped; ' if summary.stopped else ''}{counts}: {files}")
    if summary.num_broken:
        print(f"{summary.num_broken} frame(s) could not be read.", file=sys.stderr)


def calibrate_detector(options: LandmarkerOptions, *, data: str, output: str) -> None:
    """Measures the correction of a detector on the faces of records, and writes it."""
    if (path := pathlib.Path(output)).exists():
        raise ValueError(f"{path} exists already. Name another --output.")
    detector = options.open_detector()
    if detector.needs_name:
        raise app.UsageError("calibrate needs a detector of images; records have no file names.")

    from tqdm import tqdm

    from wing_tf.data.read import read_squares
    from wing_tf.data.records import open_records

    records = open_records(data)
    bar = tqdm(read_squares(records), total=records.num_faces, unit="face", disable=None)
    print(calibration := calibrate(detector, bar))
    path.parent.mkdir(parents=True, exist_ok=True)
    calibration.save(path, detector=options.detector)
    flags = f"--detector={options.detector}", f"--correction={path}"
    print(f"{path}: use it with {shlex.join(flags)}")


def _model_file(model: str | None) -> pathlib.Path:
    return find_model(resolve_model(model))


def _digest(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
