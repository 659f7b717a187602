"""Correction of a detector's boxes to boxes like those that networks are trained on."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from wing_tf.utils.atomic import write_json
from wing_tf.utils.text_files import read_json

_FIELDS = ("center_shift_xy", "side_ratio")
_MAX_SIDES = 100.0  # more is a defect of the file, and makes boxes infinite


@dataclasses.dataclass(frozen=True)
class Correction:
    """Mean shift and scale from a detector's boxes to tight landmark squares.

    Networks are trained on squares tight around the landmarks. The boxes of a detector differ from
    them by a nearly constant shift and scale, which costs more accuracy than most losses gain.
    `calibrate` measures both, and each detector corrects its boxes. The unit is the longer side of
    the raw box.

    Attributes:
        center_shift_xy: Center of the landmark square minus center of the raw box, in raw sides.
        side_ratio: Side of the landmark square, in raw sides.

    Raises:
        ValueError: If a number is not finite or beyond 100, or the ratio is not positive.

    Examples:
        >>> Correction((0.0, 0.1), 0.5)(np.array([[0.0, 0.0, 10.0, 10.0]]))
        array([[2.5, 3.5, 7.5, 8.5]])
    """

    center_shift_xy: tuple[float, float] = (0.0, 0.0)
    side_ratio: float = 1.0

    def __post_init__(self):
        try:
            x, y = (_number(value) for value in self.center_shift_xy)
            ratio = _number(self.side_ratio)
        except (TypeError, ValueError, OverflowError):
            x = y = ratio = float("nan")
        # NaN must fail these comparisons, too.
        if not (abs(x) <= _MAX_SIDES and abs(y) <= _MAX_SIDES and 0 < ratio <= _MAX_SIDES):
            raise ValueError(
                "A correction is a shift of two numbers and a positive ratio, of at most "
                f"{_MAX_SIDES:g} sides. Received: "
                f"center_shift_xy={self.center_shift_xy!r}, side_ratio={self.side_ratio!r}."
            )
        object.__setattr__(self, "center_shift_xy", (x, y))
        object.__setattr__(self, "side_ratio", ratio)

    def __call__(self, raw_boxes_xyxy_px: np.ndarray) -> np.ndarray:
        """Returns corrected boxes [N, 4]. Their aspect ratios and further columns are kept."""
        low, high, others = np.split(raw_boxes_xyxy_px, [2, 4], axis=1)
        side = np.max(high - low, axis=1, keepdims=True)
        center = (low + high) / 2 + np.array(self.center_shift_xy) * side
        half = (high - low) * (self.side_ratio / 2)
        return np.concatenate([center - half, center + half, others], axis=1)

    def save(self, path: str | os.PathLike, *, notes: Mapping[str, Any] | None = None) -> None:
        """Writes a JSON file atomically, with notes on the origin of the numbers.

        Raises:
            OSError: If it can't be written.
        """
        content = dataclasses.asdict(self) | ({} if notes is None else {"notes": dict(notes)})
        write_json(path, content)

    @classmethod
    def load(cls, path: str | os.PathLike, *, detector: str | None = None) -> "Correction":
        """Reads a file that `save` wrote.

        Args:
            path: The file.
            detector: Name of the detector that it is used for. Defaults to any.

        Raises:
            ValueError: If the file can't be read, is not a correction, or says that it is one of
                another detector.
        """
        try:
            content = read_json(path)
        except OSError as error:
            raise ValueError(f"Cannot read correction {path}: {error.strerror}.") from None
        if not isinstance(content, dict) or not set(_FIELDS) <= content.keys():
            raise ValueError(
                f"{path} is not a correction: it must have the keys {' and '.join(_FIELDS)}."
            )
        notes = content.get("notes")
        measured = notes.get("detector") if isinstance(notes, dict) else None
        if None not in (measured, detector) and measured != detector:
            raise ValueError(f"{path} is a correction of {measured!r}, not of {detector!r}.")
        try:
            return cls(*(content[name] for name in _FIELDS))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _number(value: Any) -> float:
    """Returns a number. Text is refused, because "12" would be read as a shift of 1, 2."""
    if isinstance(value, str | bool):
        raise TypeError
    return float(value)
