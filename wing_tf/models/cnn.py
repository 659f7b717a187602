"""The plain convolutional networks of the Wing paper."""

import keras
from keras import layers


def cnn6(
    num_landmarks: int,
    *,
    input_size: int = 64,
    channels: tuple[int, ...] = (32, 64, 128, 256, 512),
    kernel_regularizer=None,
    name: str = "cnn6",
) -> keras.Model:
    """Returns CNN-6: five 3x3 convolutions with ReLU and 2x2 max pooling, and two dense layers.

    The pooling stands before the ReLU: both are monotonous, so the output is the same as in the
    paper's order, and the ReLU handles a quarter of the values.

    Args:
        num_landmarks: K.
        input_size: the side of the square input in pixels; 64 in the paper.
        channels: of the convolutions, one each.
        kernel_regularizer: given to every kernel; ``keras.regularizers.L2(lambda / 2)`` is the
            paper's (coupled) weight decay of lambda. # The paper is silent on biases: none.
        name: the model's name.

    Returns:
        A functional model from pictures [B, side, side, 3], 0..255, to landmarks [B, K, 2] in
        input pixels. 3,806,152 parameters for K = 68.

    Raises:
        ValueError: if the input is too small for the number of poolings.

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 4.1 and figure 3.
    """
    if num_landmarks < 1:
        raise ValueError(f"`num_landmarks` must be positive. Received: {num_landmarks}.")
    if input_size < 2 ** len(channels):
        raise ValueError(
            f"`input_size` must be at least {2 ** len(channels)} for {len(channels)} poolings. "
            f"Received: input_size={input_size}."
        )
    image = keras.Input((input_size, input_size, 3), name="image")
    # float32 under mixed precision: bfloat16 has steps of one grey level above 128.
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="to_unit_range")(image)
    for stage, width in enumerate(channels, start=1):
        x = layers.Conv2D(
            width,
            3,
            padding="same",
            kernel_initializer="he_normal",
            kernel_regularizer=kernel_regularizer,
            name=f"conv{stage}",
        )(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
        x = layers.ReLU(name=f"relu{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(
        1024,
        activation="relu",
        kernel_initializer="he_normal",
        kernel_regularizer=kernel_regularizer,
        name="features",
    )(x)
    # float32 under mixed precision: float16 steps are 1/16 px near 128 px.
    x = layers.Dense(
        2 * num_landmarks, kernel_regularizer=kernel_regularizer, dtype="float32", name="output"
    )(x)
    landmarks = layers.Reshape((num_landmarks, 2), dtype="float32", name="landmarks")(x)
    return keras.Model(image, landmarks, name=name)
