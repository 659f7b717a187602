"""Faces to TFRecord shards and a manifest, on one machine.

The writer's processes read, crop and compress (NumPy and OpenCV only, so that they start fast); the
parent puts what they return, in the order of the job, into shards. `tfrecords_tools.beam` writes
the same files on many machines.
"""

import collections
import concurrent.futures
import contextlib
import functools
import itertools
import multiprocessing
import os
import pathlib
from collections.abc import Iterator

import cv2
import tqdm

from tfrecords_tools.shards import CroppedFace, ShardWriter, serialize_example
from tfrecords_tools.sources.base import Item, Source
from tfrecords_tools.square_crops import SquareFormat, crop_face
from tfrecords_tools.write_job import make_job
from wing_tf.data.crop_rules import CropRule


def write_records(
    source: Source,
    output: str | pathlib.Path,
    *,
    square_format: SquareFormat | None = None,
    crop: str | CropRule | None = None,
    validation_fraction: float = 0.1,
    faces_per_shard: int = 512,
    num_processes: int | None = None,
    strict: bool = False,
    progress: bool = True,
) -> dict:
    """Writes all faces of a source as record shards, with a manifest.

    Args:
        source: the annotated faces.
        output: a folder that does not exist or is empty.
        square_format: how squares are cut.
        crop: a crop rule or its name (`wing_tf.data.crop_rules`); the source's own if None.
        validation_fraction: the share of training images that is held out.
        faces_per_shard: about how many faces a shard holds (more where there would be more than
            256 shards).
        num_processes: how many processes read and cut; one for each core if None, none if 0.
        strict: stop at the first face that can't be used instead of skipping it.
        progress: show a bar.

    Returns:
        The manifest, as in ``manifest.json``.

    Raises:
        ValueError: on bad arguments, where no face is usable, and, if ``strict``, at a bad face.
        OSError: if the folder can't be written.
    """
    job = make_job(
        source,
        output,
        square_format=square_format,
        crop=crop,
        validation_fraction=validation_fraction,
        faces_per_shard=faces_per_shard,
        strict=strict,
    )
    common = job.common
    cut = functools.partial(crop_face, job.worker_source, job.square_format, job.crop)
    skipped: dict[str, str] = {}
    finished: dict[str, dict] = {}
    with job.folder() as folder, contextlib.ExitStack() as stack:
        squares = stack.enter_context(
            _cut_ahead(cut, [task.item for task in job.tasks], num_processes)
        )
        bar = tqdm.tqdm(squares, total=len(job.tasks), unit="face", disable=not progress)
        pairs = zip(job.tasks, bar, strict=True)
        for _, part in itertools.groupby(pairs, key=lambda pair: pair[0].split):
            shards: dict[str, ShardWriter] = {}
            try:
                for task, square in part:
                    if task.shard not in shards:
                        shards[task.shard] = ShardWriter(folder / task.shard)
                    if isinstance(square, CroppedFace):
                        shards[task.shard].write(serialize_example(square, task.split, common))
                    elif strict:
                        raise ValueError(f"{task.item.key}: {square}")
                    else:
                        skipped[task.item.key] = square
            finally:
                finished |= dict(shard.close() for shard in shards.values())
        return job.finish(finished, skipped)


@contextlib.contextmanager
def _cut_ahead(cut, items: list[Item], num_processes: int | None):
    """Yields an iterator over the cut squares, in order, computed ahead by a pool of processes."""
    if num_processes is None:
        num_processes = min(_num_cores(), 1 + len(items) // 64)
    if num_processes <= 1:
        yield map(cut, items)
        return
    # Spawned, not forked: the parent has TensorFlow's threads. A process for each core needs no
    # threads of its own; BLAS would start (and spin) some, and reads these names when loaded.
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    former = {name: os.environ.get(name) for name in single}
    os.environ.update(single)
    pool = concurrent.futures.ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=cv2.setNumThreads,
        initargs=(1,),
    )
    try:
        yield _in_order(pool, cut, items, ahead=max(16, 2 * num_processes))
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return multiprocessing.cpu_count()


def _in_order(
    pool, cut, items: list[Item], *, ahead: int, chunk: int = 16
) -> Iterator[CroppedFace | str]:
    """Keeps a bounded number of chunks in flight: memory stays flat for any data set."""
    chunks = (items[i : i + chunk] for i in range(0, len(items), chunk))
    submit = functools.partial(pool.submit, _cut_chunk, cut)
    flying = collections.deque(submit(some) for some in itertools.islice(chunks, ahead))
    while flying:
        done = flying.popleft().result()
        flying.extend(submit(some) for some in itertools.islice(chunks, 1))
        yield from done


def _cut_chunk(cut, items: list[Item]) -> list[CroppedFace | str]:
    return [cut(item) for item in items]
