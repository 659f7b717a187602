"""Model specs: what a network's input and output mean, stored with every model file.

A ``.keras`` file is a zip archive with ``model_spec.json`` as one more member, which Keras ignores.
A ``.tflite`` file has a zip archive appended (TFLite's associated files). Exports also have
``model_spec.json`` beside the model. All three hold the same JSON object, which remains with a
model file that is moved or renamed. Reading and writing need NumPy only.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from wing_tf.geometry import landmark_box, place_box
from wing_tf.landmarks import LandmarkScheme, get_scheme, scheme_from_dict, scheme_to_dict
from wing_tf.score_calibration import ScoreCalibration
from wing_tf.utils.json_values import (
    check_counts,
    check_names,
    check_object,
    finite_array,
    is_count,
    is_positive,
)
from wing_tf.utils.local_path import local_path
from wing_tf.utils.text_files import decode_json
from wing_tf.utils.zip_files import NotAnArchiveError, read_member

VERSION = 1
"""The version of the JSON form that this package reads and writes."""

MODEL_SPEC_FILE = "model_spec.json"
"""The name of the file, and of the archive's member."""

IMAGENET = {"imagenet": 1281167}
"""The entry of ``trained_on`` for weights that were trained on ImageNet's images."""

NETWORK_FILES = ("checkpoints/best.keras", "checkpoints/last.keras")
"""The model files of a run folder, the preferred one first."""

