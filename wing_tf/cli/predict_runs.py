"""What wing-predict does with images and videos once its flags are read."""

import dataclasses
import hashlib
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from wing_tf.detection import make_detector
from wing_tf.inference.drawing import draw_faces, legible_scale
from wing_tf.inference.face import Face
from wing_tf.inference.landmarker import Landmarker
from wing_tf.inference.output import ImageFaces, single_files
from wing_tf.landmarks import LandmarkScheme, find_scheme_map, load_scheme_map
from wing_tf.model_spec import find_model, read_model_spec
from wing_tf.utils.atomic import write_text
from wing_tf.utils.image_files import load_image, save_image
from wing_tf.zoo import model_path

_LIKE_DETECTED = {"landmark", "dataset_or_landmark", "detector"}
DEFAULT_OUTPUT = pathlib.Path("wing_predict")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finder:
    """The flags that say how faces and landmarks are found."""

    detector: str
    detector_model: str | None
    box_file: str | None
    correction: str | None
    passes: int
    flip: bool
    scheme: str | None
    scheme_map: str | None
    threads: int

    def open_detector(self) -> Any:
        """Returns the detector."""
        return make_detector(
            self.detector,
            model_path=self.detector_model,
            box_file=self.box_file,
            correction=self.correction,
        )

    def open(self, model: str | None, *, with_detector: bool = True) -> Landmarker:
        """Returns a landmarker; warns if its crops are not like the detector's."""
        import cv2

        cv2.setNumThreads(self.threads)
        detector = self.open_detector() if with_detector else None
        scheme_map = load_scheme_map(self.scheme_map) if self.scheme_map else None
        if self.scheme and self.scheme != (own := _scheme_of(model)).name:
            scheme_map = find_scheme_map(own, self.scheme)
        landmarker = Landmarker(
            model,
            detector=detector,
            scheme_map=scheme_map,
            passes=self.passes,
            flip=self.flip,
            num_threads=self.threads,
        )
        finds = with_detector and self.detector in ("haar", "yunet")
        if finds and not set(landmarker.spec.trained_boxes) <= _LIKE_DETECTED:
            print(
                f"note: {model} was trained on boxes of another kind "
                f"({', '.join(landmarker.spec.trained_boxes)}) than the detector's, which are like "
                "landmark boxes. Its landmarks may be worse for it.",
                file=sys.stderr,
            )
        return landmarker

    def settings(self, model: str | None) -> dict[str, Any]:
        """Returns plain values that say what makes the results of a run."""
        values = dataclasses.asdict(self)
        del values["threads"]  # does not change them
        for name in ("detector_model", "box_file", "correction", "scheme_map"):
            if values[name]:
                values[f"{name}_sha256"] = _digest(pathlib.Path(values[name]))
        return {"model": model or "shipped", "model_sha256": _digest(_model_file(model)), **values}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """The flags that say what is drawn and shown."""

    draw: bool
    show: bool
    lines: bool
    boxes: bool
    numbers: bool
    pose_axis: bool

    def drawn(
        self,
        image: np.ndarray,
        faces: Sequence[Face],
        scheme: LandmarkScheme,
        *,
        scale: float | None = None,
    ) -> np.ndarray:
        """Returns an image with its faces; at a size that can be read if ``scale`` is None."""
        if scale is None:
            scale = legible_scale(image, faces, numbers=self.numbers)
        return draw_faces(
            image, faces, scheme, lines=self.lines, boxes=self.boxes, numbers=self.numbers,
            pose_axis=self.pose_axis, scale=scale,
        )  # fmt: skip


