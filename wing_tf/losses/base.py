"""Base class and argument checks of the losses."""

import abc
import inspect
import math
from typing import Any, SupportsFloat

import keras
from keras import ops

from wing_tf.utils.did_you_mean import did_you_mean


class LandmarkLoss(keras.losses.Loss, abc.ABC):
    """Base class of losses that return one value per landmark.

    The loss is computed in float32 whatever the dtype policy, so that half precision neither
    overflows nor underflows.

    A landmark whose target holds NaN is not annotated. It has no loss and no gradient, and counts
    in the reduction as a landmark of weight 0. A prediction that is NaN gives a loss of NaN, also
    where the landmark is not annotated or has weight 0: a network that diverged must be seen.

    Args:
        name: Name of the loss. Defaults to None.
        reduction: Reduction of the values, as in every Keras loss. With several replicas avoid
            `"mean_with_sample_weight"`, which averages per replica. Defaults to
            `"sum_over_batch_size"`.
        dtype: `"float32"`, the only dtype.

    Call arguments:
        y_true: Targets, NaN where a landmark is not annotated.
        y_pred: Predictions of the same shape.
        sample_weight: Weights of the faces [B] or [B, 1], or of the landmarks [B, K]. Flat
            coordinates [B, 2K] take weights of the faces only.

    Raises:
        TypeError: If an argument of the constructor is unknown or positional.
        ValueError: If ``dtype`` is another one.
        ValueError: In the call, if a shape is invalid, or if a target is infinite. Values are only
            checked in eager execution: inside a compiled step they are not known.
    """

    # Letters of the paper, by which an argument may be looked for.
    paper_names: dict[str, str] = {}

    def __new__(cls, *args: Any, **kwargs: Any):
        """Names the keywords if too many positional arguments are passed: Python counts them."""
        try:
            inspect.signature(cls.__init__).bind_partial(None, *args)
        except TypeError:
            values = ", ".join(repr(value) for value in args)
            raise TypeError(
                f"{cls.__name__} takes keyword arguments: {', '.join(_arguments(cls)[1])}. "
                f"Received: {cls.__name__}({values})."
            ) from None
        return super().__new__(cls)

    def __init__(
        self, *, name=None, reduction="sum_over_batch_size", dtype="float32", **unknown: Any
    ):
        for argument in unknown:
            positional, keywords = _arguments(type(self))
            hint = did_you_mean(self.paper_names.get(argument, argument), keywords)
            raise TypeError(
                f"{type(self).__name__} has no argument {argument!r}.{hint} "
                f"Its arguments: {', '.join([*positional, *keywords])}."
            )
        if keras.backend.standardize_dtype(getattr(dtype, "compute_dtype", dtype)) != "float32":
            raise ValueError(f"Losses are computed in float32. Received: dtype={dtype!r}.")
        super().__init__(name=name, reduction=reduction, dtype="float32")

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Returns the reduced loss."""
        y_true = ops.convert_to_tensor(y_true, dtype="float32")
        known_shape(y_true, "y_true")
        annotated = self.annotated(y_true)
        if is_concrete(annotated):  # A trace may have captured concrete targets.
            self.check_targets(y_true)
        if sample_weight is not None:
            annotated = annotated * fit_weights(sample_weight, annotated, y_true)
        return super().__call__(y_true, y_pred, sample_weight=annotated)

    @abc.abstractmethod
    def annotated(self, y_true):
        """Returns weights of the shape of what `call` returns: 0 where targets are NaN, else 1."""

    def check_targets(self, y_true) -> None:
        """Raises ValueError if targets are infinite. Not called under a trace."""
        refuse_targets(ops.isinf(y_true), y_true, "finite, or NaN where not annotated")


def _arguments(cls: type) -> tuple[list[str], list[str]]:
    """Returns the names of the positional and of the keyword arguments of a loss class."""
    bases = cls.__mro__[: cls.__mro__.index(LandmarkLoss) + 1]
    parameters = {
        name: parameter.kind
        for constructor in [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
        for name, parameter in inspect.signature(constructor).parameters.items()
    }
    positional = [k for k, kind in parameters.items() if kind.name == "POSITIONAL_OR_KEYWORD"]
    keywords = [name for name, kind in parameters.items() if kind.name == "KEYWORD_ONLY"]
    return positional[1:], keywords  # Without self.


def fit_weights(sample_weight, values, y_true):
    """Returns ``sample_weight`` with the rank of the values [B, K] or [B].

    Raises:
        ValueError: If it is not one weight per face, or per value.
    """
    weights = ops.convert_to_tensor(sample_weight, dtype="float32")
    shape, expected = known_shape(weights, "sample_weight"), tuple(values.shape)
    widths = (1, *expected[1:])
    valid = len(shape) in (1, 2) and _compatible(shape[0], expected[0])
    if valid and len(shape) == 2:
        valid = any(_compatible(shape[1], width) for width in widths)
    if not valid:
        per_landmark = ", or [B, K], one weight per landmark" if len(expected) == 2 else ""
        raise ValueError(
            f"`sample_weight` must be [B] or [B, 1], one weight per face{per_landmark}; "
            "`class_weight` does not apply to landmarks. "
            f"Received: sample_weight.shape={shape}, y_true.shape={tuple(y_true.shape)}."
        )
    if len(shape) < len(expected):
        return weights[:, None]
    return ops.squeeze(weights, axis=1) if len(shape) > len(expected) else weights


def known_shape(tensor, name: str) -> tuple[int | None, ...]:
    """Returns the shape of a tensor, with None for dimensions that a trace does not know.

    Raises:
        ValueError: If even the number of dimensions is unknown.
    """
    if getattr(tensor.shape, "rank", 0) is None:
        raise ValueError(
            f"`{name}` must have a known number of dimensions. Received: an unknown shape, as of "
            "`tf.numpy_function`: call `set_shape` in the `tf.data` pipeline."
        )
    return tuple(tensor.shape)


def _compatible(size: int | None, other: int | None) -> bool:
    return None in (size, other) or size == other


def is_concrete(tensor) -> bool:
    """Returns whether the values of a tensor can be read: in eager execution, not under a trace."""
    if isinstance(tensor, keras.KerasTensor):
        return False
    if keras.backend.backend() == "torch":
        import torch

        return tensor.device.type != "meta" and not torch.compiler.is_compiling()
    if keras.backend.backend() == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    return hasattr(tensor, "numpy")  # A symbolic tensor of TensorFlow has none.


def refuse_targets(invalid, y_true, expected: str) -> None:
    """Raises ValueError if an element of the mask ``invalid`` is true, with the first such target.

    Args:
        invalid: Booleans of the shape of ``y_true``.
        y_true: Targets, a tensor with values.
        expected: What targets must be, for the message.
    """
    if bool(ops.any(invalid)):
        found = ops.convert_to_numpy(invalid)
        index = tuple(int(axis[0]) for axis in found.nonzero())
        raise ValueError(
            f"`y_true` must be {expected}. Received: {ops.convert_to_numpy(y_true)[index]} at "
            f"{list(index)} and {found.sum()} such values in y_true of shape {found.shape}."
        )


def to_float32(y_true, y_pred, layout: str):
    """Returns targets and predictions as float32 tensors.

    Raises:
        ValueError: If their known dimensions differ. A target [B, K, 2] and a prediction [B, 2K]
            would broadcast, or fail far from here.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    true, predicted = known_shape(y_true, "y_true"), known_shape(y_pred, "y_pred")
    if len(true) != len(predicted) or not all(map(_compatible, true, predicted)):
        raise ValueError(
            f"`y_true` and `y_pred` must have one shape, {layout}. "
            f"Received: y_true.shape={true}, y_pred.shape={predicted}."
        )
    if None in (*true, *predicted):  # They must not broadcast when the traced step runs, either.
        y_true = ops.reshape(y_true, ops.shape(y_pred))
    return ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")


def check_positive(**arguments: float) -> None:
    """Raises ValueError if an argument is not a positive and finite number."""
    for name, value in arguments.items():
        if not isinstance(value, SupportsFloat) or not 0 < value < math.inf:
            raise ValueError(f"`{name}` must be positive and finite. Received: {name}={value!r}.")
