"""Stacked hourglasses with coordinate channels: the network of Adaptive Wing loss."""

import keras
from keras import layers

from wing_tf.layers import CoordinateChannels


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
    name: str = "hourglass",
) -> keras.Model:
    """Returns stacked hourglasses, each of which emits heatmaps.

    A stem takes the image to a quarter of its side. Each hourglass halves the maps ``depth``
    times and comes back, with a skip at every size, made of hierarchical, parallel, multi-scale
    blocks; its features and its heatmaps go on to the next one.

    Args:
        num_landmarks: K.
        num_stacks: hourglasses.
        features: channels of their maps; the stem has a quarter, a half, and all of them.
        depth: how many times each hourglass halves its maps.
        input_size: the side of the square input in pixels.
        boundary: emit one more map, of the face's outlines.
        coordinates: CoordConv in the stem and before each hourglass.
        boundary_coordinates: from the second hourglass on its CoordConv also has x and y on the
            boundary that the one before has found. Needs both of the former.
        name: the model's name.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to heatmaps float32
        [B, side / 4, side / 4, K + 1], K without ``boundary``; a list of them, one a stack, if
        there are several stacks. For training: put
        `wing_tf.models.heatmap_localizer` round it to get landmarks. 24,099,156 trainable
        parameters for K = 68 and four stacks.

    Raises:
        ValueError: if the sizes don't fit: the input's side must be a multiple of
            4 x 2^depth, ``features`` one of 4, and the boundary's coordinates need a boundary.

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, section 3 and figure 3; the blocks are those
        of Bulat and Tzimiropoulos, How Far Are We from Solving the 2D & 3D Face Alignment Problem?,
        ICCV 2017; the hourglass of Newell et al., ECCV 2016. Average pooling on the way down,
        nearest neighbors on the way up.
    """
    for key, value in (("num_landmarks", num_landmarks), ("num_stacks", num_stacks),
                       ("depth", depth)):  # fmt: skip
        if value < 1:
            raise ValueError(f"`{key}` must be positive. Received: {key}={value}.")
    if features < 4 or features % 4:
        raise ValueError(f"`features` must be a multiple of 4. Received: features={features}.")
    if input_size < 1 or input_size % (4 * 2**depth):
        raise ValueError(
            f"`input_size` must be a multiple of {4 * 2**depth} for depth={depth}. "
            f"Received: input_size={input_size}."
        )
    if boundary_coordinates and not (boundary and coordinates):
        raise ValueError("`boundary_coordinates` needs `boundary` and `coordinates`.")

    image = keras.Input((input_size, input_size, 3), name="image")
    x = layers.Rescaling(1 / 255, name="to_unit_range")(image)
    if coordinates:
        x = CoordinateChannels(name="stem_coordinates")(x)
    x = convolution(features // 4, 7, strides=2, name="stem_conv")(x)
    x = norm_relu(x, "stem")
    x = block(x, features // 2, name="stem_block1")
    x = layers.AveragePooling2D(2, name="stem_pool")(x)
    x = block(x, features // 2, name="stem_block2")
    x = block(x, features, name="stem_block3")

    num_maps = num_landmarks + int(boundary)
    outputs: list = []
    for stack in range(1, num_stacks + 1):
        prefix = f"stack{stack}"
        y = x
        if coordinates:
            found = outputs[-1][..., -1:] if boundary_coordinates and outputs else None
            y = CoordinateChannels(name=f"{prefix}_coordinates")(y, found)
            y = convolution(features, 1, name=f"{prefix}_coord_conv")(y)
        y, _ = hourglass(y, depth, features, name=prefix)
        y = block(y, features, name=f"{prefix}_top")
        y = convolution(features, 1, name=f"{prefix}_features")(y)
        y = norm_relu(y, f"{prefix}_features")
        maps = maps_head(y, num_maps, name=f"{prefix}_maps")
        outputs.append(maps)
        if stack < num_stacks:
            back = convolution(features, 1, name=f"{prefix}_features_back")(y)
            maps_back = convolution(features, 1, name=f"{prefix}_maps_back")(maps)
            x = layers.Add(name=f"{prefix}_out")([x, back, maps_back])
    return keras.Model(image, outputs if num_stacks > 1 else outputs[0], name=name)


def block(x, channels: int, *, name: str):
    """The hierarchical, parallel, multi-scale block: three 3x3 convolutions in a row, all kept.

    Batch norm and ReLU come first, then the convolution: c/2, c/4 and c/4 channels, concatenated,
    plus the input (through a 1x1 convolution where its number of channels differs).
    """
    parts = []
    y = x
    for i, share in enumerate((2, 4, 4), start=1):
        y = norm_relu(y, f"{name}_{i}")
        y = convolution(channels // share, 3, use_bias=False, name=f"{name}_conv{i}")(y)
        parts.append(y)
    y = layers.Concatenate(name=f"{name}_parts")(parts)
    if x.shape[-1] != channels:
        x = norm_relu(x, f"{name}_skip")
        x = convolution(channels, 1, use_bias=False, name=f"{name}_skip_conv")(x)
    return layers.Add(name=f"{name}_sum")([x, y])


def hourglass(x, depth: int, features: int, *, inner: int | None = None, name: str):
    """Halves the maps ``depth`` times and comes back, with a skip at every size.

    Args:
        x: maps [B, h, w, c].
        depth: how many times.
        features: channels of the skips and of the way up.
        inner: channels of the way down and of the center; ``features`` if None.
        name: of the layers, a prefix.

    Returns:
        Maps [B, h, w, features], and the center's [B, h / 2^depth, w / 2^depth, inner].
    """
    inner = inner or features
    level = f"{name}_{depth}"
    skip = block(x, features, name=f"{level}_skip")
    y = layers.AveragePooling2D(2, name=f"{level}_down")(x)
    y = block(y, inner, name=f"{level}_in")
    if depth > 1:
        y, center = hourglass(y, depth - 1, features, inner=inner, name=name)
    else:
        y = center = block(y, inner, name=f"{name}_center")
    y = block(y, features, name=f"{level}_out")
    y = layers.UpSampling2D(2, interpolation="nearest", name=f"{level}_up")(y)
    return layers.Add(name=f"{level}_join")([skip, y]), center


def maps_head(x, num_maps: int, *, name: str):
    """Emits maps, close to empty at first, which most of a true map is.

    Maps of size 1 would begin with gradients so large that Adam's second moments hold every step
    down for the next thousand. float32 also under mixed precision: what is decoded are small
    differences.
    """
    # Deviates from the paper, which is silent; Xiao et al., Simple Baselines, ECCV 2018.
    return layers.Conv2D(
        num_maps,
        1,
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
        name=name,
    )(x)


def norm_relu(x, name: str):
    """Batch normalization and ReLU."""
    # Statistics over some 100 steps, as weights that are judged are averages, too.
    # Deviates from the paper: its code averages over some 10.
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-5, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def convolution(channels: int, size: int, **kwargs):
    """Returns a convolution layer, He-initialized, zeros beyond the border."""
    return layers.Conv2D(channels, size, padding="same", kernel_initializer="he_normal", **kwargs)
