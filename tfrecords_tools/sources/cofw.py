"""COFW: 29 points and their occlusion; the images are in MATLAB files."""

import pathlib
from collections.abc import Iterator, Sequence
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import BadRecordError, Face, Item, xywh_to_xyxy
from tfrecords_tools.sources.dataset_files import (
    as_numbers,
    check_rows,
    read_mat73,
    read_mat73_cell,
)
from tfrecords_tools.sources.folder import FolderSource
from wing_tf.data import record_schema as schema

# Where the owners' archive of the gray images keeps them.
_FOLDERS = ("", "common/xpburgos/behavior/code/pose/")

# Names of the variables: images, points, boxes.
_VARIABLES = {"train": ("IsTr", "phisTr", "bboxesTr"), "test": ("IsT", "phisT", "bboxesT")}


class CofwSource(FolderSource):
    """COFW, Caltech Occluded Faces in the Wild.

    The files are HDF5: MATLAB's arrays appear transposed, and the images are a cell array of
    references. The color files contain some gray images, too.

    The owners plot points and boxes over `imshow` in MATLAB without a shift, so the first pixel's
    center is (1, 1). Public Python loaders (HRNet, PIPNet) subtract nothing, which shifts points by
    one pixel; ``origin=0.0`` reproduces them.

    Args:
        root: Folder of the files. Color files are preferred to gray ones.
        origin: Coordinate of the first pixel's center, subtracted from points and boxes.
    """

    name = "cofw"
    layout = (
        "COFW_train_color.mat and COFW_test_color.mat (or COFW_train.mat and COFW_test.mat, gray)"
    )
    default_crop = "dataset_box"
    has_boxes = True
    official_counts = MappingProxyType({"train": 1345, "test": 507})

    def __init__(self, root: str | pathlib.Path, *, origin: float = 1.0):
        super().__init__("cofw_29", root, origin)
        self.files = {split: self.find_path(*image_places(split)) for split in _VARIABLES}

    def list_items(self) -> Iterator[Item]:
        """Lists training faces, then test faces, in the order of the files."""
        for split, path in self.files.items():
            images, phis, bboxes = _VARIABLES[split]
            variables = read_mat73(path, _VARIABLES[split])
            count = variables[images].size
            matrices = []
            for name, width in ((phis, 3 * self.scheme.num_landmarks), (bboxes, 4)):
                matrix = as_numbers(path, name, variables[name]).T
                check_rows(path, name, matrix.shape, (count, width), "image")
                matrices.append(matrix)
            for index, (phi, box) in enumerate(zip(*matrices, strict=True)):
                key = f"{split}/{index + 1:04d}"
                yield Item(key, key, split, (index, phi, box))

    def load(self, item: Item) -> Face:
        """Loads one face."""
        index, phi, box = item.source_data
        x, y, occluded = phi.reshape(3, -1)
        return self.make_face(
            read_cell(self.files[item.split], item.split, index, self.max_pixels),
            np.stack([x, y], axis=1),
            np.where(occluded > 0.5, schema.OCCLUDED, schema.VISIBLE),
            xywh_to_xyxy(box),
        )


def image_places(split: str, folders: Sequence[str] = _FOLDERS) -> list[str]:
    """Returns where the images of a split may be: the color file, then the gray one."""
    names = (f"COFW_{split}_color.mat", f"COFW_{split}.mat")
    return [folder + name for name in names for folder in folders]


def read_cell(path: pathlib.Path, split: str, index: int, max_pixels: int) -> np.ndarray:
    """Reads one image of a COFW file.

    The file is opened for each image, which takes about 3 ms, because an open HDF5 file can't be
    sent to the writer's processes.

    Args:
        path: The file.
        split: "train" or "test".
        index: Number of the image, from 0.
        max_pixels: Maximum number of its pixels.

    Returns:
        uint8 RGB [H, W, 3].

    Raises:
        BadRecordError: If it is not an image.
    """
    name = _VARIABLES[split][0]
    try:
        stored = read_mat73_cell(path, name, index, max_size=3 * max_pixels)
    except ValueError as error:
        raise BadRecordError(f"{path}: no image {index + 1}: {error}") from error
    # MATLAB's [H, W, 3] appears as [3, W, H].
    image = np.transpose(stored)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise BadRecordError(
            f"{path}: image {index + 1} must be uint8 [H, W] or [H, W, 3]. "
            f"Found: {image.dtype} {list(image.shape)}"
        )
    return np.ascontiguousarray(image)
