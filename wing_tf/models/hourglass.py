"""Stacked hourglasses with coordinate channels: the network of the Adaptive Wing loss paper."""

import keras
from keras import layers

from wing_tf.layers import CoordinateChannels
from wing_tf.models.keras_settings import default_keras_settings
from wing_tf.models.visibility import HEAD, visibility_head

MAPS = "_maps"
"""The end of the names of the layers that emit heatmaps."""


@default_keras_settings()
def stacked_hourglass(
    num_landmarks: int,
    *,
    num_stacks: int = 4,
    features: int = 256,
    depth: int = 4,
    input_size: int = 256,
    boundary: bool = True,
    coordinates: bool = True,
    boundary_coordinates: bool = True,
    zero_coordinates: bool = False,
    visibility: bool = False,
    name: str = "hourglass",
) -> keras.Model:
    """Returns stacked hourglasses, each of which emits heatmaps.

    A stem reduces the image to a quarter of its side. The features and the heatmaps of each
    hourglass are added to the input of the next one.

    Args:
        num_landmarks: Number of landmarks K.
        num_stacks: Number of hourglasses.
        features: Channels of their feature maps; the stem has a quarter, half, and all of them.
        depth: Number of downsamplings in each hourglass.
        input_size: Side of the square input in pixels.
        boundary: Emit one more heatmap, of the boundary curves.
        coordinates: CoordConv in the stem and before each hourglass.
        boundary_coordinates: From the second hourglass on, CoordConv has further x and y channels
            that are masked by the boundary heatmap of the hourglass before. Needs ``boundary`` and
            ``coordinates``.
        zero_coordinates: Whether all channels of CoordConv are 0, for a control network.
        visibility: Whether the last hourglass emits the visibility of the landmarks, too, from its
            center.
        name: Name of the model.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to heatmaps float32
        [B, side / 4, side / 4, K + 1], or K without ``boundary``; with several stacks to a list of
        them, one for each stack. `wing_tf.models.heatmap_localizer` makes a model that emits
        landmarks of it. 24,099,156 trainable parameters for K = 68 and four stacks. With
        ``visibility``, a dictionary of ``maps`` and ``visibility`` is in the place of the last
        heatmaps, see `wing_tf.models.visibility`.

    Raises:
        ValueError: If ``input_size`` is not a multiple of 4 x 2^depth, if ``features`` is not a
            multiple of 4, or if ``boundary_coordinates`` lacks what it needs.

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, section 3 and figure 3; the blocks are those
        of Bulat and Tzimiropoulos, How Far Are We from Solving the 2D & 3D Face Alignment Problem?,
        ICCV 2017; the hourglass is that of Newell et al., ECCV 2016, with average pooling on the
        way down and nearest-neighbor upsampling.
    """
    check_sizes(
        input_size, depth, num_landmarks=num_landmarks, num_stacks=num_stacks, features=features
    )
    if boundary_coordinates and not (boundary and coordinates):
        raise ValueError("`boundary_coordinates` needs `boundary` and `coordinates`.")
    image = keras.Input((input_size, input_size, 3), name="image")
    zeroed = {"zeroed": zero_coordinates}
    x = stem(image, features, 3, coordinates=zeroed if coordinates else None)
    outputs: list = []
    for stack in range(1, num_stacks + 1):
        prefix = f"stack{stack}"
        y = x
        if coordinates:
            maps = outputs[-1] if boundary_coordinates and outputs else None
            y = CoordinateChannels(name=f"{prefix}_coordinates", **zeroed)(y, maps)
            y = convolution(features, 1, name=f"{prefix}_coord_conv")(y)
        y, center = hourglass(y, depth, features, name=prefix)
        y = top(y, features, prefix)
        outputs.append(heatmap_head(y, num_landmarks + int(boundary), name=f"{prefix}{MAPS}"))
        if stack < num_stacks:
            x = merge(x, y, outputs[-1], features, prefix)
    if visibility:
        found = visibility_head(norm_relu(center, HEAD), num_landmarks)
        outputs[-1] = {"maps": outputs[-1], "visibility": found}
    return keras.Model(image, outputs if num_stacks > 1 else outputs[0], name=name)


def check_sizes(input_size: int, depth: int, **sizes: int) -> None:
    """Raises ValueError if the sizes of stacked hourglasses don't fit together."""
    for key, value in (sizes | {"depth": depth}).items():
        if value < 1:
            raise ValueError(f"`{key}` must be positive. Received: {key}={value}.")
        if key in ("features", "inner_features") and value % 4:
            raise ValueError(f"`{key}` must be a multiple of 4. Received: {key}={value}.")
    if input_size < 1 or input_size % (4 * 2**depth):
        raise ValueError(
            f"`input_size` must be a multiple of {4 * 2**depth} for depth={depth}. "
            f"Received: input_size={input_size}."
        )


