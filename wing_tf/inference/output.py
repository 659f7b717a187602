"""Located faces as JSON, JSON lines, CSV and ``.pts`` text, and names of output files."""

import dataclasses
import itertools
import json
import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from wing_tf.inference.face import Face
from wing_tf.inference.pre_annotations import WRITERS, annotation_files
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.atomic import write_text
from wing_tf.utils.printable import format_csv

FORMATS = {
    "image": ("json", "jsonl", "csv", "pts", *WRITERS),
    "folder": ("jsonl", "csv", "pts", *WRITERS),
    "video": ("jsonl", "csv"),
    "camera": ("jsonl", "csv"),
}
"""Formats of the landmarks by the kind of source, the default first."""

DEFAULT_OUTPUT = "wing_predict"
"""Name of the folder that `wing-predict` writes to by default."""

_DIGITS_PX, _DIGITS, _DIGITS_DEG = 3, 4, 2


@dataclasses.dataclass(frozen=True)
class ImageFaces:
    """Faces of one image or frame.

    Attributes:
        image: Name of the image.
        size_hw: Size of the image in pixels.
        faces: Its faces.
        frame: Number of the frame in a video, from 0. None for an image.
        time_s: Time of the frame. None for an image.
    """

    image: str
    size_hw: tuple[int, int]
    faces: Sequence[Face]
    frame: int | None = None
    time_s: float | None = None


def as_dict(found: ImageFaces, scheme: LandmarkScheme) -> dict[str, Any]:
    """Returns values for JSON; unknown values are None."""
    values: dict[str, Any] = {"image": found.image}
    if found.frame is not None:
        values |= {"frame": found.frame, "time_s": _rounded(found.time_s, _DIGITS)}
    values |= {"size_hw": [int(side) for side in found.size_hw], "scheme": scheme.name}
    return values | {"faces": [_face_dict(face) for face in found.faces]}


def _face_dict(face: Face) -> dict[str, Any]:
    values: dict[str, Any] = {} if face.identity is None else {"identity": int(face.identity)}
    points = [_rounded(point, _DIGITS_PX) for point in face.landmarks_px]
    if face.visibility is not None:
        values["visibility"] = _rounded(face.visibility, _DIGITS)
    return values | {
        "landmarks_px": [None if None in point else point for point in points],
        "scores": _rounded(face.scores, _DIGITS),
        "score": _rounded(face.score, _DIGITS),
        "detection_score": _rounded(face.detection_score, _DIGITS),
        "box_xyxy_px": _rounded(face.box_xyxy_px, _DIGITS_PX),
        "angles_deg": _rounded(face.angles_deg, _DIGITS_DEG),
    }


def _rounded(values: Any, digits: int) -> Any:
    """Returns a number or a list of numbers, None where they are not finite."""
    if values is None:
        return None
    array = np.round(np.asarray(values, np.float64), digits)
    plain = array.tolist()
    if array.ndim == 0:
        return plain if np.isfinite(array) else None
    return [value if np.isfinite(value) else None for value in plain]


def csv_columns(
    scheme: LandmarkScheme, *, video: bool = False, visibility: bool = False
) -> list[str]:
    """Returns the column names of a CSV file.

    A row is one face. ``faces`` is the number of faces of its image, and ``face`` is its number
    among them, from 1. An image without faces has one row, in which all columns after ``faces``
    are empty. ``visibility`` adds a column for each landmark, after all others.
    """
    columns = ["image", "frame", "time_s"] if video else ["image"]
    columns += ["width_px", "height_px", "faces", "face", *(["identity"] if video else [])]
    columns += ["score", "detection_score"]
    columns += [f"box_{end}_px" for end in ("x0", "y0", "x1", "y1")]
    columns += ["yaw_deg", "pitch_deg", "roll_deg"]
    for name in scheme.point_names or range(scheme.num_landmarks):
        columns += [f"x_{name}_px", f"y_{name}_px", f"score_{name}"]
    if visibility:
        names = scheme.point_names or range(scheme.num_landmarks)
        columns += [f"visibility_{name}" for name in names]
    return columns


def csv_rows(
    found: ImageFaces, scheme: LandmarkScheme, *, visibility: bool = False
) -> list[list[Any]]:
    """Returns the rows of an image; see `csv_columns`. Unknown values are None."""
    values = as_dict(found, scheme)
    video = found.frame is not None
    start = [found.image, *([values["frame"], values["time_s"]] if video else [])]
    start += [found.size_hw[1], found.size_hw[0], len(found.faces)]
    if not found.faces:
        columns = csv_columns(scheme, video=video, visibility=visibility)
        return [start + [None] * (len(columns) - len(start))]
    rows = []
    for number, face in enumerate(values["faces"], start=1):
        row = [*start, number, *([face.get("identity")] if video else [])]
        row += [face["score"], face["detection_score"]]
        row += [*face["box_xyxy_px"], *(face["angles_deg"] or [None] * 3)]
        scores = face["scores"] or [None] * scheme.num_landmarks
        for point, score in zip(face["landmarks_px"], scores, strict=True):
            row += [*(point or [None, None]), score]
        if visibility:
            row += face["visibility"]
        rows.append(row)
    return rows


