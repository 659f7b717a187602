"""From a detector's boxes to boxes like those that networks are trained on."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

_FIELDS = ("center_shift_xy", "side_ratio")


@dataclasses.dataclass(frozen=True)
class Correction:
    """What a detector's boxes differ by, on average, from tight landmark squares.

    Networks are trained on squares tight round the landmarks. A detector's box differs from them by
    a nearly constant shift and scale, which costs more than most losses gain; `calibrate` measures
    both, and every detector takes its own off. The unit is a box's longer side before correction.

    Attributes:
        center_shift_xy: the landmark square's center less the raw box's, in raw sides.
        side_ratio: the landmark square's side in raw sides.

    Raises:
        ValueError: if the numbers are not finite, or the ratio is not positive.

    Example:
        >>> Correction((0.0, 0.1), 0.5)(np.array([[0.0, 0.0, 10.0, 10.0]]))
        array([[2.5, 3.5, 7.5, 8.5]])
    """

    center_shift_xy: tuple[float, float] = (0.0, 0.0)
    side_ratio: float = 1.0

    def __post_init__(self):
        try:
            x, y = (_number(value) for value in self.center_shift_xy)
            ratio = _number(self.side_ratio)
        except (TypeError, ValueError):
            x = y = ratio = float("nan")
        if not np.isfinite([x, y, ratio]).all() or ratio <= 0:
            raise ValueError(
                "A correction is a shift of two finite numbers and a positive ratio. Received: "
                f"center_shift_xy={self.center_shift_xy!r}, side_ratio={self.side_ratio!r}."
            )
        object.__setattr__(self, "center_shift_xy", (x, y))
        object.__setattr__(self, "side_ratio", ratio)

    def __call__(self, raw_boxes_xyxy_px: np.ndarray) -> np.ndarray:
        """Returns corrected boxes [N, 4]; they keep their shapes, so no correction changes none."""
        low, high = raw_boxes_xyxy_px[:, :2], raw_boxes_xyxy_px[:, 2:]
        side = np.max(high - low, axis=1, keepdims=True)
        center = (low + high) / 2 + np.array(self.center_shift_xy) * side
        half = (high - low) * (self.side_ratio / 2)
        return np.concatenate([center - half, center + half], axis=1)

    def save(self, path: str | os.PathLike, *, notes: Mapping[str, Any] | None = None) -> None:
        """Writes a JSON file, at once or not at all, with notes on where the numbers are from.

        Raises:
            OSError: if it can't be written.
        """
        path = pathlib.Path(path)
        content = dataclasses.asdict(self) | ({} if notes is None else {"notes": dict(notes)})
        temporary = path.with_name(f".{path.name}.writing")
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Correction":
        """Reads what `save` wrote.

        Raises:
            ValueError: if the file can't be read or says something else.
        """
        try:
            content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"Cannot read correction {path}: {error.strerror}.") from None
        except ValueError:  # neither UTF-8 nor JSON
            raise ValueError(f"Cannot read correction {path}: not a JSON file.") from None
        if not isinstance(content, dict) or not set(_FIELDS) <= content.keys():
            raise ValueError(f"{path} is no correction: it must say {' and '.join(_FIELDS)}.")
        try:
            return cls(*(content[name] for name in _FIELDS))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _number(value: Any) -> float:
    """Returns a number; a text that says one is none, or "12" would be a shift of 1, 2."""
    if isinstance(value, str):
        raise TypeError
    return float(value)
