"""COFW: 29 points and their occlusion, images and all in MATLAB files."""

import pathlib
from types import MappingProxyType

import h5py
import numpy as np

from tfrecords_tools.sources.base import BadRecordError, Face, Item, Source, make_face
from tfrecords_tools.sources.dataset_files import find_path, open_mat73
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme, get_scheme

LAYOUT = "COFW_train_color.mat and COFW_test_color.mat (or COFW_train.mat and COFW_test.mat, gray)"

# The owners' archive of the gray images keeps them here.
_FOLDERS = ("", "common/xpburgos/behavior/code/pose/")

# Names of the variables: images, points, boxes.
_VARIABLES = {
    "train": ("IsTr", "phisTr", "bboxesTr"),
    "test": ("IsT", "phisT", "bboxesT"),
}


class CofwSource(Source):
    """COFW, Caltech Occluded Faces in the Wild.

    The files are HDF5: MATLAB's arrays appear transposed, and the images are a cell array, that
    is, references. Some images are gray in the color files, too.

    The owners plot points and boxes over `imshow` in MATLAB as they are, so the first pixel's
    center is (1, 1) to them. Public Python loaders (HRNet, PIPNet) take nothing off and are one
    pixel away from this; ``origin=0.0`` does as they do.

    Args:
        root: the folder that holds the files; the color ones are taken where there are both.
        origin: the coordinate of the first pixel's center, taken off points and boxes.

    Raises:
        ValueError: if a file is absent or lacks a variable.
    """

    name = "cofw"
    default_crop = "dataset_box"
    has_boxes = True
    official_counts = MappingProxyType({"train": 1345, "test": 507})

    def __init__(self, root: str | pathlib.Path, *, origin: float = 1.0):
        self.root = pathlib.Path(root)
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("cofw_29")
        self.skipped = {}
        self.files = {split: find_images(self.root, split, LAYOUT) for split in _VARIABLES}

    def items(self) -> list[Item]:
        """Returns training faces, then test faces, in the files' order."""
        items = []
        self.skipped = {}
        for split, path in self.files.items():
            names = _VARIABLES[split]
            with open_mat73(path, names) as file:
                count = file[names[0]].size
                phis = _rows(path, file, names[1], 3 * self.scheme.num_landmarks, count)
                boxes = _rows(path, file, names[2], 4, count)
            for index in range(count):
                key = f"{split}/{index + 1:04d}"
                items.append(Item(key, key, split, (index, phis[index], boxes[index])))
        if not items:
            raise ValueError(f"{' and '.join(map(str, self.files.values()))} hold no image.")
        return items

    def load(self, item: Item) -> Face:
        """Reads one image out of its file."""
        index, phi, box = item.source_data
        x, y, occluded = phi.reshape(3, -1)
        return make_face(
            read_cell(self.files[item.split], item.split, index),
            np.stack([x, y], axis=1) - self.origin,
            np.where(occluded > 0.5, schema.OCCLUDED, schema.VISIBLE),
            xywh_to_xyxy(box) - self.origin,
        )


def find_images(root: pathlib.Path, split: str, layout: str, folders=_FOLDERS) -> pathlib.Path:
    """Returns the color file of a split, else the gray one. Raises ValueError if neither is."""
    names = (f"COFW_{split}_color.mat", f"COFW_{split}.mat")
    return find_path(root, [folder + name for name in names for folder in folders], layout)


def read_cell(path: pathlib.Path, split: str, index: int) -> np.ndarray:
    """Reads one image of a COFW file.

    The file is opened for each image, which takes about 3 ms: an open HDF5 file can't
    be sent to the writer's processes, nor be shared with them.

    Args:
        path: the file.
        split: "train" or "test".
        index: the image's, from 0.

    Returns:
        uint8 RGB [H, W, 3].

    Raises:
        BadRecordError: if it is no image.
    """
    name = _VARIABLES[split][0]
    with open_mat73(path, (name,)) as file:
        try:
            stored = file[file[name][()].ravel()[index]][()]
        except (KeyError, ValueError, IndexError, TypeError, OSError) as error:
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


def xywh_to_xyxy(box: np.ndarray) -> np.ndarray:
    """Turns x, y, width, height into x0, y0, x1, y1."""
    return np.concatenate([box[:2], box[:2] + box[2:]])


def _rows(path: pathlib.Path, file: h5py.File, name: str, width: int, count: int) -> np.ndarray:
    """Reads a matrix [N, width], which appears as [width, N]."""
    values = file[name][()]
    if values.shape != (width, count):
        raise ValueError(
            f"{path}: {name} must be {count} x {width}, a row for each image. "
            f"Found: {' x '.join(map(str, values.shape[::-1]))}."
        )
    return values.T.astype(np.float64)
