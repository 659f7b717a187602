"""What was found in images, as JSON, JSON lines, CSV and ``.pts`` files."""

import csv
import dataclasses
import io
import json
import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from wing_tf.inference.face import Face
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.atomic import write_text

_DIGITS_PX, _DIGITS = 3, 4


@dataclasses.dataclass(frozen=True)
class ImageFaces:
    """What was found in one image or frame.

    Attributes:
        image: the image's name.
        size_hw: of the image in pixels.
        faces: none where nothing was found.
        frame: its number in a video, from 0; None for an image.
        time_s: its time in a video.
    """

    image: str
    size_hw: tuple[int, int]
    faces: Sequence[Face]
    frame: int | None = None
    time_s: float | None = None


def as_dict(found: ImageFaces, scheme: LandmarkScheme) -> dict[str, Any]:
    """Returns plain values for JSON; what is not known is None."""
    values: dict[str, Any] = {"image": found.image}
    if found.frame is not None:
        values |= {"frame": found.frame, "time_s": _rounded(found.time_s, _DIGITS)}
    values |= {"size_hw": [int(side) for side in found.size_hw], "scheme": scheme.name}
    return values | {"faces": [_face_dict(face) for face in found.faces]}


def _face_dict(face: Face) -> dict[str, Any]:
    values: dict[str, Any] = {} if face.identity is None else {"identity": int(face.identity)}
    points = [_rounded(point, _DIGITS_PX) for point in face.landmarks_px]
    return values | {
        "landmarks_px": [None if None in point else point for point in points],
        "scores": _rounded(face.scores, _DIGITS),
        "score": _rounded(face.score, _DIGITS),
        "box_xyxy_px": _rounded(face.box_xyxy_px, _DIGITS_PX),
        "angles_deg": _rounded(face.angles_deg, 2),
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


def csv_columns(scheme: LandmarkScheme, *, video: bool = False) -> list[str]:
    """Returns the names of a CSV file's columns.

    A row is one face. ``faces`` is how many its image has and ``face`` which of them it is, from
    1; an image without faces has one row, in which all after ``faces`` is empty.
    """
    columns = ["image", "frame", "time_s"] if video else ["image"]
    columns += ["width_px", "height_px", "faces", "face", *(["identity"] if video else []), "score"]
    columns += [f"box_{end}_px" for end in ("x0", "y0", "x1", "y1")]
    columns += ["yaw_deg", "pitch_deg", "roll_deg"]
    names = scheme.point_names or range(scheme.num_landmarks)
    return columns + [f"{what}_{n}{unit}" for n in names for what, unit in
                      (("x", "_px"), ("y", "_px"), ("score", ""))]  # fmt: skip


def csv_rows(found: ImageFaces, scheme: LandmarkScheme) -> list[list[Any]]:
    """Returns an image's rows; see `csv_columns`. What is not known is None, written as empty."""
    values = as_dict(found, scheme)
    video = found.frame is not None
    start = [found.image, *([values["frame"], values["time_s"]] if video else [])]
    start += [found.size_hw[1], found.size_hw[0], len(found.faces)]
    if not found.faces:
        return [start + [None] * (len(csv_columns(scheme, video=video)) - len(start))]
    rows = []
    for number, face in enumerate(values["faces"], start=1):
        row = [*start, number, *([face.get("identity")] if video else []), face["score"]]
        row += [*face["box_xyxy_px"], *(face["angles_deg"] or [None] * 3)]
        scores = face["scores"] or [None] * scheme.num_landmarks
        for point, score in zip(face["landmarks_px"], scores, strict=True):
            row += [*(point or [None, None]), score]
        rows.append(row)
    return rows


def format_json(found: ImageFaces, scheme: LandmarkScheme) -> str:
    """Returns a JSON file's text."""
    return json.dumps(as_dict(found, scheme), indent=1, allow_nan=False)


def format_json_line(found: ImageFaces, scheme: LandmarkScheme) -> str:
    """Returns one line of JSON, with its end."""
    values = as_dict(found, scheme)
    return json.dumps(values, separators=(",", ":"), allow_nan=False) + "\n"


def format_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Returns rows as CSV text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def format_pts(landmarks_px: np.ndarray) -> str:
    """Returns a ``.pts`` file's text; its first pixel is 1."""
    rows = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in landmarks_px)
    return f"version: 1\nn_points: {len(landmarks_px)}\n{{\n{rows}\n}}\n"


