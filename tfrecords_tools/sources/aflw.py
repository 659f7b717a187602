"""AFLW with 19 points on every face, as the revised annotation has them."""

import pathlib
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item, Source, make_face, read_image, require_path
from tfrecords_tools.sources.dataset_files import find_path, read_mat
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme, get_scheme

LAYOUT = "AFLWinfo_release.mat and AFLW's own images, data/flickr/{0,2,3}/"

NUM_TRAIN = 20000


class AflwSource(Source):
    """AFLW-19: the release of Zhu et al. (CVPR 2016) over the images of AFLW.

    ``AFLWinfo_release.mat`` holds a row for each face: ``nameList`` (the image below
    ``data/flickr``), ``bbox`` (xmin xmax ymin ymax), ``data`` (19 x, then 19 y) and ``mask_new`` (1
    where a point is visible). ``ra`` is a permutation from 1: its first 20,000 faces train, the
    other 4,386 test. The release has coordinates for hidden points, and papers count them: they are
    kept as hidden. Faces without a hidden point have the attribute "frontal": 1,314 in the test.

    The owners do not say what the first pixel's center is called; public loaders take nothing off
    the coordinates, although the file is MATLAB's.

    Args:
        root: the folder that holds ``AFLWinfo_release.mat`` and one of ``data/flickr``,
            ``aflw/data/flickr`` and ``flickr``.
        origin: the coordinate of the first pixel's center, taken off points and boxes.

    Raises:
        ValueError: if the file or the images' folder is absent.
    """

    name = "aflw"
    default_crop = "dataset_box"
    has_boxes = True
    official_counts = MappingProxyType({"train": NUM_TRAIN, "test": 4386, "test_frontal": 1314})

    def __init__(self, root: str | pathlib.Path, *, origin: float = 0.0):
        self.root = pathlib.Path(root)
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("aflw_19")
        self.skipped = {}
        self.path = require_path(self.root / "AFLWinfo_release.mat", LAYOUT)
        self.images = find_path(self.root, ("data/flickr", "aflw/data/flickr", "flickr"), LAYOUT)

    def items(self) -> list[Item]:
        """Returns training faces, then test faces, in the order of ``ra``."""
        variables = read_mat(self.path, ["nameList", "bbox", "data", "mask_new", "ra"])
        names = [_text(name) for name in variables["nameList"].ravel()]
        order = variables["ra"].ravel().astype(int) - 1
        count, points = len(names), self.scheme.num_landmarks
        for name, width in (("bbox", 4), ("data", 2 * points), ("mask_new", points)):
            if variables[name].shape != (count, width):
                raise ValueError(
                    f"{self.path}: {name} must be {count} x {width}, a row for each of nameList. "
                    f"Found: {' x '.join(map(str, variables[name].shape))}."
                )
        if not np.array_equal(np.sort(order), np.arange(count)):
            raise ValueError(f"{self.path}: ra must hold each of 1 ... {count} once.")
        boxes = variables["bbox"].astype(np.float64)[:, [0, 2, 1, 3]]
        landmarks = variables["data"].astype(np.float64).reshape(count, 2, points)
        visible = variables["mask_new"] > 0
        self.skipped = {}
        items = []
        for rank, row in enumerate(order):
            split = "train" if rank < NUM_TRAIN else "test"
            key = f"{names[row]}#{row + 1:05d}"
            source_data = (landmarks[row].T, visible[row], boxes[row])
            attributes = ("frontal",) if visible[row].all() else ()
            items.append(Item(key, names[row], split, source_data, attributes))
        return items

    def load(self, item: Item) -> Face:
        """Reads an image; points and box come from the release."""
        landmarks, visible, box = item.source_data
        return make_face(
            read_image(self.images / item.source_image),
            landmarks - self.origin,
            np.where(visible, schema.VISIBLE, schema.OCCLUDED),
            box - self.origin,
        )


def _text(cell: np.ndarray) -> str:
    """Returns the text of one cell: an array that holds a string."""
    return str(np.asarray(cell).ravel()[0]) if np.size(cell) else ""
