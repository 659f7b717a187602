"""Faces to TFRecord shards and a manifest.

The writer's processes read, crop and compress (NumPy and OpenCV only, so that they start fast); the
parent puts what they return, in the order of the faces, into shards. All goes to a folder
``OUTPUT.partial`` that becomes OUTPUT when it is whole: a killed run leaves nothing that a reader
would take for records.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import multiprocessing
import os
import pathlib
import shutil
from collections.abc import Iterator

import cv2
import numpy as np
import tqdm

from tfrecords_tools.shards import ShardWriter, Square, serialize
from tfrecords_tools.sources.base import BadRecordError, Item, Source
from wing_tf.data import example_schema as schema
from wing_tf.geometry import apply_affine, crop_square, invert
from wing_tf.geometry.resample import crop_resample

FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropRule:
    """How the stored squares are cut.

    Attributes:
        side: of the stored square in pixels, a multiple of 8 (JPEG blocks, so that decoding at 1/2,
            1/4 or 1/8 keeps the pixel grid).
        context: the square's side over the face box's longer side.
        jpeg_quality: 1 to 100.
    """

    side: int = 256
    context: float = 2.0
    jpeg_quality: int = 95

    def __post_init__(self):
        if self.side < 32 or self.side % 8:
            raise ValueError(
                f"`side` must be a multiple of 8, at least 32. Received: side={self.side}."
            )
        if not 1.0 <= self.context <= 8.0:
            raise ValueError(
                f"`context` must be between 1 and 8. Received: context={self.context}."
            )
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(
                f"`jpeg_quality` must be between 1 and 100. Received: {self.jpeg_quality}."
            )


def cut_square(source: Source, rule: CropRule, item: Item) -> Square | str:
    """Loads one face and cuts its square; returns the reason if it can't be used."""
    try:
        face = source.load(item)
        image, to_square = crop_resample(
            face.image, crop_square(face.box_xyxy_px, rule.context), (rule.side, rule.side)
        )
    except (BadRecordError, ValueError, cv2.error) as error:
        return " ".join(str(error).split())  # one bad face must not cost the others
    ok, jpeg = cv2.imencode(
        ".jpg",
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, rule.jpeg_quality],
    )
    if not ok:
        return "OpenCV could not compress the square"
    corners = apply_affine(to_square, face.box_xyxy_px.reshape(2, 2))
    return Square(
        item=item,
        jpeg=jpeg.tobytes(),
        landmarks=apply_affine(to_square, face.landmarks_px).ravel().tolist(),
        visibility=face.visibility.tolist(),
        box=corners.ravel().tolist(),
        square_to_source=invert(to_square).ravel().tolist(),
        angles=None if face.angles_deg is None else np.asarray(face.angles_deg).tolist(),
    )


def assign_splits(items: list[Item], validation_fraction: float) -> dict[str, list[Item]]:
    """Groups faces by split and moves a share of "train" to "validation".

    A picture goes to validation by a hash of its name: all its faces together, whatever else the
    data set holds. Within a split, faces are ordered by a hash of their keys, so that each shard is
    a fair sample.
    """

    def digest(text: str) -> int:
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    splits: dict[str, list[Item]] = collections.defaultdict(list)
    for item in items:
        held_out = digest("validation:" + item.picture) < validation_fraction * 2**64
        split = "validation" if item.split == "train" and held_out else item.split
        splits[split].append(item)
    return {
        split: sorted(splits[split], key=lambda item: (digest(item.key), item.key))
        for split in sorted(splits)
    }


def write_records(
    source: Source,
    output: str | pathlib.Path,
    *,
    rule: CropRule | None = None,
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
        rule: how squares are cut.
        validation_fraction: the share of training pictures that is held out.
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
    rule = rule or CropRule()
    if not 0 <= validation_fraction < 1:
        raise ValueError(
            f"`validation_fraction` must be in [0, 1). Received: {validation_fraction}."
        )
    if faces_per_shard < 1:
        raise ValueError(f"`faces_per_shard` must be positive. Received: {faces_per_shard}.")
    output = pathlib.Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"`output` must be a new or an empty folder. Received: {output}.")
    items = source.items()
    if strict and source.skipped:
        key, reason = next(iter(source.skipped.items()))
        raise ValueError(f"{key}: {reason}")
    keys = collections.Counter(item.key for item in items)
    if len(keys) != len(items):
        raise ValueError(f"Two faces share the key {keys.most_common(1)[0][0]!r}.")
    splits = assign_splits(items, validation_fraction)

    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    if partial.exists():  # of a run that was killed
        if any(p.suffix != ".tfrecord" and p.name != schema.MANIFEST for p in partial.iterdir()):
            raise ValueError(f"{partial} is in the way and holds something else than records.")
        shutil.rmtree(partial)
    partial.mkdir()
    try:
        skipped = dict(source.skipped)
        counts = {}
        content = hashlib.sha256()
        ordered = [item for split in splits.values() for item in split]
        cut = functools.partial(cut_square, source, rule)
        with _cut_ahead(cut, ordered, num_processes) as squares:
            bar = tqdm.tqdm(squares, total=len(ordered), unit="face", disable=not progress)
            arriving = iter(bar)
            for split, faces in splits.items():
                with ShardWriter(partial, split, len(faces), faces_per_shard) as shards:
                    for item, square in zip(
                        faces, itertools.islice(arriving, len(faces)), strict=True
                    ):
                        if isinstance(square, Square):
                            record = serialize(square, split, source.scheme.name, rule.side)
                            shards.write(record)
                            content.update(record)
                        elif strict:
                            raise ValueError(f"{item.key}: {square}")
                        else:
                            skipped[item.key] = square
                if shards.num_records:
                    counts[split] = shards.num_records
            bar.close()
        if not counts:
            first = "; ".join(f"{k}: {v}" for k, v in itertools.islice(skipped.items(), 3))
            raise ValueError(f"None of {len(items)} faces is usable. {first}")
        manifest = {
            "format_version": FORMAT_VERSION,
            "source": source.name,
            "scheme": source.scheme.name,
            "num_landmarks": source.scheme.num_landmarks,
            "box_source": source.box_source,
            "crop_rule": dataclasses.asdict(rule),
            "validation_fraction": validation_fraction,
            "counts": counts,
            "skipped": skipped,
            "sha256": content.hexdigest(),
        }
        (partial / schema.MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        partial.replace(output)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return manifest


@contextlib.contextmanager
def _cut_ahead(cut, items: list[Item], num_processes: int | None):
    """Yields an iterator over the cut squares, in order, computed ahead by a pool of processes."""
    if num_processes is None:
        num_processes = min(multiprocessing.cpu_count(), 1 + len(items) // 64)
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
        yield _in_order(pool, cut, items)
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _in_order(pool, cut, items: list[Item], chunk: int = 16) -> Iterator[Square | str]:
    """Keeps a bounded number of chunks in flight: memory stays flat for any data set."""
    chunks = (items[i : i + chunk] for i in range(0, len(items), chunk))
    submit = functools.partial(pool.submit, _cut_chunk, cut)
    flying = collections.deque(submit(some) for some in itertools.islice(chunks, 16))
    while flying:
        done = flying.popleft().result()
        flying.extend(submit(some) for some in itertools.islice(chunks, 1))
        yield from done


def _cut_chunk(cut, items: list[Item]) -> list[Square | str]:
    return [cut(item) for item in items]