def predict_image(
    find: Finder,
    look: Look,
    model: str | None,
    image: str,
    output: str | None,
    box: list[float] | None,
    form: str,
) -> None:
    """Writes the landmarks of one image, and draws them."""
    path = pathlib.Path(image)
    rgb = load_image(path)
    landmarker = find.open(model, with_detector=box is None)
    if box is None:
        faces = landmarker.predict_images([rgb], [landmarker.detect(rgb, image)])[0]
    else:
        faces = landmarker(rgb, np.array([box]))
    if not faces:
        raise ValueError(f"No face found in {path}. Give one with --box=x0,y0,x1,y1.")
    folder = pathlib.Path(output) if output else DEFAULT_OUTPUT
    base = folder / f"{path.stem}_landmarks"
    found = ImageFaces(image, (rgb.shape[0], rgb.shape[1]), faces)
    files = single_files(found, landmarker.scheme, base, form)
    drawing = [base.with_name(f"{base.name}.png")] if look.draw else []
    if taken := [str(file) for file in (*drawing, *files) if file.exists()]:
        raise ValueError(f"{taken[0]} exists already. Name another --output.")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        write_text(file, text)
    drawn = look.drawn(rgb, faces, landmarker.scheme) if look.draw or look.show else None
    if drawn is not None and look.draw:
        save_image(drawing[0], drawn)
    print(f"{len(faces)} face(s): {', '.join(str(file) for file in [*drawing, *files])}")
    if drawn is not None:
        with _window(path.name, wanted=look.show) as show:
            if show:
                show(drawn, wait_ms=0)


def predict_folder(
    find: Finder, look: Look, model: str | None, folder: str, output: str | None, form: str
) -> None:
    """Writes the landmarks of all images of a folder."""
    from wing_tf.inference.folder import run_folder

    landmarker = find.open(model)
    place = pathlib.Path(folder)
    target = pathlib.Path(output) if output else DEFAULT_OUTPUT / place.resolve().name

    def draw(image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        return look.drawn(image, faces, landmarker.scheme)

    drawing = dataclasses.asdict(look) if look.draw else {"draw": False}
    drawing.pop("show", None)
    summary = run_folder(
        landmarker,
        place,
        target,
        form=form,
        settings={**find.settings(model), **drawing},
        draw=draw if look.draw else None,
    )
    print(f"{summary.images} image(s), {summary.faces} face(s): {summary.results}")
    if summary.skipped:
        print(
            f"{len(summary.skipped)} skipped, see {target / 'skipped.csv'}: "
            f"{', '.join(list(summary.skipped)[:3])}{' ...' if len(summary.skipped) > 3 else ''}",
            file=sys.stderr,
        )


def predict_video(
    find: Finder,
    look: Look,
    model: str | None,
    source: str | int,
    output: str | None,
    form: str,
    smooth: bool,
) -> None:
    """Writes the landmarks of a video's or a camera's frames."""
    from wing_tf.inference.tracker import Tracker
    from wing_tf.inference.video import open_video
    from wing_tf.inference.video_run import run_video

    name = f"camera_{source}" if isinstance(source, int) else pathlib.Path(source).stem
    video = open_video(source)
    landmarker = find.open(model)

    def draw(image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        return look.drawn(image, faces, landmarker.scheme, scale=1.0)

    with _window(name, wanted=look.show) as show:
        summary = run_video(
            video,
            Tracker(landmarker, smooth=smooth),
            pathlib.Path(output) if output else DEFAULT_OUTPUT / name,
            name=name if isinstance(source, int) else source,
            scheme=landmarker.scheme,
            form=form,
            draw=draw if look.draw or show else None,
            write_video=look.draw,
            show=show,
        )
    files = ", ".join(map(str, summary.files))
    stopped = "stopped; " if summary.stopped else ""
    print(f"{stopped}{summary.frames} frame(s), {summary.faces} face(s): {files}")
    if summary.broken:
        print(f"{summary.broken} frame(s) could not be read.", file=sys.stderr)


@contextmanager
def _window(title: str, *, wanted: bool) -> Iterator[Callable[..., bool] | None]:
    """Gives what shows images; None if not wanted, and where one line says there is no screen."""
    from wing_tf.visualization.window import Window

    window = None
    try:
        window = Window(title) if wanted else None
    except OSError as error:
        print(f"note: {error}", file=sys.stderr)
    try:
        yield window.show if window else None
    finally:
        if window:
            window.close()


def _scheme_of(model: str | None) -> LandmarkScheme:
    return read_model_spec(_model_file(model)).scheme


def _model_file(model: str | None) -> pathlib.Path:
    return model_path() if model is None else find_model(model)


def _digest(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
