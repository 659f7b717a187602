"""What an exported file says of itself."""

import dataclasses
import io
import json
import math
import os
import pathlib
import zipfile
from typing import Any

from wing_tf.landmarks import LandmarkScheme, scheme_from_dict

VERSION = 1
"""The version of model specs that this package reads."""

_MEMBER = "model_spec.json"
_FILE = "model.tflite"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedModelSpec:
    """What the input and the outputs of an exported network mean.

    Attributes:
        input_size: the side of the square input, uint8 RGB; landmarks are in its pixels.
        margin: the crop's side over the face box's longer side; the crop is centered on the box and
            black where it leaves the image.
        square: False for crops that are the box itself, each side times ``margin``, stretched.
        boxes: the kinds of face boxes that the network was trained with; none if it is not known.
        scheme: the scheme of the landmarks.
        has_scores: whether the network says how sure it is of each landmark.
        precision: of the weights, for example "float32" or "int8".
    """

    input_size: int
    margin: float
    square: bool
    boxes: tuple[str, ...]
    scheme: LandmarkScheme
    has_scores: bool
    precision: str


def shipped_model() -> pathlib.Path:
    """Returns the file of the model that comes with this package, of 68 points (``ibug_68``)."""
    return pathlib.Path(__file__).parent / "models" / "face_68.tflite"


def is_exported(path: str | os.PathLike) -> bool:
    """Whether a path names an exported file, or a folder with one."""
    path = pathlib.Path(path)
    return path.suffix == ".tflite" or (path / _FILE).is_file()


def find_model(path: str | os.PathLike) -> pathlib.Path:
    """Returns the file that a path names: itself, or ``model.tflite`` in a folder.

    Raises:
        ValueError: if there is no such file.
    """
    path = pathlib.Path(path)
    file = path / _FILE if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"No model at {path}: expected a .tflite file, or a folder with {_FILE}.")
    return file


def read_model_spec(model: str | os.PathLike) -> ExportedModelSpec:
    """Reads the model spec of an exported file.

    It is in the file itself, in the zip archive behind the network, and is read from there; where
    a file has none, from ``model_spec.json`` beside it.

    Args:
        model: a ``.tflite`` file, or the folder of an export.

    Raises:
        ValueError: if there is no file or no model spec, if the file is cut off, or if the
            model spec is damaged or of a version that is not known.
    """
    path = find_model(model)
    return model_spec_of(path, path.read_bytes())


def model_spec_of(path: pathlib.Path, content: bytes) -> ExportedModelSpec:
    """Reads the model spec of a file whose content is at hand; see `read_model_spec`."""
    beside = path.with_name(_MEMBER)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            source, text = path, archive.read(_MEMBER)
    except (zipfile.BadZipFile, KeyError):
        if _MEMBER.encode() in content:
            raise ValueError(f"{path} is cut off: the archive at its end is not whole.") from None
        if not beside.is_file():
            raise ValueError(
                f"{path} holds no {_MEMBER} and none is beside it: export it with wing-export, or "
                "copy the whole file again."
            ) from None
        source, text = beside, beside.read_bytes()
    try:
        return _parse(json.loads(text))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"The model spec in {source} can't be used: {what.rstrip('.')}."
        ) from error


def _parse(values: dict[str, Any]) -> ExportedModelSpec:
    version = values.get("version")
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        raise ValueError(
            f"it is of version {version}, this package reads version {VERSION}; "
            f"{'update this package' if newer else 'export the model again'}"
        )
    if values["format"] != "litert":
        raise ValueError(f"the format must be 'litert'. Received: {values['format']!r}")
    side, crop = values["input"]["shape"][1], values["crop"]
    wanted = {"shape": [1, side, side, 3], "dtype": "uint8", "color": "RGB"}
    if not _is_number(side) or side != int(side) or values["input"] | wanted != values["input"]:
        raise ValueError(f"the input is not uint8 [1, S, S, 3] in RGB: {values['input']}")
    _check_crop(crop)
    return ExportedModelSpec(
        input_size=int(side),
        margin=float(crop["margin"]),
        square=crop["square"],
        boxes=tuple(crop["boxes"]),
        scheme=scheme_from_dict(values["scheme"]),
        has_scores="scores" in values["outputs"],
        precision=str(values["precision"]),
    )


def _check_crop(crop: dict[str, Any]) -> None:
    """Raises ValueError if faces can't be cut as a model spec says."""
    margin, square, boxes, outside = (crop[k] for k in ("margin", "square", "boxes", "outside"))
    if not _is_number(margin):
        raise ValueError(f"the crop's margin must be a positive number. Received: {margin!r}")
    if not isinstance(square, bool):
        raise ValueError(f"the crop's `square` must be true or false. Received: {square!r}")
    if not isinstance(boxes, list) or not all(isinstance(kind, str) for kind in boxes):
        raise ValueError(f"the crop's boxes must be a list of names. Received: {boxes!r}")
    if outside != "black":
        raise ValueError(f"the crop must be black outside of the image. Received: {outside!r}")


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number above 0; JSON's true is none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0
