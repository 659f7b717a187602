"""Train/validation split of the faces of a source."""

import collections
import hashlib
import types
from collections.abc import Mapping

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
