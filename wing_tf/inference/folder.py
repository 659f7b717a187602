"""Landmarks of all images of a folder, in a run that can be resumed."""

import collections
import contextlib
import dataclasses
import errno
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from wing_tf.detection import BoxFile
from wing_tf.inference.face import Face
from wing_tf.inference.landmarker import Landmarker
from wing_tf.inference.output import (
    DEFAULT_OUTPUT,
    ImageFaces,
    drawn_names,
    pts_bases,
    write_pts,
)
from wing_tf.inference.pre_annotations import WRITERS, annotation_files
from wing_tf.inference.run_files import ResultFile, SkippedFile, claim_output
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.atomic import write_text
from wing_tf.utils.image_files import IMAGE_SUFFIXES, load_image, save_image
from wing_tf.utils.output_folder import locked_folder

_IMAGE_ERRORS = (ValueError, OSError, MemoryError, cv2.error)  # an image that raises is skipped
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
_MAX_BATCH_IMAGES, _MAX_BATCH_PIXELS = 16, 24_000_000


@dataclasses.dataclass(frozen=True)
class FolderSummary:
    """Result of a run over a folder, including the runs that it resumed.

    Attributes:
        num_images: Number of images that could be read.
        num_faces: Number of their faces.
        skipped: Reasons by the name of the images that were skipped.
        others: Number of files by suffix that are not read as images.
        results: File of the results, or folder of the annotation files.
    """

    num_images: int
    num_faces: int
    skipped: dict[str, str]
    others: Mapping[str, int]
    results: pathlib.Path


def find_images(
    folder: pathlib.Path, *, exclude: pathlib.Path | None = None
) -> tuple[list[str], dict[str, str], collections.Counter[str]]:
    """Finds the images in a folder and its subfolders.

    Args:
        folder: The folder. Links to other folders are not followed.
        exclude: A subfolder that is not searched, besides those that `wing-predict` has written.

    Returns:
        Sorted paths relative to the folder; the subfolders that can't be read, with the reason; and
        the number of other files by suffix.

    Raises:
        ValueError: If the folder does not exist or can't be read.
    """
    if not folder.is_dir():
        raise ValueError(f"No folder at {folder}.")
    unreadable: dict[str, str] = {}

    def note(error: OSError) -> None:
        unreadable[pathlib.Path(error.filename).relative_to(folder).as_posix()] = _reason(error)

    excluded = None if exclude is None else exclude.resolve()
    names = []
    others = collections.Counter[str]()
    for parent, subfolders, files in os.walk(folder, onerror=note):
        here = pathlib.Path(parent)
        subfolders[:] = [
            name for name in subfolders
            if (here / name).resolve() != excluded and not _is_output(here / name)
        ]  # fmt: skip
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES):
                names.append((here / name).relative_to(folder).as_posix())
            else:
                others[pathlib.PurePath(name).suffix.lower() or "no suffix"] += 1
    if "." in unreadable:
        raise ValueError(f"Cannot read folder {folder}: {unreadable['.']}.")
    return sorted(names), unreadable, others


def _is_output(folder: pathlib.Path) -> bool:
    """Returns whether a folder is one of drawn images: the default, or one of `run_folder`."""
    names = ("landmarks.jsonl", "landmarks.csv")
    return folder.name == DEFAULT_OUTPUT or (
        (folder / "run.json").is_file() and any((folder / name).is_file() for name in names)
    )


def run_folder(
    landmarker: Landmarker,
    folder: pathlib.Path,
    output: pathlib.Path,
    *,
    format: str = "jsonl",
    settings: Mapping[str, Any],
    draw: Callable[[np.ndarray, Sequence[Face]], np.ndarray] | None = None,
) -> FolderSummary:
    """Locates the faces of all images of a folder.

    Results are written batch by batch. A second call with the same settings resumes after the last
    complete image, and its files equal those of an uninterrupted run. Images that can't be read,
    located or drawn are skipped and listed.

    Args:
        landmarker: Landmarker with a detector.
        folder: Folder of the images.
        output: Gets ``landmarks.jsonl`` (or ``.csv``), ``skipped.csv`` and ``run.json``, ``.pts``
            files in subfolders like those of the images, drawn images in ``drawn``, and
            ``annotations`` with a suffix or as a folder for annotation tools.
        format: "jsonl", "csv", or "pts" for JSON lines and one ``.pts`` file per face, or a key of
            `wing_tf.inference.pre_annotations.WRITERS` for JSON lines and files of that tool.
        settings: JSON values that determine the results, for `claim_output`.
        draw: Function of an image and its faces that returns the image for ``drawn``.

    Raises:
        ValueError: If the folder does not exist, or if the output belongs to another run or is
            being written to by another process.
        OSError: If the output can't be written, such as on a full disk.
    """
    names, unreadable, others = find_images(folder, exclude=output)
    if not names and not unreadable:
        raise ValueError(f"No images in {folder}: no file ends in {', '.join(IMAGE_SUFFIXES)}.")
    unnamed = _without_boxes(landmarker, folder, names)
    results = output / ("landmarks.csv" if format == "csv" else "landmarks.jsonl")
    bases = pts_bases(names) if format == "pts" else {}
    drawings = drawn_names(names) if draw is not None else {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked_folder(output, subfolders=True))
        claim_output(output, {"folder": str(folder.resolve()), "format": format, **settings})
        has_visibility = landmarker.spec.has_visibility
        file = stack.enter_context(
            ResultFile(results, landmarker.scheme, visibility=has_visibility)
        )
        skipped = stack.enter_context(SkippedFile(output / "skipped.csv"))
        known = {**unreadable, **unnamed}
        skipped.write({k: why for k, why in known.items() if k not in skipped.reasons})
        done = {*file.done, *skipped.reasons}
        left = [name for name in names if name not in done]
        with tqdm(
            total=len(names), initial=len(names) - len(left), unit="image", disable=None
        ) as bar:
            for images, errors in _batches(folder, left, landmarker.max_pixels):
                found = _locate(landmarker, folder, images, errors)
                for name, faces in list(found.items()):
                    try:
                        if draw is not None:
                            path = output / "drawn" / drawings[name]
                            drawn = draw(images[name], faces)
                            path.parent.mkdir(parents=True, exist_ok=True)
                            save_image(path, drawn, durable=False)
                        if format == "pts":
                            write_pts(faces, output / bases[name])
                    except _IMAGE_ERRORS as error:
                        if _concerns_all_images(error):
                            raise
                        errors[name] = _reason(error)
                        del found[name]
                skipped.write(errors)
                file.write(
                    ImageFaces(name, images[name].shape[:2], faces) for name, faces in found.items()
                )
                bar.update(len(found) + len(errors))
        num_faces = sum(file.done.values())
        if format in WRITERS:
            results = _write_annotations(format, results, landmarker.scheme, folder)
        return FolderSummary(len(file.done), num_faces, dict(skipped.reasons), others, results)


