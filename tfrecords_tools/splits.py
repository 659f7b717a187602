"""Train/validation split of the faces of a source."""

import collections
import hashlib
import itertools
import types
from collections.abc import Iterable, Mapping

from tfrecords_tools.sources.base import Item


def assign_splits(
    items: list[Item],
    validation_fraction: float,
    copied_images: Mapping[str, str] = types.MappingProxyType({}),
) -> dict[str, list[Item]]:
    """Groups faces by split and moves a fraction of "train" to "validation".

    An image is held out by a hash of its name: all its faces together, whatever else the data set
    holds. A copy in ``copied_images`` follows the image that it is mapped to. Within a split, faces
    are sorted by a hash of their keys, so that each shard is a fair sample.
    """

    def digest(text: str) -> int:
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    splits: dict[str, list[Item]] = collections.defaultdict(list)
    for item in items:
        image = copied_images.get(item.source_image, item.source_image)
        held_out = digest("validation:" + image) < validation_fraction * 2**64
        split = "validation" if item.split == "train" and held_out else item.split
        splits[split].append(item)
    return {
        split: sorted(splits[split], key=lambda item: (digest(item.key), item.key))
        for split in sorted(splits)
    }


def split_warnings(
    places: Iterable[tuple[str, str]],
    counts: Mapping[str, int],
    validation_fraction: float,
    copied_images: Mapping[str, str],
) -> list[str]:
    """Returns warnings about images with faces in several splits, and about empty splits.

    Args:
        places: Image and split of each face.
        counts: Number of faces that were written, by split.
        validation_fraction: As for `assign_splits`.
        copied_images: As for `assign_splits`.
    """
    warnings = []
    split_of: dict[str, str] = {}
    shared = {image: 0 for image, split in places if split_of.setdefault(image, split) != split}
    if shared:
        names = ", ".join(itertools.islice(shared, 3))
        warnings.append(
            f"images with faces in several splits: {len(shared)}, such as {names}. Give all faces "
            "of an image the same split"
        )
    held_out, trained = (counts.get(split, 0) for split in ("validation", "train"))
    if trained and not held_out and validation_fraction:
        split = "validation"
    elif held_out and not trained:
        split = "train"
    else:
        return warnings
    if copied_images:
        reason = (
            "copies of other images, such as frames of a video, stay in the split of these: "
            f"{len(copied_images)} (copied_images in the manifest)"
        )
    else:
        part = "all" if held_out else "none"
        reason = f"a fraction of {validation_fraction:g} of so few training images is {part}"
    warnings.append(
        f"the split {split} is empty: {reason}. Set another validation_fraction, or name the "
        "validation faces in the annotations, if they have splits"
    )
    return warnings
