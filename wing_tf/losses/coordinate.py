"""L2, L1 and smooth L1 losses of landmark coordinates, as compared in the Wing paper.

They take landmarks [B, K, 2] in pixels of the network's input and return the mean over x and y, one
value per landmark [B, K]. Flat coordinates [B, 2K], in the order x0, y0, x1, ..., give [B].
"""

import abc
import warnings

import keras
import numpy as np
from keras import ops

from wing_tf.losses.base import LandmarkLoss, to_float32


def annotated_coordinates(y_true):
    """Returns a float32 mask of targets [B, K, 2] or [B, 2K]: 0 for landmarks with a NaN, else 1.

    Raises:
        ValueError: If the shape is another one.
    """
    shape = tuple(y_true.shape)
    flat = len(shape) == 2 and (shape[1] is None or shape[1] % 2 == 0)
    if not flat and not (len(shape) == 3 and shape[2] in (2, None)):
        raise ValueError(f"Landmarks must be [B, K, 2] or [B, 2K]. Received: {shape}.")
    # Over pairs of x and y: both layouts hold them side by side.
    missing = ops.any(ops.isnan(ops.reshape(y_true, (-1, 2))), axis=-1, keepdims=True)
    mask = ops.cast(ops.logical_not(missing), "float32")
    return ops.reshape(ops.repeat(mask, 2, axis=-1), ops.shape(y_true))


def mask_coordinates(y_true, y_pred):
    """Returns targets, predictions and the mask of `annotated_coordinates`, all float32.

    Targets that are not annotated become 0 before a loss is computed: its gradient would be NaN
    even if its value were masked.
    """
    y_true, y_pred = to_float32(y_true, y_pred, "[B, K, 2] or [B, 2K]")
    mask = annotated_coordinates(y_true)
    return ops.where(mask > 0, y_true, 0.0), y_pred, mask


@keras.saving.register_keras_serializable(package="wing_tf")
def half_squared_error(y_true, y_pred):
    """Returns the mean of x^2 / 2 over the last axis, with 0 for NaN; see `HalfSquaredError`."""
    y_true, y_pred, mask = mask_coordinates(y_true, y_pred)
    return ops.mean(_half_square(y_pred - y_true) * mask, axis=-1)


def _half_square(error):
    return 0.5 * error * error


class CoordinateLoss(LandmarkLoss, abc.ABC):
    """Base class of losses of landmark coordinates [B, K, 2] or [B, 2K].

    Subclasses define `coordinate_losses`.
    """

    # Whether errors have a scale in pixels.
    expects_pixels = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._scale_known = not self.expects_pixels

    @abc.abstractmethod
    def coordinate_losses(self, y_true, y_pred):
        """Returns the loss of each coordinate, of the shape of the float32 arguments."""

    def call(self, y_true, y_pred):
        """Returns the loss per landmark [B, K], or per face [B] for flat coordinates.

        The value of a face is that of its annotated landmarks; their fraction is its weight.
        """
        y_true, y_pred, mask = mask_coordinates(y_true, y_pred)
        values = self.reduce_coordinates(self.coordinate_losses(y_true, y_pred) * mask)
        if len(y_pred.shape) == 3:
            return values
        fraction = ops.mean(mask, axis=-1)
        return values / ops.where(fraction > 0, fraction, 1.0)

    def reduce_coordinates(self, values):
        """Returns the mean over the last axis."""
        return ops.mean(values, axis=-1)

    def annotated(self, y_true):
        """Returns 1 or 0 per landmark [B, K], or the annotated fraction [B] of flat coordinates."""
        return ops.mean(annotated_coordinates(y_true), axis=-1)

    def check_targets(self, y_true) -> None:
        """Raises ValueError if targets are infinite, and warns once if they look normalized."""
        super().check_targets(y_true)
        if not self._scale_known:
            landmarks = ops.convert_to_numpy(y_true)
            self._scale_known = bool(np.any(_extents(landmarks) > 0))
            warn_if_normalized(landmarks)


def warn_if_normalized(landmarks_px) -> bool:
    """Warns if targets look normalized to [0, 1] instead of being pixels of the network's input.

    The coordinate losses call it in eager execution, on the first targets that tell. In a compiled
    step, where values are not known, call it once for an array of targets before `fit`.

    Args:
        landmarks_px: [N, K, 2] or [N, 2K], NaN where not annotated.

    Returns:
        Whether 99% of the faces with two or more landmarks are at most 1.5 wide and high.

    Examples:
        >>> warn_if_normalized([[[8.0, 9.0], [40.0, 50.0]]])
        False
    """
    extents = _extents(np.asarray(landmarks_px))
    normalized = bool(np.any(extents > 0) and np.percentile(extents, 99) <= 1.5)
    if normalized:
        warnings.warn(
            "The targets look normalized to [0, 1]. Errors are then far below Wing loss's width, "
            "and it is only a scaled L1: use pixels of the network's input.",
            stacklevel=2,
        )
    return normalized


def _extents(landmarks) -> np.ndarray:
    """Returns the larger side [N] of the bounding boxes of faces with two or more landmarks."""
    if not landmarks.size:
        return np.zeros(0)
    landmarks = landmarks.reshape(len(landmarks), -1, 2)
    faces = landmarks[np.isfinite(landmarks).all(axis=-1).sum(axis=-1) > 1]
    return np.max(np.nanmax(faces, axis=1) - np.nanmin(faces, axis=1), axis=1)


@keras.saving.register_keras_serializable(package="wing_tf")
class HalfSquaredError(CoordinateLoss):
    """The L2 loss of the papers, x^2 / 2. The mean squared error of Keras lacks the factor 1/2.

    Examples:
        >>> float(HalfSquaredError()([[[0.0, 0.0]]], [[[3.0, 1.0]]]))  # (9 / 2 + 1 / 2) / 2
        2.5

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 4.1: L2 of equation 3.
    """

    def coordinate_losses(self, y_true, y_pred):
        """Returns half of the squared errors."""
        return _half_square(y_pred - y_true)


@keras.saving.register_keras_serializable(package="wing_tf")
class AbsoluteError(CoordinateLoss):
    """The L1 loss, |x|.

    Examples:
        >>> float(AbsoluteError()([[[0.0, 0.0]]], [[[3.0, -1.0]]]))
        2.0

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 4.1: L1 of equation 3.
    """

    def coordinate_losses(self, y_true, y_pred):
        """Returns the absolute errors."""
        return ops.abs(y_pred - y_true)


@keras.saving.register_keras_serializable(package="wing_tf")
class SmoothL1Error(CoordinateLoss):
    """The smooth L1 loss: x^2 / 2 if |x| < 1, else |x| - 1/2 (Huber loss with delta 1).

    Examples:
        >>> float(SmoothL1Error()([[[0.0, 0.0]]], [[[3.0, 1.0]]]))  # (2.5 + 0.5) / 2
        1.5

    Reference:
        Girshick, Fast R-CNN, ICCV 2015; Feng et al., Wing Loss, CVPR 2018, equation 4.
    """

    def coordinate_losses(self, y_true, y_pred):
        """Returns the Huber loss of each coordinate."""
        # Keras averages over the last axis, here of size 1.
        error = (y_pred - y_true)[..., None]
        return keras.losses.huber(ops.zeros_like(error), error, delta=1.0)
