"""Rendered faces, for trying everything without a data set."""

import dataclasses

from tfrecords_tools.sources.base import Face, Item, Source
from tfrecords_tools.sources.make_face import make_face
from tfrecords_tools.synthetic import check_yaw_distribution, render_face
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import get_scheme


class SyntheticSource(Source):
    """Rendered faces with 68 points and exact landmarks, pose and visibility.

    Args:
        num_train: Number of training faces; some become the validation split.
        num_test: Number of faces in the split "test".
        seed: Another seed gives other faces.
        image_size: Side of the rendered image in pixels; the face takes about half of it.
        wide_yaw_fraction: Fraction of training faces whose yaw is uniform within +-90 degrees. The
            others are nearly frontal.
        test_wide_yaw_fraction: The same fraction of the test faces.
        yaw_std_deg: Standard deviation of the yaw of nearly frontal faces.

    Raises:
        ValueError: If an argument is out of range.
    """

    name = "synthetic"

    def __init__(
        self,
        *,
        num_train: int,
        num_test: int = 0,
        seed: int = 0,
        image_size: int = 192,
        wide_yaw_fraction: float = 0.38,
        test_wide_yaw_fraction: float = 0.38,
        yaw_std_deg: float = 22.0,
    ):
        if num_train < 0 or num_test < 0 or num_train + num_test < 1:
            raise ValueError(
                "`num_train` and `num_test` must be at least 0, and one of them positive. "
                f"Received: num_train={num_train}, num_test={num_test}."
            )
        self.wide_yaw_fraction = {"train": wide_yaw_fraction, "test": test_wide_yaw_fraction}
        for fraction in self.wide_yaw_fraction.values():
            check_yaw_distribution(fraction, yaw_std_deg)
        self.num_train, self.num_test, self.seed = num_train, num_test, seed
        self.image_size, self.yaw_std_deg = image_size, yaw_std_deg
        self.scheme = get_scheme("ibug_68")
        self.skipped = {}

    def items(self) -> list[Item]:
        """Returns test faces, then training faces: more training faces keep the test set."""
        items = []
        for index in range(self.num_test + self.num_train):
            split = "test" if index < self.num_test else "train"
            key = f"synthetic/{self.seed}/{index:07d}"
            items.append(Item(key, key, split, index))
        return items

    def load(self, item: Item) -> Face:
        """Renders one face."""
        face = render_face(
            self.seed,
            item.source_data,
            size=self.image_size,
            wide_yaw_fraction=self.wide_yaw_fraction[item.split],
            yaw_std_deg=self.yaw_std_deg,
        )
        flags = schema.OCCLUDED + (face.visibility > 0).astype(int)
        annotated = make_face(face.image, face.landmarks_px, flags)
        return dataclasses.replace(annotated, angles_deg=face.angles_deg)
