"""Splits, shards, output folder and manifest of one writing job, the same for every writer.

Records are written to ``OUTPUT.partial``, which is renamed to OUTPUT when it is complete: a killed
run leaves nothing that reads as records.
"""

import collections
import contextlib
import copy
import dataclasses
import functools
import hashlib
import itertools
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfrecords_tools.duplicates import find_copied_images
from tfrecords_tools.face_report import FaceReport
from tfrecords_tools.sources.base import Item, Source
from tfrecords_tools.splits import assign_splits, split_warnings
from tfrecords_tools.square_crops import SquareFormat
from wing_tf.data import record_schema as schema
from wing_tf.data.crop_rules import DATASET_BOX_KINDS, CropRule, get_crop_rule
from wing_tf.landmarks import custom_scheme_json, scheme_to_dict
from wing_tf.utils.atomic import final_names, write_json
from wing_tf.utils.file_lock import locked
from wing_tf.utils.local_path import local_path

FORMAT_VERSION = 2
_MAX_SHARDS = 256  # per split, because all of them are open at once


@dataclasses.dataclass(frozen=True)
class FaceTask:
    """One face, its split and the name of its shard file."""

    item: Item
    split: str
    shard: str


@dataclasses.dataclass(frozen=True)
class WriteJob:
    """A checked writing job, as returned by `make_job`.

    Attributes:
        tasks: All faces in the order in which shards hold them; the faces of a split are assigned
            to its shards in turn.
        copied_images: Images that are copies of others; see `with_hashes`.

    The other attributes are arguments of `tfrecords_tools.writer.write_records`.
    """

    source: Source
    output: pathlib.Path
    square_format: SquareFormat
    crop: CropRule
    validation_fraction: float
    faces_per_shard: int
    tasks: list[FaceTask]
    copied_images: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def shared_features(self) -> dict[str, Any]:
        """The features that all records share; see `wing_tf.data.record_schema`."""
        scheme = self.source.scheme
        custom = custom_scheme_json(scheme)
        return {
            schema.SIDE: [self.square_format.side],
            schema.SCHEME: scheme.name,
            schema.SOURCE: self.source.name,
            schema.CROP_RULE: self.crop.to_json(),
            **({schema.SCHEME_JSON: custom} if custom is not None else {}),
        }

    def features(self, task: FaceTask, own_features: dict[str, Any]) -> dict[str, Any]:
        """Returns all features of a record, given those of `crop_face`."""
        return own_features | self.shared_features | {schema.SPLIT: task.split}

    @property
    def partial(self) -> pathlib.Path:
        """The folder that is written to."""
        return self.output.with_name(self.output.name + ".partial")

    def for_workers(self) -> "WriteJob":
        """Returns the job without lists of faces, which would be too large to send to workers."""
        source = copy.copy(self.source)
        source.skipped = {}
        return dataclasses.replace(self, source=source, tasks=[])

    @property
    def hashed_tasks(self) -> list[FaceTask]:
        """The faces whose images decide on the split: all training and validation faces."""
        splits = ("train", "validation") if self.validation_fraction else ()
        return [task for task in self.tasks if task.split in splits]

    def with_hashes(self, hashes: Mapping[str, tuple[np.uint64, np.ndarray]]) -> "WriteJob":
        """Returns the job with copies of one image on one side of the train/validation split.

        Args:
            hashes: `tfrecords_tools.duplicates.image_hash` by the key of the face, of all
                `hashed_tasks` that are usable.
        """
        items = [task.item for task in self.hashed_tasks if task.item.key in hashes]
        if not items:
            return self
        codes, thumbnails = zip(*(hashes[item.key] for item in items), strict=True)
        images = [item.source_image for item in items]
        copies = find_copied_images(np.array(codes), np.array(thumbnails), images)
        job = dataclasses.replace(self, copied_images=copies)
        tasks = job.assign_shards([task.item for task in self.tasks])
        return dataclasses.replace(job, tasks=tasks)

    def assign_shards(self, items: list[Item]) -> list[FaceTask]:
        """Assigns a split and a shard to each face.

        A function of names, numbers and `copied_images` only.
        """
        tasks = []
        splits = assign_splits(items, self.validation_fraction, self.copied_images)
        for split, faces in splits.items():
            count = min(-(-len(faces) // self.faces_per_shard), _MAX_SHARDS)
            names = [schema.shard_name(split, index, count) for index in range(count)]
            tasks += [FaceTask(item, split, names[i % count]) for i, item in enumerate(faces)]
        return tasks

    @contextlib.contextmanager
    def folder(self) -> Iterator[pathlib.Path]:
        """Creates `partial`, which is removed if the block fails."""
        partial = self.partial
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.output.with_name(self.output.name + ".lock")):
            _require_empty(self.output)  # again: another run may have finished since
            if partial.exists():  # left by a run that was killed
                others = {p.name for p in partial.iterdir()} - {schema.MANIFEST}
                if not all(name.endswith((".tfrecord", ".writing")) for name in others):
                    raise ValueError(f"{partial} holds something other than records. Move it away.")
                print(f"{partial}, left by a run that was stopped, is removed. Starting anew.")
                _remove(partial)
            partial.mkdir()
            try:
                with final_names(partial, self.output, of_files=True):
                    yield partial
            except BaseException:
                with contextlib.suppress(OSError):
                    _remove(partial)
                raise

    def finish(self, shards: dict[str, dict], report: FaceReport) -> dict:
        """Writes the manifest, renames the folder and returns the manifest.

        Args:
            shards: ``faces`` and ``sha256`` by file name.
            report: Faces that were not usable, besides those that could not be listed, and
                warnings about the others.

        Raises:
            ValueError: If no face was usable.
        """
        skipped = dict(self.source.skipped) | dict(sorted(report.skipped.items()))
        counts: collections.Counter[str] = collections.Counter()
        for name, shard in shards.items():
            counts[schema.split_of(name)] += shard["faces"]
        if not counts.total():
            first = "; ".join(f"{k}: {v}" for k, v in itertools.islice(skipped.items(), 3))
            raise ValueError(f"None of {len(self.tasks)} faces is usable. {first}")
        kept = {}
        for name in sorted(shards):
            path = self.partial / name
            if not path.is_file():
                raise OSError(f"{path} was removed while it was written.")
            if counts[schema.split_of(name)]:
                kept[name] = shards[name]
            else:  # all faces of the split were skipped
                path.unlink()
        content = "".join(f"{name} {shard['sha256']}\n" for name, shard in kept.items())
        written = [task.item for task in self.tasks if task.item.key not in skipped]
        scheme = self.source.scheme
        places = ((task.item.source_image, task.split) for task in self.tasks)
        splits = split_warnings(places, counts, self.validation_fraction, self.copied_images)
        manifest = {
            "format_version": FORMAT_VERSION,
            "source": self.source.name,
            "scheme": scheme.name,
            **(
                {"scheme_definition": scheme_to_dict(scheme)}
                if schema.SCHEME_JSON in self.shared_features
                else {}
            ),
            "num_landmarks": scheme.num_landmarks,
            "crop_rule": dataclasses.asdict(self.crop),
            "stored_square": dataclasses.asdict(self.square_format),
            "validation_fraction": self.validation_fraction,
            "copied_images": dict(self.copied_images),
            "counts": {split: count for split, count in sorted(counts.items()) if count},
            "differences_from_official_counts": self.source.count_differences(written),
            "skipped": skipped,
            "warnings": [*self.source.warnings, *report.lines(), *splits],
            "sha256": hashlib.sha256(content.encode()).hexdigest(),
            "shards": kept,
        }
        write_json(self.partial / schema.MANIFEST, manifest)
        self.partial.replace(self.output)
        return manifest


def _remove(partial: pathlib.Path) -> None:
    """Removes the folder. Workers of a Beam job may still be writing to a folder in it."""
    for path in list(partial.iterdir()):
        if path.is_dir():  # renamed, so that they add no file while it is removed
            path.rename(path.with_name(f"{uuid.uuid4().hex}.writing"))
    shutil.rmtree(partial)


def _require_empty(output: pathlib.Path) -> None:
    if os.path.ismount(output):  # no folder can be renamed to it
        raise ValueError(
            f"`output` must not be the root of a file system. Received: {output}. Name a folder in "
            f"it, such as {output / 'records'}."
        )
    if output.name in ("", ".."):  # a folder is renamed to it, which must not be the current one
        raise ValueError(f"`output` must be the name of a folder. Received: {output}.")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"`output` must be a new or an empty folder. Received: {output}.")


