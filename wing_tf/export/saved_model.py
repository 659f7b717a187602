"""Networks as TensorFlow SavedModels, which run without this package."""

import pathlib

import keras
import tensorflow as tf

from wing_tf.geometry import apply_affine, crop_matrix, crop_region, invert
from wing_tf.geometry.resample import MAX_SAMPLED_SIDE
from wing_tf.model_spec import ModelSpec


def write_saved_model(deployed: keras.Model, spec: ModelSpec, folder: str | pathlib.Path):
    """Writes a SavedModel with two signatures.

    ``serving_default``: ``image`` uint8 RGB [B, side, side, 3], face crops, to ``landmarks``
    float32 [B, K, 2] in their pixels, and ``scores`` and ``visibility`` [B, K] if the network has
    them.

    ``images``: ``jpeg`` string [B], images as JPEG (or PNG) bytes, and ``boxes_xyxy_px``
    float32 [B, 4], one face box for each image, to ``landmarks_px`` float32 [B, K, 2] in pixels of
    the images, ``scores`` and ``visibility``. Images are used as stored, without EXIF rotation. An
    image with several faces is passed several times.

    Args:
        deployed: As from `wing_tf.export.deployed_network.deployed_network`.
        spec: Crop rule of the network.
        folder: The folder to create.
    """
    side = spec.input_size

    def crops(image):
        return deployed(image, training=False)

    def images(jpeg, boxes_xyxy_px):
        message = "boxes_xyxy_px must be finite, with x0 < x1 and y0 < y1."
        low, high = boxes_xyxy_px[:, :2], boxes_xyxy_px[:, 2:]
        tf.debugging.assert_equal(tf.shape(jpeg)[0], tf.shape(low)[0], "one box per image")
        tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(boxes_xyxy_px)), [message])
        tf.debugging.Assert(tf.reduce_all(low < high), [message])
        regions = crop_region(boxes_xyxy_px, spec.margin, spec.square, xp=keras.ops)
        image = tf.map_fn(
            lambda one: _crop(*one, side),
            (jpeg, boxes_xyxy_px, regions),
            fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8),
        )
        found = dict(deployed(image, training=False))
        to_image = invert(crop_matrix(regions, (side, side), xp=keras.ops), xp=keras.ops)
        landmarks = apply_affine(to_image, found.pop("landmarks"), xp=keras.ops)
        return {"landmarks_px": landmarks, **found}

    module = tf.Module()
    # Keras' ExportArchive would write every weight twice.
    module.weights = [weight.value for weight in deployed.variables]
    signatures = {
        "serving_default": tf.function(
            crops,
            input_signature=[tf.TensorSpec((None, side, side, 3), tf.uint8, name="image")],
            autograph=False,
        ),
        "images": tf.function(
            images,
            input_signature=[
                tf.TensorSpec((None,), tf.string, name="jpeg"),
                tf.TensorSpec((None, 4), tf.float32, name="boxes_xyxy_px"),
            ],
            autograph=False,
        ),
    }
    tf.saved_model.save(module, str(folder), signatures)


def _crop(jpeg: tf.Tensor, box: tf.Tensor, region: tf.Tensor, side: int) -> tf.Tensor:
    """Decodes an image and crops a region [4] of it, as `geometry.resample.crop_and_resize`."""
    # By default TensorFlow decodes JPEG less exactly than OpenCV, which moves landmarks by up to
    # 10 pixels.
    image = tf.cond(
        tf.io.is_jpeg(jpeg),
        lambda: tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(jpeg, channels=3, expand_animations=False),
    )
    image = tf.ensure_shape(image, (None, None, 3))
    factor = tf.math.ceil(tf.reduce_max(region[2:] - region[:2]) / side - 1e-6)
    factor = tf.clip_by_value(factor, 1.0, float(MAX_SAMPLED_SIDE // side))
    height, width = tf.unstack(tf.shape(image)[:2])
    size = tf.cast(tf.stack([width, height]), tf.float32)
    overlaps = tf.reduce_all((box[2:] > -0.5) & (box[:2] < size - 0.5))
    tf.debugging.Assert(overlaps, ["A box lies outside of its image:", box])
    rows, top, bottom = _band(region[1], region[3], height, side, factor)
    columns, left, right = _band(region[0], region[2], width, side, factor)
    image = tf.cast(image[top:bottom, left:right], tf.float32)
    image = tf.reshape(rows @ tf.reshape(image, (bottom - top, -1)), (side, right - left, 3))
    image = tf.einsum("xw,ywc->yxc", columns, image)
    return tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)


def _band(low, high, length, side: int, factor):
    """Returns the weights of one image axis for each of ``side`` pixels between two edges.

    Returns:
        Weights float32 [side, last - first] of the pixels from first to last, and both indices.
    """
    step = (high - low) / (side * factor)
    place = low + (tf.range(side * factor, dtype=tf.float32) + 0.5) * step
    first = tf.cast(tf.clip_by_value(tf.floor(low), 0.0, tf.cast(length - 1, tf.float32)), tf.int32)
    last = tf.clip_by_value(tf.cast(tf.math.ceil(high), tf.int32) + 2, first + 1, length)
    # A linear sample is a weighted sum of two pixels; pixels outside of the image are black.
    below = tf.floor(place)
    pixel = tf.cast(tf.concat([below, below + 1], axis=0), tf.int32)
    weight = tf.concat([1 - (place - below), place - below], axis=0) / factor
    weight = tf.where((pixel >= first) & (pixel < last), weight, 0.0)
    result = tf.tile(tf.range(side * tf.cast(factor, tf.int32)) // tf.cast(factor, tf.int32), [2])
    at = tf.stack([result, tf.clip_by_value(pixel, first, last - 1) - first], axis=1)
    return tf.scatter_nd(at, weight, tf.stack([side, last - first])), first, last
