"""Record shards to datasets of faces and of uint8 batches."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from wing_tf.codecs.boundary import SAMPLES_PER_CURVE, Curves, sample_curves
from wing_tf.data import record_schema as schema
from wing_tf.data.records import RecordSet
from wing_tf.geometry import shrink_ratio


def decode_ratio(side: int, context: float, margin: float, input_size: int) -> int:
    """Returns by how much squares may be shrunk on decoding before the network would lose detail.

    See `wing_tf.geometry.shrink_ratio`.

    Args:
        side: of the stored square.
        context: the square's side over the face box's longer side.
        margin: the network crop's side over the face box's longer side.
        input_size: the network input's side.

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
    """Parses one record and decodes its image, at 1 / ``ratio`` of its size.

    Args:
        record: a scalar string.
        records: what the record belongs to.
        ratio: 1, 2, 4 or 8.
        image: decode the image too.
        details: also what only judging needs.

    Returns:
        A dict of ``image`` uint8 [side, side, 3], ``landmarks_square_px`` float32 [K, 2] (0 where
        missing), ``visibility`` int32 [K], ``box_square_px`` float32 [4], ``square_to_source``
        float32 [2, 3], ``key`` string. The square's frame is that of the shrunk image. With
        ``details`` also ``dataset_box_square_px`` float32 [4] (NaN where there is none),
        ``angles_deg`` float32 [3] (likewise), and strings ``image``, ``split`` and
        ``attributes`` (joined by commas).
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
        # (x + .5) / ratio - .5 on the way down; the map to the source takes it back up.
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
        # Before crop rules were recorded, the one box was the data set's, or the landmarks'.
        old = tf.equal(example[schema.CROP_RULE], "")
        own = tf.where(old, example[schema.BOX], example[schema.DATASET_BOX])
        face |= {
            "dataset_box_square_px": (own + 0.5) / ratio - 0.5,
            "angles_deg": example[schema.ANGLES],
            **{
                name: example[name]
                for name in (schema.SOURCE_IMAGE, schema.SPLIT, schema.ATTRIBUTES)
            },
        }
    if image:
        side = records.side // ratio
        image = tf.io.decode_jpeg(example[schema.IMAGE], channels=3, ratio=ratio)
        face["image"] = tf.ensure_shape(image, [side, side, 3])
    return face


def read_faces(
    records: RecordSet, ratio: int = 1, *, image: bool = True, details: bool = False
) -> tf.data.Dataset:
    """Returns all faces once, in a fixed order, unbatched; see `parse_face`."""
    files = tf.data.Dataset.from_tensor_slices(list(records.files))
    dataset = _interleave(files, len(records.files))
    return dataset.map(
        lambda record: parse_face(record, records, ratio, image=image, details=details),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def read_landmarks(records: RecordSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns what is known of all faces without their images.

    Returns:
        Landmarks float64 [N, K, 2] in pixels of the squares, visibilities [N, K], boxes [N, 4].
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
    """Returns an endless stream of shuffled batches, each face with its own random numbers.

    The order of epoch e is a function of (seed, e), and the numbers of a batch's faces are a
    function of (seed, batch size, running number of the batch in the stream): a stream begun at
    ``first_epoch`` goes on exactly as one that has come there, at any parallelism, and replicas
    that share a batch get different numbers. What an epoch holds beyond its last whole batch is
    left out (other faces each time).

    Args:
        records: what is read.
        batch_size: over all replicas; at most the number of faces.
        num_draws: how many uniform numbers in [0, 1) each sample gets.
        seed: of order and numbers.
        ratio: see `parse_face`.
        first_epoch: where to begin, in passes over the records.
        cache: decode all faces once and keep them in memory; else they are read and decoded again
            in each epoch.
        shuffle_buffer: without ``cache``: how many records are shuffled at a time.
        sampling_weights: maps faces (`parse_face`'s dict, batched; the images may be missing) to
            how often each is to be shown, relative to the mean, float [B]; all alike if None. Faces
            are repeated before shuffling, as often as the integer part says, once more by a coin
            for the rest. An epoch stays as long as without. With ``cache`` the mean over epochs is
            exact; else but for some hundredths, by which an epoch of chance is too long.
        curves: of a scheme: points on them are computed once a face, or once an epoch without
            ``cache``.
        label_noise: changes each face before anything is made of it; see
            `wing_tf.data.label_noise.LabelNoise`.

    Returns:
        Batches of `parse_face`'s dict without ``key``, plus ``draws`` float32 [B, num_draws], and
        with ``curves`` ``curve_samples_square_px`` float32 [B, S, 2]
        (`wing_tf.codecs.sample_curves`).
    """
    order_seed, draw_seed = np.random.SeedSequence(seed).generate_state(2).astype(np.int64) // 2
    steps = records.num_faces // batch_size

    def finish(face):
        if label_noise is not None:
            face = label_noise(face)
        return _with_curves(_without_key(face), curves)

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
    """Repeats [N] values ``times`` [N] each, fractions by a coin; once each if that is None."""
    if times is None:
        return values
    coins = tf.random.stateless_uniform(tf.shape(times), seed)
    return tf.repeat(values, tf.cast(tf.floor(times + coins), tf.int32))


def _from_memory(records: RecordSet, ratio: int, batch_size: int, sampling_weights, finish):
    """Returns an epoch's batches of face numbers, and how such a batch is taken from memory."""
    faces = read_faces(records, ratio).map(finish)
    arrays = faces.batch(records.num_faces).get_single_element()
    used = records.num_faces // batch_size * batch_size
    times = None
    if sampling_weights is not None:
        times = sampling_weights(arrays)
        times = times / tf.reduce_min(times)  # at least once: enough for an epoch

    def epoch_batches(seed):
        faces = _repeat(tf.range(records.num_faces), times, seed - [1, 0])
        order = tf.random.experimental.stateless_shuffle(faces, seed)
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order[:used], (-1, batch_size)))

    return epoch_batches, lambda index: {name: tf.gather(v, index) for name, v in arrays.items()}


