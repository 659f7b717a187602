"""Face boxes of 300-W's organizers, which are distributed apart from the images."""

import pathlib

import numpy as np

from tfrecords_tools.sources.dataset_files import read_mat

# Where the owners' bounding_boxes.zip is unpacked, and other names of its folder.
_PLACES = ("", "Bounding Boxes", "bounding_boxes", "Bounding_Boxes")

_FOLDERS = ("afw", "helen/trainset", "helen/testset", "lfpw/trainset", "lfpw/testset", "ibug")


class IbugBoxes:
    """Boxes of ``bounding_boxes_{afw,helen_trainset,...}.mat`` by folder and image.

    Each file holds ``bounding_boxes``, a cell array of structs: ``imgName``, ``bb_detector`` (by
    the organizers' detector) and ``bb_ground_truth`` (the tight landmark box); x0 y0 x1 y1, with
    the first pixel's center at 1.

    In some copies, iBUG's file holds AFW's faces: a name that is not in its folder's own file is
    looked up in the other files. LFPW's two parts share names and are kept apart. Spaces in names
    are ignored, because only some copies have them.

    Args:
        root: Folder of 300-W.

    Raises:
        ValueError: If a file exists and is not as described.
    """

    def __init__(self, root: pathlib.Path):
        self._boxes = {}
        for folder in _FOLDERS:
            name = f"bounding_boxes_{folder.replace('/', '_')}.mat"
            found = (root / place / name for place in _PLACES if (root / place / name).is_file())
            if path := next(found, None):
                self._boxes[folder] = _read(path)

    def find(self, folder: str, stem: str) -> np.ndarray | None:
        """Returns the detector's box [4] of an image, as stored, or None."""
        name = _without_spaces(stem)
        own = self._boxes.get(folder, {}).get(name)
        if own is not None or folder not in _FOLDERS or folder.startswith("lfpw"):
            return own
        others = (boxes for other, boxes in self._boxes.items() if not other.startswith("lfpw"))
        return next((boxes[name] for boxes in others if name in boxes), None)


def _without_spaces(name: str) -> str:
    return "".join(name.split())


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    cells = read_mat(path, ["bounding_boxes"])["bounding_boxes"]
    boxes = {}
    for number, cell in enumerate(np.ravel(cells), start=1):
        try:
            name = str(np.ravel(cell["imgName"][0, 0])[0])
            box = np.ravel(cell["bb_detector"][0, 0]).astype(np.float64)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: number {number} of bounding_boxes must have imgName and bb_detector."
            ) from error
        if box.shape != (4,):
            raise ValueError(f"{path}: the box of {name} must be 4 numbers. Found: {box.tolist()}.")
        boxes[_without_spaces(pathlib.PurePath(name).stem)] = box
    return boxes
