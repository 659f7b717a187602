"""Networks with the model spec that makes them usable: scheme, input size and crop rule.

A ``.keras`` file is a zip archive. The model spec is one more member of it, so that a model file
that is moved or renamed still says how its input must be cropped and what its output means; Keras
itself ignores the member, and any Keras loads the file.
"""

import dataclasses
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import keras

from wing_tf.landmarks import LandmarkScheme, custom_scheme_json, get_scheme, scheme_from_json

IMAGENET = {"imagenet": 1281167}
"""What ``trained_on`` says of weights that were trained on ImageNet's images."""

_MEMBER = "wing_tf_model_spec.json"
_SCHEME_MEMBER = "wing_tf_scheme.json"  # where the scheme is not built in


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a network's input and output mean.

    Attributes:
        scheme_name: the scheme of the K output landmarks.
        input_size: the side of the square RGB input, values 0..255; outputs are in its pixels.
        margin: the input crop's side over the face box's longer side; the crop is centered on the
            box.
        square: False for crops that are the box itself, each side times ``margin``, stretched.
        trained_on: how many training faces were of each data set, by name; also those of the
            models that the training began with ("imagenet" for such weights).
        held_out: how many faces of each were kept for validation.
        trained_crops: the crop rules of their boxes, as text for reports.
        trained_boxes: the kinds of these boxes (`wing_tf.data.crop_rules.BOX_KINDS`).
    """

    scheme_name: str
    input_size: int
    margin: float
    square: bool = True
    trained_on: Mapping[str, int] = dataclasses.field(default_factory=dict)
    held_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    trained_crops: Sequence[str] = dataclasses.field(default_factory=list)
    trained_boxes: Sequence[str] = dataclasses.field(default_factory=list)

    @property
    def scheme(self) -> LandmarkScheme:
        """The scheme."""
        return get_scheme(self.scheme_name)

    @property
    def known_faces(self) -> dict[str, int]:
        """How many faces of each data set were there in training, for it or for choosing by."""
        return {name: count + self.held_out.get(name, 0) for name, count in self.trained_on.items()}


def save_network(network: keras.Model, path: str | pathlib.Path, spec: ModelSpec) -> None:
    """Writes a network and its model spec as one ``.keras`` file, at once or not at all."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.writing.keras")
    network.save(temporary)
    with zipfile.ZipFile(temporary, "a") as archive:
        archive.writestr(_MEMBER, json.dumps(dataclasses.asdict(spec), indent=1))
        if definition := custom_scheme_json(spec.scheme):
            archive.writestr(_SCHEME_MEMBER, definition)
    os.replace(temporary, path)


def load_network(
    path: str | pathlib.Path, spec: ModelSpec | None = None
) -> tuple[keras.Model, ModelSpec]:
    """Reads a network and its model spec.

    Args:
        path: a ``.keras`` file, or a run folder, whose best model is taken (the last if there is
            no best one).
        spec: instead of the file's own, which is then not needed.

    Raises:
        ValueError: if there is no model, or if it has no model spec.
    """
    path = find_network(path)
    spec = spec or read_model_spec(path)
    try:
        network = keras.saving.load_model(path, compile=False)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}). Copy it again.") from None
    expected = (None, spec.scheme.num_landmarks, 2)
    output = network.output
    landmarks = output.get("landmarks") if isinstance(output, dict) else output
    if getattr(landmarks, "shape", None) != expected:
        raise ValueError(
            f"{path} must emit landmarks {expected} for {spec.scheme_name}. "
            f"Received: {network.output_shape}."
        )
    return network, spec


def read_model_spec(path: str | pathlib.Path) -> ModelSpec:
    """Reads a model file's model spec, and makes a scheme known that it holds.

    Args:
        path: as for `load_network`.

    Raises:
        ValueError: if there is no model, or if it has no model spec.
    """
    path = find_network(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if _SCHEME_MEMBER in archive.namelist():
                scheme_from_json(archive.read(_SCHEME_MEMBER).decode())
            return ModelSpec(**json.loads(archive.read(_MEMBER)))
    except zipfile.BadZipFile:
        raise ValueError(f"{path} is not a .keras file.") from None
    except TypeError as error:
        raise ValueError(f"{path} was saved by another version of wing_tf: {error}.") from None
    except KeyError:
        raise ValueError(
            f"{path} has no wing_tf model spec (scheme, input size, crop rule). Save it with "
            "`wing_tf.models.saving.save_network`."
        ) from None


def find_network(path: str | pathlib.Path) -> pathlib.Path:
    """Returns the model file that a path names: itself, or a run folder's best or last model."""
    path = pathlib.Path(path)
    if path.is_file():
        return path
    for name in ("best", "last"):
        file = path / "checkpoints" / f"{name}.keras"
        if file.is_file():
            return file
    raise ValueError(
        f"No model at {path}: expected a .keras file, or a run folder with checkpoints/best.keras."
    )
