"""Faces from the renderer, for trying everything without a data set."""

import dataclasses

from tfrecords_tools.sources.base import Face, Item, Source, annotated_face
from tfrecords_tools.synthetic import render_face
from wing_tf.data import record_schema as schema
from wing_tf.landmarks import get_scheme


class SyntheticSource(Source):
    """Rendered faces with 68 points, exact truth, pose and visibility.

    Args:
        count: the number of training faces (some become the validation split).
        num_test: the number of faces in the split "test".
        seed: another seed gives other faces.
        size: the side of the rendered image in pixels; the face takes about half of it.
        wide_yaw: the share of training faces whose yaw is uniform within +-90 degrees; the others
            are nearly frontal.
        test_wide_yaw: of the test faces.
        yaw_deg: the standard deviation of the nearly frontal faces' yaw.

    Raises:
        ValueError: if there is nothing to make, a share is none or the deviation no angle.
    """

    name = "synthetic"

    def __init__(
        self,
        *,
        count: int,
        num_test: int = 0,
        seed: int = 0,
        size: int = 192,
        wide_yaw: float = 0.38,
        test_wide_yaw: float = 0.38,
        yaw_deg: float = 22.0,
    ):
        if count < 0 or num_test < 0 or count + num_test < 1:
            raise ValueError(
                "`count` and `num_test` must be at least 0, and one of them positive. "
                f"Received: count={count}, num_test={num_test}."
            )
        self.wide_yaw = {"train": wide_yaw, "test": test_wide_yaw}
        for share in self.wide_yaw.values():
            if not 0 <= share <= 1:
                raise ValueError(f"`wide_yaw` must be in [0, 1]. Received: {share}.")
        if not 0 <= yaw_deg <= 90:
            raise ValueError(f"`yaw_deg` must be in [0, 90]. Received: {yaw_deg}.")
        self.yaw_deg = yaw_deg
        self.count, self.num_test, self.seed, self.size = count, num_test, seed, size
        self.scheme = get_scheme("ibug_68")
        self.skipped = {}

    def items(self) -> list[Item]:
        """Returns test faces first, so that more training faces leave the test set as it was."""
        items = []
        for index in range(self.num_test + self.count):
            split = "test" if index < self.num_test else "train"
            key = f"synthetic/{self.seed}/{index:07d}"
            items.append(Item(key, key, split, index))
        return items

    def load(self, item: Item) -> Face:
        """Renders one face."""
        face = render_face(
            self.seed,
            item.payload,
            size=self.size,
            wide_yaw=self.wide_yaw[item.split],
            yaw_deg=self.yaw_deg,
        )
        flags = schema.HIDDEN + (face.visibility > 0).astype(int)
        annotated = annotated_face(face.image, face.landmarks_px, flags)
        return dataclasses.replace(annotated, angles_deg=face.angles_deg)
