"""Datasets of single faces and of uint8 training batches, read from records."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from wing_tf.codecs.boundary import SAMPLES_PER_CURVE, Curves, sample_curves
from wing_tf.data import record_schema as schema
from wing_tf.data.records import RecordSet
from wing_tf.geometry import shrink_ratio


def decode_ratio(side: int, context: float, margin: float, input_size: int) -> int:
    """Returns the largest ratio to decode squares at that keeps all details the network can use.

    See `wing_tf.geometry.shrink_ratio`.

    Args:
        side: Side of the stored square in pixels.
        context: Side of the square over the longer side of the face box.
        margin: Side of the network's crop over the longer side of the face box.
        input_size: Side of the network input in pixels.

    Example:
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
        ``angles_deg`` float32 [3] (both NaN if unknown), and the strings ``source_image``,
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
        for name in (schema.SOURCE_IMAGE, schema.SPLIT, schema.ATTRIBUTES):
            face[name] = example[name]
    if image:
        side = records.side // ratio
        image = tf.io.decode_jpeg(example[schema.IMAGE], channels=3, ratio=ratio)
        face["image"] = tf.ensure_shape(image, [side, side, 3])
    return face


def read_faces(
    records: RecordSet, ratio: int = 1, *, image: bool = True, details: bool = False
) -> tf.data.Dataset:
    """Returns a dataset of all faces, unbatched and in a fixed order; see `parse_face`."""
    files = tf.data.Dataset.from_tensor_slices(list(records.files))
    dataset = _interleave(files, len(records.files))
    return dataset.map(
        lambda record: parse_face(record, records, ratio, image=image, details=details),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def read_landmarks(records: RecordSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the annotations of all faces, without their images.

    Returns:
        Landmarks float64 [N, K, 2] in square pixels, visibilities [N, K] and boxes [N, 4].
    """
    faces = list(read_faces(records, image=False).as_numpy_iterator())
    names = ("landmarks_square_px", "visibility", "box_square_px")
    landmarks, visibility, box = (np.stack([face[name] for face in faces]) for name in names)
    return landmarks.astype(np.float64), visibility, box


def training_batches(
    records: RecordSet,
    *,
    batch_size: int,
    num_draws: int,
    seed: int,
    ratio: int = 1,
    first_epoch: int = 0,
    cache: bool = True,
    shuffle_buffer: int = 16384,
    sampling_weights: Callable[[dict], tf.Tensor] | None = None,
    curves: Curves = (),
    label_noise: Callable[[dict], dict] | None = None,
) -> tf.data.Dataset:
    """Returns an endless dataset of shuffled batches in which each face has its random numbers.

    The order of an epoch is a function of the seed and the number of the epoch. The random numbers
    of a batch are a function of the seed, the batch size and the number of the batch. A dataset
    that starts at ``first_epoch`` therefore equals the continuation of one that started earlier, at
    any parallelism. Each epoch drops the faces beyond its last complete batch, different ones each
    time.

    Args:
        records: The records to read.
        batch_size: Batch size over all replicas; at most the number of faces.
        num_draws: Number of random numbers per face, uniform in [0, 1).
        seed: Seed of the order and the random numbers.
        ratio: See `parse_face`.
        first_epoch: Number of the epoch to start with.
        cache: Whether to decode all faces once and keep them in memory. Otherwise, they are read
            and decoded again in each epoch.
        shuffle_buffer: Number of records that are shuffled at a time without ``cache``.
        sampling_weights: Maps batched faces (see `parse_face`; maybe without images) to float [B],
            how often each is sampled relative to the mean; all alike if None. A face is repeated
            as often as the integer part says, and with the probability of the fraction once more,
            before shuffling. The length of an epoch is unchanged. The expected frequencies are
            exact with ``cache``, and deviate by some hundredths without.
        curves: Boundary curves of a scheme, on which points are sampled once per face, or once per
            epoch without ``cache``.
        label_noise: Changes each face before all else; see `wing_tf.data.label_noise.LabelNoise`.

    Returns:
        Batches of the dictionaries of `parse_face`, without ``key`` and with ``draws`` float32
        [B, num_draws]; with ``curves`` also ``curve_samples_square_px`` float32 [B, S, 2]
        (`wing_tf.codecs.sample_curves`).
    """
    order_seed, draw_seed = np.random.SeedSequence(seed).generate_state(2).astype(np.int64) // 2
    steps = records.num_faces // batch_size

    def finish(face):
        if label_noise is not None:
            face = label_noise(face)
        face = {name: value for name, value in face.items() if name != "key"}
        return face | _curve_samples(face, curves) if curves else face

    if cache:
        epoch_batches, load = _from_memory(records, ratio, batch_size, sampling_weights, finish)
    else:
        epoch_batches, load = _from_files(
            records, ratio, batch_size, sampling_weights, finish, shuffle_buffer
        )

    def epoch(number):
        batches = epoch_batches(tf.stack([tf.constant(order_seed), number]))
        return batches.take(steps).enumerate(number * steps)

    def with_draws(number, batch):
        draws = tf.random.stateless_uniform([batch_size, num_draws], [draw_seed, number])
        return {**load(batch), "draws": draws}

    dataset = tf.data.Dataset.counter(first_epoch).flat_map(epoch)
    dataset = dataset.map(with_draws, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _repeat(values, times, seed):
    """Repeats [N] values ``times`` [N] each, rounding fractions at random; once each if None."""
    if times is None:
        return values
    thresholds = tf.random.stateless_uniform(tf.shape(times), seed)
    return tf.repeat(values, tf.cast(tf.floor(times + thresholds), tf.int32))


def _from_memory(records: RecordSet, ratio: int, batch_size: int, sampling_weights, finish):
    """Returns a function for an epoch's batches of face indices, and one that loads a batch."""
    faces = read_faces(records, ratio).map(finish)
    arrays = faces.batch(records.num_faces).get_single_element()
    used = records.num_faces // batch_size * batch_size
    times = None
    if sampling_weights is not None:
        times = sampling_weights(arrays)
        times = times / tf.reduce_min(times)  # At least once each, which is enough for an epoch.

    def epoch_batches(seed):
        faces = _repeat(tf.range(records.num_faces), times, seed - [1, 0])
        order = tf.random.experimental.stateless_shuffle(faces, seed)
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order[:used], (-1, batch_size)))

    return epoch_batches, lambda index: {name: tf.gather(v, index) for name, v in arrays.items()}


