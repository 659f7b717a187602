"""Datasets of inputs, targets and weights for `fit`, and of uint8 training batches."""

import itertools
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from wing_tf.codecs.boundary import SAMPLES_PER_CURVE, Curves, sample_curves
from wing_tf.data import read
from wing_tf.data.augment import Augmentation, Augmenter
from wing_tf.data.face_weights import FaceWeights, repeat_faces, weights_of_faces, with_loss_weights
from wing_tf.data.records import RecordSet

# Without AutoGraph, which takes seconds: none of these functions has conditions on tensors.
_plain = tf.autograph.experimental.do_not_convert


def dataset_from_records(
    records: RecordSet,
    augmenter: Augmenter,
    *,
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int = 0,
    cache: bool = True,
    sampling_weights: FaceWeights | None = None,
    loss_weights: FaceWeights | None = None,
) -> tf.data.Dataset:
    """Returns a dataset of crops with targets and weights, for `keras.Model.fit`.

    With ``shuffle``, each iteration over the dataset is a new epoch with another order and other
    augmentations: the n-th one is the n-th epoch of `training_batches` with the same seed, at any
    parallelism. It drops the faces beyond its last complete batch, different ones each time.
    Without ``shuffle``, for validation, each iteration gives each face once, in a fixed order.

    Args:
        records: The faces, as from `open_records`.
        augmenter: An `Augmenter` for landmarks as targets, or a `HeatmapAugmenter` for heatmaps;
            without augmentation if ``shuffle`` is False.
        batch_size: Batch size over all replicas. Defaults to 32.
        shuffle: Whether to shuffle the faces. Defaults to True.
        seed: Seed of the order and the augmentation. Defaults to 0.
        cache: Whether to decode all faces once and keep them in memory. Otherwise, they are read
            and decoded again in each epoch. Defaults to True.
        sampling_weights: How often each face is sampled; see `training_batches`. Requires
            ``shuffle``. Defaults to None.
        loss_weights: Weight of each face in the loss; see `training_batches`. Defaults to None.

    Returns:
        Batches ``(images, targets, weights)``, the ``x``, ``y`` and ``sample_weight`` of `fit`:
        images, float32 [B, side, side, 3], RGB in 0..255; landmarks, float32 [B, K, 2] in pixels
        of these images, or heatmaps, float32 [B, h, w, K]; and weights, float32 [B, K], 0 for
        landmarks that are not annotated. See `Augmenter` and `HeatmapAugmenter`; several heatmaps
        per landmark are a tuple, and so are their weights.

    Raises:
        ValueError: If the batches are larger than the record set, if ``augmenter`` does not fit the
            records, if it or ``sampling_weights`` contradicts ``shuffle``, or if the Keras backend
            is not TensorFlow.

    Examples:
        >>> records = open_records("records", split="train")
        >>> augmenter = Augmenter(records.scheme, input_size=64, margin=1.2)
        >>> model.fit(dataset_from_records(records, augmenter), epochs=10)
    """
    if keras.config.backend() != "tensorflow":
        raise ValueError(
            "Augmentation inside of `tf.data` requires KERAS_BACKEND=tensorflow. "
            f"Received: {keras.config.backend()!r}."
        )
    _check_fit(records, augmenter)
    ratio = read.decode_ratio(records.side, records.context, augmenter.margin, augmenter.input_size)
    if shuffle:
        steps = records.num_faces // batch_size
        numbers = itertools.count()
        # A new iterator takes the next number.
        epochs = tf.data.Dataset.from_generator(
            lambda: [next(numbers)], output_signature=tf.TensorSpec((), tf.int64)
        )
        batches = training_batches(
            records,
            epochs=epochs,
            batch_size=batch_size,
            num_draws=augmenter.num_draws,
            seed=seed,
            ratio=ratio,
            cache=cache,
            sampling_weights=sampling_weights,
            loss_weights=loss_weights,
            curves=augmenter.boundary_curves,
        )
    else:
        if augmenter.augmentation != Augmentation() or sampling_weights is not None:
            raise ValueError(
                "`shuffle=False` gives each face once, without augmentation. Received: "
                f"augmenter.augmentation={augmenter.augmentation}, "
                f"sampling_weights={sampling_weights}."
            )
        steps = math.ceil(records.num_faces / batch_size)
        faces = read.read_faces(records, ratio)
        if curves := augmenter.boundary_curves:
            faces = faces.map(_plain(lambda face: face | _curve_samples(face, curves)))
        batches = (faces.cache() if cache else faces).batch(batch_size)
        batches = batches.map(_plain(lambda batch: with_loss_weights(batch, loss_weights)))

    @_plain
    def augment(faces):
        images, targets, weights = augmenter(faces)
        if isinstance(targets, list):  # A dataset would stack them.
            targets, weights = tuple(targets), (weights,) * len(targets)
        return images, targets, weights

    dataset = batches.map(augment, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _check_fit(records: RecordSet, augmenter: Augmenter) -> None:
    if augmenter.scheme.name != records.scheme.name:
        raise ValueError(
            f"The augmenter is for {augmenter.scheme.name}, the records contain "
            f"{records.scheme.name}. Create it with `records.scheme`."
        )
    if augmenter.square != records.square:
        raise ValueError(
            f"The records' crop rule, {records.crop_rules[0]}, requires an augmenter with "
            f"square={records.square}. Received: square={augmenter.square}."
        )
    if augmenter.margin > 1.01 * records.min_context:
        raise ValueError(
            f"Crops of {augmenter.margin:g} times the face box do not fit in the records' squares, "
            f"{records.min_context:.2f} times the box. Reduce `margin`, or write records with "
            f"--context={augmenter.margin + 0.5:g} or more."
        )


def training_batches(
    records: RecordSet,
    *,
    batch_size: int,
    num_draws: int,
    seed: int,
    ratio: int = 1,
    epochs: tf.data.Dataset | None = None,
    cache: bool = True,
    shuffle_buffer: int = 16384,
    sampling_weights: FaceWeights | None = None,
    loss_weights: FaceWeights | None = None,
    curves: Curves = (),
    label_change: Callable[[dict], dict] | None = None,
    worker: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns a dataset of shuffled batches in which each face has its random numbers.

    The order of an epoch depends only on the seed and the number of the epoch, the random numbers
    of a batch on the seed, the batch size and the number of the batch. A dataset that starts at a
    later epoch therefore continues one that started earlier, at any parallelism. Each epoch drops
    the faces beyond its last complete batch, different ones each time. By default, the dataset is
    endless, and `fit` needs ``steps_per_epoch``.

    Args:
        records: The records to read.
        batch_size: Batch size over all replicas; at most the number of faces.
        num_draws: Number of random numbers per face, uniform in [0, 1).
        seed: Seed of the order and the random numbers.
        ratio: See `parse_face`.
        epochs: Numbers of the epochs, int64. Defaults to `tf.data.Dataset.counter()`, 0, 1, ...;
            use `tf.data.Dataset.counter(n)` to resume at epoch n.
        cache: Whether to decode all faces once and keep them in memory. Otherwise, they are read
            and decoded again in each epoch.
        shuffle_buffer: Number of records that are shuffled at a time without ``cache``.
        sampling_weights: Maps batched faces (see `parse_face`; maybe without images) to float [B],
            how often each is sampled relative to the mean; all alike if None. A face is repeated
            as often as the integer part says, and with the probability of the fraction once more,
            before shuffling. Epochs keep their length. The expected frequencies are exact with
            ``cache``, and deviate by some hundredths without.
        loss_weights: Maps batched faces to float [B], their weights in the loss (relative).
        curves: Boundary curves, on which points are sampled once per face, or once per epoch
            without ``cache``.
        label_change: Changes each face first of all, as `wing_tf.data.label_noise.LabelNoise`.
        worker: Index and number of the workers (`wing_tf.training.workers.Workers`). Each gets an
            equal slice of each batch of a single worker, and, without ``cache``, decodes only it.

    Returns:
        Batches of the dictionaries of `parse_face`, without ``key`` and with ``draws`` float32
        [B, num_draws]; with ``loss_weights`` also ``face_weight`` float32 [B]; with ``curves``
        also ``curve_samples_square_px`` float32 [B, S, 2] (`wing_tf.codecs.sample_curves`).

    Raises:
        ValueError: If the batches are larger than the record set, or not a multiple of the workers.
    """
    if not 1 <= batch_size <= records.num_faces:
        raise ValueError(
            f"`batch_size` must be in [1, {records.num_faces}], the number of faces. "
            f"Received: batch_size={batch_size}."
        )
    index, num_workers = worker
    if batch_size % num_workers:
        raise ValueError(
            f"`batch_size` must be a multiple of the {num_workers} workers. "
            f"Received: batch_size={batch_size}."
        )
    own = slice(index * batch_size // num_workers, (index + 1) * batch_size // num_workers)
    order_seed, draw_seed = np.random.SeedSequence(seed).generate_state(2).astype(np.int64) // 2
    steps = records.num_faces // batch_size

    @_plain
    def finish(face):
        face = face if label_change is None else label_change(face)
        face = {name: value for name, value in face.items() if name != "key"}
        return face | _curve_samples(face, curves) if curves else face

    source = (records, ratio, batch_size, sampling_weights, finish)
    epoch_batches, load = _from_memory(*source) if cache else _from_files(*source, shuffle_buffer)

    @_plain
    def epoch(number):
        batches = epoch_batches(tf.stack([tf.constant(order_seed), number]))
        return batches.take(steps).enumerate(number * steps)

    @_plain
    def with_draws(number, batch):
        draws = tf.random.stateless_uniform([batch_size, num_draws], [draw_seed, number])
        return {**with_loss_weights(load(batch[own]), loss_weights), "draws": draws[own]}

    dataset = (tf.data.Dataset.counter() if epochs is None else epochs).flat_map(epoch)
    dataset = dataset.map(with_draws, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _from_memory(records: RecordSet, ratio: int, batch_size: int, sampling_weights, finish):
    """Returns a function for an epoch's batches of face indices, and one that loads a batch."""
    arrays = read.hold_in_memory(read.read_faces(records, ratio).map(finish), records.num_faces)
    used = records.num_faces // batch_size * batch_size
    times = None
    if sampling_weights is not None:
        faces = {name: array.value() for name, array in arrays.items() if name != "image"}
        times = weights_of_faces("sampling_weights", sampling_weights, faces)
        times = times / tf.reduce_min(times)  # At least once each, which is enough for an epoch.

    def epoch_batches(seed):
        faces = repeat_faces(tf.range(records.num_faces), times, seed - [1, 0])
        order = tf.random.experimental.stateless_shuffle(faces, seed)[:used]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, (-1, batch_size)))

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
            face = read.parse_face(record, records, image=False)
            return {name: face[name] for name in names}

        faces = tf.map_fn(parse, chunk, fn_output_signature=names)
        return weights_of_faces("sampling_weights", sampling_weights, faces)

    def epoch_batches(seed):
        files = tf.data.Dataset.from_tensor_slices(shuffle(tf.constant(records.files), seed))
        chunks = read.interleave_records(files, len(records.files))
        chunks = chunks.batch(buffer).enumerate()

        @_plain
        def shuffled(i, chunk):
            return shuffle(repeat_faces(chunk, times(chunk), seed - [1 + i, 0]), seed + [1 + i, 0])

        # The random rounding may leave too few faces for an epoch, so the dataset is repeated.
        faces = chunks.map(shuffled).unbatch().repeat()
        return faces.batch(batch_size, drop_remainder=True)

    def load_one(record):
        return finish(read.parse_face(record, records, ratio))

    traced = tf.function(load_one, autograph=False)
    outputs = traced.get_concrete_function(tf.TensorSpec((), tf.string)).structured_outputs
    signature = tf.nest.map_structure(tf.type_spec_from_value, outputs)
    return epoch_batches, lambda batch: tf.map_fn(load_one, batch, fn_output_signature=signature)


def _curve_samples(face: dict, curves: Curves) -> dict:
    samples = tf.numpy_function(
        lambda landmarks, visibility: sample_curves(landmarks, visibility, curves),
        [face["landmarks_square_px"], face["visibility"]],
        tf.float32,
    )
    samples = tf.ensure_shape(samples, (len(curves) * SAMPLES_PER_CURVE, 2))
    return {"curve_samples_square_px": samples}
