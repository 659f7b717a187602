"""The two-stage framework of the Wing loss paper as one model."""

import keras
import numpy as np
from keras import layers

from wing_tf.geometry import crop_matrix, crop_square, invert
from wing_tf.layers import AffineCrop, AlignToShape, InverseAffine, ResizedCenterCrop
from wing_tf.models.keras_settings import default_keras_settings
from wing_tf.models.visibility import visible_probability


@default_keras_settings()
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
    """Returns one network of two stages, whose second crop depends on the first landmarks.

    The first network processes the center of the image. The similarity transform that aligns its
    landmarks with the reference shape, in closed form, removes in-plane rotation and the error of
    the box: with it the second network's input is cropped from the *same* image, and the second
    network's landmarks are mapped back. If the first landmarks are not finite or nearly coincide,
    the second crop is the centered one (and a `correction` gets the reference shape).

    Args:
        first: Images [B, s, s, 3] to landmarks [B, K, 2].
        second: Images to landmarks, as in the paper; or, with two inputs, a `correction`. It may
            emit a dictionary of ``landmarks`` and the logits ``visibility`` [B, K]. The weights of
            both networks are shared, not copied.
        reference_shape: [K, 2] in pixels of the second input; see `reference_in_crop`.
        input_size: Side of the image in pixels; both networks' inputs are cropped from it.
        margin: Side of the image over the longer side of the face box.
        first_margin: Side of the first crop over the longer side of the face box.
        second_margin: Side of the second crop over the longer side of the reference shape's box
            (of the face box where the first stage fails).
        joint: Let the gradient through to the first network.
        name: Name of the model.

    Returns:
        A functional model from images [B, side, side, 3], 0..255, to landmarks [B, K, 2] in their
        pixels; or, if the second network emits logits, to a dictionary of ``landmarks`` and
        ``visibility`` [B, K], probabilities of being visible.

    Raises:
        ValueError: If the crops don't fit into the image, or the networks' landmarks don't match
            the reference shape.

    Reference:
        Feng et al., Wing Loss, CVPR 2018, section 6.
    """
    expected = (None, *np.shape(reference_shape))
    for network in (first, second):
        several = isinstance(network.output_shape, list)
        shape = network.output["landmarks"].shape if several else network.output_shape
        if tuple(shape) != expected:
            raise ValueError(
                f"`{network.name}` must emit {expected}, as the reference shape has it. "
                f"Received: {network.output_shape}."
            )
    if not max(first_margin, second_margin) <= margin:
        raise ValueError(
            "Both crops must fit in the image. Received: "
            f"margin={margin:g}, first_margin={first_margin:g}, second_margin={second_margin:g}."
        )
    image_box = np.array([-0.5, -0.5, input_size - 0.5, input_size - 0.5])

    def plain_crop(crop_margin, size):
        return crop_matrix(crop_square(image_box, crop_margin / margin), (size, size))

    first_size, second_size = first.input_shape[1], crop_size(second)
    image = keras.Input((input_size, input_size, 3), name="image")
    x = ResizedCenterCrop(input_size * first_margin / margin, first_size, name="first_crop")(image)
    x = first(x)
    back = invert(plain_crop(first_margin, first_size))
    rough = layers.Rescaling(
        float(back[0, 0]), float(back[0, 2]), dtype="float32", name="first_landmarks"
    )(x)
    plain = plain_crop(second_margin, second_size)
    align = AlignToShape(reference_shape, plain, stop_gradient=not joint, name="align")
    to_crop, aligned = align(rough)
    crop = AffineCrop(second_size, name="second_crop")(image, to_crop)
    found = second([crop, aligned]) if len(second.inputs) == 2 else second(crop)
    landmarks, visibility = found, None
    if isinstance(found, dict):
        landmarks, visibility = found["landmarks"], visible_probability(found["visibility"])
    landmarks = InverseAffine(name="landmarks")(landmarks, to_crop)
    if visibility is None:
        return keras.Model(image, landmarks, name=name)
    return keras.Model(image, {"landmarks": landmarks, "visibility": visibility}, name=name)


@default_keras_settings()
def correction(network: keras.Model, reference_shape: np.ndarray) -> keras.Model:
    """Returns a second stage that corrects the landmarks of the first one.

    The network's landmarks minus the reference shape, which are close to 0 at first, are added to
    the first stage's landmarks. A linear map of the first stage's deviation from the reference
    shape, which starts at 0, can weight that stage down to nothing.
    # Deviates from the paper: its second network emits landmarks directly.

    Args:
        network: Images to landmarks [B, K, 2] in pixels of the crop, or to a dictionary of them as
            ``landmarks`` and of ``visibility``, which is emitted as it is.
        reference_shape: [K, 2] in the same pixels.

    Returns:
        A functional model from images and the first stage's landmarks [B, K, 2] in their pixels to
        landmarks [B, K, 2], or to the dictionary of ``network`` with these as ``landmarks``.
    """
    crop, outputs = network.inputs[0], network.output
    landmarks = outputs["landmarks"] if isinstance(outputs, dict) else outputs
    num_landmarks = landmarks.shape[1]
    first = keras.Input((num_landmarks, 2), name="first_landmarks")
    offset = (-np.asarray(reference_shape, np.float32)).tolist()
    deviation = layers.Rescaling(1.0, offset, dtype="float32", name="deviation")(first)
    learned = layers.Flatten("channels_last", dtype="float32", name="deviation_flat")(deviation)
    learned = layers.Dense(
        2 * num_landmarks, use_bias=False, kernel_initializer="zeros", dtype="float32", name="trust"
    )(learned)
    learned = layers.Reshape((num_landmarks, 2), dtype="float32", name="trusted")(learned)
    change = layers.Rescaling(1.0, offset, dtype="float32", name="change")(landmarks)
    corrected = layers.Add(dtype="float32", name="corrected")([first, change, learned])
    outputs = outputs | {"landmarks": corrected} if isinstance(outputs, dict) else corrected
    return keras.Model([crop, first], outputs, name=f"{network.name}_correction")


def crop_size(second: keras.Model) -> int:
    """Returns the side of a second stage's input in pixels."""
    return second.inputs[0].shape[1]


def reference_in_crop(mean_shape: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Returns a shape [K, 2] centered in a crop, in crop pixels.

    Args:
        mean_shape: [K, 2] in any unit; see `wing_tf.geometry.procrustes`.
        size: Side of the crop in pixels.
        margin: Side of the crop over the longer side of the shape's tight box.
    """
    low, high = mean_shape.min(axis=0), mean_shape.max(axis=0)
    scale = size / (margin * (high - low).max())
    return (mean_shape - (low + high) / 2) * scale + (size - 1) / 2
