"""LSP and LSP-extended: 14 joints of people at sports."""

import pathlib
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item, Source, make_face, read_image, require_path
from tfrecords_tools.sources.dataset_files import read_mat
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import LandmarkScheme, get_scheme

LAYOUT = "joints.mat and images/im0001.jpg ... images/im2000.jpg"

NUM_TRAIN = 1000

OCCLUDED_CHOICES = ("ignore", "keep")


class LspSource(Source):
    """LSP, Leeds Sports Pose: the first 1,000 images train, the last 1,000 test.

    ``joints.mat`` is [3, 14, 2000]: x, y and 1 where the joint is hidden. Hidden joints have
    coordinates, guessed by the annotators. They get no weight in training: they are missing there.
    In the test they are kept, and hidden, as the usual PCK counts them. There are no boxes.

    The owners do not say what the first pixel's center is called; the file is MATLAB's, where it is
    (1, 1), and that is taken. Public Python loaders take nothing off, one pixel away from this.

    Args:
        root: the folder that holds ``images`` and ``joints.mat``.
        joints: another file of joints below ``root``, such as the observer-centric
            ``lsp-joints-OC.mat``; without its third row no joint is hidden.
        occluded: "ignore" or "keep" for the occluded joints of both splits; None as above.
        origin: the coordinate of the first pixel's center, taken off all points.

    Raises:
        ValueError: if the file or the images' folder is absent, or ``occluded`` is something else.
    """

    name = "lsp"
    official_counts = MappingProxyType({"train": NUM_TRAIN, "test": 1000})

    def __init__(
        self,
        root: str | pathlib.Path,
        *,
        joints: str = "joints.mat",
        occluded: str | None = None,
        origin: float = 1.0,
    ):
        self.root = pathlib.Path(root)
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("lsp_14")
        self.skipped = {}
        if occluded not in (None, *OCCLUDED_CHOICES):
            raise ValueError(
                f"`occluded` must be one of {OCCLUDED_CHOICES} or None. Received: {occluded!r}."
            )
        self.occluded = occluded
        self.path = require_path(self.root / joints, LAYOUT)
        require_path(self.root / "images", LAYOUT)

    def items(self) -> list[Item]:
        """Returns the people by number."""
        joints = np.asarray(read_mat(self.path, ["joints"])["joints"], np.float64)
        if joints.ndim != 3 or joints.shape[0] not in (2, 3) or joints.shape[1] != 14:
            raise ValueError(
                f"{self.path}: joints must be 3 x 14 x N (x, y, occluded). "
                f"Found: {' x '.join(map(str, joints.shape))}."
            )
        items = []
        for index in range(joints.shape[2]):
            split = "train" if index < NUM_TRAIN else "test"
            choice = self.occluded or {"train": "ignore", "test": "keep"}[split]
            occluded = joints[2, :, index] > 0.5 if len(joints) == 3 else np.zeros(14, bool)
            flag = schema.NOT_ANNOTATED if choice == "ignore" else schema.OCCLUDED
            visibility = np.where(occluded, flag, schema.VISIBLE)
            name = f"im{index + 1:04d}"
            items.append(Item(name, name, split, (joints[:2, :, index].T, visibility)))
        return items

    def load(self, item: Item) -> Face:
        """Reads one person's image; points come from the file."""
        points, visibility = item.source_data
        image = read_image(self.root / "images" / f"{item.source_image}.jpg")
        return make_face(image, points - self.origin, visibility)
