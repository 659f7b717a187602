"""Output files of a run over many images, to which a resumed run appends."""

import csv
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from wing_tf.inference.output import (
    ImageFaces,
    csv_columns,
    csv_rows,
    format_json_line,
)
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.appended_file import AppendedFile, complete_lines
from wing_tf.utils.atomic import write_json
from wing_tf.utils.json_values import check_object, read_json_object
from wing_tf.utils.output_folder import contents
from wing_tf.utils.printable import format_csv, text_of_cell
from wing_tf.utils.text_files import encode_text, parse_json

_SETTINGS = "run.json"


def claim_output(output: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Writes the settings of a run, or checks that an output folder belongs to the same run.

    Args:
        output: Folder, which this process has locked; gets ``run.json``.
        settings: JSON values that determine the results.

    Raises:
        ValueError: If the folder has other content or belongs to a run with other settings.
    """
    path = output / _SETTINGS
    settings = json.loads(json.dumps(settings))
    if not path.exists():
        if contents(output):
            raise ValueError(f"{output} must be a new or an empty folder, or one of such a run.")
        write_json(path, settings)
        return
    try:
        known = read_json_object(path, {})
    except ValueError as error:
        raise ValueError(f"{error} Name another --output.") from None
    for name in [*settings, *known]:
        if known.get(name) != settings.get(name):
            raise ValueError(
                f"{output} is of a run with {name}={known.get(name)}. Received: "
                f"{name}={settings.get(name)}. Use the same settings, or name another --output."
            )


class ResultFile(AppendedFile):
    """File of results, to which a resumed run appends.

    Images are on the disk when `write` returns. Frames of a video, which come one by one, are
    handed to the operating system: they survive the end of the process, but not of the machine.
    The incomplete last image that a killed process may leave is removed when the file is opened.

    Args:
        path: The file, ``.jsonl`` or ``.csv``; created if it does not exist.
        scheme: Scheme of the landmarks.
        video: Whether rows have a frame, a time and identities.
        visibility: Whether rows have the visibility of the landmarks.

    Attributes:
        done: Number of faces of each image in the file, by name.

    Raises:
        ValueError: If the file exists and is not such a file.
    """

    def __init__(
        self,
        path: pathlib.Path,
        scheme: LandmarkScheme,
        *,
        video: bool = False,
        visibility: bool = False,
    ):
        self._scheme, self._visibility = scheme, visibility
        self._as_csv = path.suffix == ".csv"
        columns = csv_columns(scheme, video=video, visibility=visibility)
        header = format_csv([columns]) if self._as_csv else ""
        self.done, length = self._read(path, header)
        super().__init__(path, length=length, header=header, durable=not video)

    def write(self, found: Iterable[ImageFaces]) -> None:
        """Appends images, all of them in one write."""
        found = list(found)
        texts = (
            format_csv(csv_rows(one, self._scheme, visibility=self._visibility))
            if self._as_csv
            else format_json_line(one, self._scheme)
            for one in found
        )
        self.append("".join(texts))
        self.done |= {one.image: len(one.faces) for one in found}

    def _read(self, path: pathlib.Path, header: str) -> tuple[dict[str, int], int]:
        """Returns the complete images of a file, and their number of bytes."""
        text = complete_lines(path)
        if not text:
            return {}, 0
        if not text.startswith(header):
            raise ValueError(f"{path} is of another run: its columns differ.")
        try:
            if self._as_csv:
                return _complete_images(text)
            types = {"image": str, "faces": list}
            entries = [check_object(parse_json(line), path, types) for line in _lines(text)]
            done = {entry["image"]: len(entry["faces"]) for entry in entries}
        except (ValueError, KeyError, TypeError, csv.Error):
            raise ValueError(f"{path} is damaged: a line is not an image of a run.") from None
        return done, len(encode_text(text))


class SkippedFile(AppendedFile):
    """CSV file of images that were skipped, to which a resumed run appends.

    Args:
        path: The file; created if it does not exist.

    Attributes:
        reasons: Reasons by the name of the image.

    Raises:
        ValueError: If the file exists and is not such a file.
    """

    def __init__(self, path: pathlib.Path):
        text, header = complete_lines(path), "image,reason\n"
        if text and not text.startswith(header):
            raise ValueError(f"{path} is of another run: its columns differ.")
        try:
            rows = list(csv.reader(_lines(text), strict=True))[1:]
            self.reasons = {text_of_cell(image): text_of_cell(reason) for image, reason in rows}
        except (csv.Error, ValueError):
            raise ValueError(f"{path} is damaged: it is not a CSV file.") from None
        super().__init__(path, length=len(encode_text(text)), header=header)

    def write(self, reasons: Mapping[str, str]) -> None:
        """Appends images."""
        if not reasons:
            return
        self.append(format_csv(list(reasons.items())))
        self.reasons |= reasons


def _complete_images(text: str) -> tuple[dict[str, int], int]:
    """Returns the images of a CSV text that have all their rows, and their number of bytes."""
    lines = _lines(text)
    ends = np.cumsum([len(encode_text(line)) for line in lines])
    reader = csv.DictReader(lines)
    done: dict[str, int] = {}
    length = int(ends[0])
    for row in reader:
        if row["faces"] == (row["face"] or "0"):
            if not row["image"] or not row["faces"].isdecimal():
                raise ValueError("a row is not of an image")
            done[text_of_cell(row["image"])] = int(row["faces"])
            length = int(ends[reader.line_num - 1])
    return done, length


def _lines(text: str) -> list[str]:
    # Not `splitlines`, which also splits at characters that file names may contain.
    return [line + "\n" for line in text.split("\n")[:-1]]
