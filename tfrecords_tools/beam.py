"""Writing of TFRecord shards on many machines with Apache Beam: the extra ``wing-tf[beam]``.

One machine with many cores does not need it: `tfrecords_tools.writer` writes the same files, byte
for byte. Apache Beam is imported when it is used.
"""

import dataclasses
import functools
import itertools
import json
import pathlib
import shutil
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecords_tools.face_report import FaceReport
from tfrecords_tools.shards import ShardWriter
from tfrecords_tools.sources.base import Source
from tfrecords_tools.square_crops import crop_face
from tfrecords_tools.write_job import FaceTask, WriteJob, make_job
from wing_tf.data import record_schema as schema
from wing_tf.utils.atomic import atomic_path, write_text
from wing_tf.utils.text_files import read_json

_LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def write_records_with_beam(
    source: Source,
    output: str | pathlib.Path,
    *,
    pipeline_options: Sequence[str] | None = None,
    strict: bool = False,
    **options: Any,
) -> dict:
    """Writes all faces of a source as record shards with a manifest, by a Beam pipeline.

    The files equal those of `tfrecords_tools.writer.write_records`, whatever the number of workers
    and the order in which they finish.

    Every worker lists the source and writes whole shards. Training images are read twice: first to
    find copies, which stay in one split. Source and output must be on storage that all workers have
    mounted under the same paths, and the package must be installed on them. No images are sent
    between workers, and memory grows only with the list of faces.

    After a run whose process was killed, the next one starts anew. The killed run's job may still
    be running on a cluster; it fails when it writes its next shard, because its folder is gone.

    Args:
        source: The annotated faces.
        output: A folder that does not exist or is empty.
        pipeline_options: Options of Beam, of any runner, such as
            ``["--runner=PortableRunner", "--job_endpoint=HOST:8099"]``. The default, and
            ``--runner=DirectRunner``, run on this machine; ``--direct_num_workers=2`` then means
            two processes unless ``--direct_running_mode`` says otherwise.
        strict: Write nothing if a face is not usable. All faces are tried before the first bad one
            is named, because a pipeline has no order.
        **options: `square_format`, `crop`, `validation_fraction` and `faces_per_shard`, as in
            `tfrecords_tools.writer.write_records`.

    Returns:
        The content of ``manifest.json``.

    Raises:
        ValueError: If Apache Beam is not installed, an argument is not valid, no face is usable,
            or, with `strict`, a face is not.
        OSError: If the folder can't be written.
    """
    try:
        import apache_beam as beam
    except ImportError as error:
        raise ValueError(
            f"Apache Beam can't be imported ({error}). Install it: pip install 'wing-tf[beam]'"
        ) from error
    job = make_job(source, output, strict=strict, **options)
    with job.folder() as partial:
        # Under a name of its own, so that workers of a killed run don't write to it.
        folder = partial.resolve() / f"{uuid.uuid4().hex}.writing"
        folder.mkdir()

        def run(function, tasks: Sequence[FaceTask]) -> list:
            """Maps shard names to results, which the last worker writes to the manifest's file."""
            names = list(dict.fromkeys(task.shard for task in tasks))
            work = functools.partial(function, uuid.uuid4().hex, folder, job.for_workers())
            with beam.Pipeline(options=_parse_options(pipeline_options)) as pipeline:
                _ = (
                    pipeline
                    | "List shards" >> beam.Create(names, reshuffle=False)
                    | "Distribute" >> beam.Reshuffle()
                    | "Work" >> beam.Map(work)
                    | "Collect results" >> beam.combiners.ToList()
                    | "Report" >> beam.Map(functools.partial(_write_report, folder))
                )
            return read_json(folder / schema.MANIFEST)

        if job.hashed_tasks:
            hashes = {}
            for key, code in itertools.chain.from_iterable(run(_hash_shard, job.hashed_tasks)):
                values = np.frombuffer(bytes.fromhex(code), np.uint8)
                hashes[key] = (values[:8].view(np.uint64)[0], values[8:])
            job = job.with_hashes(hashes)
        return _finish(job, folder, strict, run(_write_shard, job.tasks))


def _parse_options(flags: Sequence[str] | None):
    from apache_beam.options import pipeline_options as beam_options

    # Always a list: with None, Beam would parse the flags of this command.
    options = beam_options.PipelineOptions(list(flags or ()))
    standard = options.view_as(beam_options.StandardOptions)
    direct = options.view_as(beam_options.DirectOptions)
    if standard.runner in (None, "DirectRunner"):
        # By class name: DirectRunner would first try to download a runner that is not in Python.
        standard.runner = _LOCAL_RUNNER
        if direct.direct_num_workers != 1 and direct.direct_running_mode == "in_memory":
            direct.direct_running_mode = "multi_processing"
    return options


_tasks_of_job: dict[str, dict[str, list[FaceTask]]] = {}  # of the job that this process works on


def _tasks_of_shard(job_id: str, job: WriteJob, shard: str) -> list[FaceTask]:
    """Returns the faces of a shard. The source is listed once in each process."""
    shards = _tasks_of_job.get(job_id)
    if shards is None:
        shards = {}
        for task in job.assign_shards(job.source.items()):
            shards.setdefault(task.shard, []).append(task)
        _tasks_of_job.clear()
        _tasks_of_job[job_id] = shards
    return shards[shard]


def _hash_shard(
    job_id: str, folder: pathlib.Path, job: WriteJob, name: str
) -> list[tuple[str, str]]:
    """Returns the keys of the usable faces of a shard, with hash and thumbnail as hexadecimals."""
    del folder
    hashes = []
    for task in _tasks_of_shard(job_id, job, name):
        face = crop_face(job.source, job.square_format, job.crop, task.item)
        if face.image_hash is not None:
            code, thumbnail = face.image_hash
            hashes.append((task.item.key, (code.tobytes() + thumbnail.tobytes()).hex()))
    return hashes


def _write_shard(
    job_id: str, folder: pathlib.Path, job: WriteJob, name: str
) -> tuple[str, dict, dict[str, dict]]:
    """Writes one shard; returns its name, its entry in the manifest, and its `FaceReport`."""
    report = FaceReport()
    # Atomically, because a runner may try a shard twice, even at the same time.
    with atomic_path(folder / name) as temporary:
        shard = ShardWriter(temporary)
        for task in _tasks_of_shard(job_id, job, name):
            face = crop_face(job.source, job.square_format, job.crop, task.item)
            report.add(task.item.key, face)
            if not face.reason:
                shard.write(job.features(task, face.features))
        summary = shard.close()
    return name, summary, dataclasses.asdict(report)


def _write_report(folder: pathlib.Path, shards: list) -> None:
    """Writes the workers' results, for the parent process, where the manifest will be."""
    write_text(folder / schema.MANIFEST, json.dumps(shards))


def _finish(job: WriteJob, folder: pathlib.Path, strict: bool, summaries: list) -> dict:
    finished = {name: summary for name, summary, _ in summaries}
    report = FaceReport()
    for _, _, values in summaries:
        report.merge(FaceReport(**values))
    if strict and report.skipped:
        first = next(task.item.key for task in job.tasks if task.item.key in report.skipped)
        raise ValueError(f"{first}: {report.skipped[first]}")
    for name in finished:
        (folder / name).rename(job.partial / name)
    shutil.rmtree(folder)  # with what attempts that failed have left
    return job.finish(finished, report)
