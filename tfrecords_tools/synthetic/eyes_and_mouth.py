"""Textures of eyes and mouth.

They are painted in millimeters, so that opening an eye uncovers the eyeball instead of stretching
it.
"""

import cv2
import numpy as np

from tfrecords_tools.synthetic.head import Head
from tfrecords_tools.synthetic.texture_maps import (
    crop_noise,
    mean_surface,
    paint_over,
    painted_points,
    regions,
)

_IRIS = np.array(
    [[0.022, 0.012, 0.009], [0.065, 0.03, 0.014], [0.12, 0.07, 0.027], [0.09, 0.17, 0.27]]
    + [[0.09, 0.13, 0.06], [0.15, 0.18, 0.21]]
)
# Texels that are changed; everything painted lies well inside.
_EYE_PATCHES = (
    (slice(54, 92), slice(66, 118)),
    (slice(54, 92), slice(138, 190)),
)
_MOUTH_PATCH = (slice(160, 206), slice(84, 172))
_CANONICAL_LID_GAP, _CANONICAL_MOUTH_GAP = 7.5, 5.0


def _edge(value: np.ndarray, softness: float) -> np.ndarray:
    return np.clip(0.5 - value / softness, 0, 1).astype(np.float32)


def paint_eyes(
    color: np.ndarray,
    gloss: np.ndarray,
    head: Head,
    yaw: float,
    skin: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paints eyeballs, lashes and lids in place.

    Args:
        color: Head texture `[256, 256, 3]`, linear RGB; changed.
        gloss: Head gloss `[256, 256]`; changed.
        head: Head, for the opening of the lids.
        yaw: Yaw of the head in degrees.
        skin: Linear RGB of the skin.
        rng: Generator.
    """
    mask = regions()
    look_x, look_y = rng.normal(0, 1.8), rng.normal(0, 0.8)
    if rng.random() < 0.6:
        look_x -= 7.0 * np.sin(np.radians(np.clip(yaw, -50, 50)))
    look_x, look_y = np.clip(look_x, -5.5, 5.5), np.clip(look_y, -2, 2)
    iris = _IRIS[rng.integers(0, 2 if skin[0] < 0.3 or rng.random() < 0.4 else len(_IRIS))]
    iris = iris * np.exp(rng.normal(0, 0.25))
    white = rng.uniform(0.32, 0.62) * np.array([1.0, 0.95, 0.92]) * np.exp(rng.normal(0, 0.03, 3))
    iris_radius, pupil = rng.uniform(5.4, 6.3), rng.uniform(1.5, 3.0)
    makeup = rng.random() < 0.25
    line = rng.uniform(0.6, 0.95) + 0.25 * makeup
    lower_line = rng.uniform(0.05, 0.35) + 0.3 * makeup
    crease = rng.uniform(0.15, 0.75)
    shadow = rng.uniform(0.2, 0.7) if makeup else rng.uniform(0, 0.25)
    shadow_tint = skin * rng.uniform(0.15, 0.8, 3) if makeup else skin * 0.5
    glint = rng.uniform(-2.5, 2.5), rng.uniform(-2.8, -0.8), rng.uniform(0, 1)
    fiber = crop_noise("skin", rng, 38, 52)
    for eye, name in enumerate(("left", "right")):
        patch = _EYE_PATCHES[eye]
        view, place = color[patch], mean_surface()[patch]
        numbers = [36, 37, 38, 39, 40, 41] if eye == 0 else [42, 43, 44, 45, 46, 47]
        center = painted_points()[numbers].mean(0)
        # Undoes the compression of the texture by the lids: the iris stays round, and the lids
        # cover parts of it.
        squeeze = min(head.eye_gaps[eye] / _CANONICAL_LID_GAP, 1.6)
        x = place[..., 0] - center[0]
        y = (place[..., 1] - center[1]) * squeeze
        inside = mask[f"eye_{name}"][patch]
        depth = np.clip(1.5 * cv2.GaussianBlur(inside, (0, 0), 2.2) - 0.25, 0, 1)
        ball = white * (0.22 + 0.78 * depth)[..., None]
        pink = np.clip(np.abs(x) - 9, 0, 5) / 5
        ball = ball * (1 - pink[..., None] * np.array([0.05, 0.4, 0.35]))
        radius = np.hypot(x - look_x, y - look_y + 0.6)
        tint = iris * np.exp(0.25 * fiber)[..., None]
        tint = tint * (1.25 - 0.9 * np.clip(radius / iris_radius - 0.55, 0, 1) / 0.45)[..., None]
        ball = ball + _edge(radius - iris_radius, 1.1)[..., None] * (tint - ball)
        ball = ball * (1 - 0.95 * _edge(radius - pupil, 0.8))[..., None]
        spark = np.hypot(x - look_x - glint[0], y - look_y - glint[1])
        ball = ball + (0.9 * glint[2] * _edge(spark - 1.0, 1.0))[..., None]
        paint_over(view, shadow_tint, shadow * mask[f"lid_{name}"][patch] * (1 - inside))
        paint_over(view, skin * 0.3, crease * mask[f"crease_{name}"][patch])
        paint_over(view, ball, inside)
        paint_over(view, skin * 0.10, np.clip(1.2 * line * mask[f"lash_{name}"][patch], 0, 1))
        paint_over(view, skin * 0.20, lower_line * mask[f"lower_lash_{name}"][patch])
        gloss[patch] += 0.4 * inside


def paint_mouth(
    color: np.ndarray,
    gloss: np.ndarray,
    head: Head,
    skin: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paints lips, teeth, tongue and the inside of the mouth in place.

    Args:
        color: Head texture `[256, 256, 3]`, linear RGB; changed.
        gloss: Head gloss `[256, 256]`; changed.
        head: Head, for the opening of the mouth.
        skin: Linear RGB of the skin.
        rng: Generator.
    """
    patch = _MOUTH_PATCH
    view, place = color[patch], mean_surface()[patch]
    mask = {name: regions()[name][patch] for name in ("lips", "mouth", "seam")}
    x, y = place[..., 0], place[..., 1]
    tint = skin * np.array([0.86, 0.55, 0.56]) * np.exp(rng.normal(0, 0.12, 3))
    strength = rng.uniform(0.25, 0.95)
    if rng.random() < 0.2:
        tint = rng.uniform([0.25, 0.01, 0.02], [0.6, 0.12, 0.18])
        strength = rng.uniform(0.7, 1)
    ridges = crop_noise("strand", rng, view.shape[0], view.shape[1])
    upper_darker = 1 - rng.uniform(0.05, 0.3) * (y < 71)
    lip = tint * (np.exp(0.06 * ridges) * upper_darker)[..., None]
    paint_over(view, lip, strength * mask["lips"])
    gloss[patch] += rng.uniform(0, 0.45) * mask["lips"]

    gap = head.mouth_gap
    mean = painted_points()
    top = np.interp(x, mean[60:65, 0], mean[60:65, 1])
    bottom = np.interp(x, mean[[60, 67, 66, 65, 64], 0], mean[[60, 67, 66, 65, 64], 1])
    scale = gap / _CANONICAL_MOUTH_GAP
    below_top, above_bottom = (y - top) * scale, (bottom - y) * scale
    cave = np.zeros_like(view) + np.array([0.050, 0.012, 0.012], np.float32)
    has_tongue = gap > 7 and rng.random() < 0.75 - 0.5 * head.smile
    tongue = _edge(above_bottom - rng.uniform(0.2, 0.55) * gap, 3.0) * float(has_tongue)
    paint_over(cave, skin[0] * np.array([0.55, 0.18, 0.17]), tongue * 0.8)
    tooth = rng.uniform(0.45, 0.95) * np.array([1.0, 0.93, 0.80])
    lateral = np.exp(-((x / rng.uniform(17, 30)) ** 4))
    lateral *= np.clip((gap - 0.8) / 1.5, 0, 1)  # lips that touch cover the teeth
    rows_of_teeth = 1 - 0.3 * np.exp(-((((x / 7.5) % 1.0 - 0.5) / 0.08) ** 2))
    if rng.random() < 0.8 + 0.2 * head.smile:
        height = rng.uniform(5, 11 + 2 * head.smile)
        upper = _edge(below_top - height, 1.0)
        paint_over(cave, tooth, upper * lateral * rows_of_teeth)
    if rng.random() < 0.35:
        lower = _edge(above_bottom - rng.uniform(1, 5), 1.0)
        paint_over(cave, 0.8 * tooth, lower * lateral * rows_of_teeth)
    shade = np.clip(1.6 * cv2.GaussianBlur(mask["mouth"], (0, 0), 1.0) - 0.35, 0.12, 1)
    closed = float(np.clip(1.4 - gap / 2.5, 0, 1))
    seam = np.clip(mask["seam"], 0, 1) * (0.25 + 0.6 * closed)
    paint_over(view, tint * 0.22, seam.astype(np.float32))
    paint_over(view, cave * shade[..., None], mask["mouth"])
