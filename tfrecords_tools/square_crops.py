"""The compressed square crop of one face that its record stores; NumPy and OpenCV only."""

import dataclasses
from typing import Any

import cv2
import numpy as np

from tfrecords_tools.duplicates import image_hash
from tfrecords_tools.face_boxes import face_box
from tfrecords_tools.sources.base import BadRecordError, Item, Source
from wing_tf.data import record_schema as schema
from wing_tf.data.crop_rules import CropRule
from wing_tf.geometry import apply_affine, crop_square, invert
from wing_tf.geometry.resample import crop_and_resize


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquareFormat:
    """Size and compression of the square crops that records store.

    Attributes:
        side: Side in pixels, a multiple of 8 (the JPEG block), so that decoding at 1/2, 1/4 or 1/8
            keeps the pixel grid.
        context: Side of the square over the longer side of the face box.
        jpeg_quality: From 1 to 100.
    """

    side: int = 256
    context: float = 2.0
    jpeg_quality: int = 95

    def __post_init__(self):
        if not 32 <= self.side <= schema.MAX_SIDE or self.side % 8:
            raise ValueError(
                f"`side` must be a multiple of 8, from 32 to {schema.MAX_SIDE}. Received: "
                f"side={self.side}."
            )
        if not 1.0 <= self.context <= 8.0:
            raise ValueError(f"`context` must be in [1, 8]. Received: context={self.context}.")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"`jpeg_quality` must be in [1, 100]. Received: {self.jpeg_quality}.")


@dataclasses.dataclass(frozen=True)
class CroppedFace:
    """The result of `crop_face`.

    Attributes:
        features: The features of the face's record (see `wing_tf.data.record_schema`) except those
            that all records of a job share. Empty if the face is not usable.
        reason: Why the face is not usable, in one line.
        warnings: See `tfrecords_tools.sources.base.Face`.
        image_hash: The hash and the thumbnail of the square crop: see
            `tfrecords_tools.duplicates.image_hash`. None if the face is not usable.
    """

    features: dict[str, Any] = dataclasses.field(default_factory=dict)
    reason: str = ""
    warnings: tuple[str, ...] = ()
    image_hash: tuple[np.uint64, np.ndarray] | None = None


def crop_face(
    source: Source, square_format: SquareFormat, crop: CropRule, item: Item
) -> CroppedFace:
    """Loads and crops one face. A face that raises an error is not usable."""
    side = square_format.side
    try:
        face = source.load(item)
        box = face_box(face, crop)
        square = crop_square(box, square_format.context)
        image, to_square = crop_and_resize(face.image, square, (side, side))
        ok, jpeg = cv2.imencode(
            ".jpg",
            cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
            [cv2.IMWRITE_JPEG_QUALITY, square_format.jpeg_quality],
        )
        if not ok:
            raise BadRecordError("OpenCV could not compress the square crop")
    except MemoryError:
        return CroppedFace(reason=f"{item.source_image} needs more memory than there is")
    except Exception as error:  # whatever it is, one bad face must not stop the others
        named = isinstance(error, (BadRecordError, ValueError, cv2.error))
        text = str(error) if named else f"{type(error).__name__}: {error}"
        return CroppedFace(reason=" ".join(text.split()) or type(error).__name__)

    def in_square(points_px):
        return apply_affine(to_square, points_px.reshape(-1, 2)).ravel().tolist()

    features = {
        schema.IMAGE: jpeg.tobytes(),
        schema.LANDMARKS: in_square(face.landmarks_px),
        schema.VISIBILITY: face.visibility.tolist(),
        schema.BOX: in_square(box),
        schema.SQUARE_TO_SOURCE: invert(to_square).ravel().tolist(),
        schema.KEY: item.key,
        schema.SOURCE_IMAGE: item.source_image,
        schema.SOURCE_SIZE: list(face.image.shape[:2]),
        schema.ATTRIBUTES: ",".join(item.attributes),
    }
    if face.box_xyxy_px is not None:
        features[schema.DATASET_BOX] = in_square(face.box_xyxy_px)
    if face.angles_deg is not None:
        features[schema.ANGLES] = np.asarray(face.angles_deg, np.float64).tolist()
    return CroppedFace(features, warnings=face.warnings, image_hash=image_hash(image))