def _without_boxes(
    landmarker: Landmarker, folder: pathlib.Path, names: Sequence[str]
) -> dict[str, str]:
    """Returns the images that the detector's box file does not name. Raises ValueError if all."""
    detector = landmarker.detector
    if not isinstance(detector, BoxFile):
        return {}
    absent = [name for name in names if detector.find(folder / name) is None]
    if names and len(absent) == len(names):
        raise ValueError(
            f"{detector.path} names none of the {len(names)} images of {folder}, such as "
            f"{names[0]}. It names: {', '.join(detector.names[:3]) or 'none'}."
        )
    return dict.fromkeys(absent, f"not in the box file {detector.path.name}")


def _write_annotations(
    format: str, results: pathlib.Path, scheme: LandmarkScheme, folder: pathlib.Path
) -> pathlib.Path:
    """Writes a file of JSON lines for an annotation tool. Returns the first file, or the folder."""
    base = results.with_name("annotations")
    paths = []
    with results.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        images = map(json.loads, lines)
        for path, text in annotation_files(format, images, scheme, folder=folder, base=base):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text, durable=False)
            paths.append(path)
    if not paths:  # no face in any image
        return results
    return paths[0] if paths[0].parent == base.parent else base


def _batches(
    folder: pathlib.Path, names: Sequence[str], max_pixels: int
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, str]]]:
    """Yields images by name, and the reasons of those that can't be read, of limited memory."""
    images: dict[str, np.ndarray] = {}
    errors: dict[str, str] = {}
    num_pixels = 0
    for name in names:
        try:
            images[name] = load_image(folder / name, max_pixels=max_pixels)
            num_pixels += images[name].size // 3
        except _IMAGE_ERRORS as error:
            if not folder.is_dir() or not any(folder.iterdir()):  # images are not to be skipped
                raise ValueError(f"{folder} was removed, or has become empty.") from None
            errors[name] = _reason(error)
        if len(images) + len(errors) >= _MAX_BATCH_IMAGES or num_pixels >= _MAX_BATCH_PIXELS:
            yield images, errors
            images, errors, num_pixels = {}, {}, 0
    if images or errors:
        yield images, errors


def _locate(
    landmarker: Landmarker,
    folder: pathlib.Path,
    images: Mapping[str, np.ndarray],
    errors: dict[str, str],
) -> dict[str, list[Face]]:
    """Returns the faces of each image; images that raise are added to the errors instead."""
    boxes = {}
    for name, image in images.items():
        try:
            boxes[name] = landmarker.detect(image, str(folder / name))
        except _IMAGE_ERRORS as error:
            errors[name] = _reason(error)
    try:
        located = landmarker([images[name] for name in boxes], list(boxes.values()))
        kept = map(landmarker.without_false_faces, located)
        return dict(zip(boxes, kept, strict=True))
    except _IMAGE_ERRORS:
        found = {}
    for name, own in boxes.items():  # one by one, to find the image that raised
        try:
            found[name] = landmarker.without_false_faces(landmarker(images[name], own))
        except _IMAGE_ERRORS as error:
            errors[name] = _reason(error)
    return found


def _concerns_all_images(error: BaseException) -> bool:
    """Returns whether an output error concerns the disk, not the name or size of one image."""
    return (
        isinstance(error, OSError) and error.errno is not None and error.errno not in _NAME_ERRORS
    )


def _reason(error: BaseException) -> str:
    """Returns an error as one line."""
    if isinstance(error, MemoryError) or getattr(error, "code", None) == cv2.Error.StsNoMem:
        return "needs more memory than there is"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())
