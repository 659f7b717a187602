"""COFW-68: the test faces of COFW with a new annotation of 68 points."""

import pathlib
import re
from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import BadRecordError, Face, Item, xywh_to_xyxy
from tfrecords_tools.sources.cofw import image_places, read_cell
from tfrecords_tools.sources.dataset_files import (
    as_numbers,
    check_rows,
    read_mat,
    read_mat73,
    shape_text,
)
from tfrecords_tools.sources.folder import FolderSource
from wing_tf.data import record_schema as schema


class Cofw68Source(FolderSource):
    """COFW-68, by Ghiasi and Fowlkes: a copy of their repository and COFW's test file.

    ``N_points.mat`` holds ``Points`` [68, 2] and ``Occ``, 1 where a point is occluded. The boxes,
    x y width height, come from a detector like 300-W's. The owners plot both over `imshow` in
    MATLAB without a shift, so the first pixel's center is (1, 1).

    Args:
        root: Folder of ``COFW68_Data``, or that folder itself.
        cofw_root: Folder of COFW's own ``COFW_test_color.mat`` or ``COFW_test.mat``. Defaults to
            `root`.
        origin: Coordinate of the first pixel's center, subtracted from points and boxes.
    """

    name = "cofw68"
    layout = (
        "COFW68_Data/test_annotations/{1..507}_points.mat, COFW68_Data/cofw68_test_bboxes.mat and, "
        "from COFW itself, COFW68_Data/COFW_test_color.mat (or COFW_test.mat, gray)"
    )
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
        super().__init__("ibug_68", root, origin)
        self.annotations = self.find_path("COFW68_Data/test_annotations", "test_annotations")
        self.boxes = self.find_path("cofw68_test_bboxes.mat", root=self.annotations.parent)
        if cofw_root is None:
            folders = ("COFW68_Data/", "", "COFW68_Data/common/xpburgos/behavior/code/pose/")
            self.images = self.find_path(*image_places("test", folders))
        else:
            self.images = self.find_path(*image_places("test"), root=pathlib.Path(cofw_root))

    def list_items(self) -> Iterator[Item]:
        """Lists the faces by number."""
        boxes = as_numbers(self.boxes, "bboxes", read_mat(self.boxes, ["bboxes"])["bboxes"])
        count = read_mat73(self.images, ("IsT",))["IsT"].size
        check_rows(self.boxes, "bboxes", boxes.shape, (count, 4), f"image of {self.images}")
        for path in sorted(self.annotations.glob("*.mat"), key=_number):
            number = _number(path)
            if 1 <= number <= count:
                key = f"test/{number:04d}"
                yield Item(key, key, "test", (path, number - 1, boxes[number - 1]))
            else:
                self.skipped[path.name] = f"there is no image of that number in {self.images}"

    def load(self, item: Item) -> Face:
        """Loads one face."""
        path, index, box = item.source_data
        try:
            variables = read_mat(path, ["Points", "Occ"])
            points = as_numbers(path, "Points", variables["Points"])
            occluded = as_numbers(path, "Occ", variables["Occ"]).ravel()
        except ValueError as error:
            raise BadRecordError(str(error)) from error
        count = self.scheme.num_landmarks
        if points.shape != (count, 2) or occluded.shape != (count,):
            raise BadRecordError(
                f"{path}: expected Points {count} x 2 and {count} of Occ, found "
                f"{shape_text(points.shape)} and {occluded.size}"
            )
        return self.make_face(
            read_cell(self.images, "test", index, self.max_pixels),
            points,
            np.where(occluded > 0.5, schema.OCCLUDED, schema.VISIBLE),
            xywh_to_xyxy(box),
        )


def _number(path: pathlib.Path) -> int:
    match = re.match(r"^(\d+)_points$", path.stem)
    return int(match.group(1)) if match else 0
