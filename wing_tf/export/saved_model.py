"""Networks as TensorFlow SavedModels, which are served without this package."""

import pathlib

import keras
import tensorflow as tf

from wing_tf.geometry import apply_affine, box_to_size, crop_region, invert
from wing_tf.models.saving import Contract

_LARGEST_SAMPLED_SIDE = 8192  # as in `wing_tf.geometry.resample`


def write_saved_model(deployed: keras.Model, contract: Contract, folder: str | pathlib.Path):
    """Writes a SavedModel with two signatures.

    ``serving_default``: ``image`` uint8 RGB [B, side, side, 3], face crops, to ``landmarks``
    float32 [B, K, 2] in their pixels, and ``scores`` [B, K] where the network has them.

    ``pictures``: ``jpeg`` string [B], pictures as JPEG (or PNG) bytes, and ``boxes_xyxy_px``
    float32 [B, 4], one face box each, to ``landmarks_px`` float32 [B, K, 2] in the pixels of the
    pictures, and ``scores``. A picture with several faces is given once for each. Pictures are
    taken as they are stored, without their EXIF rotation.

    Args:
        deployed: as from `deployed_network`.
        contract: how crops are cut.
        folder: that is made.
    """
    side = contract.input_size

    def crops(image):
        return deployed(image, training=False)

    def pictures(jpeg, boxes_xyxy_px):
        wrong = "boxes_xyxy_px must be finite, with x0 < x1 and y0 < y1."
        low, high = boxes_xyxy_px[:, :2], boxes_xyxy_px[:, 2:]
        tf.debugging.assert_equal(tf.shape(jpeg)[0], tf.shape(low)[0], "one box a picture")
        tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(boxes_xyxy_px)), [wrong])
        tf.debugging.Assert(tf.reduce_all(low < high), [wrong])
        regions = crop_region(boxes_xyxy_px, contract.margin, contract.square, xp=keras.ops)
        image = tf.map_fn(
            lambda one: _cut(*one, side),
            (jpeg, regions),
            fn_output_signature=tf.TensorSpec((side, side, 3), tf.uint8),
        )
        found = dict(deployed(image, training=False))
        to_picture = invert(box_to_size(regions, (side, side), xp=keras.ops), xp=keras.ops)
        landmarks = apply_affine(to_picture, found.pop("landmarks"), xp=keras.ops)
        return {"landmarks_px": landmarks, **found}

    module = tf.Module()
    # Keras' own archive writes every weight twice.
    module.weights = [weight.value for weight in deployed.variables]
    signatures = {
        "serving_default": tf.function(
            crops,
            input_signature=[tf.TensorSpec((None, side, side, 3), tf.uint8, name="image")],
        ),
        "pictures": tf.function(
            pictures,
            input_signature=[
                tf.TensorSpec((None,), tf.string, name="jpeg"),
                tf.TensorSpec((None, 4), tf.float32, name="boxes_xyxy_px"),
            ],
        ),
    }
    tf.saved_model.save(module, str(folder), signatures)


def _cut(jpeg: tf.Tensor, region: tf.Tensor, side: int) -> tf.Tensor:
    """Decodes a picture and cuts a region [4] out; as `wing_tf.geometry.resample.crop_resample`."""
    image = tf.io.decode_image(jpeg, channels=3, expand_animations=False)
    # A frame of black, so that the picture fades out over one pixel as in all our warps.
    image = tf.pad(image, [[1, 1], [1, 1], [0, 0]])
    region = region + 1.0
    shrink = tf.reduce_max(region[2:] - region[:2]) / side
    factor = tf.cast(tf.math.ceil(shrink - 1e-6), tf.int32)
    factor = tf.clip_by_value(factor, 1, _LARGEST_SAMPLED_SIDE // side)
    fine = side * factor
    # crop_and_resize puts its first and last sample on the box's edges: half a fine step inside.
    inset = (region[2:] - region[:2]) / tf.cast(fine, tf.float32) / 2
    first, last = region[:2] + inset, region[2:] - inset
    last_pixel = tf.cast(tf.shape(image)[:2] - 1, tf.float32)[::-1]
    corners = tf.stack([first, last]) / last_pixel
    samples = tf.image.crop_and_resize(
        image[None], tf.reshape(corners[:, ::-1], (1, 4)), [0], tf.stack([fine, fine])
    )
    blocks = tf.reshape(samples, (side, factor, side, factor, 3))
    return tf.cast(tf.round(tf.reduce_mean(blocks, axis=(1, 3))), tf.uint8)
