"""Landmarks, scores and head pose of one face of an image."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from wing_tf.geometry import crop_square, landmark_box
from wing_tf.geometry.pose import HeadPose, head_pose
from wing_tf.landmarks import LandmarkScheme, SchemeMap
from wing_tf.model_spec import ModelSpec


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """One face of an image. Two faces are equal if they are the same object.

    Attributes:
        landmarks_px: float64 [K, 2] in pixels of the image.
        box_xyxy_px: float64 [4], the box that was cropped.
        scores: float32 [K] in 0..1, the network's confidence per landmark. None if the network has
            no scores.
        scheme: Landmark scheme.
        identity: The same number for the same face in all frames of a video. None if the face was
            not tracked.
        visibility: float32 [K] in 0..1, the probability that each landmark is visible, not
            occluded. None if the network does not emit it.
        detection_score: Score of the detector in 0..1. None if the detector has no scores, or the
            box was given without one.
        score: Probability in 0..1 that the NME of the landmarks is below 8 %, near 0 where there is
            no face; see `wing_tf.score_calibration`. None if the model spec has no calibration.
        next_box_xyxy_px: float64 [4], the box to crop for this face in the next frame of a video.
            None for the tight box of the landmarks.
    """

    landmarks_px: np.ndarray
    box_xyxy_px: np.ndarray
    scores: np.ndarray | None = None
    scheme: LandmarkScheme | None = None
    identity: int | None = None
    visibility: np.ndarray | None = None
    detection_score: float | None = None
    score: float | None = None
    next_box_xyxy_px: np.ndarray | None = None

    @cached_property
    def tracked_box_xyxy_px(self) -> np.ndarray:
        """`next_box_xyxy_px` [4], or the tight box of the landmarks."""
        box = self.next_box_xyxy_px
        return landmark_box(self.landmarks_px) if box is None else box

    @cached_property
    def tracked_square_xyxy_px(self) -> np.ndarray:
        """The square [4] around `tracked_box_xyxy_px`."""
        return crop_square(self.tracked_box_xyxy_px, 1.0)

    @cached_property
    def pose(self) -> HeadPose | None:
        """Head pose (`wing_tf.geometry.pose.head_pose`). None if the scheme has no 3-D points."""
        return None if self.scheme is None else head_pose(self.landmarks_px, self.scheme)

    @property
    def angles_deg(self) -> np.ndarray | None:
        """Yaw, pitch and roll [3] of `pose`."""
        return None if self.pose is None else self.pose.angles_deg


def make_faces(
    spec: ModelSpec,
    scheme_map: SchemeMap | None,
    landmarks_px: np.ndarray,
    boxes_xyxy_px: np.ndarray,
    others: Sequence[np.ndarray | None],
    detection_scores: Sequence[float | None],
) -> list[Face]:
    """Returns faces with their scores, in the scheme of the map.

    Args:
        spec: Model spec of the network.
        scheme_map: Map from the network's scheme to another one, or None.
        landmarks_px: Landmarks [N, K, 2] of the network in pixels of the images.
        boxes_xyxy_px: The boxes [N, 4] that were cropped.
        others: The network's scores [N, K], or None, and possibly the visibility [N, K].
        detection_scores: Scores of the detector.
    """
    calibration, count = spec.score_calibration, len(landmarks_px)
    next_boxes: Sequence[np.ndarray | None] = [None] * count
    if spec.box_around_landmarks is not None:
        next_boxes = list(spec.next_box(landmarks_px))
    face_scores: Sequence[float | None] = [None] * count
    if calibration is not None:
        face_scores = calibration(landmarks_px, others[0]).tolist()
    scheme = spec.scheme
    if scheme_map is not None:
        landmarks_px, scheme = scheme_map(landmarks_px), scheme_map.target
        others = [x if x is None else scheme_map.map_scores(x) for x in others]
    faces = []
    for i in range(count):
        scores, visibility, *_ = [None if x is None else x[i] for x in others] + [None]
        face = Face(
            landmarks_px[i],
            boxes_xyxy_px[i],
            scores,
            scheme,
            visibility=visibility,
            detection_score=detection_scores[i],
            score=face_scores[i],
            next_box_xyxy_px=next_boxes[i],
        )
        faces.append(face)
    return faces