def _from_files(
    records: RecordSet, ratio: int, batch_size: int, sampling_weights, finish, buffer: int
):
    """Returns an epoch's batches of records, shards and records shuffled, and how to decode one."""
    # Dataset.shuffle takes no seed that depends on the epoch's number: it is done here by chunks.
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

        # Repeated, as chance may leave too few for an epoch.
        faces = chunks.map(shuffled).unbatch().repeat()
        return faces.batch(batch_size, drop_remainder=True)

    def load_one(record):
        return finish(parse_face(record, records, ratio))

    traced = tf.function(load_one).get_concrete_function(tf.TensorSpec((), tf.string))
    signature = tf.nest.map_structure(tf.type_spec_from_value, traced.structured_outputs)

    def load(batch):
        return tf.map_fn(load_one, batch, fn_output_signature=signature)

    return epoch_batches, load


def _without_key(face: dict) -> dict:
    return {name: value for name, value in face.items() if name != "key"}


def _with_curves(face: dict, curves: Curves) -> dict:
    if not curves:
        return face
    samples = tf.numpy_function(
        lambda landmarks, visibility: sample_curves(landmarks, visibility, curves),
        [face["landmarks_square_px"], face["visibility"]],
        tf.float32,
    )
    samples = tf.ensure_shape(samples, (len(curves) * SAMPLES_PER_CURVE, 2))
    return face | {"curve_samples_square_px": samples}


def _interleave(files: tf.data.Dataset, num_files: int) -> tf.data.Dataset:
    """Reads record files side by side, in an order that depends on the files only."""
    return files.interleave(
        lambda file: tf.data.TFRecordDataset(file, buffer_size=1 << 20),
        cycle_length=min(num_files, 16),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
