"""Face detectors: pictures to boxes. OpenCV only, so that record writers start fast."""

from wing_tf.detection.haar import HaarDetector

__all__ = ["HaarDetector"]
