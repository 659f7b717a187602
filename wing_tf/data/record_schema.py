"""The features of a record: the single source of their keys, for the writer and all readers.

A record is a ``tf.train.Example`` of one face, cropped from its image as a square with context.

| key | type | meaning |
| --- | --- | --- |
| image/encoded | bytes | the square as JPEG, RGB, `side` x `side` pixels |
| image/side | int64 | side of the square |
| landmarks | float [K * 2] | x0, y0, x1, y1, ... in square pixels; NaN where not annotated |
| visibility | int64 [K] | 0 not annotated, 1 occluded but annotated, 2 visible (as in COCO) |
| box | float [4] | x0, y0, x1, y1 of the box by the crop rule, in square pixels |
| box/dataset | float [4] | likewise, the data set's own box; absent if it has none |
| square_to_source | float [6] | matrix [2, 3] from square pixels to source image pixels |
| angles | float [3] | yaw, pitch and roll in degrees, where known |
| key, source_image, split, scheme | bytes | names of the face, its source image, split and scheme |
| attributes | bytes | names of further subsets that contain the face, joined by commas |
| source | bytes | name of the data set |
| crop_rule | bytes | crop rule of the box, as JSON: `wing_tf.data.crop_rules` |
| scheme/json | bytes | a scheme that is not built in, as JSON: `wing_tf.landmarks.scheme_file` |

Records that were written before the last four rows existed lack their features; readers treat these
as unknown. This module imports nothing, so that the processes of the record writer start fast.
"""

IMAGE = "image/encoded"
SIDE = "image/side"
LANDMARKS = "landmarks"
VISIBILITY = "visibility"
BOX = "box"
DATASET_BOX = "box/dataset"
SQUARE_TO_SOURCE = "square_to_source"
ANGLES = "angles"
KEY = "key"
SOURCE_IMAGE = "source_image"
SPLIT = "split"
SCHEME = "scheme"
ATTRIBUTES = "attributes"
SOURCE = "source"
CROP_RULE = "crop_rule"
SCHEME_JSON = "scheme/json"

NOT_ANNOTATED, OCCLUDED, VISIBLE = 0, 1, 2

MANIFEST = "manifest.json"


def shard_name(split: str, index: int, count: int) -> str:
    """Returns the file name of a shard, such as ``train-00000-of-00004.tfrecord``."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def split_of(shard: str) -> str:
    """Returns the split in the file name of a shard."""
    return shard.rpartition("-of-")[0].rpartition("-")[0]
