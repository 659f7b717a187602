"""Constant maps over the head's texture: regions, lines and noise.

The texture is charted on the average head, and control points have fixed texels. Lips that
are painted between the lip landmarks are therefore right for every head and expression.
"""

from functools import cache

import cv2
import numpy as np

from tfrecords_tools.synthetic.curves import spline
from tfrecords_tools.synthetic.deterministic_linalg import matmul
from tfrecords_tools.synthetic.head import (
    GRID_SHAPE,
    angles_of_grid,
    chart_controls,
    chart_of_points,
    mean_controls,
    surface,
)
from wing_tf.landmarks import get_scheme

SIDE = 256
_FINE = 4
# Where eyes and lips are painted relative to the landmarks on the left half of the average head, in
# millimeters to the right and down: networks then put the landmarks where annotators do.
_PAINT_SHIFT_MM = {
    **{36: (-4.5, 1.6), 37: (-2.7, 0.7), 38: (-0.4, -0.2), 39: (1.2, -0.4), 40: (0.7, -1.2)},
    **{41: (-1.7, -0.6), 48: (-7.0, 0.1), 49: (-4.6, -1.3), 50: (-1.3, -0.4), 51: (0, -0.4)},
    **{58: (-1.1, -0.5), 59: (-4.4, -1.3), 60: (-7, 0.8), 61: (-1.8, 0.2)},
    **{62: (0, 0.2), 67: (-2.0, -0.2)},
}
UPPER_LIDS = ([36, 37, 38, 39], [45, 44, 43, 42])
LOWER_LIDS = ([36, 41, 40, 39], [45, 46, 47, 42])


def triple(plane: np.ndarray) -> np.ndarray:
    """Repeats a plane `[h, w]` for each color; faster than broadcasting over a last axis of 3."""
    return cv2.merge([plane] * 3)


def paint_over(color: np.ndarray, other: np.ndarray, weight: np.ndarray) -> None:
    """Mixes `other` (a color or an image) into `color` `[h, w, 3]` by `weight` `[h, w]`."""
    change = np.asarray(other, np.float32) - color
    change *= triple(np.asarray(weight, np.float32))
    color += change


