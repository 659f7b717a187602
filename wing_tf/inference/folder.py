"""All images of a folder, in a run that can be stopped and gone on with."""

import dataclasses
import errno
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from wing_tf.inference.face import Face
from wing_tf.inference.landmarker import Landmarker
from wing_tf.inference.output import ImageFaces, drawn_names, pts_bases, write_pts
from wing_tf.inference.run_files import ResultFile, SkippedFile, claim_output
from wing_tf.utils.image_files import load_image, save_image

ENDINGS = (".bmp", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Files that are taken for images, whatever is in them."""

FAULTS = (ValueError, OSError, MemoryError, cv2.error)
"""What one image can raise, for which it is skipped."""

_NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
_AT_ONCE, _PIXELS_AT_ONCE = 16, 24_000_000
_SKIPPED = "skipped.csv"


@dataclasses.dataclass(frozen=True)
class FolderSummary:
    """What a run over a folder came to, earlier parts of it included.

    Attributes:
        images: how many could be read.
        faces: how many were found in them.
        skipped: names and reasons of what could not be read.
        results: the file of all results.
    """

    images: int
    faces: int
    skipped: dict[str, str]
    results: pathlib.Path


def find_images(
    folder: pathlib.Path, *, leave_out: pathlib.Path | None = None
) -> tuple[list[str], dict[str, str]]:
    """Finds the images in a folder and in those below it.

    Args:
        folder: where to look. Links to other folders are not followed.
        leave_out: a folder below it that is not looked into.

    Returns:
        Paths relative to the folder, sorted; and the folders that can't be read, with the reason.

    Raises:
        ValueError: if the folder is missing or can't be read.
    """
    if not folder.is_dir():
        raise ValueError(f"No folder at {folder}.")
    closed: dict[str, str] = {}

    def note(error: OSError) -> None:
        closed[pathlib.Path(error.filename).relative_to(folder).as_posix()] = reason_of(error)

    left_out = None if leave_out is None else leave_out.resolve()
    names = []
    for place, below, files in os.walk(folder, onerror=note):
        here = pathlib.Path(place)
        below[:] = [name for name in below if (here / name).resolve() != left_out]
        names += [
            (here / name).relative_to(folder).as_posix()
            for name in files
            if name.lower().endswith(ENDINGS)
        ]
    if "." in closed:
        raise ValueError(f"Cannot read folder {folder}: {closed['.']}.")
    return sorted(names), closed


def run_folder(
    landmarker: Landmarker,
    folder: pathlib.Path,
    output: pathlib.Path,
    *,
    form: str = "jsonl",
    settings: Mapping[str, Any],
    draw: Callable[[np.ndarray, Sequence[Face]], np.ndarray] | None = None,
) -> FolderSummary:
    """Locates the faces of all images of a folder.

    Results are on the disk batch by batch. Called again with the same settings, it goes on behind
    the last whole image, and the files become those of a run that was never stopped. What can't
    be read, located or drawn is listed, and nothing of it ends the run.

    Args:
        landmarker: with a detector.
        folder: of the images.
        output: gets ``landmarks.jsonl`` (``landmarks.csv``), ``skipped.csv`` and ``run.json``; in
            folders like those of the images, ``.pts`` files, and below ``drawn`` images.
        form: "jsonl", "csv", or "pts" for JSON lines and one ``.pts`` file a face as well.
        settings: plain values that say what makes the results, for `claim_output`.
        draw: an image and its faces to the image that goes into ``drawn``; none if None.

    Raises:
        ValueError: if the folder is missing, or the output is of another run.
        OSError: if the output can't be written: the disk is full, or rights are missing.
    """
    names, closed = find_images(folder, leave_out=output)
    if not names and not closed:
        raise ValueError(f"No images in {folder}: no file ends in {', '.join(ENDINGS)}.")
    claim_output(output, {"folder": str(folder.resolve()), "format": form, **settings})
    results = output / ("landmarks.csv" if form == "csv" else "landmarks.jsonl")
    bases = pts_bases(names) if form == "pts" else {}
    drawings = drawn_names(names) if draw is not None else {}
    with ResultFile(results, landmarker.scheme) as file, SkippedFile(output / _SKIPPED) as skipped:
        skipped.write({name: why for name, why in closed.items() if name not in skipped.reasons})
        done = {*file.done, *skipped.reasons}
        left = [name for name in names if name not in done]
        with tqdm(
            total=len(names), initial=len(names) - len(left), unit="image", disable=None
        ) as bar:
            for images, faults in _batches(folder, left):
                found = _locate(landmarker, folder, images, faults)
                for name, faces in list(found.items()):
                    try:
                        if draw is not None:
                            place = output / "drawn" / drawings[name]
                            drawn = draw(images[name], faces)
                            place.parent.mkdir(parents=True, exist_ok=True)
                            save_image(place, drawn)
                        if form == "pts":
                            write_pts(faces, output / bases[name])
                    except FAULTS as error:
                        if _is_the_outputs(error):
                            raise
                        faults[name] = reason_of(error)
                        del found[name]
                skipped.write(faults)
                file.write(
                    ImageFaces(name, images[name].shape[:2], faces) for name, faces in found.items()
                )
                bar.update(len(found) + len(faults))
        faces_found = sum(file.done.values())
        return FolderSummary(len(file.done), faces_found, dict(skipped.reasons), results)


def readable_images(
    image: str | None,
    folder: str | None,
    skipped: dict[str, str],
    *,
    leave_out: pathlib.Path | None = None,
) -> Iterator[tuple[str, pathlib.Path, np.ndarray]]:
    """Yields the name, the path and the pixels of one image, or of those of a folder.

    Args:
        image: an image, which must be readable.
        folder: a folder, if there is no image.
        skipped: gets what can't be read in the folder, and why.
        leave_out: see `find_images`.

    Raises:
        ValueError: if the image or the folder can't be read.
    """
    if image:
        yield image, pathlib.Path(image), load_image(image)
        return
    place = pathlib.Path(folder or ".")
    names, closed = find_images(place, leave_out=leave_out)
    skipped |= closed
    for name in tqdm(names, unit="image", disable=None):
        try:
            rgb = load_image(place / name)
        except FAULTS as error:
            skipped[name] = reason_of(error)
            continue
        yield name, place / name, rgb


def _batches(
    folder: pathlib.Path, names: Sequence[str]
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, str]]]:
    """Yields images by name, and why others can't be read; as many as fit into memory easily."""
    images: dict[str, np.ndarray] = {}
    faults: dict[str, str] = {}
    pixels = 0
    for name in names:
        try:
            images[name] = load_image(folder / name)
            pixels += images[name].size // 3
        except FAULTS as error:
            faults[name] = reason_of(error)
        if len(images) + len(faults) >= _AT_ONCE or pixels >= _PIXELS_AT_ONCE:
            yield images, faults
            images, faults, pixels = {}, {}, 0
    if images or faults:
        yield images, faults


def _locate(
    landmarker: Landmarker,
    folder: pathlib.Path,
    images: Mapping[str, np.ndarray],
    faults: dict[str, str],
) -> dict[str, list[Face]]:
    """Returns the faces of each image; one that fails is added to the faults instead."""
    boxes = {}
    for name, image in images.items():
        try:
            boxes[name] = landmarker.detect(image, str(folder / name))
        except FAULTS as error:
            faults[name] = reason_of(error)
    try:
        located = landmarker.predict_images([images[name] for name in boxes], list(boxes.values()))
        return dict(zip(boxes, located, strict=True))
    except FAULTS:
        found = {}
    for name, own in boxes.items():  # which of them is it
        try:
            (found[name],) = landmarker.predict_images([images[name]], [own])
        except FAULTS as error:
            faults[name] = reason_of(error)
    return found


def _is_the_outputs(error: BaseException) -> bool:
    """Whether no other image could be written either: not if it is this one's name or pixels."""
    return (
        isinstance(error, OSError) and error.errno is not None and error.errno not in _NAME_ERRORS
    )


def reason_of(error: BaseException) -> str:
    """Returns an error as one line."""
    if isinstance(error, MemoryError) or getattr(error, "code", None) == cv2.Error.StsNoMem:
        return "needs more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())
