"""AFLW with the revised annotation of 19 points on every face."""

import pathlib
from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item
from tfrecords_tools.sources.dataset_files import as_numbers, check_rows, read_mat
from tfrecords_tools.sources.folder import FolderSource
from wing_tf.data import record_schema as schema

NUM_TRAIN = 20000


class AflwSource(FolderSource):
    """AFLW-19: the annotation of Zhu et al. (CVPR 2016) of the images of AFLW.

    ``AFLWinfo_release.mat`` holds one row per face: ``nameList`` (the image below
    ``data/flickr``), ``bbox`` (xmin xmax ymin ymax), ``data`` (19 x, then 19 y) and ``mask_new`` (1
    where a point is visible). ``ra`` is a permutation that counts from 1: its first 20,000 faces
    are for training, the other 4,386 for testing. Occluded points have coordinates and papers count
    them: they are kept as occluded. Faces without an occluded point have the attribute "frontal":
    1,314 in the test set.

    The origin is not documented; public loaders subtract nothing, although the file is MATLAB's.

    Args:
        root: Folder of ``AFLWinfo_release.mat`` and of ``data/flickr``, ``aflw/data/flickr`` or
            ``flickr``.
        origin: Coordinate of the first pixel's center, subtracted from points and boxes.
    """

    name = "aflw"
    layout = "AFLWinfo_release.mat and AFLW's own images, data/flickr/{0,2,3}/"
    default_crop = "dataset_box"
    has_boxes = True
    official_counts = MappingProxyType({"train": NUM_TRAIN, "test": 4386, "test_frontal": 1314})

    def __init__(self, root: str | pathlib.Path, *, origin: float = 0.0):
        super().__init__("aflw_19", root, origin)
        self.path = self.find_path("AFLWinfo_release.mat")
        self.images = self.find_path("data/flickr", "aflw/data/flickr", "flickr")

    def list_items(self) -> Iterator[Item]:
        """Lists training faces, then test faces, in the order of ``ra``."""
        variables = read_mat(self.path, ["nameList", "bbox", "data", "mask_new", "ra"])
        names = [_text(name) for name in variables["nameList"].ravel()]
        numbers = {
            name: as_numbers(self.path, name, variables[name])
            for name in ("bbox", "data", "mask_new", "ra")
        }
        count, points = len(names), self.scheme.num_landmarks
        for name, width in (("bbox", 4), ("data", 2 * points), ("mask_new", points)):
            check_rows(self.path, name, numbers[name].shape, (count, width), "name of nameList")
        ranks = numbers["ra"].ravel()
        if not np.array_equal(np.sort(ranks), np.arange(1, count + 1)):
            raise ValueError(f"{self.path}: ra must hold each of 1 ... {count} once.")
        boxes = numbers["bbox"][:, [0, 2, 1, 3]]
        landmarks = numbers["data"].reshape(count, 2, points)
        visible = numbers["mask_new"] > 0
        for rank, row in enumerate(ranks.astype(int) - 1):
            split = "train" if rank < NUM_TRAIN else "test"
            key = f"{names[row]}#{row + 1:05d}"
            source_data = (landmarks[row].T, visible[row], boxes[row])
            attributes = ("frontal",) if visible[row].all() else ()
            yield Item(key, names[row], split, source_data, attributes)

    def load(self, item: Item) -> Face:
        """Loads one face."""
        landmarks, visible, box = item.source_data
        return self.make_face(
            self.images / item.source_image,
            landmarks,
            np.where(visible, schema.VISIBLE, schema.OCCLUDED),
            box,
        )


def _text(cell: np.ndarray) -> str:
    """Returns the text of one cell, which is an array that holds a string."""
    return str(np.asarray(cell).ravel()[0]) if np.size(cell) else ""
