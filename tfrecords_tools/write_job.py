"""What is to be written, where each face goes, and the manifest: one plan for every writer.

All goes to a folder ``OUTPUT.partial`` that becomes OUTPUT when it is whole: a killed run leaves
nothing that a reader would take for records.
"""

import collections
import contextlib
import copy
import dataclasses
import fcntl
import hashlib
import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Iterator

from tfrecords_tools.shards import SharedFields
from tfrecords_tools.sources.base import Item, Source
from tfrecords_tools.square_crops import SquareFormat
from wing_tf.data import record_schema as schema
from wing_tf.data.crop_rules import DATASET_BOX_KINDS, CropRule, get_crop_rule
from wing_tf.landmarks import custom_scheme_json, scheme_to_dict

FORMAT_VERSION = 2
_MOST_SHARDS = 256  # of a split; all are open at once


@dataclasses.dataclass(frozen=True)
class FaceTask:
    """One face and its place: its split, and the shard file that it goes to."""

    item: Item
    split: str
    shard: str


@dataclasses.dataclass(frozen=True)
class WriteJob:
    """A checked order to write records, as from `make_job`.

    Attributes:
        source: the annotated faces.
        square_format: how squares are cut.
        crop: which boxes they are cut round.
        validation_fraction: the share of training images that is held out.
        tasks: all faces, in the order in which shards hold them; faces are dealt out to a split's
            shards in turn.
        output: where the records come to be.
    """

    source: Source
    square_format: SquareFormat
    crop: CropRule
    validation_fraction: float
    tasks: list[FaceTask]
    output: pathlib.Path

    @property
    def common(self) -> SharedFields:
        """What all records share."""
        return SharedFields(
            source=self.source.name,
            scheme=self.source.scheme.name,
            scheme_json=custom_scheme_json(self.source.scheme),
            crop_rule=self.crop.to_json(),
            side=self.square_format.side,
        )

    @property
    def worker_source(self) -> Source:
        """The source as workers need it: without the names of what it has skipped."""
        source = copy.copy(self.source)
        source.skipped = {}
        return source

    @property
    def partial(self) -> pathlib.Path:
        """The folder that is written to."""
        return self.output.with_name(self.output.name + ".partial")

    @contextlib.contextmanager
    def folder(self) -> Iterator[pathlib.Path]:
        """Makes `partial`, which is removed if the block fails."""
        partial = self.partial
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.output.with_name(self.output.name + ".lock")):
            _require_empty(self.output)  # again: another run may have finished since
            self._make_folder()
            try:
                yield partial
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise

    def _make_folder(self) -> None:
        partial = self.partial
        if partial.exists():  # of a run that was killed
            if any(
                p.suffix != ".tfrecord" and p.name != schema.MANIFEST for p in partial.iterdir()
            ):
                raise ValueError(f"{partial} is in the way and holds something else than records.")
            shutil.rmtree(partial)
        partial.mkdir()

    def finish(self, shards: dict[str, dict], skipped: dict[str, str]) -> dict:
        """Writes the manifest and puts the folder in its place.

        Args:
            shards: by file name, ``faces`` and ``sha256``.
            skipped: faces that could not be used, beside those that the source could not list.

        Returns:
            The manifest.

        Raises:
            ValueError: if no face was usable.
        """
        skipped = dict(self.source.skipped) | dict(sorted(skipped.items()))
        counts: collections.Counter[str] = collections.Counter()
        for name, shard in shards.items():
            counts[schema.split_of(name)] += shard["faces"]
        if not counts.total():
            first = "; ".join(f"{k}: {v}" for k, v in itertools.islice(skipped.items(), 3))
            raise ValueError(f"None of {len(self.tasks)} faces is usable. {first}")
        kept = {}
        for name in sorted(shards):
            if counts[schema.split_of(name)]:
                kept[name] = shards[name]
            else:  # all of the split's faces were skipped
                (self.partial / name).unlink()
        content = "".join(f"{name} {shard['sha256']}\n" for name, shard in kept.items())
        absent = [name for name in kept if not (self.partial / name).is_file()]
        if absent:
            raise OSError(f"{self.partial / absent[0]} has vanished while it was written.")
        written = [task.item for task in self.tasks if task.item.key not in skipped]
        scheme = self.source.scheme
        manifest = {
            "format_version": FORMAT_VERSION,
            "source": self.source.name,
            "scheme": scheme.name,
            **({"scheme_definition": scheme_to_dict(scheme)} if custom_scheme_json(scheme) else {}),
            "num_landmarks": scheme.num_landmarks,
            "crop_rule": dataclasses.asdict(self.crop),
            "stored_square": dataclasses.asdict(self.square_format),
            "validation_fraction": self.validation_fraction,
            "counts": {split: count for split, count in sorted(counts.items()) if count},
            "differences_from_official_counts": self.source.count_differences(written),
            "skipped": skipped,
            "sha256": hashlib.sha256(content.encode()).hexdigest(),
            "shards": kept,
        }
        (self.partial / schema.MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        self.partial.replace(self.output)
        return manifest


def _require_empty(output: pathlib.Path) -> None:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"`output` must be a new or an empty folder. Received: {output}.")


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    """Holds a lock that ends with the process: two runs must not write to one place.

    Raises:
        ValueError: if another process holds it.
    """
    with path.open("w") as file:
        taken = f"Another process writes there: it holds {path}."
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(taken) from None
        # Its holder may have removed it after it was opened here: then others lock a new file.
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            raise ValueError(taken)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


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
    """Lists a source's faces and gives each its place.

    Args:
        source: the annotated faces.
        output: a folder that does not exist or is empty.
        square_format: how squares are cut.
        crop: a crop rule or its name (`wing_tf.data.crop_rules`); the source's own if None.
        validation_fraction: the share of training images that is held out.
        faces_per_shard: about how many faces a shard holds (more where there would be more than
            256 shards).
        strict: refuse a source with faces that it could not list.

    Raises:
        ValueError: on bad arguments, or where there is no face.
    """
    square_format = square_format or SquareFormat()
    rule = get_crop_rule(crop or source.default_crop) if not isinstance(crop, CropRule) else crop
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
    output = pathlib.Path(output)
    _require_empty(output)
    items = source.items()
    if strict and source.skipped:
        key, reason = next(iter(source.skipped.items()))
        raise ValueError(f"{key}: {reason}")
    if rule.box in DATASET_BOX_KINDS and not source.has_boxes:
        raise ValueError(
            f"The crop rule {rule.name} needs the data set's own boxes; {source.name} has none "
            f"here. Take another rule, such as {source.default_crop}."
        )
    keys = collections.Counter(item.key for item in items)
    if len(keys) != len(items):
        raise ValueError(f"Two faces share the key {keys.most_common(1)[0][0]!r}.")
    return WriteJob(
        source=source,
        square_format=square_format,
        crop=rule,
        validation_fraction=validation_fraction,
        tasks=assign_shards(
            items, validation_fraction=validation_fraction, faces_per_shard=faces_per_shard
        ),
        output=output,
    )


