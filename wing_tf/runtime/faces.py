"""From a frame and boxes to crops, and from the crops' landmarks back to the frame.

One copy for every landmarker, on the host and on a device: they differ in what runs the network.
"""

import abc
import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from wing_tf.geometry import apply_affine, crop_region, flip_matrix, invert, landmark_box
from wing_tf.geometry.pose import HeadPose, head_pose
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.landmarks import LandmarkScheme, SchemeMap
from wing_tf.runtime.checks import check_boxes, check_image

_FACES_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class LocatedFace:
    """One face of an image.

    Attributes:
        landmarks_px: float64 [K, 2] in the image's pixels.
        box_xyxy_px: float64 [4], the box that was used.
        scores: float32 [K] in 0..1, how sure the network is of each landmark; None where it does
            not say.
        scheme: the scheme of the landmarks.
        identity: the same number for the same face in all frames of a video; None for a face that
            was not tracked.
    """

    landmarks_px: np.ndarray
    box_xyxy_px: np.ndarray
    scores: np.ndarray | None = None
    scheme: LandmarkScheme | None = None
    identity: int | None = None

    @cached_property
    def pose(self) -> HeadPose | None:
        """How the head is turned; None for a scheme without places on the head.

        See `wing_tf.geometry.pose.head_pose` for the method.
        """
        return None if self.scheme is None else head_pose(self.landmarks_px, self.scheme)

    @property
    def angles_deg(self) -> np.ndarray | None:
        """Yaw, pitch and roll [3] of `pose`."""
        return None if self.pose is None else self.pose.angles_deg

    @property
    def score(self) -> float | None:
        """How far to trust the face, in 0..1.

        The mean of ``scores``; for a network that has none, how much the landmarks are like a face
        (`wing_tf.geometry.pose.HeadPose.score`); None where neither is known. Scores of different
        networks can't be compared.
        """
        if self.scores is not None and np.isfinite(self.scores).any():
            return float(np.nanmean(self.scores))
        return None if self.pose is None else self.pose.score


