"""Face detectors: pictures to boxes. OpenCV only, so that record writers start fast."""

from wing_tf.detection.haar import HaarDetector
from wing_tf.detection.match import matching_box

__all__ = ["HaarDetector", "matching_box"]