def assign_shards(
    items: list[Item], *, validation_fraction: float, faces_per_shard: int
) -> list[FaceTask]:
    """Gives each face its split and its shard: a function of names and numbers only."""
    tasks = []
    for split, faces in assign_splits(items, validation_fraction).items():
        count = min(-(-len(faces) // faces_per_shard), _MOST_SHARDS)
        names = [schema.shard_name(split, index, count) for index in range(count)]
        tasks += [FaceTask(item, split, names[i % count]) for i, item in enumerate(faces)]
    return tasks


def assign_splits(items: list[Item], validation_fraction: float) -> dict[str, list[Item]]:
    """Groups faces by split and moves a share of "train" to "validation".

    An image goes to validation by a hash of its name: all its faces together, whatever else the
    data set holds. Within a split, faces are ordered by a hash of their keys, so that each shard is
    a fair sample.
    """

    def digest(text: str) -> int:
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    splits: dict[str, list[Item]] = collections.defaultdict(list)
    for item in items:
        held_out = digest("validation:" + item.source_image) < validation_fraction * 2**64
        split = "validation" if item.split == "train" and held_out else item.split
        splits[split].append(item)
    return {
        split: sorted(splits[split], key=lambda item: (digest(item.key), item.key))
        for split in sorted(splits)
    }
