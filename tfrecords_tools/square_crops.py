"""One face to the compressed square that its record holds; NumPy and OpenCV only."""

import dataclasses

import cv2
import numpy as np

from tfrecords_tools.face_boxes import face_box
from tfrecords_tools.shards import CroppedFace
from tfrecords_tools.sources.base import BadRecordError, Item, Source
from wing_tf.data.crop_rules import CropRule
from wing_tf.geometry import apply_affine, crop_square, invert
from wing_tf.geometry.resample import crop_and_resize


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquareFormat:
    """How the stored squares are cut.

    Attributes:
        side: of the stored square in pixels, a multiple of 8 (JPEG blocks, so that decoding at 1/2,
            1/4 or 1/8 keeps the pixel grid).
        context: the square's side over the longer side of the box that the crop rule gives.
        jpeg_quality: 1 to 100.
    """

    side: int = 256
    context: float = 2.0
    jpeg_quality: int = 95

    def __post_init__(self):
        if self.side < 32 or self.side % 8:
            raise ValueError(
                f"`side` must be a multiple of 8, at least 32. Received: side={self.side}."
            )
        if not 1.0 <= self.context <= 8.0:
            raise ValueError(
                f"`context` must be between 1 and 8. Received: context={self.context}."
            )
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(
                f"`jpeg_quality` must be between 1 and 100. Received: {self.jpeg_quality}."
            )


def crop_face(
    source: Source, square_format: SquareFormat, crop: CropRule, item: Item
) -> CroppedFace | str:
    """Loads one face and cuts its square; returns the reason if it can't be used."""
    try:
        face = source.load(item)
        box = face_box(face, crop)
        image, to_square = crop_and_resize(
            face.image,
            crop_square(box, square_format.context),
            (square_format.side, square_format.side),
        )
    except (BadRecordError, ValueError, cv2.error) as error:
        return " ".join(str(error).split())  # one bad face must not cost the others
    ok, jpeg = cv2.imencode(
        ".jpg",
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, square_format.jpeg_quality],
    )
    if not ok:
        return "OpenCV could not compress the square"

    def moved(box_xyxy_px):
        return apply_affine(to_square, box_xyxy_px.reshape(2, 2)).ravel().tolist()

    return CroppedFace(
        item=item,
        jpeg=jpeg.tobytes(),
        landmarks=apply_affine(to_square, face.landmarks_px).ravel().tolist(),
        visibility=face.visibility.tolist(),
        box=moved(box),
        dataset_box=None if face.box_xyxy_px is None else moved(face.box_xyxy_px),
        square_to_source=invert(to_square).ravel().tolist(),
        angles=None if face.angles_deg is None else np.asarray(face.angles_deg).tolist(),
    )
