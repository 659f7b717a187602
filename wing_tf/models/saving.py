"""Networks with the contract that makes them usable: mark-up, input size and crop rule.

A ``.keras`` file is a zip archive. The contract is one more member of it, so that a model file that
is moved or renamed still says how its input must be cut and what its output means; Keras itself
ignores the member, and any Keras loads the file.
"""

import dataclasses
import json
import os
import pathlib
import zipfile

import keras

from wing_tf.landmarks import LandmarkScheme, get_scheme

_MEMBER = "wing_tf_contract.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contract:
    """What a network's input and output mean.

    Attributes:
        scheme_name: the mark-up of the K output landmarks.
        input_size: the side of the square RGB input, values 0..255; outputs are in its pixels.
        margin: the input crop's side over the face box's longer side; the crop is centred on the
            box.
    """

    scheme_name: str
    input_size: int
    margin: float

    @property
    def scheme(self) -> LandmarkScheme:
        """The mark-up."""
        return get_scheme(self.scheme_name)


def save_network(network: keras.Model, path: str | pathlib.Path, contract: Contract) -> None:
    """Writes a network and its contract as one ``.keras`` file, at once or not at all."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.writing.keras")
    network.save(temporary)
    with zipfile.ZipFile(temporary, "a") as archive:
        archive.writestr(_MEMBER, json.dumps(dataclasses.asdict(contract), indent=1))
    os.replace(temporary, path)


def load_network(
    path: str | pathlib.Path, contract: Contract | None = None
) -> tuple[keras.Model, Contract]:
    """Reads a network and its contract.

    Args:
        path: a ``.keras`` file, or a run folder, whose best model is taken (the last if there is
            no best one).
        contract: instead of the file's own, which is then not needed.

    Raises:
        ValueError: if there is no model, or if it has no contract.
    """
    path = find_network(path)
    try:
        with zipfile.ZipFile(path) as archive:
            contract = contract or Contract(**json.loads(archive.read(_MEMBER)))
    except zipfile.BadZipFile:
        raise ValueError(f"{path} is not a .keras file.") from None
    except TypeError as error:
        raise ValueError(f"{path} was saved by another version of wing_tf: {error}.") from None
    except KeyError:
        raise ValueError(
            f"{path} has no wing_tf contract (mark-up, input size, crop rule). Save it with "
            "`wing_tf.models.saving.save_network`."
        ) from None
    network = keras.saving.load_model(path, compile=False)
    expected = (None, contract.scheme.num_landmarks, 2)
    output = network.output
    landmarks = output.get("landmarks") if isinstance(output, dict) else output
    if getattr(landmarks, "shape", None) != expected:
        raise ValueError(
            f"{path} must emit landmarks {expected} for {contract.scheme_name}. "
            f"Received: {network.output_shape}."
        )
    return network, contract


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
