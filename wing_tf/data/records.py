"""Record files: which there are, whether they are whole, and what they hold."""

import collections
import dataclasses
import glob
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from wing_tf.data import record_schema as schema
from wing_tf.data.crop_rules import CropRule
from wing_tf.landmarks import LandmarkScheme, get_scheme, scheme_from_json

UNKNOWN_CROP_RULE = CropRule(name="not recorded", box="dataset_or_landmark")
"""Of records that were written before they named their crop rule."""

_SHARD = re.compile(r"(?P<split>\w+)-\d{5}-of-(?P<count>\d{5})\.tfrecord")


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """Record files that fit together: found, whole, of one scheme and one square side.

    Attributes:
        files: the shards, sorted.
        num_faces: how many records they hold.
        scheme: the scheme.
        side: of the stored squares in pixels.
        context: the squares' side over the face boxes' longer side (the largest among the files).
        crop_rules: of the boxes, one unless record sets of several were put together; all square,
            or none. `UNKNOWN_CROP_RULE` for records that don't say.
        sources: how many faces are of each data set, by name.
    """

    files: tuple[str, ...]
    num_faces: int
    scheme: LandmarkScheme
    side: int
    context: float
    crop_rules: tuple[CropRule, ...]
    sources: Mapping[str, int]

    @property
    def square(self) -> bool:
        """Whether networks' crops are squares."""
        return self.crop_rules[0].square

    @property
    def margin(self) -> float:
        """The crop rule's margin. Raises ValueError if there are several."""
        margins = {crop.margin for crop in self.crop_rules}
        if len(margins) > 1 or UNKNOWN_CROP_RULE in self.crop_rules:
            raise ValueError(
                "The records' crop rules name no one margin: "
                f"{'; '.join(map(str, self.crop_rules))}. Set config.crop_margin."
            )
        return margins.pop()


def find_shards(patterns: str | Sequence[str], split: str | None = None) -> list[str]:
    """Returns the record files that paths name.

    Args:
        patterns: globs, files or folders; a comma separates several in one string.
        split: for folders, which split's shards are meant; all if None.

    Returns:
        Sorted paths.

    Raises:
        ValueError: if one of them names no file, or if a folder lacks one of a split's shards.
    """
    if isinstance(patterns, str | os.PathLike):
        patterns = [p.strip() for p in os.fspath(patterns).split(",") if p.strip()]
    files: set[str] = set()
    for pattern in patterns:
        path = pathlib.Path(pattern).expanduser()
        found = _in_folder(path, split) if path.is_dir() else glob.glob(str(path))
        found = [f for f in found if os.path.isfile(f)]
        if not found:
            raise ValueError(
                f"No record file matches {path}. Write records with `wing-tfrecords write`."
            )
        files.update(found)
    if not files:
        raise ValueError("No record files named: the path is empty.")
    return sorted(files)


def _in_folder(folder: pathlib.Path, split: str | None) -> list[str]:
    """Returns a folder's shards of one split, or of all. Raises ValueError if any is missing."""
    splits: dict[str, dict[str, int]] = {}
    for path in folder.iterdir():
        if match := _SHARD.fullmatch(path.name):
            splits.setdefault(match["split"], {})[str(path)] = int(match["count"])
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
                f"{folder} holds {len(shards)} files of the split {name!r}, whose names say "
                f"{' and '.join(map(str, sorted(set(shards.values()))))}. Write the records again."
            )
    return [path for shards in chosen.values() for path in shards]


def open_records(files: Sequence[str]) -> RecordSet:
    """Checks record files from the first to the last byte and says what they hold.

    Args:
        files: paths, as from `find_shards`.

    Raises:
        ValueError: if a file is truncated, damaged or not made by this package, or if the files
            differ in scheme, in square side or in whether crops are square.
    """
    context = 1.0
    found: dict[tuple[str, int, bool], str] = {}
    crops: dict[CropRule, None] = {}
    sources: collections.Counter[str] = collections.Counter()
    for file in files:
        dataset = tf.data.TFRecordDataset(file, buffer_size=1 << 20)
        try:
            count = int(dataset.reduce(np.int64(0), lambda total, _: total + 1))
            first = next(iter(dataset.take(1).as_numpy_iterator()), None)
        except tf.errors.DataLossError as error:
            raise ValueError(
                f"{file} is truncated, damaged or not a TFRecord file: {error.message}. "
                "Write it again with `wing-tfrecords write`."
            ) from None
        if first is not None:
            facts = _identify(file, first)
            context = max(context, facts.context)
            found.setdefault((facts.scheme, facts.side, facts.crop.square), file)
            crops.setdefault(facts.crop)
            sources[facts.source] += count
    if not found:
        raise ValueError(f"The record files hold no face: {', '.join(files[:3])}.")
    if len(found) > 1:
        listing = "; ".join(
            f"{file}: {name}, side {side}{'' if square else ', crops not square'}"
            for (name, side, square), file in found.items()
        )
        raise ValueError(
            "Record sets must share one scheme and one square side, and all crops be square or "
            f"none. {listing}."
        )
    ((name, side, _),) = found
    return RecordSet(
        tuple(files), sources.total(), get_scheme(name), side, context, tuple(crops), dict(sources)
    )


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What a file's first record says of all of them."""

    scheme: str
    side: int
    context: float
    crop: CropRule
    source: str


def _identify(file: str, record: bytes) -> _Facts:
    try:
        feature = tf.train.Example.FromString(record).features.feature

        def text(key, default=""):
            return feature[key].bytes_list.value[0].decode() if key in feature else default

        name = feature[schema.SCHEME].bytes_list.value[0].decode()
        definition = text(schema.SCHEME_JSON)
        crop = text(schema.CROP_RULE)
        crop_rule = CropRule.from_json(crop) if crop else UNKNOWN_CROP_RULE
        side = feature[schema.SIDE].int64_list.value[0]
        x0, y0, x1, y1 = feature[schema.BOX].float_list.value
        context = side / max(x1 - x0, y1 - y0)
        count = len(feature[schema.VISIBILITY].int64_list.value)
    except (DecodeError, ArithmeticError, LookupError, ValueError) as error:
        raise ValueError(
            f"{file} holds records that `wing-tfrecords` has not written ({error})."
        ) from None
    try:  # a scheme of one's own may clash with another one: that is no fault of the records
        scheme = scheme_from_json(definition) if definition else get_scheme(name)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if count != scheme.num_landmarks:
        raise ValueError(f"{file} holds {count} landmarks of {name}.")
    return _Facts(name, side, context, crop_rule, text(schema.SOURCE, "not recorded"))
