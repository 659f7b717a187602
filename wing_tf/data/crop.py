"""Network crops of faces without augmentation."""

from keras import ops

from wing_tf.geometry import compose, crop_matrix, crop_region, invert, similarity_matrix
from wing_tf.layers import warp_affine


def crop_faces(faces, *, input_size: int, margin: float, square: bool = True, angle_rad=None):
    """Crops faces without augmentation, as for evaluation.

    Args:
        faces: Batch with ``image`` and ``box_square_px``.
        input_size: Side of the crop in pixels.
        margin: Side of the crop over the longer side of the face box.
        square: See `wing_tf.geometry.crop_region`.
        angle_rad: [B], rotation of the face about the center of the crop, clockwise in the image.

    Returns:
        Images, float32 [B, side, side, 3] in 0..255, and the matrices [B, 2, 3] from crop pixels
        to pixels of the stored square.
    """
    box = crop_region(faces["box_square_px"], margin, square, xp=ops)
    to_crop = crop_matrix(box, (input_size, input_size), xp=ops)
    if angle_rad is not None:
        # The rotation comes before a non-square crop is stretched, so the face keeps its shape.
        center = (box[:, :2] + box[:, 2:]) / 2
        rotation = similarity_matrix(center, angle_rad, 1.0, ops.zeros((1, 2)), xp=ops)
        to_crop = compose(to_crop, rotation, xp=ops)
    to_square = invert(to_crop, xp=ops)
    return warp_affine(faces["image"], to_square, (input_size, input_size)), to_square
