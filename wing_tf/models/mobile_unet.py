"""A U-Net of depthwise separable convolutions that emits heatmaps, for mobile devices."""

import keras
from keras import layers

from wing_tf.models.hourglass import MAPS, convolution, heatmap_head, norm, norm_relu
from wing_tf.models.keras_settings import default_keras_settings
from wing_tf.models.visibility import visibility_head

# Channels and blocks of the maps of 1/4, 1/8, 1/16 and 1/32 of the input's side, on the way down.
_LEVELS = ((48, 2), (96, 3), (160, 3), (256, 2))
_STEM = 16


@default_keras_settings()
def mobile_unet(
    num_landmarks: int,
    *,
    input_size: int = 128,
    width: float = 1.0,
    visibility: bool = False,
    name: str = "mobile_unet",
) -> keras.Model:
    """Returns a U-Net of depthwise separable convolutions that emits heatmaps.

    All convolutions but the first and the last one are 3x3 depthwise and 1x1 ones, each followed by
    batch normalization, which exports fold into the weights. The way up has one block per size; the
    maps of the way down are added to it. 439,876 parameters for K = 68.

    Args:
        num_landmarks: Number of landmarks K.
        input_size: Side of the square input in pixels, a multiple of 32.
        width: Multiplies the number of channels, which are rounded to multiples of 8.
        visibility: Whether to emit the visibility of the landmarks, too.
        name: Name of the model.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to heatmaps float32
        [B, side / 4, side / 4, K]. With ``visibility``, to a dictionary of ``maps`` and
        ``visibility``, see `wing_tf.models.visibility`.

    Raises:
        ValueError: If ``input_size`` is not a multiple of 32, or if ``width`` is not positive.

    Reference:
        Sandler et al., MobileNetV2, CVPR 2018; Ronneberger et al., U-Net, MICCAI 2015.
    """
    if input_size < 32 or input_size % 32:
        raise ValueError(
            f"`input_size` must be a multiple of 32. Received: input_size={input_size}."
        )
    if width <= 0:
        raise ValueError(f"`width` must be positive. Received: width={width}.")

    def scaled(channels: int) -> int:
        return max(8, round(channels * width / 8) * 8)

    image = keras.Input((input_size, input_size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="to_unit_range")(image)
    x = convolution(scaled(_STEM), 3, strides=2, use_bias=False, name="stem_conv")(x)
    x = norm_relu(x, "stem")
    maps = []
    for level, (channels, num_blocks) in enumerate(_LEVELS):
        x = _separable(x, scaled(channels), strides=2, name=f"down{level}")
        for number in range(num_blocks):
            x = _block(x, name=f"down{level}_block{number}")
        maps.append(x)
    center = x
    for level in reversed(range(len(_LEVELS) - 1)):
        x = _pointwise(x, scaled(_LEVELS[level][0]), name=f"up{level}")
        x = layers.UpSampling2D(
            2, data_format="channels_last", interpolation="nearest", name=f"up{level}_size"
        )(x)
        x = layers.Add(name=f"up{level}_sum")([x, maps[level]])
        x = _block(x, name=f"up{level}_block")
    heatmaps = heatmap_head(x, num_landmarks, name=f"unet{MAPS}")
    if not visibility:
        return keras.Model(image, heatmaps, name=name)
    found = visibility_head(center, num_landmarks)
    return keras.Model(image, {"maps": heatmaps, "visibility": found}, name=name)


def _block(x, *, name: str):
    """Adds a depthwise separable convolution to its input."""
    return layers.Add(name=f"{name}_sum")([x, _separable(x, x.shape[-1], name=name)])


def _separable(x, channels: int, *, strides: int = 1, name: str):
    """A 3x3 depthwise convolution, then a 1x1 convolution and ReLU."""
    x = layers.DepthwiseConv2D(
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        data_format="channels_last",
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise",
    )(x)
    x = norm(x, f"{name}_depthwise")
    return layers.ReLU(name=f"{name}_relu")(_pointwise(x, channels, name=name))


def _pointwise(x, channels: int, *, name: str):
    x = convolution(channels, 1, use_bias=False, name=f"{name}_conv")(x)
    return norm(x, name)
