"""Description of one model of the zoo."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping

from wing_tf.utils.child_process import trust

LITERT, KERAS = ".tflite", ".keras"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One measured score of a model.

    Attributes:
        data: Data set and number of faces.
        boxes: Kind of the face boxes.
        nme: Normalized mean error in percent, with the scheme's default normalizer.
        fr8: Percent of the faces with an NME above 8 %; None if it was not measured.
    """

    data: str
    boxes: str
    nme: float
    fr8: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZooModel:
    """A model that is found by its name.

    It has two files in ``folder``: ``NAME.tflite``, which runs with LiteRT, and ``NAME.keras``,
    which is evaluated, exported and fine-tuned. Both may hold float16 weights; Keras restores
    them as float32.

    Attributes:
        name: Name of the model, also that of its entry point and of its files.
        scheme: Name of its landmark scheme.
        input_size: Side of the square input in pixels.
        trained_on: Training faces, in words.
        license: License of the weights.
        sha256: SHA-256 of the files, in hexadecimal digits, by suffix.
        folder: Folder of the files.
        scores: Measured scores.
        latency_ms: Milliseconds per face of the LiteRT file, two threads; None if not measured.
        notice: Terms of use that are logged once when the model is loaded; empty for none.
    """

    name: str
    scheme: str
    input_size: int
    trained_on: str
    license: str
    sha256: Mapping[str, str]
    folder: pathlib.Path
    scores: tuple[Score, ...] = ()
    latency_ms: float | None = None
    notice: str = ""

    def file(self, suffix: str = LITERT) -> pathlib.Path:
        """Returns the model's file with a suffix, after checking its content.

        Raises:
            ValueError: If the model has no such file, or if it is missing or has changed.
        """
        if suffix not in self.sha256:
            raise ValueError(
                f"The model {self.name!r} has the files {', '.join(self.sha256)}. "
                f"Received: {suffix!r}."
            )
        path = self.folder / f"{self.name}{suffix}"
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ValueError(
                f"{path} of the model {self.name!r} can't be read ({error.strerror}). Install the "
                "distribution that it comes with again."
            ) from None
        if found != self.sha256[suffix]:
            raise ValueError(
                f"{path} is not the file of the model {self.name!r}: its SHA-256 is {found}, "
                f"expected {self.sha256[suffix]}. Install the distribution that it comes with "
                "again."
            )
        trust(found)
        return path
