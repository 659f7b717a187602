"""Writing of TFRecord shards and a manifest on one machine.

Worker processes read, crop and compress faces with NumPy and OpenCV only, so that they start fast.
The parent process keeps their results in a temporary file, finds copies of training images, and
writes the faces to shards in the order of the job. `tfrecords_tools.beam`
writes the same files on many machines.
"""

import collections
import concurrent.futures
import contextlib
import functools
import itertools
import multiprocessing
import os
import pathlib
import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import tqdm

from tfrecords_tools.face_report import FaceReport
from tfrecords_tools.shards import ShardWriter
from tfrecords_tools.sources.base import Item, Source
from tfrecords_tools.square_crops import CroppedFace, SquareFormat, crop_face
from tfrecords_tools.write_job import FaceTask, WriteJob, make_job
from wing_tf.data.crop_rules import CropRule


def write_records(
    source: Source,
    output: str | pathlib.Path,
    *,
    square_format: SquareFormat | None = None,
    crop: str | CropRule | None = None,
    validation_fraction: float = 0.1,
    faces_per_shard: int = 512,
    strict: bool = False,
    num_processes: int | None = None,
    progress: bool = True,
) -> dict:
    """Writes all faces of a source as record shards with a manifest.

    Args:
        source: The annotated faces.
        output: A folder that does not exist or is empty.
        square_format: Size and compression of the stored square crops.
        crop: Crop rule or its name (`wing_tf.data.crop_rules`). Defaults to the source's own.
        validation_fraction: Fraction of training images that is held out for validation. Copies of
            one image (`tfrecords_tools.duplicates`) stay on one side.
        faces_per_shard: Approximate number of faces per shard (larger if there would be more than
            256 shards).
        strict: Stop at the first face that is not usable instead of skipping it.
        num_processes: Number of worker processes; 0 for none. Defaults to one per core.
        progress: Show a progress bar.

    Returns:
        The content of ``manifest.json``.

    Raises:
        ValueError: If an argument is not valid, no face is usable, or, with `strict`, a face is
            not.
        OSError: If the folder can't be written.
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
    crop_item = functools.partial(crop_face, job.for_workers().source, job.square_format, job.crop)
    report = FaceReport()
    with job.folder() as folder, _Spool(folder / "faces.writing") as spool:
        with _crop_ahead(crop_item, [task.item for task in job.tasks], num_processes) as faces:
            bar = tqdm.tqdm(faces, total=len(job.tasks), unit="face", disable=not progress)
            for task, face in zip(job.tasks, bar, strict=True):
                if strict and face.reason:
                    raise ValueError(f"{task.item.key}: {face.reason}")
                report.add(task.item.key, face)
                spool.add(task.item.key, face)
        # Only now it is known which training images are copies and stay together.
        job = job.with_hashes(spool.hashes)
        finished: dict[str, dict] = {}
        for _, tasks in itertools.groupby(job.tasks, key=lambda task: task.split):
            finished |= _write_split(job, tasks, folder, spool)
        spool.remove()
        return job.finish(finished, report)


def _write_split(
    job: WriteJob, tasks: Iterable[FaceTask], folder: pathlib.Path, spool: "_Spool"
) -> dict[str, dict]:
    """Writes the shards of one split; returns their entries in the manifest."""
    shards: dict[str, ShardWriter] = {}
    try:
        for task in tasks:
            if task.shard not in shards:
                shards[task.shard] = ShardWriter(folder / task.shard)
            if task.item.key in spool.hashes:
                features = spool.features(task.item.key)
                shards[task.shard].write(job.features(task, features))
    finally:
        finished = {name: shard.close() for name, shard in shards.items()}
    return finished


class _Spool:
    """A file of cropped faces, which wait there until all faces are known.

    Attributes:
        hashes: `CroppedFace.image_hash` by the key of the face, of all usable faces.
    """

    def __init__(self, path: pathlib.Path):
        self._path = path
        self.hashes: dict[str, tuple[np.uint64, np.ndarray]] = {}

    def __enter__(self) -> "_Spool":
        self._file = self._path.open("w+b")
        self._places: dict[str, int] = {}
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def add(self, key: str, face: CroppedFace) -> None:
        """Adds a face, unless it is not usable."""
        if face.image_hash is not None:
            self.hashes[key] = face.image_hash
            self._places[key] = self._file.tell()
            pickle.dump(face.features, self._file)

    def features(self, key: str) -> dict[str, Any]:
        """Returns the features of a face."""
        self._file.seek(self._places[key])
        return pickle.load(self._file)

    def remove(self) -> None:
        """Removes the file."""
        self._file.close()
        self._path.unlink()


@contextlib.contextmanager
def _crop_ahead(
    crop_item: Callable[[Item], CroppedFace], items: list[Item], num_processes: int | None
) -> Iterator[Iterator[CroppedFace]]:
    """Yields an iterator over the cropped faces, in order, computed ahead by worker processes."""
    if num_processes is None:
        num_processes = min(_num_cores(), 1 + len(items) // 64)
    if num_processes <= 1:
        yield map(crop_item, items)
        return
    # Spawned, not forked: the parent has TensorFlow's threads. With one process per core, BLAS
    # needs no threads of its own; it reads these variables when it is loaded.
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
        yield _in_order(pool, crop_item, items, ahead=max(16, 2 * num_processes))
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
    pool: concurrent.futures.Executor,
    crop_item: Callable[[Item], CroppedFace],
    items: list[Item],
    *,
    ahead: int,
    chunk: int = 16,
) -> Iterator[CroppedFace]:
    """Keeps a bounded number of chunks in flight, so that memory does not grow with the data."""
    chunks = (items[i : i + chunk] for i in range(0, len(items), chunk))
    futures = (pool.submit(_crop_chunk, crop_item, some) for some in chunks)
    pending = collections.deque(itertools.islice(futures, ahead))
    while pending:
        done = pending.popleft().result()
        pending.extend(itertools.islice(futures, 1))
        yield from done


def _crop_chunk(crop_item: Callable[[Item], CroppedFace], items: list[Item]) -> list[CroppedFace]:
    return [crop_item(item) for item in items]