def format_json_line(found: ImageFaces, scheme: LandmarkScheme) -> str:
    """Returns one line of JSON with its line end."""
    values = as_dict(found, scheme)
    return json.dumps(values, separators=(",", ":"), allow_nan=False) + "\n"


def format_pts(landmarks_px: np.ndarray) -> str:
    """Returns the text of a ``.pts`` file, in which the first pixel is 1."""
    rows = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in landmarks_px)
    return f"version: 1\nn_points: {len(landmarks_px)}\n{{\n{rows}\n}}\n"


def pts_files(faces: Sequence[Face], base: pathlib.Path) -> dict[pathlib.Path, str]:
    """Returns the texts of ``.pts`` files by path, one per face, numbered if there are several.

    Args:
        faces: Faces of an image.
        base: Path of the files without a suffix.
    """
    ends = [f"_{n}" for n in range(1, len(faces) + 1)] if len(faces) > 1 else [""]
    return {
        base.with_name(f"{base.name}{end}.pts"): format_pts(face.landmarks_px)
        for end, face in zip(ends, faces, strict=False)
    }


def write_pts(faces: Sequence[Face], base: pathlib.Path) -> None:
    """Writes one ``.pts`` file per face; see `pts_files`.

    Of many images, so that it doesn't wait until each file is on the disk.
    """
    base.parent.mkdir(parents=True, exist_ok=True)
    for path, text in pts_files(faces, base).items():
        write_text(path, text, durable=False)


def files_of_image(
    found: ImageFaces, scheme: LandmarkScheme, base: pathlib.Path, format: str
) -> dict[pathlib.Path, str]:
    """Returns the texts of the output files of a single image, by path.

    Args:
        found: Faces of the image.
        scheme: Scheme of the landmarks.
        base: Path of the files without a suffix.
        format: One of ``FORMATS["image"]``.
    """
    if format == "pts":
        return pts_files(found.faces, base)
    if format in WRITERS:
        path = pathlib.Path(found.image)
        values = as_dict(found, scheme) | {"image": path.name}
        return dict(annotation_files(format, [values], scheme, folder=path.parent, base=base))
    if format == "csv":
        visibility = any(face.visibility is not None for face in found.faces)
        rows = csv_rows(found, scheme, visibility=visibility)
        text = format_csv([csv_columns(scheme, visibility=visibility), *rows])
    elif format == "jsonl":
        text = format_json_line(found, scheme)
    else:
        text = json.dumps(as_dict(found, scheme), indent=1, allow_nan=False)
    return {base.with_name(f"{base.name}.{format}"): text}


def pts_bases(images: Sequence[str]) -> dict[str, str]:
    """Returns the paths of images' ``.pts`` files without a suffix, distinct for each image.

    It is the path of the image without its suffix. The suffix is kept, and underscores appended if
    necessary, if the files of two images would otherwise have the same name.

    Args:
        images: Relative paths.

    Examples:
        >>> pts_bases(["a.jpg", "b.jpg", "b.png"])
        {'a.jpg': 'a', 'b.jpg': 'b.jpg', 'b.png': 'b.png'}
    """
    plain = {name: str(pathlib.PurePosixPath(name).with_suffix("")) for name in images}
    counts = Counter(plain.values())
    taken = {folder.removesuffix(".pts") for folder in _folders_of(images)}
    # "a_1.pts" is the first face of "a.jpg", so that "a" and "a_1" must not both be bases.
    unnumbered = {_without_number(base) for base in taken}
    bases = {}
    for name, base in plain.items():
        first = [base] if counts[base] == 1 else []
        for candidate in itertools.chain(first, _candidates(name)):
            own = {candidate, _without_number(candidate)}
            if not own & taken and candidate not in unnumbered:
                break
        bases[name] = candidate
        taken.add(candidate)
        unnumbered.add(_without_number(candidate))
    return bases


def drawn_names(images: Sequence[str]) -> dict[str, str]:
    """Returns the paths of drawn images, distinct for each image.

    It is the path of the image, with ``.jpg`` appended if images of its type are not written.

    Args:
        images: Relative paths.

    Examples:
        >>> drawn_names(["a.png", "a.bmp"])
        {'a.png': 'a.png', 'a.bmp': 'a.bmp.jpg'}
    """
    names = {name: name for name in images if name.lower().endswith((".jpg", ".jpeg", ".png"))}
    taken = {*names, *_folders_of(images)}
    for name in images:
        if name not in names:
            candidates = (f"{candidate}.jpg" for candidate in _candidates(name))
            names[name] = next(path for path in candidates if path not in taken)
            taken.add(names[name])
    return names


def _folders_of(images: Iterable[str]) -> set[str]:
    return {str(folder) for name in images for folder in pathlib.PurePosixPath(name).parents}


def _without_number(base: str) -> str:
    return re.sub(r"_\d+$", "", base)


def _candidates(name: str) -> Iterator[str]:
    """Yields the name with 0, 1, 2, ... underscores appended."""
    return (name + "_" * count for count in itertools.count())
