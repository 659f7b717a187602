"""Faces to TFRecord shards on many machines, with Apache Beam: the extra ``wing-tf[beam]``.

One machine with many cores does not need it: `tfrecords_tools.writer` writes the same files, byte
for byte. Apache Beam is imported when it is used.
"""

import functools
import json
import os
import pathlib
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from tfrecords_tools.job import Job, Task, make_job
from tfrecords_tools.shards import Common, Shard, Square, serialize
from tfrecords_tools.sources.base import Source
from tfrecords_tools.squares import StoredSquare, cut_square
from wing_tf.data import example_schema as schema
from wing_tf.data.crop_rules import CropRule

_ON_THIS_MACHINE = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def write_records_with_beam(
    source: Source,
    output: str | pathlib.Path,
    *,
    stored: StoredSquare | None = None,
    crop: str | CropRule | None = None,
    validation_fraction: float = 0.1,
    faces_per_shard: int = 512,
    strict: bool = False,
    pipeline_options: Sequence[str] | None = None,
) -> dict:
    """Writes all faces of a source as record shards, with a manifest, by a Beam pipeline.

    The files are those of `tfrecords_tools.writer.write_records`, whatever the number of workers
    and the order in which they finish: a shard's faces are sorted before it is written.

    Every worker reads the source's files and writes to the output's folder, under the same paths:
    both must be on storage that all of them have mounted. The source, and the payload of each of
    its items, is pickled; the package must be installed where the workers run. Squares are held,
    compressed, between cutting and writing, by the runner: those of distributed runners spill to
    disk, the one on this machine keeps them in memory, about 10 KB for a face at a side of 128.

    Args:
        source: the annotated faces.
        output: a folder that does not exist or is empty.
        stored: how squares are cut.
        crop: a crop rule or its name (`wing_tf.data.crop_rules`); the source's own if None.
        validation_fraction: the share of training pictures that is held out.
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
    job = make_job(
        source,
        output,
        stored=stored,
        crop=crop,
        validation_fraction=validation_fraction,
        faces_per_shard=faces_per_shard,
        strict=strict,
    )
    # The steps hold what they need, not the job: its list of tasks is long.
    cut = functools.partial(_cut, source, job.stored, job.crop, job.common)
    with job.folder() as partial:
        folder = partial.resolve()
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | "Name the faces" >> beam.Create(job.tasks, reshuffle=False)
                | "Deal them out" >> beam.Reshuffle()
                | "Cut" >> beam.Map(cut).with_output_types(tuple[str, Any])
                | "Gather shards" >> beam.GroupByKey()
                | "Write" >> beam.MapTuple(functools.partial(_write, folder))
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


def _cut(
    source: Source, stored: StoredSquare, crop: CropRule, common: Common, task: Task
) -> tuple[str, tuple[int, str, bytes | str]]:
    """Returns a face's shard, and its position, key, and record or the reason for having none."""
    square = cut_square(source, stored, crop, task.item)
    if isinstance(square, Square):
        return task.shard, (task.position, task.item.key, serialize(square, task.split, common))
    return task.shard, (task.position, task.item.key, square)


def _write(
    folder: pathlib.Path, name: str, faces: Iterable[tuple[int, str, bytes | str]]
) -> tuple[str, dict, dict[str, str]]:
    """Writes one shard; returns its name, what the manifest says of it, and the skipped."""
    # A runner may try a shard twice, even at the same time: the file appears when it is whole.
    temporary = folder / f"{name}.{uuid.uuid4().hex}.tfrecord"
    shard = Shard(temporary)
    skipped = {}
    for _, key, record in sorted(faces, key=lambda face: face[0]):
        if isinstance(record, bytes):
            shard.write(record)
        else:
            skipped[key] = record
    _, facts = shard.close()
    os.replace(temporary, folder / name)
    return name, facts, skipped


def _report(folder: pathlib.Path, shards: list[tuple[str, dict, dict[str, str]]]) -> None:
    """Leaves for the parent what the workers found, where the manifest will be."""
    temporary = folder / f"{uuid.uuid4().hex}.tfrecord"
    temporary.write_text(json.dumps(shards))
    os.replace(temporary, folder / schema.MANIFEST)


def _finish(job: Job, folder: pathlib.Path, strict: bool) -> dict:
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
