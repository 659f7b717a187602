"""LSP and LSP-extended: 14 joints of people in sports images."""

import pathlib
from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item
from tfrecords_tools.sources.dataset_files import as_numbers, read_mat, shape_text
from tfrecords_tools.sources.folder import FolderSource
from wing_tf.data import record_schema as schema

NUM_TRAIN = 1000

OCCLUDED_CHOICES = ("ignore", "keep")


class LspSource(FolderSource):
    """LSP, Leeds Sports Pose: the first 1,000 images for training, the last 1,000 for testing.

    ``joints.mat`` is [3, 14, 2000]: x, y and 1 where the joint is occluded. Occluded joints have
    coordinates that the annotators guessed. In the training set they get no weight (they count as
    not annotated); in the test set they are kept as occluded, as the usual PCK counts them. There
    are no boxes.

    The origin is not documented. The file is MATLAB's, where it is 1, which is used here. Public
    Python loaders subtract nothing, which shifts joints by one pixel.

    Args:
        root: Folder of ``images`` and ``joints.mat``.
        joints: Another file of joints below `root`, such as the observer-centric
            ``lsp-joints-OC.mat``. Without its third row, no joint is occluded.
        occluded: "ignore" or "keep" for the occluded joints of both splits. Defaults to "ignore" in
            training and "keep" in the test.
        origin: Coordinate of the first pixel's center, subtracted from all points.
    """

    name = "lsp"
    layout = "joints.mat and images/im0001.jpg ... images/im2000.jpg"
    official_counts = MappingProxyType({"train": NUM_TRAIN, "test": 1000})

    def __init__(
        self,
        root: str | pathlib.Path,
        *,
        joints: str = "joints.mat",
        occluded: str | None = None,
        origin: float = 1.0,
    ):
        super().__init__("lsp_14", root, origin)
        if occluded not in (None, *OCCLUDED_CHOICES):
            raise ValueError(
                f"`occluded` must be one of {OCCLUDED_CHOICES} or None. Received: {occluded!r}."
            )
        self.occluded = occluded
        self.path = self.find_path(joints)
        self.images = self.find_path("images")

    def list_items(self) -> Iterator[Item]:
        """Lists the people by number."""
        joints = self._read_joints("3 x 14 x N (x, y, occluded)", (3, 14), (2, 14))
        for index in range(joints.shape[2]):
            split = "train" if index < NUM_TRAIN else "test"
            choice = self.occluded or {"train": "ignore", "test": "keep"}[split]
            occluded = joints[2, :, index] > 0.5 if len(joints) == 3 else np.zeros(14, bool)
            flag = schema.NOT_ANNOTATED if choice == "ignore" else schema.OCCLUDED
            source_data = (joints[:2, :, index].T, np.where(occluded, flag, schema.VISIBLE))
            name = f"im{index + 1:04d}"
            yield Item(name, name, split, source_data)

    def _read_joints(self, expected: str, *shapes: tuple[int, int]) -> np.ndarray:
        """Reads the file of joints, whose first two axes must have one of the `shapes`."""
        joints = as_numbers(self.path, "joints", read_mat(self.path, ["joints"])["joints"])
        if joints.ndim != 3 or joints.shape[:2] not in shapes:
            raise ValueError(
                f"{self.path}: joints must be {expected}. Found: {shape_text(joints.shape)}."
            )
        return joints

    def load(self, item: Item) -> Face:
        """Loads one person."""
        return self.make_face(self.images / f"{item.source_image}.jpg", *item.source_data)


class LspExtendedSource(LspSource):
    """LSP-extended, Leeds Sports Pose Extended Training: all images are for training.

    ``joints.mat`` is [14, 3, 10000]: x, y and 1 where the joint is VISIBLE. Both the order of axes
    and the meaning of the flag differ from LSP's. A joint that is not visible was not annotated:
    its coordinates in the file are meaningless. There are no boxes. The origin is that of
    `LspSource`.

    Args:
        root: Folder of ``images`` and ``joints.mat``.
        origin: Coordinate of the first pixel's center, subtracted from all points.
    """

    name = "lsp_extended"
    layout = "joints.mat and images/im00001.jpg ... images/im10000.jpg"
    official_counts = MappingProxyType({"train": 10000})

    def __init__(self, root: str | pathlib.Path, *, origin: float = 1.0):
        super().__init__(root, origin=origin)

    def list_items(self) -> Iterator[Item]:
        """Lists the people by number."""
        joints = self._read_joints("14 x 3 x N (x, y, visible)", (14, 3))
        for index in range(joints.shape[2]):
            points, visible = joints[:, :2, index], joints[:, 2, index] > 0.5
            flags = np.where(visible, schema.VISIBLE, schema.NOT_ANNOTATED)
            name = f"im{index + 1:05d}"
            yield Item(name, name, "train", (points, flags))
