"""Networks: functions that return plain functional Keras models.

Every network takes images [B, side, side, 3] with values 0..255 (uint8 or float; it rescales them
itself). Those in `MODELS` emit landmarks [B, K, 2] in pixels of that input. Those in
`HEATMAP_MODELS` emit heatmaps; `heatmap_localizer` adds the decoder. A new network is one function
in a file of its own and one line in `MODELS` or `HEATMAP_MODELS`.
"""

from collections.abc import Callable

import keras

from wing_tf.models.cnn import cnn6, cnn7
from wing_tf.models.heatmap_localizer import (
    change_decoder,
    heatmap_localizer,
    heatmap_network,
    residual_network,
)
from wing_tf.models.hourglass import stacked_hourglass
from wing_tf.models.mobile_unet import mobile_unet
from wing_tf.models.pretrained import mobilenet, resnet50
from wing_tf.models.smt_net import smt_net
from wing_tf.models.two_stage import correction, two_stage

MODELS: dict[str, Callable[..., keras.Model]] = {
    "cnn6": cnn6, "cnn7": cnn7, "resnet50": resnet50, "mobilenet": mobilenet
}  # fmt: skip
HEATMAP_MODELS: dict[str, Callable[..., keras.Model]] = {
    "hourglass": stacked_hourglass, "smt_net": smt_net, "mobile_unet": mobile_unet
}  # fmt: skip

__all__ = [
    "HEATMAP_MODELS",
    "MODELS",
    "change_decoder",
    "cnn6",
    "cnn7",
    "correction",
    "heatmap_localizer",
    "heatmap_network",
    "mobile_unet",
    "mobilenet",
    "residual_network",
    "resnet50",
    "smt_net",
    "stacked_hourglass",
    "two_stage",
]
