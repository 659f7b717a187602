"""Faces of a video: the same number for the same face in all frames, and steady landmarks."""

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wing_tf.geometry import box_iou
from wing_tf.inference.checks import check_image
from wing_tf.inference.face import Face
from wing_tf.inference.landmarker import Landmarker
from wing_tf.inference.smoothing import OneEuroFilter
from wing_tf.inference.track import (
    AGREEING,
    SAME,
    TOO_NEAR,
    Track,
    continues,
    difference,
    is_in,
    is_within,
    overlap,
    side_of,
    signature_of,
    square_of,
)

_TOUCHING = 0.02  # overlap above which faces may hide each other
_LEAST_INSIDE = 0.5  # share of the landmarks in the image


class Tracker:
    """Follows the faces of a video from frame to frame.

    A known face is looked for in the box of its last landmarks, moved on at its speed; all faces
    of a frame are one batch. The detector runs only where a face was lost or none is there, and
    now and then for new ones. A face is lost where scores, shape, size or place make no sense, or
    where its landmarks slide onto another face, which hides it. It is then expected where its
    speed takes it, and is known again by place, size and looks. A new face is reported when the
    detector has found it twice, in two frames in a row; those of the first frame, at once. A gap
    in time of more than ``hidden_seconds`` is a new start.

    A network without scores can't tell a face from a wall by shape alone; what it follows is
    given up where the detector finds no face there for ``unseen_seconds``.

    Args:
        landmarker: with a detector.
        smooth: filter the landmarks; see `OneEuroFilter`.
        detect_seconds: between two looks for new faces.
        search_seconds: between two looks while a face is lost or none is there.
        hidden_seconds: how long a lost face is remembered.
        unseen_seconds: see above.
        lost_score: a network's mean score below which a face is lost.
        lost_residual: of `wing_tf.geometry.pose.HeadPose`, above which it is lost.
        max_faces: how many are followed at most; the largest first.
        filter_options: arguments of `OneEuroFilter`.

    Raises:
        ValueError: if an option is out of range, or the landmarker has no detector or one that
            needs the names of images.

    Example:
        >>> tracker = Tracker(Landmarker("model.tflite", detector=detector))  # doctest: +SKIP
        >>> for frame in video:  # doctest: +SKIP
        ...     faces = tracker(frame.image, frame.time_s)
    """

    def __init__(
        self,
        landmarker: Landmarker,
        *,
        smooth: bool = True,
        detect_seconds: float = 0.5,
        search_seconds: float = 0.1,
        hidden_seconds: float = 1.5,
        unseen_seconds: float = 2.0,
        lost_score: float = 0.2,
        lost_residual: float = 0.3,
        max_faces: int | None = None,
        filter_options: dict[str, Any] | None = None,
    ):
        if landmarker.detector is None:
            raise ValueError("A tracker needs a landmarker with a detector.")
        if getattr(landmarker.detector, "needs_name", False):
            raise ValueError("A tracker can't use a detector that needs the names of images.")
        for name, value in (
            ("detect_seconds", detect_seconds),
            ("search_seconds", search_seconds),
            ("hidden_seconds", hidden_seconds),
            ("unseen_seconds", unseen_seconds),
        ):
            if not value >= 0:
                raise ValueError(f"`{name}` must not be negative. Received: {name}={value}.")
        if max_faces is not None and max_faces < 1:
            raise ValueError(f"`max_faces` must be at least 1. Received: max_faces={max_faces}.")
        # Faces are followed by all landmarks of the network: a few of them make a smaller box.
        self._landmarker, self._scheme_map = landmarker, landmarker.scheme_map
        if self._scheme_map is not None:
            self._landmarker = copy.copy(landmarker)
            self._landmarker.scheme_map = None
            self._landmarker.scheme = self._scheme_map.source
        self._new_filter: Callable[[], OneEuroFilter | None] = (
            (lambda: OneEuroFilter(**(filter_options or {}))) if smooth else lambda: None
        )
        self._new_filter()  # says at once what is wrong with its options
        self.scheme, self.max_faces = landmarker.scheme, max_faces
        self._detect_seconds, self._search_seconds = detect_seconds, search_seconds
        self._hidden_seconds, self._unseen_seconds = hidden_seconds, unseen_seconds
        self._lost_score, self._lost_residual = lost_score, lost_residual
        self._numbers = itertools.count()
        self.reset()

    def reset(self) -> None:
        """Forgets all faces and times; numbers of faces are not used again."""
        self._tracks: list[Track] = []
        self._time_s = self._detected_s = -math.inf

    def __call__(self, image: np.ndarray, time_s: float) -> list[Face]:
        """Takes the next frame.

        Args:
            image: uint8 RGB [H, W, 3].
            time_s: when it was taken, later than the last one.

        Returns:
            The faces that are seen in it, by their number ``identity``.

        Raises:
            ValueError: on another kind of image, or if the time does not go on.
        """
        check_image(image)
        if not (time_s > self._time_s and math.isfinite(time_s)):
            raise ValueError(
                f"`time_s` must go on: the last frame's was {self._time_s}. "
                f"Received: time_s={time_s}."
            )
        if first := time_s - self._time_s > self._hidden_seconds:  # or none at all before
            self._tracks = []
        self._time_s = time_s
        lost = self._follow(image)
        if lost or time_s - self._detected_s >= self._wait():
            self._detected_s = time_s
            self._detect(image, first)
        self._tracks = [t for t in self._tracks if not self._is_over(t)]
        self._learn(image)
        return [self._report(t) for t in self._tracks if t.visible and t.identity is not None]

    def _wait(self) -> float:
        """Returns the seconds from one look for faces to the next."""
        if any(t.identity is None for t in self._tracks):
            return 0.0
        calm = self._tracks and all(t.visible for t in self._tracks)
        return self._detect_seconds if calm else self._search_seconds

    def _follow(self, image: np.ndarray) -> bool:
        """Looks for the known faces; returns whether one was lost."""
        before = [t for t in self._tracks if t.visible]
        boxes = [t.next_box(self._time_s) for t in before]
        inside = [is_in(box, image) for box in boxes]
        chosen = [box for box, fits in zip(boxes, inside, strict=True) if fits]
        faces = iter(self._landmarker(image, np.array(chosen)) if chosen else [])
        for track, box, fits in zip(before, boxes, inside, strict=True):
            track.visible = False
            if fits and self._is_seen(face := next(faces), image) and continues(face, box):
                if not track.has_kept_shape(face):
                    if not self._is_shaped(face):
                        continue
                    track.checked = face.landmarks_px
                track.see(face, self._time_s)
        for one, other in itertools.combinations(before, 2):
            if one.visible and other.visible:
                self._part(one, other, image)
        return not all(t.visible for t in before)

    def _part(self, one: Track, other: Track, image: np.ndarray) -> None:
        """Hides one of two faces that are the same, or that slides onto the other."""
        shared = overlap(one.face, other.face)
        if shared < _TOUCHING:
            return
        own, foreign = [], []
        for track, rival in ((one, other), (other, one)):
            seen = signature_of(image, track.face)
            own.append(difference(seen, track.signature))
            foreign.append(difference(seen, rival.signature))
        pair = (one, other)
        if shared > SAME:
            pair[int(own[1] > own[0])].visible = False
        else:
            for track, self_difference, rival_difference in zip(pair, own, foreign, strict=True):
                if rival_difference < self_difference and all(t.visible for t in pair):
                    track.visible = False

    def _is_seen(self, face: Face, image: np.ndarray) -> bool:
        """Returns whether a face is in the image, and the network is sure enough."""
        known = np.isfinite(face.landmarks_px).all(axis=1)
        points = face.landmarks_px[known]
        height, width = image.shape[:2]
        inside = ((points > -0.5) & (points < [width - 0.5, height - 0.5])).all(axis=1)
        if len(points) < 2 or inside.mean() < _LEAST_INSIDE or not side_of(square_of(face)) >= 1:
            return False
        if face.scores is None or not np.isfinite(face.scores).any():
            return True
        return bool(np.nanmean(face.scores) >= self._lost_score)

    def _is_shaped(self, face: Face) -> bool:
        """Returns whether landmarks are like a face's."""
        return face.pose is None or face.pose.residual <= self._lost_residual

    def _detect(self, image: np.ndarray, first: bool) -> None:
        """Looks for faces everywhere: known ones, lost ones and new ones."""
        boxes = self._landmarker.detect(image)
        seen = [t for t in self._tracks if t.visible]
        hiding = len(seen) < len(self._tracks)
        free = []
        for box in boxes:
            overlaps = [float(box_iou(box, square_of(t.face))) for t in seen]
            for track, share in zip(seen, overlaps, strict=True):
                if share > SAME:
                    self._confirm(track)
            if max(overlaps, default=0.0) < AGREEING:
                free.append(box)
        new = self._landmarker(image, np.array(free)) if free else []
        new = [face for face in new if self._is_seen(face, image) and self._is_shaped(face)]
        # A detector may hit one face twice: what is most where it was said to be comes first.
        kept: list[Face] = []
        for face in sorted(new, key=lambda f: -float(box_iou(f.box_xyxy_px, square_of(f)))):
            looks = signature_of(image, face)
            near = [t for t in seen if t.is_near(face, None if hiding else looks)]
            for track in near:
                over = overlap(face, track.face) > SAME or is_within(track.face, face)
                if len(near) == 1 and over and track.is_put_right_by(face, looks):
                    track.start_again(face, self._time_s)
                if overlap(face, track.face) > SAME:
                    self._confirm(track)
            if not near and all(overlap(face, other) <= TOO_NEAR for other in kept):
                kept.append(face)
        self._tracks = [t for t in self._tracks if t.identity is not None]
        kept.sort(key=lambda face: -side_of(square_of(face)))
        for face in self._know_again(image, kept):
            if self._has_room():
                track = Track(
                    face=face,
                    time_s=self._time_s,
                    found_s=self._time_s,
                    smoother=self._new_filter(),
                    signature=signature_of(image, face),
                )
                if first:
                    self._confirm(track)
                self._tracks.append(track)

    def _has_room(self) -> bool:
        return self.max_faces is None or sum(t.visible for t in self._tracks) < self.max_faces

    def _confirm(self, track: Track) -> None:
        track.found_s = self._time_s
        if track.identity is None:
            track.identity = next(self._numbers)

    def _know_again(self, image: np.ndarray, faces: list[Face]) -> list[Face]:
        """Gives faces to the hidden ones that they fit, best first; returns those left."""
        looks = [signature_of(image, face) for face in faces]
        fits = [
            (cost, number, track)
            for track in self._tracks
            for number, face in enumerate(faces)
            if not track.visible
            and (cost := track.cost_of(face, looks[number], self._time_s)) is not None
        ]
        taken: set[int] = set()
        for _, number, track in sorted(fits, key=lambda fit: fit[0]):
            if not track.visible and number not in taken and self._has_room():
                taken.add(number)
                track.start_again(faces[number], self._time_s)
        return [face for number, face in enumerate(faces) if number not in taken]

    def _is_over(self, track: Track) -> bool:
        if not track.visible:
            return track.identity is None or self._time_s - track.time_s > self._hidden_seconds
        unsure = track.face.scores is None
        return unsure and self._detected_s - track.found_s > self._unseen_seconds

    def _learn(self, image: np.ndarray) -> None:
        """Lets the faces that no other one touches learn how they move and look."""
        squares = [
            square_of(t.face) if t.visible else t.hidden_square(self._time_s) for t in self._tracks
        ]
        for track, square in zip(self._tracks, squares, strict=True):
            others = [other for other in squares if other is not square]
            touched = any(box_iou(square, other) > _TOUCHING for other in others)
            if track.visible and not touched:
                track.learn(image, self._time_s)

    def _report(self, track: Track) -> Face:
        face, scores = track.face, track.face.scores
        landmarks = face.landmarks_px
        if track.smoother is not None:
            size_px = float(side_of(square_of(face)))
            landmarks = track.smoother(landmarks, self._time_s, size_px=size_px)
        if self._scheme_map is not None:
            landmarks = self._scheme_map(landmarks)
            scores = None if scores is None else self._scheme_map.map_scores(scores)
        return dataclasses.replace(
            face,
            landmarks_px=landmarks,
            scores=scores,
            scheme=self.scheme,
            identity=track.identity,
        )
