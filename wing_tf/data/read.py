"""Datasets of single faces, read from records."""

import concurrent.futures
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from wing_tf.data import record_schema as schema
from wing_tf.data.records import RecordSet
from wing_tf.geometry import relative_box, shrink_ratio


def decode_ratio(side: int, context: float, margin: float, input_size: int) -> int:
    """Returns the largest ratio to decode squares at that keeps all details the network can use.

    See `wing_tf.geometry.shrink_ratio`.

    Args:
        side: Side of the stored square in pixels.
        context: Side of the square over the longer side of the face box.
        margin: Side of the network's crop over the longer side of the face box.
        input_size: Side of the network input in pixels.

    Examples:
        >>> decode_ratio(256, 2.0, 1.15, 64)
        2
    """
    return shrink_ratio(side * margin / context, input_size)


def parse_face(
    record: tf.Tensor,
    records: RecordSet,
    ratio: int = 1,
    *,
    image: bool = True,
    details: bool = False,
):
    """Parses one record, and decodes its image at 1 / ``ratio`` of its size.

    Args:
        record: Scalar string.
        records: The record set that contains the record.
        ratio: 1, 2, 4 or 8.
        image: Whether to decode the image.
        details: Whether to return features that only evaluation needs.

    Returns:
        Dictionary of ``image`` uint8 [side, side, 3], ``landmarks_square_px`` float32 [K, 2] (0
        where not annotated), ``visibility`` int32 [K], ``box_square_px`` float32 [4],
        ``square_to_source`` float32 [2, 3] and ``key`` string. Square pixels are those of the
        decoded image. With ``details`` also ``dataset_box_square_px`` float32 [4] and
        ``angles_deg`` float32 [3] (both NaN if unknown), ``source_size_hw`` int64 [2], the size of
        the source image (0 if unknown), and the strings ``source_image``,
        ``split`` and ``attributes`` (joined by commas).
    """
    count = records.scheme.num_landmarks
    features = {
        schema.LANDMARKS: tf.io.FixedLenFeature([count, 2], tf.float32),
        schema.VISIBILITY: tf.io.FixedLenFeature([count], tf.int64),
        schema.BOX: tf.io.FixedLenFeature([4], tf.float32),
        schema.SQUARE_TO_SOURCE: tf.io.FixedLenFeature([2, 3], tf.float32),
        schema.KEY: tf.io.FixedLenFeature([], tf.string),
    }
    if details:
        unknown = float("nan")
        features |= {
            schema.DATASET_BOX: tf.io.FixedLenFeature([4], tf.float32, [unknown] * 4),
            schema.ANGLES: tf.io.FixedLenFeature([3], tf.float32, [unknown] * 3),
            schema.SOURCE_IMAGE: tf.io.FixedLenFeature([], tf.string),
            schema.SOURCE_SIZE: tf.io.FixedLenFeature([2], tf.int64, [0, 0]),
            schema.SPLIT: tf.io.FixedLenFeature([], tf.string),
            schema.ATTRIBUTES: tf.io.FixedLenFeature([], tf.string, ""),
            schema.CROP_RULE: tf.io.FixedLenFeature([], tf.string, ""),
        }
    if image:
        features[schema.IMAGE] = tf.io.FixedLenFeature([], tf.string)
    example = tf.io.parse_single_example(record, features)
    landmarks = example[schema.LANDMARKS]
    landmarks = tf.where(tf.math.is_finite(landmarks), landmarks, 0.0)
    matrix = example[schema.SQUARE_TO_SOURCE]
    if ratio != 1:
        # Square pixels become (x + .5) / ratio - .5; the matrix to the source image inverts that.
        landmarks = (landmarks + 0.5) / ratio - 0.5
        linear = matrix[:, :2]
        shift = matrix[:, 2] + tf.reduce_sum(linear, axis=1) * (0.5 * ratio - 0.5)
        matrix = tf.concat([linear * ratio, shift[:, None]], axis=1)
    face = {
        "landmarks_square_px": landmarks,
        "visibility": tf.cast(example[schema.VISIBILITY], tf.int32),
        "box_square_px": (example[schema.BOX] + 0.5) / ratio - 0.5,
        "square_to_source": matrix,
        "key": example[schema.KEY],
    }
    if details:
        # In records without a crop rule, the only box is the data set's own, or the landmarks'.
        old = tf.equal(example[schema.CROP_RULE], "")
        dataset_box = tf.where(old, example[schema.BOX], example[schema.DATASET_BOX])
        face["dataset_box_square_px"] = (dataset_box + 0.5) / ratio - 0.5
        face["angles_deg"] = example[schema.ANGLES]
        face["source_size_hw"] = example[schema.SOURCE_SIZE]
        for name in (schema.SOURCE_IMAGE, schema.SPLIT, schema.ATTRIBUTES):
            face[name] = example[name]
    if image:
        side = records.side // ratio
        image = tf.io.decode_jpeg(example[schema.IMAGE], channels=3, ratio=ratio)
        face["image"] = tf.ensure_shape(image, [side, side, 3])
    return face


