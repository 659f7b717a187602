"""CelebA: 5 points on 202,599 faces, as found on the web or aligned."""

import pathlib
from collections.abc import Iterator
from types import MappingProxyType

import numpy as np

from tfrecords_tools.sources.base import Face, Item, Source, make_face, read_image
from tfrecords_tools.sources.dataset_files import find_path
from wing_tf.landmarks import LandmarkScheme, get_scheme

LAYOUT = (
    "Img/img_celeba/ (or Img/img_align_celeba/), Anno/list_landmarks_celeba.txt (or "
    "Anno/list_landmarks_align_celeba.txt), Anno/list_bbox_celeba.txt (not for the aligned "
    "images), Eval/list_eval_partition.txt"
)

SPLITS = {"0": "train", "1": "val", "2": "test"}


class CelebASource(Source):
    """CelebA, CelebFaces Attributes. The owners' validation faces are the split "val".

    The wild images come with the owners' boxes, which are known to be loose. Without them, and
    for the aligned images, only the landmark box is left, and that of two eyes, nose and mouth
    corners is far smaller than the face: take a generous margin. A box of zeros is taken for none.

    The owners do not say what the first pixel's center is called; public loaders take nothing off
    the coordinates, which are whole numbers.

    Args:
        root: the folder that holds ``Img``, ``Anno`` and ``Eval``, or what is in them.
        aligned: the 178 x 218 images that were turned and scaled by their landmarks.
        origin: the coordinate of the first pixel's center, taken off points and boxes.

    Raises:
        ValueError: if a list or the images' folder is absent.
    """

    name = "celeba"
    default_crop = "dataset_box"
    official_counts = MappingProxyType({"train": 162770, "val": 19867, "test": 19962})

    def __init__(self, root: str | pathlib.Path, *, aligned: bool = False, origin: float = 0.0):
        self.root = pathlib.Path(root)
        self.aligned = aligned
        self.origin = origin
        self.scheme: LandmarkScheme = get_scheme("celeba_5")
        self.skipped = {}
        if aligned:
            self.default_crop = "landmark_box"
        self.has_boxes = not aligned
        kind = "align_celeba" if aligned else "celeba"
        self.images = self._find(f"Img/img_{kind}", f"img_{kind}")
        name = f"list_landmarks_{kind}.txt"
        self.landmarks = self._find(f"Anno/{name}", name)
        name = "list_bbox_celeba.txt"
        self.boxes = None if aligned else self._find(f"Anno/{name}", name)
        name = "list_eval_partition.txt"
        self.partition = self._find(f"Eval/{name}", name, f"Anno/{name}")

    def _find(self, *places: str) -> pathlib.Path:
        return find_path(self.root, places, LAYOUT)

    def items(self) -> list[Item]:
        """Returns the faces in the order of the landmarks' list."""
        self.skipped = {}
        splits = dict(_lines(self.partition, header=0))
        boxes = dict(_lines(self.boxes, header=2)) if self.boxes else {}
        items = []
        for name, points in _lines(self.landmarks, header=2):
            split = SPLITS.get(splits.get(name, ""))
            box = boxes.get(name)
            if split is None:
                self.skipped[name] = f"no 0, 1 or 2 for it in {self.partition.name}"
            elif not _are_numbers(points, 10):
                self.skipped[name] = f"not 10 numbers in {self.landmarks.name}: {points}"
            elif self.boxes and box is None:
                self.skipped[name] = f"no box for it in {self.boxes.name}"
            elif self.boxes and box is not None and not _are_numbers(box, 4):
                self.skipped[name] = f"not 4 numbers in {self.boxes.name}: {box}"
            else:
                # Text is small: 200,000 faces are held at once.
                items.append(Item(name, name, split, (points, box)))
        if not items:
            first = next(iter(self.skipped.items()), ("no name", "the list is empty"))
            raise ValueError(f"No usable face in {self.landmarks}: {first[0]}: {first[1]}.")
        return items

    def load(self, item: Item) -> Face:
        """Reads an image; points and box come from the lists."""
        text, box_text = item.source_data
        points = _numbers(text).reshape(-1, 2)
        box = None
        if box_text is not None:
            x, y, width, height = _numbers(box_text)
            if width or height:
                box = np.array([x, y, x + width, y + height]) - self.origin
        return make_face(
            read_image(self.images / item.source_image), points - self.origin, box_xyxy_px=box
        )


def _lines(path: pathlib.Path, *, header: int) -> Iterator[tuple[str, str]]:
    """Yields each line's first word and the rest of it, without the first ``header`` lines."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file):
            name, _, rest = line.strip().partition(" ")
            if number >= header and name:
                yield name, rest.strip()


def _numbers(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


def _are_numbers(text: str, count: int) -> bool:
    words = text.split()
    return len(words) == count and all(word.lstrip("-").isdigit() for word in words)