def make_job(
    source: Source,
    output: str | pathlib.Path,
    *,
    square_format: SquareFormat | None = None,
    crop: str | CropRule | None = None,
    validation_fraction: float = 0.1,
    faces_per_shard: int = 512,
    strict: bool = False,
) -> WriteJob:
    """Lists the faces of a source and assigns them to shards.

    See `tfrecords_tools.writer.write_records` for the arguments. If `strict`, a source with faces
    that it could not list is an error.

    Raises:
        ValueError: If an argument is not valid or there is no face.
    """
    square_format = square_format or SquareFormat()
    rule = crop if isinstance(crop, CropRule) else get_crop_rule(crop or source.default_crop)
    if rule.margin > square_format.context:
        raise ValueError(
            f"The crop rule {rule} does not fit in squares of {square_format.context:g} times the "
            f"box. Use a context of {rule.margin + 0.5:g} or more."
        )
    if not 0 <= validation_fraction < 1:
        raise ValueError(
            f"`validation_fraction` must be in [0, 1). Received: {validation_fraction}."
        )
    if faces_per_shard < 1:
        raise ValueError(f"`faces_per_shard` must be positive. Received: {faces_per_shard}.")
    output = local_path(output)
    if output.is_symlink():
        output = output.resolve()  # a folder is not renamed to a link
    _require_empty(output)
    items = source.items()
    if strict and source.skipped:
        key, reason = next(iter(source.skipped.items()))
        raise ValueError(f"{key}: {reason}")
    if rule.box in DATASET_BOX_KINDS and not source.has_boxes:
        raise ValueError(
            f"The crop rule {rule.name} needs the data set's own boxes; {source.name} has none "
            f"here. Use another rule, such as {source.default_crop}."
        )
    counts = collections.Counter(item.key for item in items)
    if len(counts) != len(items):
        raise ValueError(f"Two faces share the key {counts.most_common(1)[0][0]!r}.")
    job = WriteJob(
        source, output, square_format, rule, validation_fraction, faces_per_shard, tasks=[]
    )
    return dataclasses.replace(job, tasks=job.assign_shards(items))