def read_faces(
    records: RecordSet,
    ratio: int = 1,
    *,
    image: bool = True,
    details: bool = False,
    indices: Sequence[int] | None = None,
) -> tf.data.Dataset:
    """Returns a dataset of faces, unbatched and in a fixed order; see `parse_face`.

    Args:
        records: The record set.
        ratio: As in `parse_face`.
        image: As in `parse_face`.
        details: As in `parse_face`.
        indices: Indices of the faces to read, which stay in their order. Defaults to all faces.
    """
    files = tf.data.Dataset.from_tensor_slices(list(records.files))
    dataset = interleave_records(files, len(records.files))
    if indices is not None:  # Others are not decoded.
        wanted = tf.constant(indices, tf.int64)
        dataset = dataset.enumerate().filter(lambda i, _: tf.reduce_any(i == wanted))
        dataset = dataset.map(lambda _, record: record)

    @tf.autograph.experimental.do_not_convert
    def parse(record):
        return parse_face(record, records, ratio, image=image, details=details)

    return dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def read_landmarks(records: RecordSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the annotations of all faces, without their images.

    Returns:
        Landmarks float64 [N, K, 2] in square pixels, visibilities [N, K] and boxes [N, 4].
    """
    faces = list(read_faces(records, image=False).as_numpy_iterator())
    names = ("landmarks_square_px", "visibility", "box_square_px")
    landmarks, visibility, box = (np.stack([face[name] for face in faces]) for name in names)
    return landmarks.astype(np.float64), visibility, box


def median_relative_box(records: RecordSet) -> tuple[float, ...] | None:
    """Returns the median of `wing_tf.geometry.relative_box` over the faces.

    Of faces whose landmarks are not all annotated, it is the box around those that are.

    Returns:
        (x0, y0, x1, y1); None if all boxes are tight landmark boxes by their crop rule, or if no
        face has two landmarks.
    """
    if all(crop.box == "landmark" for crop in records.crop_rules):
        return None
    landmarks, visibility, boxes = read_landmarks(records)
    landmarks[visibility == schema.NOT_ANNOTATED] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):  # of faces with one landmark
        relative = relative_box(boxes, landmarks)
    usable = np.isfinite(relative).all(axis=1)
    return tuple(np.median(relative[usable], axis=0).tolist()) if usable.any() else None


def read_squares(records: RecordSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each face's stored square (uint8 RGB) and landmarks [K, 2], NaN if not annotated."""
    for face in read_faces(records).as_numpy_iterator():
        known = face["visibility"][:, None] != schema.NOT_ANNOTATED
        yield face["image"], np.where(known, face["landmarks_square_px"].astype(float), np.nan)


def hold_in_memory(faces: tf.data.Dataset, num_faces: int) -> dict[str, tf.Variable]:
    """Returns all faces of a dataset in one batch, with no copy of them.

    They are variables, which functions of a dataset refer to: tensors would be copied into its
    graph, and ``faces.batch(num_faces)`` needs three times the memory. They are created in a thread
    of their own, because a strategy would distribute those that are created in its scope.

    Raises:
        ValueError: If the dataset has another number of faces: files changed meanwhile.
    """

    def load() -> dict[str, tf.Variable]:
        variables: dict[str, tf.Variable] = {}
        start = 0
        with tf.device("CPU"):
            for batch in faces.batch(256):
                stop = start + len(next(iter(batch.values())))
                for name, values in batch.items():
                    if name not in variables:
                        shape = (num_faces, *values.shape[1:])
                        empty = tf.raw_ops.Empty(shape=shape, dtype=values.dtype)
                        variables[name] = tf.Variable(empty, trainable=False)
                        del empty  # else the first update would copy it
                    rows = tf.range(start, stop)
                    variables[name].scatter_update(tf.IndexedSlices(values, rows))
                start = stop
        if start != num_faces:
            raise ValueError(f"The records must hold {num_faces} faces. Received: {start}.")
        return variables

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(load).result()


def interleave_records(files: tf.data.Dataset, num_files: int) -> tf.data.Dataset:
    """Returns the records of several files, interleaved in an order that depends on them only."""

    @tf.autograph.experimental.do_not_convert
    def records(file):
        return tf.data.TFRecordDataset(file, buffer_size=1 << 20)

    return files.interleave(
        records,
        cycle_length=min(num_files, 16),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
