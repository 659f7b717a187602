"""Check that records know which landmarks are occluded."""

import warnings

import numpy as np

from wing_tf.data.read import read_landmarks
from wing_tf.data.record_schema import NOT_ANNOTATED, OCCLUDED
from wing_tf.data.records import RecordSet

_FEW = 0.005
"""A smaller fraction of occluded landmarks may be those outside of the image alone."""


def check_occlusion(records: RecordSet) -> None:
    """Checks that faces to learn visibility from have occluded landmarks.

    Warns if they are few. Landmarks outside of the image count as occluded in the records of every
    data set, so that a few do not tell that a data set annotates occlusion.

    Raises:
        ValueError: If there is none.
    """
    visibility = read_landmarks(records)[1]
    fraction = np.mean(visibility[visibility != NOT_ANNOTATED] == OCCLUDED)
    what = f"of the annotated landmarks of the training faces ({', '.join(records.sources)})"
    if not fraction > 0:
        raise ValueError(
            f"config.model.visibility=True needs occluded landmarks, and none {what} is occluded. "
            "Take a data set that annotates occlusion, such as COFW, or leave it at False."
        )
    if fraction < _FEW:
        warnings.warn(
            f"config.model.visibility=True: only {100 * fraction:.2g} % {what} are occluded. They "
            "may lie outside of the images, where every landmark counts as occluded.",
            stacklevel=2,
        )