def stem(image, features: int, num_blocks: int, *, coordinates: dict | None = None):
    """Maps images [B, s, s, 3], 0..255, to feature maps [B, s / 4, s / 4, features].

    ``coordinates`` are the arguments of the CoordConv of the first convolution; None: none.
    """
    x = layers.Rescaling(1 / 255, name="to_unit_range")(image)
    if coordinates is not None:
        x = CoordinateChannels(name="stem_coordinates", **coordinates)(x)
    x = convolution(features // 4, 7, strides=2, name="stem_conv")(x)
    x = norm_relu(x, "stem")
    x = block(x, features // 2, name="stem_block1")
    x = layers.AveragePooling2D(2, data_format="channels_last", name="stem_pool")(x)
    for number in range(2, num_blocks):
        x = block(x, features // 2, name=f"stem_block{number}")
    return block(x, features, name=f"stem_block{num_blocks}")


def block(x, channels: int, *, name: str):
    """Hierarchical, parallel, multi-scale block.

    Three 3x3 convolutions in a row with c/2, c/4 and c/4 channels, each after batch normalization
    and ReLU, are concatenated and added to the input (or to a 1x1 convolution of it).
    """
    parts = []
    y = x
    for number, divisor in enumerate((2, 4, 4), start=1):
        y = norm_relu(y, f"{name}_{number}")
        y = convolution(channels // divisor, 3, use_bias=False, name=f"{name}_conv{number}")(y)
        parts.append(y)
    y = layers.Concatenate(name=f"{name}_parts")(parts)
    if x.shape[-1] != channels:
        x = norm_relu(x, f"{name}_skip")
        x = convolution(channels, 1, use_bias=False, name=f"{name}_skip_conv")(x)
    return layers.Add(name=f"{name}_sum")([x, y])


def hourglass(x, depth: int, features: int, *, inner: int | None = None, name: str):
    """Downsamples feature maps ``depth`` times and upsamples them, with skip connections.

    Args:
        x: Feature maps [B, h, w, c].
        depth: Number of downsamplings.
        features: Channels of the skip connections and of the way up.
        inner: Channels of the way down and of the center. Defaults to ``features``.
        name: Prefix of the layers' names.

    Returns:
        Feature maps [B, h, w, features], and those of the center
        [B, h / 2^depth, w / 2^depth, inner].
    """
    inner = inner or features
    level = f"{name}_{depth}"
    skip = block(x, features, name=f"{level}_skip")
    y = layers.AveragePooling2D(2, data_format="channels_last", name=f"{level}_down")(x)
    y = block(y, inner, name=f"{level}_in")
    if depth > 1:
        y, center = hourglass(y, depth - 1, features, inner=inner, name=name)
    else:
        y = center = block(y, inner, name=f"{name}_center")
    y = block(y, features, name=f"{level}_out")
    y = layers.UpSampling2D(2, "channels_last", interpolation="nearest", name=f"{level}_up")(y)
    return layers.Add(name=f"{level}_join")([skip, y]), center


def top(x, features: int, prefix: str):
    """Returns the features of a stack that its heatmaps are computed from."""
    x = block(x, features, name=f"{prefix}_top")
    x = convolution(features, 1, name=f"{prefix}_features")(x)
    return norm_relu(x, f"{prefix}_features")


def heatmap_head(x, num_maps: int, *, name: str):
    """Maps features to heatmaps that are close to 0 at first, like most of the ground truth.

    Values of about 1 would give first gradients so large that Adam's second moments would reduce
    the next thousand steps. float32 under mixed precision: decoding depends on small differences.
    """
    # The paper is silent; as in Xiao et al., Simple Baselines, ECCV 2018.
    return layers.Conv2D(
        num_maps,
        1,
        data_format="channels_last",
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
        name=name,
    )(x)


def merge(x, features_map, heatmaps, features: int, prefix: str):
    """Returns the input of the next stack: this one's input, its features and its heatmaps."""
    back = convolution(features, 1, name=f"{prefix}_features_back")(features_map)
    maps_back = convolution(features, 1, name=f"{prefix}_maps_back")(heatmaps)
    return layers.Add(name=f"{prefix}_out")([x, back, maps_back])


def norm(x, name: str):
    """Batch normalization."""
    # The statistics average over about 100 steps, because the evaluated weights are averages, too.
    # Deviates from the paper: its code averages over about 10.
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-5, name=f"{name}_norm")(x)


def norm_relu(x, name: str):
    """Batch normalization and ReLU."""
    return layers.ReLU(name=f"{name}_relu")(norm(x, name))


def convolution(channels: int, size: int, **kwargs):
    """Returns a He-initialized convolution layer with zero padding."""
    return layers.Conv2D(
        channels, size, padding="same", data_format="channels_last",
        kernel_initializer="he_normal", **kwargs,
    )  # fmt: skip
