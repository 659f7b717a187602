"""What a record holds: the single source of its keys, for the writer and every reader.

A record is a ``tf.train.Example``: one face, cut out of its image as a square with context.

| key | type | meaning |
| --- | --- | --- |
| image/encoded | bytes | the square as JPEG, RGB, `side` x `side` pixels |
| image/side | int64 | the square's side |
| landmarks | float [K * 2] | x0, y0, x1, y1, ... in pixels of the square; NaN where missing |
| visibility | int64 [K] | 0 missing, 1 hidden but annotated, 2 visible (as in COCO) |
| box | float [4] | the box x0, y0, x1, y1 by the crop rule, in pixels of the square |
| box/dataset | float [4] | the data set's own box, likewise; absent where it has none |
| square_to_source | float [6] | the map [2, 3] of square pixels to source image pixels |
| angles | float [3] | yaw, pitch, roll in degrees, where known |
| key, source_image, split, scheme | bytes | names: face, its source image, split, scheme |
| attributes | bytes | names of further sub-sets that the face is in, joined by commas |
| source | bytes | the data set's name |
| crop_rule | bytes | the rule that gave the box, as JSON: `wing_tf.data.crop_rules` |
| scheme/json | bytes | a scheme that is not built in, as JSON: `wing_tf.landmarks.scheme_file` |

Records from before the last five were kept lack them; readers take that for "not known".

This module imports nothing, so that the writer's processes start fast.
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
    """Returns a shard's file name, such as ``train-00000-of-00004.tfrecord``."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def split_of(shard: str) -> str:
    """Returns the split that a shard's file name names."""
    return shard.rpartition("-of-")[0].rpartition("-")[0]
