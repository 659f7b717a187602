"""A folder of ``.pts`` files with any number of points."""

import pathlib
import re
from collections.abc import Iterator

import numpy as np

from tfrecords_tools.sources.base import BadRecordError
from tfrecords_tools.sources.ibug_300w import read_pts
from tfrecords_tools.sources.labeled_face import LabeledFace, LabeledPoint, files_in
from tfrecords_tools.sources.labeled_points import LabeledPointsSource
from wing_tf.utils.image_files import IMAGE_SUFFIXES

_FACE_OF_IMAGE = re.compile(r"^(.+)_\d+$")
_ENDINGS = ("", *IMAGE_SUFFIXES, *map(str.upper, IMAGE_SUFFIXES))


class PtsSource(LabeledPointsSource):
    """A folder of ``.pts`` files, with its subfolders, and images of the same names.

    The image of ``a/b.pts`` is ``a/b.jpg`` (or another type) or, if there is none, that of
    ``a/b_1.pts`` is ``a/b.jpg``. The first pixel is 1, as in 300-W and in the files of
    ``wing-predict``.
    """

    name = "pts"
    layout = ".pts files and images of the same names"
    grouping = "their files"
    takes_folder = True
    tool_origin = 1.0
    tool_exif = "refuse"

    def image_id(self, image: str) -> str:
        """Returns the name of an image without the number of the face."""
        return _FACE_OF_IMAGE.sub(r"\1", image)

    @staticmethod
    def read(path: pathlib.Path, skipped: dict[str, str]) -> Iterator[LabeledFace]:
        """Yields the faces of all ``.pts`` files in a folder, or of one."""
        files = files_in(path, ".pts")
        folder = path if path.is_dir() else path.parent
        for file in files:
            name = file.relative_to(folder).with_suffix("").as_posix()
            try:
                points = read_pts(file, None, 0.0)
            except BadRecordError as error:
                skipped[f"{name}.pts"] = str(error)
                continue
            numbered = _FACE_OF_IMAGE.match(name)
            stems = [name, numbered.group(1)] if numbered else [name]
            yield LabeledFace(
                name="pts",
                image=name,
                points=tuple(_points(points)),
                ordered=True,
                files=tuple(tuple(stem + end for end in _ENDINGS) for stem in stems),
            )


def _points(points: np.ndarray) -> Iterator[LabeledPoint]:
    for index, (x, y) in enumerate(points):
        yield LabeledPoint(str(index), (float(x), float(y)))
