"""wing_tf: facial landmark localization with Keras and TensorFlow.

The parts of the package and the names in `_PARTS` are imported at their first use, so that
``import wing_tf`` loads neither Keras nor TensorFlow. Models that contain the package's losses,
layers, metrics or schedules load after ``import wing_tf`` (see `wing_tf.registration`).
"""

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING

from wing_tf.registration import register_with_keras

if TYPE_CHECKING:
    from wing_tf import codecs as codecs
    from wing_tf import data as data
    from wing_tf import detection as detection
    from wing_tf import evaluation as evaluation
    from wing_tf import export as export
    from wing_tf import geometry as geometry
    from wing_tf import inference as inference
    from wing_tf import landmarks as landmarks
    from wing_tf import layers as layers
    from wing_tf import losses as losses
    from wing_tf import metrics as metrics
    from wing_tf import models as models
    from wing_tf import training as training
    from wing_tf import visualization as visualization
    from wing_tf import zoo as zoo
    from wing_tf.codecs import HeatmapCodec as HeatmapCodec
    from wing_tf.inference import Landmarker as Landmarker
    from wing_tf.inference import Tracker as Tracker
    from wing_tf.losses import AdaptiveWingLoss as AdaptiveWingLoss
    from wing_tf.losses import BilateralInhibitionCrossEntropy as BilateralInhibitionCrossEntropy
    from wing_tf.losses import SubpixelResidualLoss as SubpixelResidualLoss
    from wing_tf.losses import UnilateralCrossEntropy as UnilateralCrossEntropy
    from wing_tf.losses import WeightedLossMap as WeightedLossMap
    from wing_tf.losses import WingLoss as WingLoss

__version__ = "0.2.0"

# The parts of the package, and which of their names `wing_tf` has, too. The imports above say the
# same to type checkers.
_PARTS: dict[str, tuple[str, ...]] = {
    "codecs": ("HeatmapCodec",),
    "data": (),
    "detection": (),
    "evaluation": (),
    "export": (),
    "geometry": (),
    "inference": ("Landmarker", "Tracker"),
    "landmarks": (),
    "layers": (),
    "losses": (
        "AdaptiveWingLoss",
        "BilateralInhibitionCrossEntropy",
        "SubpixelResidualLoss",
        "UnilateralCrossEntropy",
        "WeightedLossMap",
        "WingLoss",
    ),
    "metrics": (),
    "models": (),
    "training": (),
    "visualization": (),
    "zoo": (),
}
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}
# The distribution wing-tf-runtime lacks some parts.
__all__ = [
    name
    for part, names in _PARTS.items()
    if importlib.util.find_spec(f"{__name__}.{part}")
    for name in (part, *names)
]


if not TYPE_CHECKING:  # Type checkers would take any name for one of the package.

    def __getattr__(name: str) -> object:
        part = _PART_OF.get(name, name)
        if part not in _PARTS:
            module = sys.modules[__name__]
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=module)
        try:
            module = importlib.import_module(f"{__name__}.{part}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{part}":
                raise
            raise ImportError(
                f"`wing_tf.{name}` is not in this installation: wing-tf-runtime has the parts that "
                "run exported models. Install wing-tf instead.",
                name=error.name,
            ) from None
        value = module if name == part else getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


register_with_keras()