_EXPORTED_FILE = "model.tflite"
_INPUT = {"dtype": "uint8", "color": "RGB"}
_MAX_BYTES, _MAX_SIDE, _MAX_MARGIN = 1 << 24, 4096, 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a network's input and output mean.

    Attributes:
        scheme: Scheme of the K output landmarks; a name is looked up with `get_scheme`.
        input_size: Side of the square RGB input in pixels, values 0..255; landmarks are in its
            pixels.
        margin: Side of the input crop over the longer side of the face box. The crop is centered
            on the box and black outside of the image.
        square: False for crops that are the box, each side times ``margin``, stretched to a square.
        trained_on: Number of training faces by data set, including those of the models that
            training was initialized from (`IMAGENET` for such weights).
        held_out: Number of validation faces by data set.
        trained_crops: Crop rules of the training boxes, as text for reports.
        trained_boxes: Kinds of the training boxes (`wing_tf.data.crop_rules.BOX_KINDS`); empty if
            not known.
        box_around_landmarks: The median training box (x0, y0, x1, y1) from the center of the tight
            landmark box, in units of its longer side, where these differ. None if the training
            boxes are tight landmark boxes, or not known.
        has_scores: Whether the network emits a score for each landmark; None in ``.keras`` files.
        has_visibility: Whether an exported file or an opened Keras network emits the probability
            that each landmark is visible.
        precision: Precision of an exported file's weights, such as "int8"; None if not exported.
        batch_size: Number of crops that an exported file takes at a time; None for any number.
        score_calibration: Function from landmarks to the score of a face; None if not calibrated.
    """

    scheme: LandmarkScheme
    input_size: int
    margin: float
    square: bool = True
    trained_on: Mapping[str, int] = dataclasses.field(default_factory=dict)
    held_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    trained_crops: tuple[str, ...] = ()
    trained_boxes: tuple[str, ...] = ()
    box_around_landmarks: tuple[float, ...] | None = None
    has_scores: bool | None = None
    has_visibility: bool = False
    precision: str | None = None
    batch_size: int | None = None
    score_calibration: ScoreCalibration | None = None

    def __post_init__(self) -> None:
        """Looks the scheme up if it is a name, and makes tuples of sequences."""
        object.__setattr__(self, "scheme", get_scheme(self.scheme))
        object.__setattr__(self, "trained_crops", tuple(self.trained_crops))
        object.__setattr__(self, "trained_boxes", tuple(self.trained_boxes))
        if (around := self.box_around_landmarks) is not None:
            box = finite_array("box_around_landmarks", around, (4,), max_value=_MAX_MARGIN)
            if not np.all(box[2:] > box[:2]):
                raise ValueError(f"`box_around_landmarks` is an empty box: {box.tolist()}")
            object.__setattr__(self, "box_around_landmarks", tuple(box.tolist()))
        calibration, count = self.score_calibration, self.scheme.num_landmarks
        if calibration is not None and len(calibration.mean_shape) != count:
            raise ValueError(f"the score calibration is not of the {count} landmarks of the scheme")

    @property
    def scheme_name(self) -> str:
        """Name of the scheme."""
        return self.scheme.name

    @property
    def known_faces(self) -> dict[str, int]:
        """Number of training and validation faces by data set."""
        return {name: count + self.held_out.get(name, 0) for name, count in self.trained_on.items()}

    @property
    def finds_next_box(self) -> bool:
        """Whether `next_box` gives boxes as in training."""
        return set(self.trained_boxes) <= {"landmark"} or self.box_around_landmarks is not None

    def next_box(self, landmarks_px: np.ndarray) -> np.ndarray:
        """Returns the boxes [..., 4] to crop for a second pass, or in the next frame of a video.

        Args:
            landmarks_px: The network's landmarks [..., K, 2] in pixels of the image.
        """
        if self.box_around_landmarks is None:
            return landmark_box(landmarks_px)
        return place_box(np.array(self.box_around_landmarks), landmarks_px)

    def to_dict(self) -> dict[str, Any]:
        """Returns the spec as JSON types; `wing_tf.export` adds the keys of exported files."""
        side, calibration = self.input_size, self.score_calibration
        around = self.box_around_landmarks
        return {
            "version": VERSION,
            "input": {"name": "image", "shape": [None, side, side, 3], **_INPUT},
            "crop": {
                "center": "of the face box",
                "margin": self.margin,
                "square": self.square,
                "boxes": list(self.trained_boxes),
                "box_around_landmarks": around and list(around),
                "outside": "black",
            },
            "landmarks_frame": "pixels of the input; pixel centers are integers",
            "scheme": scheme_to_dict(self.scheme),
            "training": {
                "trained_on": dict(self.trained_on),
                "held_out": dict(self.held_out),
                "trained_crops": list(self.trained_crops),
            },
            "score_calibration": None if calibration is None else calibration.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelSpec":
        """Returns the spec that `to_dict` made, with or without an exported file's own keys.

        Raises:
            ValueError: If the version is not known, or the input or the crop is not one that this
                package can make.
            KeyError, TypeError, AttributeError: If a key is absent or not of its type.
        """
        version = values.get("version")
        if version != VERSION:
            newer = isinstance(version, int) and version > VERSION
            raise ValueError(
                f"it is of version {version}, this package reads version {VERSION}; "
                f"{'update this package' if newer else 'export the model again'}"
            )
        side, crop = values["input"]["shape"][1], values["crop"]
        is_fixed = values.get("format") in ("litert", "onnx")
        batch = values["input"]["shape"][0] if is_fixed else None
        wanted = {"shape": [batch, side, side, 3], **_INPUT}
        is_valid = is_count(side) and side <= _MAX_SIDE and (is_count(batch) if is_fixed else True)
        if not is_valid or values["input"] | wanted != values["input"]:
            raise ValueError(
                f"the input is not uint8 [N, S, S, 3] in RGB with S <= {_MAX_SIDE}: "
                f"{values['input']!r:.200}"
            )
        _check_crop(crop)
        training, exported = values.get("training", {}), "format" in values
        for key in ("trained_on", "held_out"):
            check_counts(key, training.get(key, {}))
        check_names("trained_crops", training.get("trained_crops", []))
        calibration = values.get("score_calibration")
        return cls(
            scheme=scheme_from_dict(values["scheme"]),
            input_size=int(side),
            margin=float(crop["margin"]),
            square=crop["square"],
            trained_on=training.get("trained_on", {}),
            held_out=training.get("held_out", {}),
            trained_crops=training.get("trained_crops", ()),
            trained_boxes=crop["boxes"],
            box_around_landmarks=crop.get("box_around_landmarks"),
            has_scores="scores" in values["outputs"] if exported else None,
            has_visibility=exported and "visibility" in values["outputs"],
            precision=str(values["precision"]) if exported else None,
            batch_size=None if batch is None else int(batch),
            score_calibration=calibration and ScoreCalibration.from_dict(calibration),
        )


def _check_crop(crop: Mapping[str, Any]) -> None:
    """Raises ValueError if faces can't be cropped as a model spec says."""
    margin, square, boxes, outside = (crop[k] for k in ("margin", "square", "boxes", "outside"))
    if not is_positive(margin) or margin > _MAX_MARGIN:
        raise ValueError(
            f"the crop's margin must be a positive number of at most {_MAX_MARGIN}. "
            f"Received: {margin!r}"
        )
    if not isinstance(square, bool):
        raise ValueError(f"the crop's `square` must be true or false. Received: {square!r}")
    check_names("boxes", boxes)
    if outside != "black":
        raise ValueError(f"the crop must be black outside of the image. Received: {outside!r}")


