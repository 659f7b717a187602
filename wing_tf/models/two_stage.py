"""The two-stage framework of the Wing paper as one graph."""

import keras
import numpy as np
from keras import layers, ops

from wing_tf.geometry import crop_matrix, crop_square, invert
from wing_tf.layers import AffineCrop, AlignToShape, InverseAffine, ResizedCenterCrop


def two_stage(
    first: keras.Model,
    second: keras.Model,
    reference_shape: np.ndarray,
    *,
    input_size: int = 208,
    margin: float = 1.6,
    first_margin: float,
    second_margin: float,
    joint: bool = False,
    name: str = "two_stage",
) -> keras.Model:
    """Returns one network: rough landmarks, crop refined by them, fine landmarks.

    The first network sees the middle of the image. The similarity that brings its landmarks to
    the reference shape, in closed form, takes out in-plane rotation and the error of the box; the
    second network's crop is cut by it out of the *same* image, and the second network's landmarks
    are mapped back. Landmarks of the first network that are not finite or all but equal give the
    plain crop instead (and a correction gets the reference shape to correct).

    Args:
        first: images [B, s, s, 3] to landmarks [B, K, 2].
        second: the second stage: images to landmarks from scratch, as in the paper, or, with two
            inputs, a `correction`. Its weights are shared, not copied.
        reference_shape: [K, 2], see `reference_in_crop`, in pixels of the second input.
        input_size: the image's side in pixels; it is the context that both networks' crops are
            cut from.
        margin: the image's side over the face box's longer side.
        first_margin: the first crop's side over the face box's longer side.
        second_margin: the second crop's side over the longer side of the reference shape's box;
            where the first stage fails, over the face box's.
        joint: let the gradient through to the first network.
        name: the model's name.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to landmarks [B, K, 2] in their
        pixels.

    Raises:
        ValueError: if the crops don't fit in the image, or the networks have other landmarks than
            the reference shape.

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 6.
    """
    expected = (None, *np.shape(reference_shape))
    for network in (first, second):
        if tuple(network.output_shape) != expected:
            raise ValueError(
                f"`{network.name}` must emit {expected}, as the reference shape has it. "
                f"Received: {network.output_shape}."
            )
    if not max(first_margin, second_margin) <= margin:
        raise ValueError(
            "Both crops must fit in the image. Received: "
            f"margin={margin:g}, first_margin={first_margin:g}, second_margin={second_margin:g}."
        )
    whole = np.array([-0.5, -0.5, input_size - 0.5, input_size - 0.5])

    def plain_crop(crop_margin, size):
        return crop_matrix(crop_square(whole, crop_margin / margin), (size, size))

    first_size, second_size = first.input_shape[1], crop_size(second)
    image = keras.Input((input_size, input_size, 3), name="image")
    x = ResizedCenterCrop(input_size * first_margin / margin, first_size, name="first_crop")(image)
    x = first(x)
    back = invert(plain_crop(first_margin, first_size))
    rough = layers.Rescaling(
        float(back[0, 0]), float(back[0, 2]), dtype="float32", name="first_landmarks"
    )(x)
    if not joint:
        rough = ops.stop_gradient(rough)
    plain = plain_crop(second_margin, second_size)
    to_crop, aligned = AlignToShape(reference_shape, plain, name="align")(rough)
    crop = AffineCrop(second_size, name="second_crop")(image, to_crop)
    landmarks = second([crop, aligned]) if len(second.inputs) == 2 else second(crop)
    landmarks = InverseAffine(name="landmarks")(landmarks, to_crop)
    return keras.Model(image, landmarks, name=name)


def correction(network: keras.Model, reference_shape: np.ndarray) -> keras.Model:
    """Makes a second stage that corrects the first one's landmarks instead of starting anew.

    The network's landmarks, which begin near the reference shape, are a correction when the
    reference is taken off; a linear map of the first stage's shape, which begins at 0, lets it
    weigh how far that shape is trusted, down to not at all.
    # Deviates from the paper: its second network emits landmarks from scratch.

    Args:
        network: images to landmarks [B, K, 2], in pixels of the crop.
        reference_shape: [K, 2], in the same pixels.

    Returns:
        A functional model of images and the first stage's landmarks in their pixels [B, K, 2] to
        landmarks [B, K, 2].
    """
    crop = network.inputs[0]
    num_landmarks = network.output_shape[1]
    first = keras.Input((num_landmarks, 2), name="first_landmarks")
    offset = -np.asarray(reference_shape, np.float32)
    deviation = ops.add(first, offset[None])
    learned = layers.Dense(
        2 * num_landmarks, use_bias=False, kernel_initializer="zeros", dtype="float32", name="trust"
    )(ops.reshape(deviation, (-1, 2 * num_landmarks)))
    landmarks = first + (network.output + offset[None])
    landmarks = landmarks + ops.reshape(learned, (-1, num_landmarks, 2))
    return keras.Model([crop, first], landmarks, name=f"{network.name}_correction")


def crop_size(second: keras.Model) -> int:
    """Returns the side in pixels of a second stage's image."""
    return second.inputs[0].shape[1]


def reference_in_crop(mean_shape: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Places a shape [K, 2] in the middle of a crop.

    Args:
        mean_shape: in any unit; see `wing_tf.geometry.procrustes`.
        size: the crop's side in pixels.
        margin: the crop's side over the longer side of the shape's tight box.

    Returns:
        [K, 2], crop pixels.
    """
    low, high = mean_shape.min(axis=0), mean_shape.max(axis=0)
    scale = size / (margin * (high - low).max())
    return (mean_shape - (low + high) / 2) * scale + (size - 1) / 2
