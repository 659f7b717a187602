"""Faces to TFRecord shards on many machines, with Apache Beam: the extra ``wing-tf[beam]``.

One machine with many cores does not need it: `tfrecords_tools.writer` writes the same files, byte
for byte. Apache Beam is imported when it is used.
"""

import functools
import json
import os
import pathlib
import uuid
from collections.abc import Sequence
from typing import Any

from tfrecords_tools.shards import CroppedFace, ShardWriter, SharedFields, serialize_example
from tfrecords_tools.sources.base import Source
from tfrecords_tools.square_crops import SquareFormat, crop_face
from tfrecords_tools.write_job import FaceTask, WriteJob, assign_shards, make_job
from wing_tf.data import record_schema as schema
from wing_tf.data.crop_rules import CropRule

_ON_THIS_MACHINE = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def write_records_with_beam(
    source: Source,
    output: str | pathlib.Path,
    *,
    square_format: SquareFormat | None = None,
    crop: str | CropRule | None = None,
    validation_fraction: float = 0.1,
    faces_per_shard: int = 512,
    strict: bool = False,
    pipeline_options: Sequence[str] | None = None,
) -> dict:
    """Writes all faces of a source as record shards, with a manifest, by a Beam pipeline.

    The files are those of `tfrecords_tools.writer.write_records`, whatever the number of workers
    and the order in which they finish.

    Every worker lists the source, reads its files and writes whole shards to the output's folder,
    under the same paths: both must be on storage that all of them have mounted, and the package be
    installed where they run. A shard is the unit of work, so no images pass between workers, and
    memory does not grow with the data set but for the list of its faces; of one split, at most 256
    shards can be written at a time.

    Args:
        source: the annotated faces.
        output: a folder that does not exist or is empty.
        square_format: how squares are cut.
        crop: a crop rule or its name (`wing_tf.data.crop_rules`); the source's own if None.
        validation_fraction: the share of training images that is held out.
        faces_per_shard: about how many faces a shard holds (more where there would be more than
            256 shards).
        strict: write nothing if a face can't be used. A pipeline has no order in which it could
            stop at the first: the first is named when all were tried.
        pipeline_options: Beam's own, such as ``["--runner=FlinkRunner", "--flink_master=..."]``.
            None, and ``--runner=DirectRunner``, run on this machine; ``--direct_num_workers=2``
            then means two processes unless ``--direct_running_mode`` says otherwise.

    Returns:
        The manifest, as in ``manifest.json``.

    Raises:
        ValueError: if Apache Beam is not installed, on bad arguments, where no face is usable,
            and, if ``strict``, where a face is bad.
        OSError: if the folder can't be written.
    """
    beam = _import_beam()
    options = _options(pipeline_options)
    arguments: dict[str, Any] = {
        "validation_fraction": validation_fraction,
        "faces_per_shard": faces_per_shard,
    }
    job = make_job(
        source, output, square_format=square_format, crop=crop, strict=strict, **arguments
    )
    names = list(dict.fromkeys(task.shard for task in job.tasks))
    with job.folder() as partial:
        folder = partial.resolve()
        # Workers list the source themselves: a job that held all faces would be too large to send.
        write = functools.partial(
            _write,
            uuid.uuid4().hex,
            folder,
            job.worker_source,
            arguments,
            job.square_format,
            job.crop,
            job.common,
        )
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | "Name the shards" >> beam.Create(names, reshuffle=False)
                | "Deal them out" >> beam.Reshuffle()
                | "Write" >> beam.Map(write)
                | "Gather facts" >> beam.combiners.ToList()
                | "Report" >> beam.Map(functools.partial(_report, folder))
            )
        return _finish(job, folder, strict)


def _import_beam():
    try:
        import apache_beam
    except ImportError as error:
        raise ValueError(
            f"Apache Beam can't be imported ({error}). Install it: pip install 'wing-tf[beam]'"
        ) from error
    return apache_beam


def _options(flags: Sequence[str] | None):
    from apache_beam.options.pipeline_options import (
        DirectOptions,
        PipelineOptions,
        StandardOptions,
    )

    # A list always: from None, Beam would read this command's own flags.
    options = PipelineOptions(list(flags or ()))
    standard, direct = options.view_as(StandardOptions), options.view_as(DirectOptions)
    if standard.runner in (None, "DirectRunner"):
        # By name: DirectRunner would first try to download a runner that is not in Python.
        standard.runner = _ON_THIS_MACHINE
        if direct.direct_num_workers != 1 and direct.direct_running_mode == "in_memory":
            direct.direct_running_mode = "multi_processing"
    return options


_listed: dict[str, dict[str, list[FaceTask]]] = {}  # of the job that this process works on


def _tasks(job_id: str, source: Source, arguments: dict[str, Any], shard: str) -> list[FaceTask]:
    """Returns a shard's faces; the source is listed once in each process."""
    shards = _listed.get(job_id)
    if shards is None:
        shards = {}
        for task in assign_shards(source.items(), **arguments):
            shards.setdefault(task.shard, []).append(task)
        _listed.clear()
        _listed[job_id] = shards
    return shards[shard]


def _write(
    job_id: str,
    folder: pathlib.Path,
    source: Source,
    arguments: dict[str, Any],
    square_format: SquareFormat,
    crop: CropRule,
    common: SharedFields,
    name: str,
) -> tuple[str, dict, dict[str, str]]:
    """Writes one shard; returns its name, what the manifest says of it, and the skipped."""
    # A runner may try a shard twice, even at the same time: the file appears when it is whole.
    temporary = folder / f"{name}.{uuid.uuid4().hex}.tfrecord"
    shard = ShardWriter(temporary)
    skipped = {}
    for task in _tasks(job_id, source, arguments, name):
        square = crop_face(source, square_format, crop, task.item)
        if isinstance(square, CroppedFace):
            shard.write(serialize_example(square, task.split, common))
        else:
            skipped[task.item.key] = square
    _, facts = shard.close()
    os.replace(temporary, folder / name)
    return name, facts, skipped


def _report(folder: pathlib.Path, shards: list[tuple[str, dict, dict[str, str]]]) -> None:
    """Leaves for the parent what the workers found, where the manifest will be."""
    temporary = folder / f"{uuid.uuid4().hex}.tfrecord"
    temporary.write_text(json.dumps(shards))
    os.replace(temporary, folder / schema.MANIFEST)


def _finish(job: WriteJob, folder: pathlib.Path, strict: bool) -> dict:
    report = json.loads((folder / schema.MANIFEST).read_text())
    finished = {name: facts for name, facts, _ in report}
    skipped = {key: reason for _, _, some in report for key, reason in some.items()}
    if strict and skipped:
        first = next(task.item.key for task in job.tasks if task.item.key in skipped)
        raise ValueError(f"{first}: {skipped[first]}")
    for path in folder.iterdir():  # what attempts that failed have left
        if path.name not in finished and path.name != schema.MANIFEST:
            path.unlink()
    return job.finish(finished, skipped)