def _from_files(
    records: RecordSet, ratio: int, batch_size: int, sampling_weights, finish, buffer: int
):
    """Returns a function for an epoch's batches of records, and one that decodes a batch."""
    # `Dataset.shuffle` accepts no seed that depends on the epoch, so chunks are shuffled here.
    shuffle = tf.random.experimental.stateless_shuffle

    def times(chunk):
        if sampling_weights is None:
            return None
        names = {"landmarks_square_px": tf.float32, "visibility": tf.int32}

        def parse(record):
            face = parse_face(record, records, image=False)
            return {name: face[name] for name in names}

        return sampling_weights(tf.map_fn(parse, chunk, fn_output_signature=names))

    def epoch_batches(seed):
        files = shuffle(tf.constant(records.files), seed)
        chunks = _interleave(tf.data.Dataset.from_tensor_slices(files), len(records.files))
        chunks = chunks.batch(buffer).enumerate()

        def shuffled(i, chunk):
            return shuffle(_repeat(chunk, times(chunk), seed - [1 + i, 0]), seed + [1 + i, 0])

        # The random rounding may leave too few faces for an epoch, so the dataset is repeated.
        faces = chunks.map(shuffled).unbatch().repeat()
        return faces.batch(batch_size, drop_remainder=True)

    def load_one(record):
        return finish(parse_face(record, records, ratio))

    traced = tf.function(load_one).get_concrete_function(tf.TensorSpec((), tf.string))
    signature = tf.nest.map_structure(tf.type_spec_from_value, traced.structured_outputs)
    return epoch_batches, lambda batch: tf.map_fn(load_one, batch, fn_output_signature=signature)


def _curve_samples(face: dict, curves: Curves) -> dict:
    samples = tf.numpy_function(
        lambda landmarks, visibility: sample_curves(landmarks, visibility, curves),
        [face["landmarks_square_px"], face["visibility"]],
        tf.float32,
    )
    samples = tf.ensure_shape(samples, (len(curves) * SAMPLES_PER_CURVE, 2))
    return {"curve_samples_square_px": samples}


def _interleave(files: tf.data.Dataset, num_files: int) -> tf.data.Dataset:
    """Returns the records of several files, interleaved in an order that depends on them only."""
    return files.interleave(
        lambda file: tf.data.TFRecordDataset(file, buffer_size=1 << 20),
        cycle_length=min(num_files, 16),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
