"""Measures how a detector's boxes differ from the squares that networks are trained on."""

import dataclasses
import os
from collections.abc import Callable, Iterable

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.match import has_size, matching_box
from wing_tf.geometry import crop_square, landmark_box


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A detector's mean correction and what it leaves.

    Attributes:
        correction: from its raw boxes to tight landmark squares, on average.
        num_faces: annotated ones, of two known landmarks at least.
        num_found: of these; see `matching_box`.
        others_per_image: boxes that were not the annotated face's; not all are wrong, as images
            may show faces that nobody annotated.
        center_off: what stays of the distance between the centers after correction, in sides of the
            landmark square: the mean, and what 95 % of the faces stay below.
        scale: corrected side over true side: what 5 % and 95 % of the faces stay below.
    """

    correction: Correction
    num_faces: int
    num_found: int
    others_per_image: float
    center_off: tuple[float, float]
    scale: tuple[float, float]

    @property
    def recall(self) -> float:
        """The share of the faces that are found."""
        return self.num_found / self.num_faces

    def save(self, path: str | os.PathLike) -> None:
        """Writes the correction with its figures; see `Correction.save`."""
        self.correction.save(path, notes=dataclasses.asdict(self) | {"recall": self.recall})

    def __str__(self):
        x, y = self.correction.center_shift_xy
        return (
            f"faces {self.num_faces}, found {self.recall:.3f}, other boxes an image "
            f"{self.others_per_image:.3f}; center shift {x:.3f}, {y:.3f}, side ratio "
            f"{self.correction.side_ratio:.3f} (raw sides); left: center off by "
            f"{self.center_off[0]:.3f} on average, {self.center_off[1]:.3f} at 95 %, scale "
            f"{self.scale[0]:.2f} to {self.scale[1]:.2f} (5-95 %)"
        )


def calibrate(
    detector: Callable[..., np.ndarray],
    faces: Iterable[tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, str]],
) -> Calibration:
    """Runs a detector on annotated faces.

    Args:
        detector: a `Detector`, whose present correction does not matter; or any callable from
            images to boxes.
        faces: of each the image (uint8 RGB [H, W, 3]), the landmarks [K, 2] in its pixels, NaN
            where missing, and the image's name where the detector needs it. Faces whose known
            landmarks have no size (one point, or none) are passed over and not counted.

    Raises:
        ValueError: if there is no face, or none is found.
    """
    find = getattr(detector, "raw_boxes", detector)
    needs_name = getattr(detector, "needs_name", False)
    shifts, ratios, num_faces, num_boxes = [], [], 0, 0
    for image, landmarks_px, *name in faces:
        if not has_size(landmarks_px):
            continue
        raw = find(image, *name) if needs_name else find(image)
        num_faces += 1
        num_boxes += len(raw)
        box = matching_box(raw, landmarks_px)
        if box is None:
            continue
        true = crop_square(landmark_box(landmarks_px), 1.0)
        raw_side = np.max(box[2:] - box[:2])
        shifts.append(((true[:2] + true[2:]) - (box[:2] + box[2:])) / 2 / raw_side)
        ratios.append((true[2] - true[0]) / raw_side)
    if not ratios:
        raise ValueError(f"The detector finds none of {num_faces} faces: nothing to measure.")
    shift, ratio = np.mean(shifts, axis=0), float(np.mean(ratios))
    off = np.hypot(*(np.array(shifts) - shift).T) / ratios
    scale = ratio / np.array(ratios)
    return Calibration(
        Correction((float(shift[0]), float(shift[1])), ratio),
        num_faces,
        len(ratios),
        (num_boxes - len(ratios)) / num_faces,
        (float(off.mean()), float(np.quantile(off, 0.95))),
        (float(np.quantile(scale, 0.05)), float(np.quantile(scale, 0.95))),
    )
