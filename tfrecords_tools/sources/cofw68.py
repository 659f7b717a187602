"""COFW-68: the test faces of COFW, marked up anew with 68 points."""

import pathlib
import re
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import (
    BadRecordError,
    Face,
    Item,
    Source,
    make_face,
    require_path,
)
from tfrecords_tools.sources.cofw import find_images, read_cell, xywh_to_xyxy
from tfrecords_tools.sources.dataset_files import find_path, open_mat73, read_mat
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme, get_scheme

LAYOUT = (
    "COFW68_Data/test_annotations/{1..507}_points.mat, COFW68_Data/cofw68_test_bboxes.mat and, "
    "from COFW itself, COFW68_Data/COFW_test_color.mat (or COFW_test.mat, gray)"
)

_POINTS = re.compile(r"^(\d+)_points$")


class Cofw68Source(Source):
    """COFW-68, by Ghiasi and Fowlkes: a copy of their repository with COFW's test file in it.

    ``N_points.mat`` holds ``Points`` [68, 2] and ``Occ``, 1 where a point is occluded. The boxes,
    x y width height, come from a detector like 300-W's. The owners plot both over `imshow` in
    MATLAB as they are, so the first pixel's center is (1, 1).

    Args:
        root: the folder that holds ``COFW68_Data``, or that folder itself.
        cofw_root: the folder of COFW's own ``COFW_test_color.mat`` or ``COFW_test.mat``, if it is
            another one.
        origin: the coordinate of the first pixel's center, taken off points and boxes.

    Raises:
        ValueError: if a file is absent or lacks a variable.
    """

    name = "cofw68"
    default_crop = "dataset_box"
    has_boxes = True
    official_counts = MappingProxyType({"test": 507})

    def __init__(
        self,
        root: str | pathlib.Path,
        *,
        cofw_root: str | pathlib.Path | None = None,
        origin: float = 1.0,
    ):
        self.root = pathlib.Path(root)
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("ibug_68")
        self.skipped = {}
        marks = ("COFW68_Data/test_annotations", "test_annotations")
        self.annotations = find_path(self.root, marks, LAYOUT)
        self.boxes = require_path(self.annotations.parent / "cofw68_test_bboxes.mat", LAYOUT)
        if cofw_root is None:
            folders = ("COFW68_Data/", "", "COFW68_Data/common/xpburgos/behavior/code/pose/")
            self.images = find_images(self.root, "test", LAYOUT, folders)
        else:
            self.images = find_images(pathlib.Path(cofw_root), "test", LAYOUT)

    def items(self) -> list[Item]:
        """Returns the faces by number."""
        boxes = np.asarray(read_mat(self.boxes, ["bboxes"])["bboxes"], np.float64)
        with open_mat73(self.images, ("IsT",)) as file:
            count = file["IsT"].size
        if boxes.shape != (count, 4):
            raise ValueError(
                f"{self.boxes} must hold a box for each of the {count} images of "
                f"{self.images}. Found: {' x '.join(map(str, boxes.shape))}."
            )
        items = []
        self.skipped = {}
        for path in self.annotations.glob("*.mat"):
            match = _POINTS.match(path.stem)
            number = int(match.group(1)) if match else 0
            if 1 <= number <= count:
                key = f"test/{number:04d}"
                items.append(Item(key, key, "test", (path, number - 1, boxes[number - 1])))
            else:
                self.skipped[path.name] = f"there is no image of that number in {self.images}"
        if not items:
            raise ValueError(f"No N_points.mat in {self.annotations}. The layout is: {LAYOUT}")
        return sorted(items, key=lambda item: item.key)

    def load(self, item: Item) -> Face:
        """Reads a face's points and its image."""
        path, index, box = item.source_data
        try:
            variables = read_mat(path, ["Points", "Occ"])
        except ValueError as error:
            raise BadRecordError(str(error)) from error
        points = np.asarray(variables["Points"], np.float64)
        occluded = np.asarray(variables["Occ"]).ravel()
        count = self.scheme.num_landmarks
        if points.shape != (count, 2) or occluded.shape != (count,):
            raise BadRecordError(
                f"{path}: expected Points {count} x 2 and {count} of Occ, found "
                f"{' x '.join(map(str, points.shape))} and {occluded.size}"
            )
        return make_face(
            read_cell(self.images, "test", index),
            points - self.origin,
            np.where(occluded > 0.5, schema.OCCLUDED, schema.VISIBLE),
            xywh_to_xyxy(box) - self.origin,
        )
