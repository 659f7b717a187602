"""Backbones of ``keras.applications`` with a landmark head."""

import os

import keras
from keras import layers

from wing_tf.layers import ReverseChannels
from wing_tf.models.cnn import landmark_head
from wing_tf.models.keras_settings import default_keras_settings


@default_keras_settings()
def resnet50(
    num_landmarks: int,
    *,
    input_size: int = 224,
    weights: str | os.PathLike | None = None,
    visibility: bool = False,
    name: str = "resnet50",
) -> keras.Model:
    """Returns ResNet-50 with landmarks instead of its 1000 classes, as in the Wing loss paper.

    The graph preprocesses images as the published weights require: channels in the order blue,
    green, red, minus their means over ImageNet. Fine-tune with a lower learning rate for the
    backbone (``config.optimizer.backbone_rate``) or freeze it at first
    (``config.optimizer.frozen_epochs``).

    Args:
        num_landmarks: Number of landmarks K.
        input_size: Side of the square input in pixels; 224 in the paper.
        weights: Weights of the backbone: "imagenet" (which Keras downloads), or the path of a
            ``.weights.h5`` file for ``keras.applications.ResNet50(include_top=False)``. None
            initializes them randomly.
        visibility: Whether to emit the visibility of the landmarks, too.
        name: Name of the model.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to landmarks [B, K, 2] in
        input pixels. 23,866,376 parameters for K = 68.
        With ``visibility``, to a dictionary of ``landmarks`` and ``visibility``, see
        `wing_tf.models.visibility`.

    Raises:
        ValueError: If the input is smaller than 32 pixels, or the weights don't fit.

    Reference:
        He et al., Deep Residual Learning, CVPR 2016; Feng et al., Wing Loss, CVPR 2018,
        section 7.3.
    """
    image = _image(input_size)
    x = ReverseChannels(dtype="float32", name="to_bgr")(image)
    # keras.applications.resnet.preprocess_input, which is not a layer.
    x = layers.Rescaling(
        1.0, offset=[-103.939, -116.779, -123.68], dtype="float32", name="less_imagenet_mean"
    )(x)
    backbone = keras.applications.ResNet50(
        include_top=False, weights=weights or None, input_tensor=x, pooling="avg"
    )
    outputs = landmark_head(backbone.output, num_landmarks, visibility)
    return keras.Model(image, outputs, name=name)


@default_keras_settings()
def mobilenet(
    num_landmarks: int,
    *,
    input_size: int = 112,
    width: float = 1.0,
    weights: str | os.PathLike | None = None,
    visibility: bool = False,
    name: str = "mobilenet",
) -> keras.Model:
    """Returns a MobileNetV2 for mobile devices.

    The head takes the last feature map (4 x 4 for 112 or 128 pixels) before its expansion and
    average pooling, so that positions are preserved.

    Args:
        num_landmarks: Number of landmarks K.
        input_size: Side of the square input in pixels.
        width: Multiplies the channels. ImageNet weights exist for .35, .5, .75, 1, 1.3 and 1.4.
        weights: As for `resnet50`, with files for ``keras.applications.MobileNetV2``.
        visibility: Whether to emit the visibility of the landmarks, too.
        name: Name of the model.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to landmarks [B, K, 2] in
        input pixels. 844,600 parameters for K = 68 and a width of .5.
        With ``visibility``, to a dictionary of ``landmarks`` and ``visibility``, see
        `wing_tf.models.visibility`.

    Raises:
        ValueError: If the input is smaller than 32 pixels, or the weights don't fit.

    Reference:
        Sandler et al., MobileNetV2, CVPR 2018.
    """
    image = _image(input_size)
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="to_unit_range")(image)
    backbone = keras.applications.MobileNetV2(
        include_top=False, weights=weights or None, input_tensor=x, alpha=width
    )
    x = layers.Flatten("channels_last", name="flatten")(
        backbone.get_layer("block_16_project_BN").output
    )
    return keras.Model(image, landmark_head(x, num_landmarks, visibility), name=name)


def _image(input_size: int):
    if input_size < 32:
        raise ValueError(f"`input_size` must be at least 32. Received: input_size={input_size}.")
    return keras.Input((input_size, input_size, 3), name="image")
