"""CNN-6 and CNN-7, the plain convolutional networks of the Wing loss paper."""

import keras
from keras import layers

from wing_tf.models.keras_settings import default_keras_settings
from wing_tf.models.visibility import visibility_head


@default_keras_settings()
def cnn6(
    num_landmarks: int,
    *,
    input_size: int = 64,
    width: float = 1.0,
    visibility: bool = False,
    name: str = "cnn6",
) -> keras.Model:
    """Returns CNN-6: five 3x3 convolutions with ReLU and 2x2 max pooling, and two dense layers.

    Args:
        num_landmarks: Number of landmarks K.
        input_size: Side of the square input in pixels; 64 in the paper.
        width: Multiplies the channels (32, 64, 128, 256, 512) and the features (1024).
        visibility: Whether to emit the visibility of the landmarks, too.
        name: Name of the model.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to landmarks [B, K, 2] in
        input pixels. 3,806,152 parameters for K = 68.
        With ``visibility``, to a dictionary of ``landmarks`` and ``visibility``, see
        `wing_tf.models.visibility`.

    Raises:
        ValueError: If the input is too small for the number of pooling layers, or if
            ``num_landmarks`` or ``width`` is not positive.

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 3 and figure 2.
    """
    return _cnn(num_landmarks, (32, 64, 128, 256, 512), input_size, width, visibility, name)


@default_keras_settings()
def cnn7(
    num_landmarks: int,
    *,
    input_size: int = 128,
    width: float = 1.0,
    visibility: bool = False,
    name: str = "cnn7",
) -> keras.Model:
    """Returns CNN-7, the second network of the paper's two-stage framework.

    Six convolutions of 64, 128, 256, 512, 512 and 512 channels. The paper's text ("we double the
    number of 3x3 kernels [of the first layer] from 32 to 64"), read literally, gives 6.2 M
    parameters; its 12.3 M for both networks, and "2 x 2 x 512" for the last feature map, require
    these channels.

    Args:
        num_landmarks: Number of landmarks K.
        input_size: Side of the square input in pixels; 128 in the paper.
        width: Multiplies the channels and the features (1024).
        visibility: Whether to emit the visibility of the landmarks, too.
        name: Name of the model.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to landmarks [B, K, 2] in
        input pixels. 8,508,168 parameters for K = 68.
        With ``visibility``, to a dictionary of ``landmarks`` and ``visibility``, see
        `wing_tf.models.visibility`.

    Raises:
        ValueError: If the input is too small for the number of pooling layers, or if
            ``num_landmarks`` or ``width`` is not positive.

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 6.
    """
    channels = (64, 128, 256, 512, 512, 512)
    return _cnn(num_landmarks, channels, input_size, width, visibility, name)


def _cnn(
    num_landmarks: int,
    channels: tuple[int, ...],
    input_size: int,
    width: float,
    visibility: bool,
    name: str,
) -> keras.Model:
    """Convolutions with pooling and ReLU, a dense layer with ReLU, and a dense layer.

    Pooling comes before ReLU: both are monotonic, so the output equals that of the paper's order,
    and ReLU processes a quarter of the values.
    """
    if num_landmarks < 1:
        raise ValueError(f"`num_landmarks` must be positive. Received: {num_landmarks}.")
    if not width > 0:
        raise ValueError(f"`width` must be positive. Received: width={width}.")
    if input_size < 2 ** len(channels):
        raise ValueError(
            f"`input_size` must be at least {2 ** len(channels)} for {len(channels)} poolings. "
            f"Received: input_size={input_size}."
        )
    image = keras.Input((input_size, input_size, 3), name="image")
    # float32 under mixed precision: above 128, bfloat16 has a resolution of one gray level.
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="to_unit_range")(image)
    for number, filters in enumerate(channels, start=1):
        x = layers.Conv2D(
            scaled(filters, width),
            3,
            padding="same",
            data_format="channels_last",
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(x)
        x = layers.MaxPooling2D(2, data_format="channels_last", name=f"pool{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    x = layers.Flatten("channels_last", name="flatten")(x)
    x = layers.Dense(
        scaled(1024, width), activation="relu", kernel_initializer="he_normal", name="features"
    )(x)
    return keras.Model(image, landmark_head(x, num_landmarks, visibility), name=name)


def scaled(channels: int, width: float) -> int:
    """Returns a number of channels times the width, rounded to a multiple of 8 (from 16 on)."""
    count = channels * width
    return max(1, round(count)) if count < 16 else 8 * round(count / 8)


def landmark_head(features, num_landmarks: int, visibility: bool):
    """Maps features [B, F] to landmarks [B, K, 2] by a dense layer named ``output``.

    It is float32 under mixed precision: near 128 px, float16 has a resolution of 1/16 px.

    Returns:
        The landmarks; or, with ``visibility``, a dictionary of ``landmarks`` and ``visibility``,
        see `visibility_head`.
    """
    x = layers.Dense(2 * num_landmarks, dtype="float32", name="output")(features)
    landmarks = layers.Reshape((num_landmarks, 2), dtype="float32", name="landmarks")(x)
    if not visibility:
        return landmarks
    return {"landmarks": landmarks, "visibility": visibility_head(features, num_landmarks)}
