"""CelebA: 5 points on 202,599 faces, in the wild or aligned."""

import pathlib
from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item, xywh_to_xyxy
from tfrecords_tools.sources.folder import FolderSource
from wing_tf.utils.text_files import read_text

SPLITS = {"0": "train", "1": "val", "2": "test"}


class CelebASource(FolderSource):
    """CelebA, CelebFaces Attributes. The owners' validation faces are the split "val".

    The wild images come with the owners' boxes, which are known to be loose. The aligned images
    have none: the landmark box of eyes, nose and mouth corners is far smaller than the face, so use
    a large crop margin. A box of zeros counts as no box.

    The origin is not documented; public loaders subtract nothing from the integer coordinates.

    Args:
        root: Folder of ``Img``, ``Anno`` and ``Eval``, or of what is in them.
        aligned: Use the 178 x 218 images that were rotated and scaled by their landmarks.
        origin: Coordinate of the first pixel's center, subtracted from points and boxes.
    """

    name = "celeba"
    layout = (
        "Img/img_celeba/ (or Img/img_align_celeba/), Anno/list_landmarks_celeba.txt (or "
        "Anno/list_landmarks_align_celeba.txt), Anno/list_bbox_celeba.txt (not for the aligned "
        "images), Eval/list_eval_partition.txt"
    )
    default_crop = "dataset_box"
    official_counts = MappingProxyType({"train": 162770, "val": 19867, "test": 19962})

    def __init__(self, root: str | pathlib.Path, *, aligned: bool = False, origin: float = 0.0):
        super().__init__("celeba_5", root, origin)
        if aligned:
            self.default_crop = "landmark_box"
        self.has_boxes = not aligned
        kind = "align_celeba" if aligned else "celeba"
        self.images = self._find("Img", f"img_{kind}")
        self.landmarks = self._find("Anno", f"list_landmarks_{kind}.txt")
        self.boxes = None if aligned else self._find("Anno", "list_bbox_celeba.txt")
        self.partition = self._find("Eval", "list_eval_partition.txt")

    def _find(self, folder: str, name: str) -> pathlib.Path:
        return self.find_path(f"{folder}/{name}", name, f"Anno/{name}")

    def list_items(self) -> Iterator[Item]:
        """Lists the faces in the order of the list of landmarks."""
        splits = dict(_read_rows(self.partition, header=0))
        boxes = dict(_read_rows(self.boxes, header=2)) if self.boxes else {}
        for name, points in _read_rows(self.landmarks, header=2):
            split = SPLITS.get(splits.get(name, ""))
            box = boxes.get(name)
            if split is None:
                self.skipped[name] = f"no 0, 1 or 2 for it in {self.partition.name}"
            elif not _are_integers(points, 10):
                self.skipped[name] = f"not 10 numbers in {self.landmarks.name}: {points}"
            elif self.boxes and box is None:
                self.skipped[name] = f"no box for it in {self.boxes.name}"
            elif self.boxes and box is not None and not _are_integers(box, 4):
                self.skipped[name] = f"not 4 numbers in {self.boxes.name}: {box}"
            else:
                # As text, which is small: 200,000 faces are in memory at once.
                yield Item(name, name, split, (points, box))

    def load(self, item: Item) -> Face:
        """Loads one face."""
        points_text, box_text = item.source_data
        points = np.array(points_text.split(), np.float64).reshape(-1, 2)
        xywh = np.array(box_text.split() if box_text else [0] * 4, np.float64)
        box = xywh_to_xyxy(xywh) if np.any(xywh[2:]) else None
        return self.make_face(self.images / item.source_image, points, box=box)


def _read_rows(path: pathlib.Path, *, header: int) -> Iterator[tuple[str, str]]:
    """Yields the first word and the rest of each line, without the first `header` lines."""
    for line in read_text(path, errors="replace").split("\n")[header:]:
        name, _, rest = line.strip().partition(" ")
        if name:
            yield name, rest.strip()


def _are_integers(text: str, count: int) -> bool:
    words = text.split()
    return len(words) == count and all(word.lstrip("-").isdigit() for word in words)