def ordered_outputs(outputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Returns a network's outputs by name as a tuple.

    Returns:
        Landmarks [B, K, 2], scores [B, K] or None, and, only of a network that has it, visibility
        [B, K]: the probability that each landmark is visible.
    """
    found = (outputs["landmarks"], outputs.get("scores"))
    return (*found, outputs["visibility"]) if "visibility" in outputs else found


def is_exported(path: str | os.PathLike) -> bool:
    """Whether a path names a ``.tflite`` file, or a folder with ``model.tflite``."""
    path = pathlib.Path(path)
    return path.suffix == ".tflite" or (path / _EXPORTED_FILE).is_file()


def find_model(path: str | os.PathLike) -> pathlib.Path:
    """Returns a model file: the path itself, or the one in an export folder or run folder.

    Raises:
        ValueError: If there is no such file.
    """
    path = local_path(path)
    for file in (path, *(path / name for name in (_EXPORTED_FILE, *NETWORK_FILES))):
        if file.is_file():
            return file
    raise ValueError(
        f"No model at {path}: expected a .tflite file or a folder with {_EXPORTED_FILE}, or a "
        ".keras file or a run folder with checkpoints/best.keras."
    )


def read_model_spec(path: str | os.PathLike, content: bytes | None = None) -> ModelSpec:
    """Reads the model spec of a ``.keras`` or ``.tflite`` file.

    A ``.tflite`` file without one is described by ``model_spec.json`` beside it.

    Args:
        path: A model file, export folder or run folder, as for `find_model`.
        content: The file's content where it has been read already.

    Raises:
        ValueError: If there is no file or no model spec, if the file is damaged, or if the model
            spec is damaged or of a version that is not known.
    """
    path = source = find_model(path)
    exported = path.suffix != ".keras"
    try:
        text = read_member(path, MODEL_SPEC_FILE, content, max_bytes=_MAX_BYTES)
    except NotAnArchiveError:
        if not exported:
            raise ValueError(f"{path} is not a .keras file.") from None
        text = None
    if text is None and exported:
        source = path.with_name(MODEL_SPEC_FILE)
        if MODEL_SPEC_FILE.encode() in (path.read_bytes() if content is None else content):
            raise ValueError(f"{path} is cut off: the archive at its end is not complete.")
        if not source.is_file():
            raise ValueError(
                f"{path} has no {MODEL_SPEC_FILE} inside or beside it: export or copy it again."
            )
        text = source.read_bytes()
    if text is None:
        raise ValueError(
            f"{path} has no wing_tf model spec (scheme, input size, crop rule). Save it with "
            "`wing_tf.models.saving.save_network`."
        )
    try:
        values = decode_json(text, MODEL_SPEC_FILE, max_bytes=_MAX_BYTES)
        check_object(values, MODEL_SPEC_FILE, {})
        if exported and values["format"] != "litert":
            raise ValueError(f"the format must be 'litert'. Received: {values['format']!r}")
        return ModelSpec.from_dict(values)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"The model spec in {source} can't be used: {what.rstrip('.')}."
        ) from error
