"""Videos of rendered faces with given motions and exact landmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tfrecords_tools.synthetic.face import render_face
from wing_tf.geometry import apply_affine, landmark_box

_PORTRAIT_SIDE = 320  # pixels; the landmarks span about half
_MASK_BLUR = 0.012  # standard deviation, as a fraction of the portrait's side
_BROWS = slice(17, 27)


@dataclass(frozen=True)
class Motion:
    """Motion of one face over T frames.

    Attributes:
        center_px: [T, 2], center of the tight landmark box of the upright face.
        side_px: [T], longer side of that box.
        roll_deg: [T], in-plane rotation, clockwise in the image.
    """

    center_px: np.ndarray
    side_px: np.ndarray
    roll_deg: np.ndarray


class SyntheticClip:
    """Portraits that move over a constant background, with noise.

    Each portrait of `render_face` is warped once per frame by the similarity of its motion, with a
    resolution of 1/32 pixel of the portrait, and its landmarks are mapped by the same matrix.
    Frames are computed on demand and are the same each time.

    Args:
        motions: Motions of N faces; later faces occlude earlier ones.
        seed: Seed of faces, background and noise.
        portraits: Indices of the faces in the seed's set. Defaults to the first ones.
        size_hw: Size of the frames.
        noise: Standard deviation of the noise in each channel, in gray levels.

    Attributes:
        landmarks_px: float64 [T, N, 68, 2], ground truth.
        size_hw: Size of the frames.

    Raises:
        ValueError: If there are no motions, if their lengths differ, or if the number of portraits
            is not that of the motions.
    """

    def __init__(
        self,
        motions: list[Motion],
        *,
        seed: int,
        portraits: Sequence[int] | None = None,
        size_hw: tuple[int, int] = (480, 640),
        noise: float = 3.0,
    ):
        lengths = {len(values) for m in motions for values in vars(m).values()}
        if len(lengths) != 1:
            raise ValueError(
                "`motions` must not be empty, and all must have the same length. "
                f"Received lengths: {sorted(lengths)}."
            )
        self.size_hw, self._seed, self._noise = size_hw, seed, noise
        portraits = range(len(motions)) if portraits is None else portraits
        if len(portraits) != len(motions):
            raise ValueError(
                f"`portraits` must have one index for each of {len(motions)} motions. "
                f"Received: portraits={list(portraits)}."
            )
        heads = [_masked_portrait(seed, index) for index in portraits]
        self._layers = [layer for layer, _ in heads]
        self._to_frame = [
            _matrices(motion, landmarks)
            for motion, (_, landmarks) in zip(motions, heads, strict=True)
        ]
        self.landmarks_px = np.stack(
            [
                apply_affine(matrices, landmarks[None])
                for matrices, (_, landmarks) in zip(self._to_frame, heads, strict=True)
            ],
            axis=1,
        )
        self._background = _background(seed, size_hw)

    def __len__(self) -> int:
        return len(self.landmarks_px)

    def frame(self, index: int) -> np.ndarray:
        """Returns a frame, uint8 RGB [H, W, 3]."""
        canvas = self._background.copy()
        for layer, matrices in zip(self._layers, self._to_frame, strict=True):
            x, y, width, height = self._span(layer, matrices[index])
            if width <= 0 or height <= 0:
                continue
            matrix = matrices[index] - [[0, 0, x], [0, 0, y]]
            warped = cv2.warpAffine(layer, matrix, (width, height), flags=cv2.INTER_LINEAR)
            part = canvas[y : y + height, x : x + width]
            part *= 1 - warped[..., 3:]
            part += warped[..., :3]
        rng = np.random.default_rng([self._seed, 2, index])
        canvas += self._noise * rng.standard_normal(canvas.shape, np.float32)
        return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)

    def occluded_fraction(self, index: int) -> np.ndarray:
        """Returns the fraction of each face's landmarks that others occlude in a frame, [N]."""
        fractions = np.zeros(len(self._layers))
        for back in range(len(fractions)):
            points = self.landmarks_px[index, back]
            occluded = np.zeros(len(points), bool)
            for front in range(back + 1, len(fractions)):
                layer, matrix = self._layers[front], self._to_frame[front][index]
                inverse = cv2.invertAffineTransform(matrix)
                column, row = np.rint(apply_affine(inverse, points)).astype(int).T
                inside = (row >= 0) & (row < len(layer)) & (column >= 0) & (column < len(layer))
                row, column = np.clip([row, column], 0, len(layer) - 1)
                occluded |= inside & (layer[row, column, 3] > 0.5)
            fractions[back] = occluded.mean()
        return fractions

    def _span(self, layer: np.ndarray, matrix: np.ndarray) -> tuple[int, int, int, int]:
        """Returns x, y, width and height of the part of the frame that a layer may cover."""
        rows, columns = np.nonzero(layer[::4, ::4, 3])
        corners = 4 * np.array(
            [[x, y] for x in (columns.min() - 2, columns.max() + 2)
             for y in (rows.min() - 2, rows.max() + 2)], float,
        )  # fmt: skip
        box = landmark_box(apply_affine(matrix, corners))
        height, width = self.size_hw
        low = np.clip(np.floor(box[:2]), 0, [width, height]).astype(int)
        high = np.clip(np.ceil(box[2:]) + 1, 0, [width, height]).astype(int)
        return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _masked_portrait(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a head, float32 [S, S, 4] with premultiplied alpha, and its landmarks."""
    face = render_face(seed, index, size=_PORTRAIT_SIDE, wide_yaw_fraction=0.0, yaw_std_deg=8.0)
    landmarks = face.landmarks_px.astype(np.float64)
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    # The forehead: the brows, moved along the vertical axis of the face.
    up = landmarks[_BROWS].mean(axis=0) - landmarks[8]
    edge = np.concatenate([landmarks, landmarks[_BROWS] + 0.55 * up])
    middle = (low + high) / 2
    edge = np.rint((edge - middle) * 1.06 + middle).astype(np.int32)
    alpha = np.zeros((_PORTRAIT_SIDE, _PORTRAIT_SIDE), np.float32)
    cv2.fillConvexPoly(alpha, cv2.convexHull(edge), 1.0)
    soft = cv2.GaussianBlur(alpha, (0, 0), _MASK_BLUR * _PORTRAIT_SIDE)
    soft[[0, -1]], soft[:, [0, -1]] = 0, 0
    return np.dstack([face.image * soft[..., None], soft]).astype(np.float32), landmarks


def _matrices(motion: Motion, landmarks_px: np.ndarray) -> np.ndarray:
    """Returns the matrices [T, 2, 3] from portrait to frame pixels."""
    box = landmark_box(landmarks_px)
    center, side = (box[:2] + box[2:]) / 2, np.max(box[2:] - box[:2])
    angle = np.radians(motion.roll_deg)
    cos, sin = (motion.side_px / side * f(angle) for f in (np.cos, np.sin))
    shift_x = motion.center_px[:, 0] - cos * center[0] + sin * center[1]
    shift_y = motion.center_px[:, 1] - sin * center[0] - cos * center[1]
    return np.stack([cos, -sin, shift_x, sin, cos, shift_y], axis=-1).reshape(-1, 2, 3)


def _background(seed: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Returns a nearly uniform background, float32 [H, W, 3]."""
    rng = np.random.default_rng([seed, 1])
    tone = rng.uniform(90, 150, 3)
    coarse = (tone + rng.uniform(-30, 30, (3, 4, 1))).astype(np.float32)
    fine = rng.uniform(-6, 6, (size_hw[0] // 4, size_hw[1] // 4, 1)).astype(np.float32)
    size_wh = size_hw[::-1]
    wall = cv2.resize(coarse, size_wh, interpolation=cv2.INTER_LINEAR)
    return wall + cv2.resize(fine, size_wh, interpolation=cv2.INTER_LINEAR)[..., None]
