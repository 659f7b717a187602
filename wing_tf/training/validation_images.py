"""Images of validation faces with their ground truth and predictions."""

import math
import pathlib

import numpy as np
import tqdm

from wing_tf.evaluation.predict import CropBatch, Predictions
from wing_tf.geometry import apply_affine, invert
from wing_tf.landmarks import LandmarkScheme
from wing_tf.training.logs import EventFile
from wing_tf.utils.image_files import save_image
from wing_tf.visualization import contact_sheet, draw_landmarks

_TRUE, _PREDICTED = (0, 255, 120), (255, 70, 50)
_CELL_PX = 288  # crops are enlarged by a whole number to about this side


class ValidationImages:
    """Draws validation faces: for TensorBoard, of the first validation, and of the best one.

    Args:
        batch: Validation faces, of which the first are drawn.
        scheme: Their landmark scheme.
        num_images: Number of faces.
        folder: Folder of ``first.jpg`` and ``best.jpg``.
        tensorboard: Folder of TensorBoard's images.
    """

    def __init__(
        self,
        batch: CropBatch,
        scheme: LandmarkScheme,
        *,
        num_images: int,
        folder: pathlib.Path,
        tensorboard: pathlib.Path,
    ):
        count = min(num_images, len(batch.image))
        self._crops = batch.image[:count].clip(0, 255).astype(np.uint8)
        self._to_crop = invert(batch.crop_to_source[:count])
        self._scheme, self.folder = scheme, folder
        self._events = EventFile(tensorboard)

    def write(
        self, predictions: Predictions, errors: np.ndarray, epoch: int, *, is_best: bool, log: bool
    ) -> None:
        """Draws the faces of a validation.

        Args:
            predictions: Of all validation faces, those of the batch first.
            errors: NME [N] of each face, NaN where it is not known.
            epoch: Number of the epoch, from 0.
            is_best: Whether ``best.jpg`` is written.
            log: Whether the image is written for TensorBoard.
        """
        first = self.folder / "first.jpg"
        is_first = not first.is_file()
        if not (is_first or is_best or log):
            return
        sheet = self._draw(predictions, errors)
        self.folder.mkdir(exist_ok=True)
        if is_first:
            save_image(first, sheet)
            with tqdm.tqdm.external_write_mode():  # not into the line of the progress bar
                print(
                    f"Validation faces with ground truth (green) and predictions (red): {first}; "
                    "best.jpg beside it is of the best epoch.",
                    flush=True,
                )
        if is_best:
            save_image(self.folder / "best.jpg", sheet)
        if log:
            self._events.add(epoch, {"validation": sheet})
            self._events.flush()

    def _draw(self, predictions: Predictions, errors: np.ndarray) -> np.ndarray:
        count, side = len(self._crops), self._crops.shape[1]
        scale = max(round(_CELL_PX / side), 1)
        large = self._crops.repeat(scale, axis=1).repeat(scale, axis=2)
        true, found = (
            apply_affine(self._to_crop, px[:count]) * scale + (scale - 1) / 2
            for px in (predictions.evaluated_true_px, predictions.predicted_px)
        )
        drawn = []
        for image, truth, prediction in zip(large, true, found, strict=True):
            image = draw_landmarks(image, truth, self._scheme, color=_TRUE)
            drawn.append(draw_landmarks(image, prediction, self._scheme, color=_PREDICTED))
        captions = ["" if math.isnan(e) else f"NME {100 * e:.1f} %" for e in errors[:count]]
        return contact_sheet(drawn, columns=4, captions=captions)
