"""Predictions as files of annotation tools, in which people correct landmarks, not draw them.

The sources of the same names in `tfrecords_tools.sources` read the files back. Coordinates are
those of the image as it is displayed, with the EXIF rotation applied, and have three decimals. The
first pixel's center is at 0 in COCO files and at .5 in those of the other tools, which draw on a
plane.
"""

import pathlib
from collections.abc import Callable

from wing_tf.inference.pre_annotations.coco import write_coco
from wing_tf.inference.pre_annotations.common import Files, Images
from wing_tf.inference.pre_annotations.cvat import write_cvat
from wing_tf.inference.pre_annotations.label_studio import write_label_studio
from wing_tf.inference.pre_annotations.labelme import write_labelme
from wing_tf.landmarks import LandmarkScheme

WRITERS: dict[str, Callable[[Images, LandmarkScheme, pathlib.Path, pathlib.Path], Files]] = {
    "coco": write_coco,
    "cvat": write_cvat,
    "labelme": write_labelme,
    "labelstudio": write_label_studio,
}
"""Formats by name; choices of ``wing-predict --format``."""


def annotation_files(
    format: str,
    images: Images,
    scheme: LandmarkScheme,
    *,
    folder: pathlib.Path,
    base: pathlib.Path,
) -> Files:
    """Yields the paths and texts of the files of an annotation tool.

    Args:
        format: A key of `WRITERS`.
        images: Located faces, as `wing_tf.inference.output.as_dict` returns them. The name of an
            image is its path relative to `folder`.
        scheme: Scheme of the landmarks. Labels are the names of its points, or their indices.
        folder: Folder of the images.
        base: Path of the files without a suffix.
    """
    return WRITERS[format](images, scheme, folder, base)
