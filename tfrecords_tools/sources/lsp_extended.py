"""LSP-extended: 14 joints of 10,000 people at sports, for training only."""

import pathlib
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item, Source, make_face, read_image, require_path
from tfrecords_tools.sources.dataset_files import read_mat
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme, get_scheme

LAYOUT = "joints.mat and images/im00001.jpg ... images/im10000.jpg"


class LspExtendedSource(Source):
    """LSP-extended, Leeds Sports Pose Extended Training: all images train.

    ``joints.mat`` is [14, 3, 10000]: x, y and 1 where the joint is VISIBLE: not LSP's order of
    axes, and the flag the other way round. A joint that is not visible was not annotated, and what
    stands in the file for it means nothing: it is missing. There are no boxes.

    The owners do not say what the first pixel's center is called; the file is MATLAB's, where it is
    (1, 1), and that is taken, as for LSP.

    Args:
        root: the folder that holds ``images`` and ``joints.mat``.
        origin: the coordinate of the first pixel's center, taken off all points.

    Raises:
        ValueError: if the file or the images' folder is absent.
    """

    name = "lsp_extended"
    official_counts = MappingProxyType({"train": 10000})

    def __init__(self, root: str | pathlib.Path, *, origin: float = 1.0):
        self.root = pathlib.Path(root)
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("lsp_14")
        self.skipped = {}
        self.path = require_path(self.root / "joints.mat", LAYOUT)
        require_path(self.root / "images", LAYOUT)

    def items(self) -> list[Item]:
        """Returns the people by number."""
        joints = np.asarray(read_mat(self.path, ["joints"])["joints"], np.float64)
        if joints.ndim != 3 or joints.shape[:2] != (14, 3):
            raise ValueError(
                f"{self.path}: joints must be 14 x 3 x N (x, y, visible). "
                f"Found: {' x '.join(map(str, joints.shape))}."
            )
        names = [f"im{index + 1:05d}" for index in range(joints.shape[2])]
        people = np.moveaxis(joints, 2, 0)
        return [Item(name, name, "train", p) for name, p in zip(names, people, strict=True)]

    def load(self, item: Item) -> Face:
        """Reads one person's image; points come from the file."""
        points, visible = item.source_data[:, :2], item.source_data[:, 2] > 0.5
        return make_face(
            read_image(self.root / "images" / f"{item.source_image}.jpg"),
            points - self.origin,
            np.where(visible, schema.VISIBLE, schema.NOT_ANNOTATED),
        )
