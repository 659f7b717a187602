"""Construction of one annotated face, and the contradictions that make it unusable."""

import math

import numpy as np

from tfrecords_tools.sources.base import BadRecordError, Face
from wing_tf.data import record_schema as schema

# Landmarks of cropped faces may be outside of the image, but not by more than these longer sides.
_MAX_SIDES_OUTSIDE = 3.0


def make_face(
    image: np.ndarray,
    landmarks_px: np.ndarray,
    visibility: np.ndarray | None = None,
    box_xyxy_px: np.ndarray | None = None,
    *,
    warnings: tuple[str, ...] = (),
) -> Face:
    """Returns a `Face` with the package's visibility flags.

    * A landmark without coordinates (NaN) is not annotated (0).
    * A landmark outside the image is kept and marked as occluded (1).
    * Any other landmark is visible (2) unless `visibility` says otherwise.

    A box without area is dropped: some tools write zeros where there is no box.

    Args:
        image: uint8 RGB [H, W, 3].
        landmarks_px: [K, 2] in pixels of the image.
        visibility: Int [K]; all visible if None.
        box_xyxy_px: [4], or None.
        warnings: `Face.warnings`.

    Raises:
        BadRecordError: If no landmark is annotated; if a landmark has one coordinate only; if all
            coordinates are in [0, 1]; if a landmark or the box is more than three longer sides of
            the image outside of it; if no landmark is in the image or none in the box; or if the
            box is not x0, y0, x1, y1.
    """
    height, width = image.shape[:2]
    landmarks_px = np.array(landmarks_px, np.float64)
    if visibility is None:
        flags = np.full(len(landmarks_px), schema.VISIBLE, np.int64)
    else:
        flags = np.array(visibility, np.int64)
        landmarks_px[flags == schema.NOT_ANNOTATED] = np.nan
    no_x, no_y = np.isnan(landmarks_px).T
    flags[no_x] = schema.NOT_ANNOTATED
    if np.any(half := no_x != no_y):
        raise BadRecordError(f"landmark {int(np.argmax(half))} has only one coordinate")
    low, high = np.fmin.reduce(landmarks_px), np.fmax.reduce(landmarks_px)
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    if math.isnan(left):
        if visibility is not None and not np.any(visibility):
            raise BadRecordError("all landmarks have visibility 0: not annotated")
        raise BadRecordError("no landmark has coordinates")
    if min(left, top) >= 0 and max(right, bottom) <= 1 and np.count_nonzero(flags) > 1:
        raise BadRecordError(
            "all landmarks are between 0 and 1: expected pixels, found coordinates scaled to [0, 1]"
        )
    if _is_far(left, top, right, bottom, image):
        limit = _MAX_SIDES_OUTSIDE * max(height, width)
        far = (landmarks_px < -limit) | (landmarks_px > np.array([width, height]) + limit)
        first = int(np.argmax(far.any(axis=1)))
        x, y = landmarks_px[first]
        raise BadRecordError(
            f"landmark {first} is at {x:g},{y:g}, far outside of the image of {width} x {height} "
            "pixels"
        )
    if min(left, top) < -0.5 or right > width - 0.5 or bottom > height - 0.5:
        beyond = (landmarks_px < -0.5) | (landmarks_px > [width - 0.5, height - 0.5])
        outside = np.any(beyond, axis=1)
        if np.all(outside | no_x):
            raise BadRecordError(
                f"no landmark is in the image of {width} x {height} pixels: x is {left:g} to "
                f"{right:g}, y is {top:g} to {bottom:g}"
            )
        flags[outside] = np.minimum(flags[outside], schema.OCCLUDED)
    if box_xyxy_px is not None:
        box_xyxy_px = _checked_box(np.asarray(box_xyxy_px, float), landmarks_px, image)
    return Face(image, landmarks_px, flags, box_xyxy_px, warnings=warnings)


def _is_far(left: float, top: float, right: float, bottom: float, image: np.ndarray) -> bool:
    height, width = image.shape[:2]
    limit = _MAX_SIDES_OUTSIDE * max(height, width)
    return min(left, top) < -limit or right > width + limit or bottom > height + limit


def _checked_box(box: np.ndarray, points: np.ndarray, image: np.ndarray) -> np.ndarray | None:
    """Returns the box, or None if it has no area. Raises `BadRecordError`."""
    left, top, right, bottom = box.tolist()
    if not (math.isfinite(left + top + right + bottom) and right >= left and bottom >= top):
        raise BadRecordError(f"the face box is not x0, y0, x1, y1: {np.round(box, 3).tolist()}")
    if right == left or bottom == top:
        return None
    text = f"the face box {left:g}, {top:g}, {right:g}, {bottom:g}"
    if _is_far(left, top, right, bottom, image):
        height, width = image.shape[:2]
        raise BadRecordError(f"{text} is far outside of the image of {width} x {height} pixels")
    if not np.any(np.all((points >= box[:2]) & (points <= box[2:]), axis=1)):
        raise BadRecordError(f"no landmark is in {text}")
    return box


def has_area(box_xyxy_px: np.ndarray | None) -> bool:
    """Whether there is a box and it has width and height."""
    return box_xyxy_px is not None and bool(np.all(box_xyxy_px[2:] > box_xyxy_px[:2]))


def check_image_size(image: np.ndarray, size_wh: np.ndarray, exif: str) -> None:
    """Raises `BadRecordError` if an image has another size than its annotations say.

    Args:
        image: uint8 RGB [H, W, 3].
        size_wh: Width and height that the annotations say.
        exif: How the image was read; see `wing_tf.utils.image_files.load_image`.
    """
    height, width = image.shape[:2]
    said_width, said_height = (float(value) for value in size_wh)
    if (said_width, said_height) == (width, height):
        return
    text = (
        f"the annotations say that the image has {said_width:g} x {said_height:g} pixels, the file "
        f"has {width} x {height}"
    )
    if (said_width, said_height) == (height, width):
        other = "ignore" if exif == "apply" else "apply"
        raise BadRecordError(
            f"{text}. Width and height are exchanged, as by EXIF data that rotate the image: try "
            f"exif={other}, or rotate the image as it was when it was annotated"
        )
    scale = math.sqrt(max(said_width * said_height, 0) / (width * height))
    # Sizes of scaled images are rounded to whole pixels.
    if scale > 0 and max(abs(said_width - scale * width), abs(said_height - scale * height)) <= max(
        1.0, scale
    ):
        raise BadRecordError(
            f"{text}. It was annotated at {scale:.3g} times this size: use the original images, or "
            f"divide all coordinates by {scale:.3g}"
        )
    raise BadRecordError(text)
