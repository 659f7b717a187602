"""The features of a record: the single source of their keys, for the writer and all readers.

A record is a ``tf.train.Example`` of one face, cropped from its image as a square with context.

| key | dtype | shape | meaning |
| --- | --- | --- | --- |
| `image/encoded` | bytes | [] | the square as JPEG, RGB, S x S pixels |
| `image/side` | int64 | [] | S, the side of the square in pixels |
| `landmarks` | float32 | [K * 2] | x0, y0, x1, y1, ... in square pixels; NaN where not annotated |
| `visibility` | int64 | [K] | 0 not annotated, 1 occluded but annotated, 2 visible (as in COCO) |
| `box` | float32 | [4] | x0, y0, x1, y1 of the box by the crop rule, in square pixels |
| `box/dataset` | float32 | [4] | likewise, the data set's own box; absent if it has none |
| `square_to_source` | float32 | [6] | matrix [2, 3] from square pixels to source image pixels |
| `angles` | float32 | [3] | yaw, pitch and roll in degrees; absent where not known |
| `key` | bytes | [] | name of the face |
| `source_image` | bytes | [] | name of its source image |
| `source_image/size` | int64 | [2] | height and width of the source image in pixels |
| `split` | bytes | [] | name of its split |
| `scheme` | bytes | [] | name of the landmark scheme, which defines K |
| `scheme/json` | bytes | [] | the scheme as JSON; absent if it is built in |
| `attributes` | bytes | [] | names of subsets that contain the face, joined by commas |
| `source` | bytes | [] | name of the data set |
| `crop_rule` | bytes | [] | the box's crop rule as JSON (`wing_tf.data.crop_rules`) |

Pixel centers are integers. Records that were written before the last three features,
``source_image/size`` and ``scheme/json`` existed lack them; readers treat these as unknown. This
module imports nothing, so that the processes of the record writer start fast.
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
SOURCE_SIZE = "source_image/size"
SPLIT = "split"
SCHEME = "scheme"
ATTRIBUTES = "attributes"
SOURCE = "source"
CROP_RULE = "crop_rule"
SCHEME_JSON = "scheme/json"

MAX_SIDE = 8192  # 64 megapixels per square

NOT_ANNOTATED, OCCLUDED, VISIBLE = 0, 1, 2

MANIFEST = "manifest.json"


def shard_name(split: str, index: int, count: int) -> str:
    """Returns the file name of a shard, such as ``train-00000-of-00004.tfrecord``."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def split_of(shard: str) -> str:
    """Returns the split in the file name of a shard."""
    return shard.rpartition("-of-")[0].rpartition("-")[0]
