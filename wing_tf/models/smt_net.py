"""SMT-Net: stacked hourglasses that emit heatmaps and sub-pixel residuals."""

import keras
from keras import layers

from wing_tf.models.hourglass import (
    MAPS,
    check_sizes,
    heatmap_head,
    hourglass,
    merge,
    norm_relu,
    stem,
    top,
)
from wing_tf.models.keras_settings import default_keras_settings
from wing_tf.models.visibility import HEAD, visibility_head

RESIDUALS = "_residual_fc2"
"""The end of the names of the layers that emit residuals."""


@default_keras_settings()
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
    visibility: bool = False,
    name: str = "smt_net",
) -> keras.Model:
    """Returns stacked hourglasses, each of which emits heatmaps and, from its center, residuals.

    Two dense layers at the center of each hourglass emit residuals, which are added to the
    landmarks that are decoded from its heatmaps (in the paper, to their highest pixels).

    Args:
        num_landmarks: Number of landmarks K.
        num_stacks: Number of hourglasses.
        features: Channels of the way up; the stem has a quarter, half, and all of them.
        inner_features: Channels of the way down and of the center.
        depth: Number of downsamplings in each hourglass.
        input_size: Side of the square input in pixels.
        residuals: Whether there are residual branches.
        residual_features: Width of their hidden layer.
        visibility: Whether the last hourglass emits the visibility of the landmarks, too, from its
            center.
        name: Name of the model.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to a list of the outputs of the
        stacks (with one stack, to its output). An output is a dictionary of ``maps`` float32
        [B, side / 4, side / 4, K], logits for cross entropies, and ``residuals`` float32 [B, K, 2]
        in heatmap pixels; without ``residuals`` it is the maps. With ``visibility``, that of the
        last stack is a dictionary with ``visibility``, see `wing_tf.models.visibility`.
        `wing_tf.models.heatmap_localizer` makes a model that emits landmarks of it.

    Raises:
        ValueError: If ``input_size`` is not a multiple of 4 x 2^depth, or if ``features`` or
            ``inner_features`` is not a multiple of 4.

    Reference:
        Yang et al., Stacked Multi-Target Network for Robust Facial Landmark Localisation, CVPR
        Workshops 2019, section 3.1 and figure 2. # The paper is silent on the channels of the stem
        (those of the Adaptive Wing paper are used) and on the hidden width.
    """
    check_sizes(
        input_size, depth, num_landmarks=num_landmarks, num_stacks=num_stacks,
        residual_features=residual_features, features=features, inner_features=inner_features,
    )  # fmt: skip
    image = keras.Input((input_size, input_size, 3), name="image")
    x = stem(image, features, 4)
    outputs: list = []
    for stack in range(1, num_stacks + 1):
        prefix = f"stack{stack}"
        y, center = hourglass(x, depth, features, inner=inner_features, name=prefix)
        y = top(y, features, prefix)
        maps = heatmap_head(y, num_landmarks, name=f"{prefix}{MAPS}")
        if residuals:
            found = _residuals(center, num_landmarks, residual_features, prefix)
            outputs.append({"maps": maps, "residuals": found})
        else:
            outputs.append(maps)
        if stack < num_stacks:
            x = merge(x, y, maps, features, prefix)
    if visibility:
        found = visibility_head(norm_relu(center, HEAD), num_landmarks)
        last = outputs[-1] if residuals else {"maps": outputs[-1]}
        outputs[-1] = last | {"visibility": found}
    return keras.Model(image, outputs if num_stacks > 1 else outputs[0], name=name)


def _residuals(center, num_landmarks: int, width: int, prefix: str):
    """Two dense layers whose output is close to 0 at first, as residuals are."""
    y = norm_relu(center, f"{prefix}_residual")
    y = layers.Flatten("channels_last", name=f"{prefix}_residual_flat")(y)
    y = layers.Dense(
        width, activation="relu", kernel_initializer="he_normal", name=f"{prefix}_residual_fc1"
    )(y)
    y = layers.Dense(
        2 * num_landmarks,
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
        name=f"{prefix}{RESIDUALS}",
    )(y)
    return layers.Reshape((num_landmarks, 2), dtype="float32", name=f"{prefix}_residuals")(y)
