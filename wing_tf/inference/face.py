"""Landmarks, scores and head pose of one face of an image."""

import dataclasses
from functools import cached_property

import numpy as np

from wing_tf.geometry.pose import HeadPose, head_pose
from wing_tf.landmarks import LandmarkScheme


@dataclasses.dataclass(frozen=True)
class Face:
    """One face of an image.

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
    """

    landmarks_px: np.ndarray
    box_xyxy_px: np.ndarray
    scores: np.ndarray | None = None
    scheme: LandmarkScheme | None = None
    identity: int | None = None
    visibility: np.ndarray | None = None
    detection_score: float | None = None

    @cached_property
    def pose(self) -> HeadPose | None:
        """Head pose (`wing_tf.geometry.pose.head_pose`). None if the scheme has no 3-D points."""
        return None if self.scheme is None else head_pose(self.landmarks_px, self.scheme)

    @property
    def angles_deg(self) -> np.ndarray | None:
        """Yaw, pitch and roll [3] of `pose`."""
        return None if self.pose is None else self.pose.angles_deg

    @property
    def score(self) -> float | None:
        """Confidence of the whole face in 0..1.

        The mean of `scores`. For a network without scores, the similarity of the landmarks to a
        face (`wing_tf.geometry.pose.HeadPose.score`). None if neither is known. Scores of different
        networks are not comparable.
        """
        if self.scores is not None and np.isfinite(self.scores).any():
            return float(np.nanmean(self.scores))
        return None if self.pose is None else self.pose.score