def stretch(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resamples a grid so that its corner samples are the corner pixels."""
    rows, columns = grid.shape[:2]
    matrix = np.array([[(columns - 1) / (width - 1), 0, 0], [0, (rows - 1) / (height - 1), 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE
    grid = grid.astype(np.float32)
    return cv2.warpAffine(grid, matrix, (width, height), flags=flags, borderMode=border)


@cache
def mean_surface() -> np.ndarray:
    """Returns the position on the average head per texel; `[256, 256, 3]`, in millimeters."""
    return stretch(surface(mean_controls(), *GRID_SHAPE), SIDE, SIDE)


@cache
def texel_angles() -> tuple[np.ndarray, np.ndarray]:
    """Returns elevation and azimuth per texel in degrees; each float32 `[256, 256]`."""
    elevation, azimuth = angles_of_grid(SIDE, SIDE)
    rows, columns = np.meshgrid(elevation, azimuth, indexing="ij")
    return rows.astype(np.float32), columns.astype(np.float32)


@cache
def painted_points() -> np.ndarray:
    """Returns `[68, 3]`, in millimeters: where each landmark of the average head is painted."""
    points = mean_controls()[:68].copy()
    flip = get_scheme("ibug_68").flip_permutation
    for number, shift in _PAINT_SHIFT_MM.items():
        points[number, :2] += shift
        if flip[number] != number:
            points[flip[number], :2] += np.multiply(shift, [-1, 1])
    return points


def curve(numbers: list[int]) -> np.ndarray:
    """Returns a smooth curve `[M, 2]` through landmarks in texels."""
    points = painted_points() + chart_controls()[:68] - mean_controls()[:68]
    return spline(chart_of_points(points[numbers]) * (SIDE - 1), 12)


def _fill(*curves: np.ndarray) -> np.ndarray:
    canvas = np.zeros((SIDE * _FINE, SIDE * _FINE), np.uint8)
    points = (np.concatenate(curves) + 0.5) * _FINE - 0.5
    cv2.fillPoly(canvas, [np.rint(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def stroke(points: np.ndarray, width: float) -> np.ndarray:
    """Returns a soft line through points `[M, 2]` (x, y) on the front, in millimeters."""
    place = mean_surface()
    at = place[..., :2]
    best = np.full((SIDE, SIDE), 1e6, np.float32)
    points = np.asarray(points, np.float32)
    for start, end in zip(points, points[1:], strict=False):
        along = end - start
        t = np.clip(matmul(at - start, along[:, None])[..., 0] / (along @ along), 0, 1)
        best = np.minimum(best, ((at - start - t[..., None] * along) ** 2).sum(-1))
    return np.exp(-0.5 * best / width**2) * (place[..., 2] > -75)


def spot(x: float, y: float, width: float, height: float) -> np.ndarray:
    """Returns a soft ellipse on both halves of the face; center and widths in millimeters."""
    place = mean_surface()
    across, down = (np.abs(place[..., 0]) - x) / width, (place[..., 1] - y) / height
    return np.exp(-0.5 * (across**2 + down**2)) * (place[..., 2] > -80)


def _both(points: list[tuple[float, float]], width: float) -> np.ndarray:
    line = np.array(points, float)
    return np.maximum(stroke(line, width), stroke(line * [-1, 1], width))


@cache
def regions() -> dict[str, np.ndarray]:
    """Returns weights in [0, 1] of painted regions; each float32 `[256, 256]`."""
    place = mean_surface()
    x, y, z = np.abs(place[..., 0]), place[..., 1], place[..., 2]
    upper_inner, lower_inner = curve([60, 61, 62, 63, 64]), curve([64, 65, 66, 67, 60])
    mouth = _fill(upper_inner, lower_inner)
    lips = _fill(curve([48, 49, 50, 51, 52, 53, 54]), curve([54, 55, 56, 57, 58, 59, 48]))
    found = {
        "mouth": mouth,
        "lips": np.clip(cv2.GaussianBlur(lips, (0, 0), 0.7) - mouth, 0, 1),
        "seam": np.clip(2.2 * cv2.GaussianBlur(mouth, (0, 0), 1.2), 0, 1),
        "cheek": spot(42, 34, 16, 13),
        "nose_tip": spot(0, 39, 11, 9),
        "nostril": spot(8.8, 44.1, 3.2, 1.7) * (place[..., 2] > 0),
        "nose_side": spot(17, 24, 6, 16),
        "wing": _both([(17.8, 31), (22, 36), (21.6, 41.5), (16.6, 44.5)], 1.3),
        "nose_under": spot(0, 47.9, 12, 2.5),
        "socket": spot(24, -5, 11, 5),
        "bag": _both([(20, 8), (27, 13), (36, 13), (43, 9)], 1.8),
        "under_lip": spot(0, 90, 13, 3.5),
        "philtrum": stroke(np.array([(0, 53), (0, 61)]), 2.0),
        "fold": _both([(21, 40), (28, 50), (34, 60), (37, 70), (36, 79)], 1.5),
        "corner": _both([(31.5, 68.8), (35, 69.8)], 1.2),
        "crow": np.maximum.reduce(
            [_both([(49, 2 + d), (58, 1 + 2.4 * d)], 0.8) for d in (-3.5, 0.0, 3.5)]
        ),
        "forehead_lines": np.maximum.reduce(
            [_both([(0, -36 - d), (22, -39 - d), (40, -34 - d)], 0.8) for d in (0, 9, 18)]
        ),
        "frown": _both([(4.5, -8), (5.5, -20)], 0.9),
        "chin_shade": np.clip((y - 100) / 18, 0, 1) * np.clip((-20 - z) / 30, 0, 1),
    }
    jawline = np.interp(place[..., 0], mean_controls()[:17, 0], mean_controls()[:17, 1])
    cheek_edge = np.clip((y - 0.55 * jawline - 8) / 10, 0, 1)
    near_mouth = spot(0, 73, 17, 9)
    beard = cheek_edge * np.clip((x + y - 78) / 16, 0, 1) * (z > -85) * (1 - near_mouth) ** 2
    moustache = spot(11, 57.5, 12, 4.5) * (y > 50)
    found["beard"] = np.clip(beard - lips, 0, 1)
    found["moustache"] = np.clip(1.4 * moustache - lips, 0, 1)
    jaw_edge = mean_controls()[4:13, :2] - [0, 2.0]
    found["double_chin"] = stroke(jaw_edge, 1.6)
    goatee = np.maximum(spot(0, 98, 17, 11), spot(24, 80, 5, 14))
    found["goatee"] = np.clip(1.3 * goatee - lips, 0, 1)
    for eye, name in enumerate(("left", "right")):
        upper, lower = curve(UPPER_LIDS[eye]), curve(LOWER_LIDS[eye])
        found[f"eye_{name}"] = _fill(upper, lower[::-1])
        place_of = painted_points()[UPPER_LIDS[eye]][:, :2]
        lash = stroke(_smooth(place_of) - [0, 0.3], 0.75)
        found[f"lash_{name}"] = lash
        found[f"lower_lash_{name}"] = stroke(_smooth(painted_points()[LOWER_LIDS[eye]][:, :2]), 0.6)
        found[f"crease_{name}"] = stroke(_smooth(place_of) - [0, 4.0], 0.9)
        found[f"lid_{name}"] = stroke(_smooth(place_of) - [0, 2.5], 2.6)
    return {name: np.ascontiguousarray(mask, np.float32) for name, mask in found.items()}


@cache
def region_boxes() -> dict[str, tuple[slice, slice]]:
    """Returns the smallest window that contains each region, to limit work to it."""
    boxes = {}
    for name, mask in regions().items():
        rows, columns = np.nonzero(mask > 0.004)
        boxes[name] = (
            slice(int(rows.min()), int(rows.max()) + 1),
            slice(int(columns.min()), int(columns.max()) + 1),
        )
    return boxes


def _smooth(points: np.ndarray) -> np.ndarray:
    t = np.linspace(0, len(points) - 1, 12)
    cubic = np.polyfit(np.arange(len(points)), points, 3)
    return np.stack([np.polyval(cubic[:, axis], t) for axis in range(2)], -1)


@cache
def brow_chart() -> tuple[np.ndarray, np.ndarray]:
    """Returns the position along a brow, 0 (nose) to 1, and millimeters below its upper edge."""
    place = mean_surface()
    brow = mean_controls()[17:22][::-1]
    along = (np.abs(place[..., 0]) - 14.0) / 48.5
    outside = np.abs(place[..., 0])
    line = np.interp(outside - 1.8, -brow[:, 0], brow[:, 1]) + np.clip((outside - 40) / 18, 0, 1)
    away = place[..., 1] - cv2.GaussianBlur(line.astype(np.float32), (0, 0), 2)
    return along, np.where(place[..., 2] > -60, away, 99).astype(np.float32)


@cache
def noise_sheets() -> dict[str, np.ndarray]:
    """Returns sheets of noise `[512, 512]` with unit deviation, to be cropped at random."""
    rng = np.random.default_rng(20240229)

    def octave(sigma_x: float, sigma_y: float) -> np.ndarray:
        white = rng.standard_normal((512, 512)).astype(np.float32)
        soft = cv2.GaussianBlur(white, (0, 0), sigma_x, sigmaY=sigma_y)
        return soft / soft.std()

    cloud = octave(30, 30) + 0.6 * octave(14, 14) + 0.35 * octave(6, 6)
    skin = 0.8 * octave(0.8, 0.8) + 0.7 * octave(2, 2) + 0.5 * octave(5, 5)
    strand = octave(0.7, 12) + 0.8 * octave(1.6, 26) + 0.6 * octave(5, 40)
    stubble = octave(0.6, 0.6)
    sheets = {"cloud": cloud, "skin": skin, "strand": strand, "stubble": stubble}
    return {name: (sheet / sheet.std()).astype(np.float32) for name, sheet in sheets.items()}


def crop_noise(name: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Returns a random crop `[height, width]` of a noise sheet, mirrored at random."""
    sheet = noise_sheets()[name]
    top = rng.integers(0, sheet.shape[0] - height + 1)
    left = rng.integers(0, sheet.shape[1] - width + 1)
    part = sheet[top : top + height, left : left + width]
    return part[:, ::-1] if rng.random() < 0.5 else part