def pts_files(faces: Sequence[Face], base: pathlib.Path) -> dict[pathlib.Path, str]:
    """Returns one ``.pts`` file a face, by path, numbered from 1 if there are several.

    Args:
        faces: of an image.
        base: the files' path without an ending.
    """
    ends = [f"_{n}" for n in range(1, len(faces) + 1)] if len(faces) > 1 else [""]
    return {
        base.with_name(f"{base.name}{end}.pts"): format_pts(face.landmarks_px)
        for end, face in zip(ends, faces, strict=False)
    }


def single_files(
    found: ImageFaces, scheme: LandmarkScheme, base: pathlib.Path, form: str
) -> dict[pathlib.Path, str]:
    """Returns the files, by path, of an image on its own.

    Args:
        found: what is in it.
        scheme: of the landmarks.
        base: the files' path without an ending.
        form: "json", "jsonl", "csv" or "pts".
    """
    if form == "pts":
        return pts_files(found.faces, base)
    if form == "csv":
        text = format_csv([csv_columns(scheme), *csv_rows(found, scheme)])
    else:
        text = (format_json if form == "json" else format_json_line)(found, scheme)
    return {base.with_name(f"{base.name}.{form}"): text}


def pts_bases(images: Sequence[str]) -> dict[str, str]:
    """Returns the paths of images' ``.pts`` files without an ending, one for each image.

    The image's own without its ending, as is the custom; with it, and a mark behind it if need
    be, where another image's files would have the same name.

    Args:
        images: relative paths.

    Example:
        >>> pts_bases(["a.jpg", "b.jpg", "b.png"])
        {'a.jpg': 'a', 'b.jpg': 'b.jpg', 'b.png': 'b.png'}
    """
    plain = {name: str(pathlib.PurePosixPath(name).with_suffix("")) for name in images}
    counts = Counter(plain.values())
    # What is taken, and what those files would be called of which a number is left out.
    taken = {folder.removesuffix(".pts") for folder in _folders_of(images)}
    numbered = {_without_number(base) for base in taken}
    bases = {}
    for name, base in plain.items():
        for choice in _choices(name, () if counts[base] > 1 else (base,)):
            if not ({choice, _without_number(choice)} & taken or choice in numbered):
                break
        bases[name] = choice
        taken.add(choice)
        numbered.add(_without_number(choice))
    return bases


def drawn_names(images: Sequence[str]) -> dict[str, str]:
    """Returns the paths of drawn images, one for each image.

    The image's own; with ``.jpg`` behind it where it is of a kind that is not written.

    Args:
        images: relative paths.

    Example:
        >>> drawn_names(["a.png", "a.bmp"])
        {'a.png': 'a.png', 'a.bmp': 'a.bmp.jpg'}
    """
    names = {name: name for name in images if name.lower().endswith((".jpg", ".jpeg", ".png"))}
    taken = {*names, *_folders_of(images)}
    for name in images:
        if name not in names:
            names[name] = next(
                path for choice in _choices(name) if (path := f"{choice}.jpg") not in taken
            )
            taken.add(names[name])
    return names


def _folders_of(images: Iterable[str]) -> set[str]:
    return {str(folder) for name in images for folder in pathlib.PurePosixPath(name).parents}


def _without_number(base: str) -> str:
    return re.sub(r"_\d+$", "", base)


def _choices(name: str, first: Sequence[str] = ()) -> Iterator[str]:
    """Yields names to choose from, without an end."""
    yield from first
    while True:
        yield name
        name += "_"


def write_pts(faces: Sequence[Face], base: pathlib.Path) -> None:
    """Writes one ``.pts`` file a face; see `pts_files`."""
    base.parent.mkdir(parents=True, exist_ok=True)
    for path, text in pts_files(faces, base).items():
        write_text(path, text)
