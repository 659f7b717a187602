"""Writing of TFRecord shards and a manifest on one machine.

Worker processes read, crop and compress faces with NumPy and OpenCV only, so that they start fast.
The parent process keeps their results in a temporary file, finds copies of training images, and
writes the faces to shards in the order of the job. `tfrecords_tools.beam` writes the same files on
many machines.
"""

import functools
import itertools
import pathlib
import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np
import tqdm

from tfrecords_tools.face_report import FaceReport
from tfrecords_tools.shards import ShardWriter
from tfrecords_tools.sources.base import Source
from tfrecords_tools.square_crops import CroppedFace, SquareFormat, crop_face
from tfrecords_tools.worker_pool import crop_ahead
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
        with crop_ahead(crop_item, [task.item for task in job.tasks], num_processes) as faces:
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
