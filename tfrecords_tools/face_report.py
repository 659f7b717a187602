"""Names of the faces of a writing job that are skipped or uncertain."""

import dataclasses

from tfrecords_tools.square_crops import CroppedFace


@dataclasses.dataclass
class FaceReport:
    """Faces that are skipped and faces with warnings.

    Attributes:
        skipped: Reasons by the key of the face.
        warnings: Keys of faces by the text of the warning.
    """

    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def add(self, key: str, face: CroppedFace) -> None:
        """Adds one face."""
        if face.reason:
            self.skipped[key] = face.reason
        for text in face.warnings:
            self.warnings.setdefault(text, []).append(key)

    def merge(self, other: "FaceReport") -> None:
        """Adds the faces of another report."""
        self.skipped |= other.skipped
        for text, keys in other.warnings.items():
            self.warnings.setdefault(text, []).extend(keys)

    def lines(self) -> list[str]:
        """Returns a line for each warning: the number of faces and the first three."""
        return [
            f"{len(keys)} face{'s'[: len(keys) != 1]}: {text}. First: {', '.join(sorted(keys)[:3])}"
            for text, keys in sorted(self.warnings.items())
        ]
