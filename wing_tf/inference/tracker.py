"""Face tracking in videos: identities, motion prediction and smoothed landmarks."""

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wing_tf.geometry import box_iou
from wing_tf.inference.checks import check_image, check_min_score, overlaps_image
from wing_tf.inference.face import Face
from wing_tf.inference.landmarker import Landmarker
from wing_tf.inference.smoothing import OneEuroFilter
from wing_tf.inference.track import (
    MIN_SAME_IOU,
    Track,
    face_iou,
    is_continuous,
    is_within,
    side_of,
)

# Intersection over union of squares around faces.
_MIN_CONFIRMED_IOU = 0.6  # of a tracked face and a detection that needs no closer look
_MAX_NEIGHBOR_IOU = 0.2  # of two detected faces
_MAX_APART_IOU = 0.02  # of faces that do not occlude each other
_MIN_INSIDE = 0.5  # fraction of the landmarks that must be in the image
_MAX_CORRECTION_RESIDUAL = 0.6  # residual of a detected face over that of a drifted track


class Tracker:
    """Tracks the faces of a video from frame to frame.

    A face is located in the box of its last landmarks, moved at its velocity; all faces of a frame
    are one batch. The detector runs periodically, and more often while no face is known or one is
    lost. A face is lost if its score, shape, size or position is implausible, or if its landmarks
    coincide with those of another face, which occludes it. A lost face is remembered for
    `remember_s`, and a detected face near its expected position gets its identity. A new face
    is reported when the detector has found it in two consecutive frames, in the first one at once.

    A network without a score calibration can't tell a face from background by the shape alone. A
    face that the detector has not found for `unconfirmed_s` is then dropped.

    Args:
        landmarker: Landmarker with a detector.
        smooth: Whether to filter the landmarks with `OneEuroFilter`.
        detect_every_s: Interval of the detector, and so the delay of a new face. Detection in every
            frame keeps no more identities and costs a quarter of the frame rate.
        search_every_s: Interval of the detector while a face is lost or none is known.
        remember_s: How long a lost face is remembered. A longer gap between frames is a new start.
        unconfirmed_s: See above.
        min_score: Score (`Face.score`) below which a face is lost, and a detected one is not
            reported. Defaults to that of the landmarker. Faces without a score are kept.
        max_residual: Residual of `wing_tf.geometry.pose.HeadPose` above which a face is lost.
        max_faces: Maximum number of tracked faces; the largest are kept. Defaults to no maximum.
        filter_options: Arguments of `OneEuroFilter`.

    Raises:
        ValueError: If an option is out of range, or if the landmarker has no detector or one that
            requires file names.

    Examples:
        >>> tracker = Tracker(Landmarker())  # doctest: +SKIP
        >>> for frame in open_video("video.mp4"):  # doctest: +SKIP
        ...     faces = tracker(frame.image, frame.time_s)
    """

    def __init__(
        self,
        landmarker: Landmarker,
        *,
        smooth: bool = True,
        detect_every_s: float = 0.2,
        search_every_s: float = 0.1,
        remember_s: float = 1.5,
        unconfirmed_s: float = 2.0,
        min_score: float | None = None,
        max_residual: float = 0.3,
        max_faces: int | None = None,
        filter_options: dict[str, Any] | None = None,
    ):
        if landmarker.detector is None:
            raise ValueError("A tracker needs a landmarker with a detector.")
        if getattr(landmarker.detector, "needs_name", False):
            raise ValueError("A tracker can't use a detector that needs the names of images.")
        for name, value in (
            ("detect_every_s", detect_every_s),
            ("search_every_s", search_every_s),
            ("remember_s", remember_s),
            ("unconfirmed_s", unconfirmed_s),
        ):
            if not value >= 0:
                raise ValueError(f"`{name}` must not be negative. Received: {name}={value}.")
        if max_faces is not None and max_faces < 1:
            raise ValueError(f"`max_faces` must be at least 1. Received: max_faces={max_faces}.")
        self._landmarker, self._scheme_map = landmarker, landmarker.scheme_map
        if self._scheme_map is not None:
            # All landmarks of the network are tracked: the subset of a map has a smaller box.
            self._landmarker = copy.copy(landmarker)
            self._landmarker.scheme_map = None
            self._landmarker.scheme = self._scheme_map.source
        self._new_filter: Callable[[], OneEuroFilter | None] = (
            (lambda: OneEuroFilter(**(filter_options or {}))) if smooth else lambda: None
        )
        self._new_filter()  # raises if the options are not valid
        self.scheme, self.max_faces = landmarker.scheme, max_faces
        self._detect_every_s, self._search_every_s = detect_every_s, search_every_s
        self._remember_s, self._unconfirmed_s = remember_s, unconfirmed_s
        if min_score is None:
            min_score = landmarker.min_score
        self._min_score = check_min_score(min_score, landmarker.spec)
        self._max_residual = max_residual
        self._identities = itertools.count()
        self.reset()

    def reset(self) -> None:
        """Forgets all faces and times. Identities are not used again."""
        self._tracks: list[Track] = []
        self._time_s = self._detected_s = -math.inf

    def __call__(self, image: np.ndarray, time_s: float) -> list[Face]:
        """Tracks the faces into the next frame.

        Args:
            image: uint8 RGB [H, W, 3].
            time_s: Time of the frame, later than that of the last one.

        Returns:
            The visible faces, ordered by their identity.

        Raises:
            ValueError: If the image is not uint8 RGB, or if the times are not strictly increasing.
        """
        check_image(image)
        if not (time_s > self._time_s and math.isfinite(time_s)):
            raise ValueError(
                f"`time_s` must be strictly increasing: the last frame's was {self._time_s}. "
                f"Received: time_s={time_s}."
            )
        if is_start := time_s - self._time_s > self._remember_s:
            self._tracks = []
        self._time_s = time_s
        lost = self._follow(image)
        if lost or time_s - self._detected_s >= self._detection_interval_s():
            self._detected_s = time_s
            self._detect(image, is_start)
        self._tracks = [track for track in self._tracks if not self._is_over(track)]
        self._update_velocities()
        return [self._report(t) for t in self._tracks if t.visible and t.identity is not None]

    def _detection_interval_s(self) -> float:
        if any(track.identity is None for track in self._tracks):
            return 0.0
        all_visible = self._tracks and all(track.visible for track in self._tracks)
        return self._detect_every_s if all_visible else self._search_every_s

    def _follow(self, image: np.ndarray) -> bool:
        """Locates the visible faces in the next frame; returns whether one was lost."""
        tracks = [track for track in self._tracks if track.visible]
        boxes = np.reshape([track.next_box(self._time_s) for track in tracks], (-1, 4))
        usable = overlaps_image(boxes, image) & np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        faces = iter(self._landmarker(image, boxes[usable]) if usable.any() else [])
        agreement = {}
        for track, box, is_usable in zip(tracks, boxes, usable, strict=True):
            face = next(faces) if is_usable else None
            track.visible = face is not None and self._continues(track, face, box, image)
            if face is not None and track.visible:
                track.face, track.time_s = face, self._time_s
                agreement[track] = box_iou(box, face.tracked_box_xyxy_px)
        for pair in itertools.combinations(tracks, 2):
            if all(t.visible for t in pair) and face_iou(pair[0].face, pair[1].face) > MIN_SAME_IOU:
                # The face in front is where its motion leads; the other one has jumped to it.
                min(pair, key=lambda track: agreement[track]).visible = False
        return not all(track.visible for track in tracks)

    def _continues(self, track: Track, face: Face, box: np.ndarray, image: np.ndarray) -> bool:
        """Returns whether a face is plausible, and near the box [4] that was predicted."""
        if not self._is_plausible(face, image) or not is_continuous(face, box):
            return False
        if not track.keeps_shape(face):
            if not self._is_face_shape(face):
                return False
            track.checked_px = face.landmarks_px
        return True

    def _is_plausible(self, face: Face, image: np.ndarray) -> bool:
        """Returns whether enough landmarks are in the image, and the score is high enough."""
        points = face.landmarks_px[np.isfinite(face.landmarks_px).all(axis=1)]
        height, width = image.shape[:2]
        inside = ((points > -0.5) & (points < [width - 0.5, height - 0.5])).all(axis=1)
        if len(points) < 2 or inside.mean() < _MIN_INSIDE or not side_of(face) >= 1:
            return False
        return face.score is None or face.score >= self._min_score

    def _is_face_shape(self, face: Face) -> bool:
        return face.pose is None or face.pose.residual <= self._max_residual

    def _detect(self, image: np.ndarray, is_start: bool) -> None:
        """Detects faces in the whole image: tracked, lost and new ones."""
        visible = [track for track in self._tracks if track.visible]
        unknown = []
        for box in self._landmarker.detect(image):
            overlaps = [float(box_iou(box, track.face.tracked_square_xyxy_px)) for track in visible]
            for track, overlap in zip(visible, overlaps, strict=True):
                if overlap > MIN_SAME_IOU:
                    self._confirm(track)
            if max(overlaps, default=0.0) < _MIN_CONFIRMED_IOU:
                unknown.append(box)
        found = self._landmarker(image, np.array(unknown)) if unknown else []
        new: list[Face] = []
        # Of several detections of one face, the most precise one comes first.
        found.sort(key=lambda face: -float(box_iou(face.box_xyxy_px, face.tracked_square_xyxy_px)))
        for face in found:
            if not (self._is_plausible(face, image) and self._is_face_shape(face)):
                continue
            near = [track for track in visible if _is_same(face, track.face)]
            for track in near:
                if len(near) == 1 and _corrects(face, track.face):
                    track.restart(face, self._time_s)
                if face_iou(face, track.face) > MIN_SAME_IOU:
                    self._confirm(track)
            if not near and all(face_iou(face, other) <= _MAX_NEIGHBOR_IOU for other in new):
                new.append(face)
        self._tracks = [track for track in self._tracks if track.identity is not None]
        new.sort(key=lambda face: -side_of(face))
        for face in self._assign_lost(new):
            if self._has_room():
                track = Track(face, self._time_s, self._time_s, self._new_filter())
                if is_start:
                    self._confirm(track)
                self._tracks.append(track)

    def _has_room(self) -> bool:
        return self.max_faces is None or sum(t.visible for t in self._tracks) < self.max_faces

    def _confirm(self, track: Track) -> None:
        track.detected_s = self._time_s
        if track.identity is None:
            track.identity = next(self._identities)

    def _assign_lost(self, faces: list[Face]) -> list[Face]:
        """Assigns detected faces to lost ones, the nearest first; returns the others."""
        candidates = [
            (distance, i, track)
            for track in self._tracks
            for i, face in enumerate(faces)
            if not track.visible and (distance := track.distance_to(face, self._time_s)) is not None
        ]
        assigned: set[int] = set()
        for _, i, track in sorted(candidates, key=lambda candidate: candidate[0]):
            if not track.visible and i not in assigned and self._has_room():
                assigned.add(i)
                track.restart(faces[i], self._time_s)
        return [face for i, face in enumerate(faces) if i not in assigned]

    def _is_over(self, track: Track) -> bool:
        if not track.visible:
            return track.identity is None or self._time_s - track.time_s > self._remember_s
        is_unscored = track.face.score is None
        return is_unscored and self._detected_s - track.detected_s > self._unconfirmed_s

    def _update_velocities(self) -> None:
        """Updates the velocity of the faces that no other face is near to."""
        squares = [track.square(self._time_s) for track in self._tracks]
        for track, square in zip(self._tracks, squares, strict=True):
            others = (other for other in squares if other is not square)
            if track.visible and all(box_iou(square, other) <= _MAX_APART_IOU for other in others):
                track.update_velocity(self._time_s)

    def _report(self, track: Track) -> Face:
        """Returns the face with smoothed landmarks, in the scheme of the map."""
        face, map_to = track.face, self._scheme_map
        landmarks = face.landmarks_px
        others: dict[str, Any] = {"scores": face.scores, "visibility": face.visibility}
        if track.smoother is not None:
            landmarks = track.smoother(landmarks, self._time_s, size_px=side_of(face))
        if map_to is not None:
            landmarks = map_to(landmarks)
            others = {k: x if x is None else map_to.map_scores(x) for k, x in others.items()}
        others |= {"scheme": self.scheme, "identity": track.identity}
        return dataclasses.replace(face, landmarks_px=landmarks, **others)


def _is_same(face: Face, tracked: Face) -> bool:
    """Returns whether a detected face is the tracked one, or one of them is in the other."""
    is_overlapping = face_iou(face, tracked) > MIN_SAME_IOU
    return is_overlapping or is_within(face, tracked) or is_within(tracked, face)


def _corrects(face: Face, tracked: Face) -> bool:
    """Returns whether a detected face shows that the landmarks of the tracked one have drifted."""
    if face.pose is None or tracked.pose is None:
        return False
    is_around = face_iou(face, tracked) > MIN_SAME_IOU or is_within(tracked, face)
    return is_around and face.pose.residual < _MAX_CORRECTION_RESIDUAL * tracked.pose.residual
