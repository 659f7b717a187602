"""Annotations of all faces of a record folder, and a perceptual hash of each image."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from tfrecords_tools.duplicates import HASHED_SIDE, THUMBNAIL_SIDE, image_hash
from wing_tf.data import record_schema as schema
from wing_tf.data.read import read_faces
from wing_tf.data.record_checks import read_named
from wing_tf.data.records import RecordSet, open_records
from wing_tf.geometry import apply_affine, landmark_box

_BATCH = 64


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FaceTable:
    """Annotations of N faces without their images: about a kilobyte per face.

    Attributes:
        records: The record set.
        landmarks_square_px: float32 [N, K, 2] in square pixels, NaN where not annotated.
        visibility: uint8 [N, K].
        box_square_px: float32 [N, 4], by the crop rule.
        dataset_box_square_px: float32 [N, 4], the data set's own; NaN where there is none.
        square_to_source: float64 [N, 2, 3].
        source_size_hw: float32 [N, 2], height and width of the source images; NaN where unknown.
        angles_deg: float32 [N, 3]: yaw, pitch and roll; NaN where unknown.
        keys: [N].
        images: [N], names of the source images.
        splits: [N].
        hashes: uint64 [N], see `tfrecords_tools.duplicates`; 0 without images.
        thumbnails: uint8 [N, 256], likewise.
    """

    records: RecordSet
    landmarks_square_px: np.ndarray
    visibility: np.ndarray
    box_square_px: np.ndarray
    dataset_box_square_px: np.ndarray
    square_to_source: np.ndarray
    source_size_hw: np.ndarray
    angles_deg: np.ndarray
    keys: Sequence[str]
    images: Sequence[str]
    splits: Sequence[str]
    hashes: np.ndarray
    thumbnails: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def source_px_per_square_px(self) -> np.ndarray:
        """The scale [N] from square pixels to source image pixels."""
        return np.sqrt(np.abs(np.linalg.det(self.square_to_source[:, :, :2])))

    def landmarks_source_px(self, faces: np.ndarray) -> np.ndarray:
        """Returns the landmarks [n, K, 2] of some faces in source image pixels."""
        landmarks = self.landmarks_square_px[faces].astype(np.float64)
        return apply_affine(self.square_to_source[faces], landmarks)

    def dataset_boxes_source_px(self, faces: np.ndarray) -> np.ndarray:
        """Returns the data set's own boxes [n, 4] of some faces in source image pixels."""
        corners = self.dataset_box_square_px[faces].astype(np.float64).reshape(-1, 2, 2)
        return apply_affine(self.square_to_source[faces], corners).reshape(-1, 4)

    def boxes_source_px(self, faces: np.ndarray) -> np.ndarray:
        """Returns the tight landmark boxes [n, 4] of some faces in source image pixels."""
        return landmark_box(self.landmarks_source_px(faces))


def read_face_table(folder: str | pathlib.Path, *, images: bool = True) -> FaceTable:
    """Reads all faces of all splits in batches.

    Args:
        folder: Record folder.
        images: Whether to decode and hash the images.

    Raises:
        ValueError: If there are no records, or they are damaged.
    """
    records = open_records(str(folder))
    ratio = 1
    if images:
        ratio = max(r for r in (1, 2, 4, 8) if r == 1 or records.side >= r * HASHED_SIDE)
    count, num_landmarks = records.num_faces, records.scheme.num_landmarks
    landmarks = np.empty((count, num_landmarks, 2), np.float32)
    visibility = np.empty((count, num_landmarks), np.uint8)
    boxes, dataset_boxes = np.empty((2, count, 4), np.float32)
    matrices, angles = np.empty((count, 2, 3)), np.empty((count, 3), np.float32)
    sizes = np.empty((count, 2), np.float32)
    hashes = np.zeros(count, np.uint64)
    thumbnails = np.zeros((count, THUMBNAIL_SIDE**2), np.uint8)
    names: dict[str, list[str]] = {"key": [], "source_image": [], "split": []}
    shared: dict[bytes, str] = {}  # One string for all faces of a split or an image.
    start = 0
    faces = read_faces(records, ratio, image=images, details=True)
    for batch in read_named(faces.batch(_BATCH).as_numpy_iterator(), records.files):
        rows = slice(start, start + len(batch["key"]))
        landmarks[rows], visibility[rows] = batch["landmarks_square_px"], batch["visibility"]
        boxes[rows], dataset_boxes[rows] = batch["box_square_px"], batch["dataset_box_square_px"]
        matrices[rows], angles[rows] = batch["square_to_source"], batch["angles_deg"]
        sizes[rows] = np.where(batch["source_size_hw"] > 0, batch["source_size_hw"], np.nan)
        for name, values in names.items():
            values.extend(shared.setdefault(text, text.decode()) for text in batch[name])
        for i, image in enumerate(batch["image"] if images else ()):
            hashes[start + i], thumbnails[start + i] = image_hash(image)
        start = rows.stop
    if ratio != 1:  # Back to pixels of the stored squares.
        landmarks, boxes, dataset_boxes = (
            (values + 0.5) * ratio - 0.5 for values in (landmarks, boxes, dataset_boxes)
        )
        matrices[:, :, 2] -= matrices[:, :, :2].sum(axis=2) * (0.5 - 0.5 / ratio)
        matrices[:, :, :2] /= ratio
    landmarks[visibility == schema.NOT_ANNOTATED] = np.nan
    return FaceTable(
        records=records,
        landmarks_square_px=landmarks,
        visibility=visibility,
        box_square_px=boxes,
        dataset_box_square_px=dataset_boxes,
        square_to_source=matrices,
        source_size_hw=sizes,
        angles_deg=angles,
        keys=names["key"],
        images=names["source_image"],
        splits=names["split"],
        hashes=hashes,
        thumbnails=thumbnails,
    )
