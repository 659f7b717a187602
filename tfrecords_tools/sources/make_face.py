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
    landmarks_px = np.asarray(landmarks_px, np.float64)
    flags = np.full(len(landmarks_px), schema.VISIBLE) if visibility is None else visibility
    no_x, no_y = np.isnan(landmarks_px).T
    annotated = (flags != schema.NOT_ANNOTATED) & ~(no_x & no_y)
    if not np.any(annotated):
        raise BadRecordError("no landmark has coordinates")
    if np.any(half := annotated & (no_x != no_y)):
        raise BadRecordError(f"landmark {int(np.argmax(half))} has only one coordinate")
    known = landmarks_px[annotated]
    if len(known) > 1 and np.all((known >= 0) & (known <= 1)):
        raise BadRecordError(
            "all landmarks are between 0 and 1: expected pixels, found coordinates scaled to [0, 1]"
        )
    _check_range(landmarks_px[annotated], np.flatnonzero(annotated), image)
    outside = np.any((known < -0.5) | (known > [width - 0.5, height - 0.5]), axis=1)
    if np.all(outside):
        low, high = np.min(known, axis=0), np.max(known, axis=0)
        raise BadRecordError(
            f"no landmark is in the image of {width} x {height} pixels: x is {low[0]:g} to "
            f"{high[0]:g}, y is {low[1]:g} to {high[1]:g}"
        )
    flags = np.where(annotated, flags, schema.NOT_ANNOTATED)
    flags[annotated] = np.where(outside, schema.OCCLUDED, flags[annotated])
    return Face(
        image,
        np.where(annotated[:, None], landmarks_px, np.nan),
        flags.astype(np.int64),
        None if box_xyxy_px is None else _checked_box(np.asarray(box_xyxy_px, float), known, image),
        warnings=warnings,
    )


def _check_range(points: np.ndarray, numbers: np.ndarray, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    limit = _MAX_SIDES_OUTSIDE * max(height, width)
    far = ~np.all((points >= -limit) & (points <= np.array([width, height]) + limit), axis=1)
    if np.any(far):
        first = int(np.argmax(far))
        raise BadRecordError(
            f"landmark {numbers[first]} is at {points[first, 0]:g},{points[first, 1]:g}, far "
            f"outside of the image of {width} x {height} pixels"
        )


def _checked_box(box: np.ndarray, known: np.ndarray, image: np.ndarray) -> np.ndarray | None:
    """Returns the box, or None if it has no area. Raises `BadRecordError`."""
    if not np.all(np.isfinite(box)) or np.any(box[2:] < box[:2]):
        raise BadRecordError(f"the face box is not x0, y0, x1, y1: {np.round(box, 3).tolist()}")
    if not has_area(box):
        return None
    height, width = image.shape[:2]
    limit = _MAX_SIDES_OUTSIDE * max(height, width)
    text = ", ".join(f"{value:g}" for value in box)
    if np.any(box < -limit) or np.any(box > limit + np.array([width, height] * 2)):
        raise BadRecordError(
            f"the face box {text} is far outside of the image of {width} x {height} pixels"
        )
    if not np.any(np.all((known >= box[:2]) & (known <= box[2:]), axis=1)):
        raise BadRecordError(f"no landmark is in the face box {text}")
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
