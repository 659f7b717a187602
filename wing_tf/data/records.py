"""Record files: finding them, checking their integrity and describing their content."""

import collections
import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf
from google.protobuf.message import DecodeError

from wing_tf.data import record_files
from wing_tf.data import record_schema as schema
from wing_tf.data.crop_rules import CropRule
from wing_tf.data.record_checks import check_lengths, check_records, damage_error
from wing_tf.landmarks import LandmarkScheme, get_scheme, scheme_from_json
from wing_tf.utils.local_path import is_remote

UNKNOWN_CROP_RULE = CropRule(name="not recorded", box="dataset_or_landmark")
"""Crop rule of records that do not name theirs."""

DataPath = str | os.PathLike | Sequence[str | os.PathLike]
"""Folders, files or globs of records, local or remote such as ``gs://bucket/records``."""

_REQUIRED = (schema.IMAGE, schema.LANDMARKS, schema.SQUARE_TO_SOURCE, schema.KEY,
             schema.SOURCE_IMAGE, schema.SPLIT)  # fmt: skip
_SHARD = re.compile(r"(?P<split>\w+)-\d{5}-of-(?P<count>\d{5})\.tfrecord")


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """Complete record files of one landmark scheme and one size of squares.

    Attributes:
        files: Sorted paths of the shards.
        num_faces: Number of records.
        scheme: Landmark scheme.
        side: Side of the stored squares in pixels.
        context: Side of the squares over the longer side of the face boxes, the largest of all
            files.
        min_context: The smallest of all files.
        crop_rules: Crop rules of the boxes: one, unless record sets of different rules were
            combined; either all are square or none is. `UNKNOWN_CROP_RULE` for records that do not
            name theirs.
        sources: Number of faces of each data set, by name.
    """

    files: tuple[str, ...]
    num_faces: int
    scheme: LandmarkScheme
    side: int
    context: float
    min_context: float
    crop_rules: tuple[CropRule, ...]
    sources: Mapping[str, int]

    @property
    def square(self) -> bool:
        """Whether the crop rules are square."""
        return self.crop_rules[0].square

    @property
    def margin(self) -> float:
        """The margin of the crop rule. Raises ValueError if there are several margins."""
        margins = {rule.margin for rule in self.crop_rules}
        if len(margins) > 1 or UNKNOWN_CROP_RULE in self.crop_rules:
            raise ValueError(
                "The crop rules of the records do not define a single margin: "
                f"{'; '.join(map(str, self.crop_rules))}. Set the margin "
                "(config.crop_margin of a training)."
            )
        return margins.pop()


def find_shards(data: DataPath, split: str | None = None) -> list[str]:
    """Finds record files.

    Args:
        data: Files, folders or globs; one string may contain several, separated by commas. Brackets
            and commas in the name of an existing file or folder mean themselves. Each may be on any
            file system that `tf.io.gfile` knows, such as ``gs://bucket/records``.
        split: Split of which a folder's shards are returned; all splits if None.

    Returns:
        Sorted paths.

    Raises:
        ValueError: If a pattern matches no file, or if a folder lacks a shard of a split.
        OSError: If a file system can't be read.
    """
    if isinstance(data, str | os.PathLike):
        data = _separated(os.fspath(data))
    files: set[str] = set()
    for pattern in data:
        path = record_files.record_path(pattern)
        if record_files.is_file(path):
            found = [path]  # its name may contain the characters of a glob
        elif record_files.is_folder(path):
            found = _in_folder(path, split)
        else:
            found = record_files.matching_files(path)
        if not found:
            raise ValueError(f"No record file matches {path}. {_hint(path)}")
        files.update(found)
    if not files:
        raise ValueError("No record files named: the path is empty.")
    return sorted(files)


def _separated(text: str) -> list[str]:
    """Splits text at commas, except those in the names of existing files and folders."""
    parts = text.split(",")
    found = []
    while parts:
        # A part that names a file system is the beginning of a path.
        end = next((i for i in range(1, len(parts)) if is_remote(parts[i].strip())), len(parts))
        names = ((length, ",".join(parts[:length]).strip()) for length in range(end, 1, -1))
        length, name = next(filter(lambda pair: _exists(pair[1]), names), (1, parts[0].strip()))
        found += [name] if name else []
        parts = parts[length:]
    return found


def _exists(name: str) -> bool:
    path = record_files.record_path(name)
    exists = record_files.is_file(path) or record_files.is_folder(path)
    return exists or ("," in name and bool(record_files.matching_files(path)))


def _hint(path: str) -> str:
    """Returns what may have been meant by a path that matches nothing."""
    if re.match(r"[a-z][a-z0-9+.-]+:/[^/]", path):
        return "Name a remote path in a string; pathlib.Path removes the second slash."
    folder = path if record_files.is_folder(path) else os.path.dirname(path) or os.curdir
    names = record_files.list_folder(folder) if record_files.is_folder(folder) else []
    splits = sorted({match["split"] for name in names if (match := _SHARD.fullmatch(name))})
    if not splits:
        return "Write records with `wing-tfrecords write`."
    example = os.path.join(folder, splits[0])
    return f"{folder} has the splits {', '.join(splits)}, such as {example}-*."


