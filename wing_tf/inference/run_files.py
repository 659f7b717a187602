"""The files of a run over many images, which a later run goes on with."""

import csv
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from wing_tf.inference.output import (
    ImageFaces,
    csv_columns,
    csv_rows,
    format_csv,
    format_json_line,
)
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.atomic import write_text
from wing_tf.utils.text_files import encode_text

_SETTINGS = "run.json"


def claim_output(output: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Makes a folder for a run, or makes sure that it is of the same run.

    Args:
        output: gets ``run.json``.
        settings: plain values that say what makes the results.

    Raises:
        ValueError: if something else is there, or a run with other settings.
    """
    path = output / _SETTINGS
    settings = json.loads(json.dumps(settings))
    if not path.exists():
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise ValueError(f"{output} must be a new or an empty folder, or one of such a run.")
        output.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(settings, indent=1) + "\n")
        return
    try:
        known = dict(json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise ValueError(f"{path} is damaged. Name another --output.") from None
    for name in [*settings, *known]:
        if known.get(name) != settings.get(name):
            raise ValueError(
                f"{output} is of a run with {name}={known.get(name)}. Received: "
                f"{name}={settings.get(name)}. Go on with the same settings, or name another "
                "--output."
            )


class _GrowingFile:
    """A text that is added to; with ``durable``, each `append` is on the disk when it returns."""

    def __init__(self, path: pathlib.Path, *, length: int, header: str = "", durable: bool = True):
        self._durable = durable
        self._file = path.open("ab")
        self._file.truncate(length)
        if not length:
            self.append(header)

    def append(self, text: str) -> None:
        """Adds a text."""
        self._file.write(encode_text(text))
        self._file.flush()
        if self._durable:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ResultFile(_GrowingFile):
    """A file of results that grows, and that a later run goes on with.

    What `write` adds of images is on the disk when it returns. Of a video, whose frames come one
    by one, the system has it: it outlives the program, but not the machine. A run that was killed
    leaves an image half written at most, which is cut off when the file is opened again.

    Args:
        path: the file, ``.jsonl`` or ``.csv``; made if it is missing.
        scheme: of the landmarks.
        video: whether rows have a frame, a time and identities.

    Attributes:
        done: how many faces each image has that is in it, by name.

    Raises:
        ValueError: if the file is there and is not such a file.
    """

    def __init__(self, path: pathlib.Path, scheme: LandmarkScheme, *, video: bool = False):
        self.path, self._scheme = path, scheme
        self._as_csv = path.suffix == ".csv"
        header = format_csv([csv_columns(scheme, video=video)]) if self._as_csv else ""
        self.done, length = self._read(_whole_lines(path), header)
        super().__init__(path, length=length, header=header, durable=not video)

    def write(self, found: Iterable[ImageFaces]) -> None:
        """Adds images, all of them in one write."""
        found = list(found)
        texts = (
            format_csv(csv_rows(one, self._scheme))
            if self._as_csv
            else format_json_line(one, self._scheme)
            for one in found
        )
        self.append("".join(texts))
        self.done |= {one.image: len(one.faces) for one in found}

    def _read(self, text: str, header: str) -> tuple[dict[str, int], int]:
        """Returns the images that are there as a whole, and the bytes of their text."""
        if not text:
            return {}, 0
        if not text.startswith(header):
            raise ValueError(f"{self.path} is of another run: its columns differ.")
        try:
            if self._as_csv:
                return _whole_images(text)
            entries = [json.loads(line) for line in _lines(text)]
            done = {entry["image"]: len(entry["faces"]) for entry in entries}
        except (ValueError, KeyError, TypeError, csv.Error):
            raise ValueError(f"{self.path} is damaged: a line is no image of a run.") from None
        return done, len(encode_text(text))


class SkippedFile(_GrowingFile):
    """A CSV file of images that can't be used, which grows like a `ResultFile`.

    Args:
        path: the file; made if it is missing.

    Attributes:
        reasons: why, by the image's name.

    Raises:
        ValueError: if the file is there and is not such a file.
    """

    def __init__(self, path: pathlib.Path):
        text, header = _whole_lines(path), "image,reason\n"
        if text and not text.startswith(header):
            raise ValueError(f"{path} is of another run: its columns differ.")
        try:
            self.reasons = {row["image"]: row["reason"] for row in csv.DictReader(_lines(text))}
        except csv.Error:
            raise ValueError(f"{path} is damaged: it is no table.") from None
        super().__init__(path, length=len(encode_text(text)), header=header)

    def write(self, reasons: Mapping[str, str]) -> None:
        """Adds images."""
        if not reasons:
            return
        self.append(format_csv(list(reasons.items())))
        self.reasons |= reasons


def _whole_images(text: str) -> tuple[dict[str, int], int]:
    """Returns the images of a CSV text that have all their rows, and the bytes up to the last."""
    lines = _lines(text)
    ends = np.cumsum([len(encode_text(line)) for line in lines])
    reader = csv.DictReader(lines)
    done: dict[str, int] = {}
    length = int(ends[0])
    for row in reader:
        if row["faces"] == (row["face"] or "0"):
            done[row["image"]] = int(row["faces"])
            length = int(ends[reader.line_num - 1])
    return done, length


def _whole_lines(path: pathlib.Path) -> str:
    """Returns a file's text up to its last whole line; none if there is no file."""
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].decode(errors="surrogateescape")


def _lines(text: str) -> list[str]:
    # Not `splitlines`: names may hold what it takes for ends of lines.
    return [line + "\n" for line in text.split("\n")[:-1]]
