"""Face detectors: images to boxes. They run without TensorFlow, so that commands start fast."""

from wing_tf.detection.blazeface import BlazeFaceDetector
from wing_tf.detection.box_file import BoxFile
from wing_tf.detection.calibrate import Calibration, calibrate
from wing_tf.detection.correction import Correction
from wing_tf.detection.detector import Detector
from wing_tf.detection.haar import HaarDetector
from wing_tf.detection.make import DETECTORS, check_detector_name, gives_boxes, make_detector
from wing_tf.detection.match import matching_box
from wing_tf.detection.whole_image import WholeImage
from wing_tf.detection.yunet import YuNetDetector

__all__ = [
    "DETECTORS",
    "BlazeFaceDetector",
    "BoxFile",
    "Calibration",
    "Correction",
    "Detector",
    "HaarDetector",
    "WholeImage",
    "YuNetDetector",
    "calibrate",
    "check_detector_name",
    "gives_boxes",
    "make_detector",
    "matching_box",
]