def _in_folder(folder: str, split: str | None) -> list[str]:
    """Returns a folder's shards of one split, or of all. Raises ValueError if one is missing."""
    splits: dict[str, dict[str, int]] = {}
    for name in record_files.list_folder(folder):
        if match := _SHARD.fullmatch(name):
            splits.setdefault(match["split"], {})[os.path.join(folder, name)] = int(match["count"])
    if split is not None and split not in splits:
        raise ValueError(
            f"No record file of the split {split!r} in {folder} (it has: "
            f"{', '.join(sorted(splits)) or 'none'}). Write records with `wing-tfrecords write`"
            f"{' and a --validation_fraction above 0' if split == 'validation' else ''}."
        )
    chosen = splits if split is None else {split: splits[split]}
    for name, shards in chosen.items():
        if {len(shards)} != set(shards.values()):
            raise ValueError(
                f"{folder} contains {len(shards)} files of the split {name!r}, whose names say "
                f"{' and '.join(map(str, sorted(set(shards.values()))))}. Write the records again."
            )
    return [path for shards in chosen.values() for path in shards]


class _Header(NamedTuple):
    """What the first record of a file says about all of them."""

    scheme: str
    side: int
    context: float
    crop_rule: CropRule
    source: str


def open_records(data: DataPath, *, split: str | None = None) -> RecordSet:
    """Finds record files, reads them completely to check them, and describes their content.

    Args:
        data: Folders, files or globs of records, local or remote; see `find_shards`. One string may
            contain several, separated by commas.
        split: Split that is read of each folder, such as `"train"`. Defaults to all splits.

    Raises:
        ValueError: If nothing is found; if a file is truncated, damaged, of an older format or not
            written by this package; if a record is not valid (see
            `wing_tf.data.record_checks.check_records`); or if the files differ in scheme, in the
            side of the squares or in whether crops are square.
        OSError: If a file system can't be read.
    """
    files = find_shards(data, split)
    headers: dict[str, _Header] = {}
    sources: collections.Counter[str] = collections.Counter()
    for file in files:
        check_lengths(file)
        dataset = tf.data.TFRecordDataset(file, buffer_size=1 << 20)
        with record_files.readable(file):
            try:
                first = next(dataset.take(1).as_numpy_iterator(), None)
                if first is None:
                    continue
                header = headers[file] = _read_header(file, first)
                sources[header.source] += check_records(
                    file,
                    scheme=header.scheme,
                    num_landmarks=get_scheme(header.scheme).num_landmarks,
                    side=header.side,
                )
            except tf.errors.DataLossError:
                raise damage_error(file) from None
    if not headers:
        raise ValueError(f"The record files contain no face: {', '.join(files[:3])}.")
    kinds: dict[tuple[str, int, bool], str] = {}
    for file, header in headers.items():
        kinds.setdefault((header.scheme, header.side, header.crop_rule.square), file)
    if len(kinds) > 1:
        listing = "; ".join(
            f"{file}: {name}, side {side}{'' if square else ', crops not square'}"
            for (name, side, square), file in kinds.items()
        )
        raise ValueError(
            "All records must have the same scheme and the same side of the squares, and either "
            f"all crops are square or none is. Found: {listing}."
        )
    ((name, side, _),) = kinds
    return RecordSet(
        files=tuple(files),
        num_faces=sources.total(),
        scheme=get_scheme(name),
        side=side,
        context=max(1.0, *(header.context for header in headers.values())),
        min_context=max(1.0, min(header.context for header in headers.values())),
        crop_rules=tuple(dict.fromkeys(header.crop_rule for header in headers.values())),
        sources=dict(sources),
    )


def _read_header(file: str, record: bytes) -> _Header:
    try:
        feature = tf.train.Example.FromString(record).features.feature

        def text(key, default=""):
            return feature[key].bytes_list.value[0].decode() if key in feature else default

        name = feature[schema.SCHEME].bytes_list.value[0].decode()
        definition, rule = text(schema.SCHEME_JSON), text(schema.CROP_RULE)
        crop_rule = CropRule.from_json(rule) if rule else UNKNOWN_CROP_RULE
        side = feature[schema.SIDE].int64_list.value[0]
        x0, y0, x1, y1 = feature[schema.BOX].float_list.value
        context = side / max(x1 - x0, y1 - y0)
        count = len(feature[schema.VISIBILITY].int64_list.value)
    except (DecodeError, ArithmeticError, LookupError, ValueError) as error:
        raise ValueError(
            f"{file} contains records that `wing-tfrecords` has not written ({error})."
        ) from None
    if missing := [key for key in _REQUIRED if key not in feature]:
        raise ValueError(
            f"{file} has an older format, without the feature {missing[0]!r}. Write the records "
            "again with `wing-tfrecords write`."
        )
    try:  # A custom scheme may contradict another one of the same name: not an error of the file.
        scheme = scheme_from_json(definition) if definition else get_scheme(name)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if not 0 < side <= schema.MAX_SIDE:
        raise ValueError(
            f"{file} states squares with a side of {side} px. Expected 1 to {schema.MAX_SIDE}."
        )
    if count != scheme.num_landmarks:
        raise ValueError(
            f"{file} contains {count} landmarks per face; the scheme {name} has "
            f"{scheme.num_landmarks}."
        )
    return _Header(name, side, context, crop_rule, text(schema.SOURCE, "not recorded"))