class FaceLandmarker(abc.ABC):
    """Everything of a landmarker but its network.

    A call is `cut`, `run` and `place`, one after the other; twice with two passes.

    Args:
        scheme: the scheme of the network's landmarks.
        input_size: the side of the network's square input in pixels.
        margin: see `wing_tf.geometry.crop_region`.
        square: see there.
        detector: images to boxes [N, 4], largest first; needed where no box is given.
        scheme_map: gives the landmarks of another scheme than the network's; those that nothing
            stands for are NaN.
        needed_scheme: the name of the scheme that must come out; any if None.
        passes: 2 to cut each crop again, round the landmarks that the first pass found: boxes of
            a detector are off, the second crop is not.
        flip: average with what the network says of the mirrored crop.

    Attributes:
        scheme: the scheme of the landmarks that come out.

    Raises:
        ValueError: if the map is from another scheme than the network's, another one than the
            needed one comes out, or ``passes`` is neither 1 nor 2.
    """

    def __init__(
        self,
        scheme: LandmarkScheme,
        *,
        input_size: int,
        margin: float,
        square: bool,
        detector: Callable[..., np.ndarray] | None = None,
        scheme_map: SchemeMap | None = None,
        needed_scheme: str | None = None,
        passes: int = 1,
        flip: bool = False,
    ):
        if passes not in (1, 2):
            raise ValueError(f"`passes` must be 1 or 2. Received: passes={passes}.")
        if scheme_map is not None and scheme_map.source.name != scheme.name:
            raise ValueError(
                f"The map is from {scheme_map.source.name}, the model predicts {scheme.name}."
            )
        self.detector, self.scheme_map = detector, scheme_map
        self.scheme = scheme if scheme_map is None else scheme_map.target
        if needed_scheme is not None and needed_scheme != self.scheme.name:
            raise ValueError(
                f"A model of another scheme: {needed_scheme} is needed, it gives "
                f"{self.scheme.name}."
            )
        self.passes, self.flip = passes, flip
        self._flip_permutation = list(scheme.flip_permutation)
        self._input_size, self._margin, self._square = input_size, margin, square

    def __call__(
        self, image: np.ndarray, boxes_xyxy_px: np.ndarray | None = None
    ) -> list[LocatedFace]:
        """Locates the landmarks of all faces of an image.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes_xyxy_px: [N, 4] face boxes like those of the training (tight landmark boxes unless
                the model says otherwise); the detector's if None.

        Returns:
            One entry a box, in their order; none where nothing is found.

        Raises:
            ValueError: on another kind of image, a bad box, one that lies outside of the image,
                or where there is neither a box nor a detector.
        """
        check_image(image)
        boxes = self.detect(image) if boxes_xyxy_px is None else boxes_xyxy_px
        return self.many([image], [boxes])[0]

    def detect(self, image: np.ndarray, name: str | None = None) -> np.ndarray:
        """Returns the detector's boxes [N, 4], which lie at least partly in the image.

        Args:
            image: uint8 RGB [H, W, 3].
            name: the image's, for a detector that goes by names (its ``needs_name`` is true).

        Raises:
            ValueError: if there is no detector.
        """
        if self.detector is None:
            raise ValueError("Without a detector, `boxes_xyxy_px` [N, 4] must be given.")
        named = getattr(self.detector, "needs_name", False)
        boxes = check_boxes(self.detector(image, name) if named else self.detector(image))
        return boxes[_touching(boxes, image)]

    def many(
        self, images: Sequence[np.ndarray], boxes_xyxy_px: Sequence[np.ndarray]
    ) -> list[list[LocatedFace]]:
        """Locates the landmarks of the faces of several images, whose crops are run together.

        Args:
            images: uint8 RGB [H, W, 3] each, of any sizes.
            boxes_xyxy_px: [N, 4] for each image, N may be 0.

        Returns:
            For each image what a call gives for it.

        Raises:
            ValueError: as for a call.
        """
        checked = []
        for image, boxes in zip(images, boxes_xyxy_px, strict=True):
            check_image(image)
            boxes = check_boxes(boxes)
            if not (inside := _touching(boxes, image)).all():
                raise ValueError(
                    f"A box lies outside of the image of {image.shape[1]} x {image.shape[0]} "
                    f"pixels. Received: {boxes[~inside][0].tolist()}."
                )
            checked.append(boxes)
        owners = [number for number, boxes in enumerate(checked) for _ in boxes]
        if not owners:
            return [[] for _ in checked]
        used = boxes = np.concatenate(checked)
        landmarks, scores = self._locate(images, owners, boxes)
        if self.passes == 2:
            tight = landmark_box(landmarks)
            again = np.isfinite(tight).all(axis=1) & (tight[:, 2:] - tight[:, :2] >= 1).all(axis=1)
            again &= np.array(
                [_touching(tight[i : i + 1], images[o])[0] for i, o in enumerate(owners)]
            )
            used = np.where(again[:, None], tight, boxes)
            landmarks, scores = self._locate(images, owners, used)
        if self.scheme_map is not None:
            landmarks = self.scheme_map(landmarks)
            scores = None if scores is None else self.scheme_map.map_scores(scores)
        faces: list[list[LocatedFace]] = [[] for _ in checked]
        for number, owner in enumerate(owners):
            faces[owner].append(
                LocatedFace(
                    landmarks[number],
                    used[number],
                    None if scores is None else scores[number],
                    self.scheme,
                )
            )
        return faces

    def _locate(
        self, images: Sequence[np.ndarray], owners: Sequence[int], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the landmarks [N, K, 2] in images' pixels and the scores of all faces."""
        places, all_scores = [], []
        for start in range(0, len(boxes), _FACES_AT_ONCE):
            part = slice(start, start + _FACES_AT_ONCE)
            pairs = [
                self.cut(images[owner], box[None])
                for owner, box in zip(owners[part], boxes[part], strict=True)
            ]
            crops, to_crop = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
            landmarks_crop_px, scores = self.run_averaged(crops)
            places.append(self.place(to_crop, landmarks_crop_px))
            if scores is not None:
                all_scores.append(scores)
        return np.concatenate(places), np.concatenate(all_scores) if all_scores else None

    def run_averaged(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs the network as `run` does, with ``flip`` on the crops and on their mirror images."""
        landmarks, scores = self.run(crops)
        if not self.flip:
            return landmarks, scores
        mirrored, mirrored_scores = self.run(np.ascontiguousarray(crops[:, :, ::-1]))
        back = apply_affine(flip_matrix(crops.shape[2]), mirrored)[:, self._flip_permutation]
        landmarks = (landmarks + back) / 2
        if scores is not None and mirrored_scores is not None:
            scores = (scores + mirrored_scores[:, self._flip_permutation]) / 2
        return landmarks, scores

    def cut(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the network's inputs uint8 [N, side, side, 3], and the maps [N, 2, 3] to them.

        Args:
            image: uint8 RGB [H, W, 3].
            boxes: float64 [N, 4], N at least 1.
        """
        size_hw = (self._input_size, self._input_size)
        regions = crop_region(boxes, self._margin, self._square)
        pairs = (crop_and_resize(image, region, size_hw) for region in regions)
        crops, to_crop = zip(*pairs, strict=True)
        return np.stack(crops), np.stack(to_crop)

    @abc.abstractmethod
    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs the network.

        Args:
            crops: uint8 [N, side, side, 3].

        Returns:
            Landmarks [N, K, 2] in the crops' pixels and scores [N, K]; None where it has none.
        """

    def place(self, to_crop: np.ndarray, landmarks_crop_px: np.ndarray) -> np.ndarray:
        """Returns the landmarks float64 [N, K, 2] in the image's pixels; the inverse of `cut`."""
        return apply_affine(invert(to_crop), landmarks_crop_px.astype(np.float64))


def _touching(boxes: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Returns whether each box [N, 4] shares a part with the image."""
    height, width = image.shape[:2]
    return np.all((boxes[:, 2:] > -0.5) & (boxes[:, :2] < [width - 0.5, height - 0.5]), axis=1)
