"""SMT-Net: stacked hourglasses that emit heatmaps, and from their centers sub-pixel residuals."""

import keras
from keras import layers

from wing_tf.models.hourglass import block, convolution, hourglass, maps_head, norm_relu


def smt_net(
    num_landmarks: int,
    *,
    num_stacks: int = 2,
    features: int = 256,
    inner_features: int = 512,
    depth: int = 4,
    input_size: int = 256,
    residuals: bool = True,
    residual_features: int = 256,
    name: str = "smt_net",
) -> keras.Model:
    """Returns stacked hourglasses, each with maps and, from its center, residuals.

    A stem takes the image to a quarter of its side: a 7 x 7 convolution of stride 2, a block, a
    pooling layer, three blocks. Two fully connected layers at an hourglass's center emit what is
    to be added to what is found in its maps: their highest pixel, in the paper.

    Args:
        num_landmarks: K.
        num_stacks: hourglasses.
        features: channels of their maps on the way up; the stem has a quarter, a half, and all.
        inner_features: channels on the way down, and of the center.
        depth: how many times each hourglass halves its maps.
        input_size: the side of the square input in pixels.
        residuals: with the coordinate branches.
        residual_features: width of their hidden layer.
        name: the model's name.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to a list of what each stack
        emits (of one stack: that alone): a dictionary of ``maps`` float32
        [B, side / 4, side / 4, K], logits for cross entropies, and ``residuals`` float32 [B, K, 2],
        in heatmap pixels; without ``residuals`` the maps. For training: put
        `wing_tf.models.heatmap_localizer` round it to get landmarks.

    Raises:
        ValueError: if the sizes don't fit: the input's side must be a multiple of
            4 x 2^depth, ``features`` and ``inner_features`` of 4.

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localization, CVPR
        Workshops 2019, section 3.1 and figure 2. # The paper is silent on the channels of the stem,
        as those of the Adaptive Wing paper, and on the hidden width.
    """
    sizes = {
        "num_landmarks": num_landmarks, "num_stacks": num_stacks, "depth": depth,
        "residual_features": residual_features,
    }  # fmt: skip
    for key, value in sizes.items():
        if value < 1:
            raise ValueError(f"`{key}` must be positive. Received: {key}={value}.")
    for key, value in {"features": features, "inner_features": inner_features}.items():
        if value < 4 or value % 4:
            raise ValueError(f"`{key}` must be a multiple of 4. Received: {key}={value}.")
    if input_size < 1 or input_size % (4 * 2**depth):
        raise ValueError(
            f"`input_size` must be a multiple of {4 * 2**depth} for depth={depth}. "
            f"Received: input_size={input_size}."
        )
    image = keras.Input((input_size, input_size, 3), name="image")
    x = layers.Rescaling(1 / 255, name="to_unit_range")(image)
    x = convolution(features // 4, 7, strides=2, name="stem_conv")(x)
    x = norm_relu(x, "stem")
    x = block(x, features // 2, name="stem_block1")
    x = layers.AveragePooling2D(2, name="stem_pool")(x)
    x = block(x, features // 2, name="stem_block2")
    x = block(x, features // 2, name="stem_block3")
    x = block(x, features, name="stem_block4")

    outputs: list = []
    for stack in range(1, num_stacks + 1):
        prefix = f"stack{stack}"
        y, center = hourglass(x, depth, features, inner=inner_features, name=prefix)
        y = block(y, features, name=f"{prefix}_top")
        y = convolution(features, 1, name=f"{prefix}_features")(y)
        y = norm_relu(y, f"{prefix}_features")
        maps = maps_head(y, num_landmarks, name=f"{prefix}_maps")
        if residuals:
            found = _residuals(center, num_landmarks, residual_features, prefix)
            outputs.append({"maps": maps, "residuals": found})
        else:
            outputs.append(maps)
        if stack < num_stacks:
            back = convolution(features, 1, name=f"{prefix}_features_back")(y)
            maps_back = convolution(features, 1, name=f"{prefix}_maps_back")(maps)
            x = layers.Add(name=f"{prefix}_out")([x, back, maps_back])
    return keras.Model(image, outputs if num_stacks > 1 else outputs[0], name=name)


def _residuals(center, num_landmarks: int, width: int, prefix: str):
    """Two fully connected layers; close to 0 at first, as residuals are."""
    y = norm_relu(center, f"{prefix}_residual")
    y = layers.Flatten(name=f"{prefix}_residual_flat")(y)
    y = layers.Dense(
        width, activation="relu", kernel_initializer="he_normal", name=f"{prefix}_residual_fc1"
    )(y)
    y = layers.Dense(
        2 * num_landmarks,
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
        name=f"{prefix}_residual_fc2",
    )(y)
    return layers.Reshape((num_landmarks, 2), dtype="float32", name=f"{prefix}_residuals")(y)
