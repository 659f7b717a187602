"""Measurement of a detector's correction on annotated faces."""

import dataclasses
import os
from collections.abc import Callable, Iterable

import numpy as np

from wing_tf.detection.correction import Correction
from wing_tf.detection.match import has_size, matching_box
from wing_tf.geometry import crop_square, landmark_box


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The mean correction of a detector, and the errors that remain after it.

    Attributes:
        correction: Mean correction from raw boxes to tight landmark squares.
        num_faces: Number of annotated faces with at least two different landmarks.
        num_found: Number of these that were detected; see `matching_box`.
        other_boxes_per_image: Mean number of boxes that do not match the annotated face. Some of
            them may be faces without annotation.
        center_error: Distance between the centers of the corrected box and of the landmark square,
            as a fraction of its side: mean and 95th percentile.
        scale: Side of the corrected box over the side of the landmark square: 5th and 95th
            percentile.
    """

    correction: Correction
    num_faces: int
    num_found: int
    other_boxes_per_image: float
    center_error: tuple[float, float]
    scale: tuple[float, float]

    @property
    def recall(self) -> float:
        """Fraction of the faces that were detected."""
        return self.num_found / self.num_faces

    def save(self, path: str | os.PathLike, *, detector: str | None = None) -> None:
        """Writes the correction with these statistics as notes; see `Correction.save`.

        Args:
            path: The file.
            detector: Name of the detector, to which `make_detector` then limits the correction.
        """
        notes = dataclasses.asdict(self) | {"recall": self.recall}
        self.correction.save(path, notes=notes | ({"detector": detector} if detector else {}))

    def __str__(self):
        x, y = self.correction.center_shift_xy
        return (
            f"{self.num_faces} faces, recall {self.recall:.3f}, other boxes per image "
            f"{self.other_boxes_per_image:.3f}; correction: center shift {x:.3f}, {y:.3f}, side "
            f"ratio {self.correction.side_ratio:.3f} (in raw sides); after it: center error "
            f"{self.center_error[0]:.3f} (95 %: {self.center_error[1]:.3f}), scale "
            f"{self.scale[0]:.2f} to {self.scale[1]:.2f} (5 to 95 %)"
        )


def calibrate(
    detector: Callable[..., np.ndarray],
    faces: Iterable[tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, str]],
) -> Calibration:
    """Measures the correction of a detector on annotated faces.

    Args:
        detector: A `Detector`, whose present correction is not applied, or any callable from
            images to boxes [N, 4] or [N, 5].
        faces: For each face the image (uint8 RGB [H, W, 3]), its landmarks [K, 2] in pixels, NaN
            if not annotated, and the name of the image if the detector needs it. Faces with fewer
            than two different landmarks are ignored.

    Raises:
        ValueError: If there is no face, or none is detected.
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
        raw_side = np.max(box[2:4] - box[:2])
        shifts.append(((true[:2] + true[2:]) - (box[:2] + box[2:4])) / 2 / raw_side)
        ratios.append((true[2] - true[0]) / raw_side)
    if not ratios:
        raise ValueError(
            f"The detector finds none of {num_faces} faces: there is nothing to measure."
        )
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
