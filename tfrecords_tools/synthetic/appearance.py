"""Texture atlas of a head: skin, brows, lips, hair, beard, ears, neck and clothes.

Colors are linear RGB reflectances. Eyes and mouth are in `eyes_and_mouth`.
"""

from typing import NamedTuple

import cv2
import numpy as np

from tfrecords_tools.synthetic.eyes_and_mouth import paint_eyes, paint_mouth
from tfrecords_tools.synthetic.head import GRID_SHAPE, Head, angles_of_grid
from tfrecords_tools.synthetic.mesh_parts import ATLAS_SHAPE, BLOCKS
from tfrecords_tools.synthetic.texture_maps import (
    SIDE,
    brow_chart,
    crop_noise,
    paint_over,
    region_boxes,
    regions,
    texel_angles,
)

_SKIN = np.array(
    [[0.80, 0.56, 0.47], [0.70, 0.45, 0.355], [0.53, 0.305, 0.215], [0.31, 0.165, 0.105]]
    + [[0.165, 0.085, 0.05], [0.085, 0.045, 0.03]]
)
_HAIR = np.array(
    [[0.012, 0.010, 0.010], [0.03, 0.018, 0.012], [0.075, 0.04, 0.022], [0.15, 0.08, 0.04]]
    + [[0.38, 0.25, 0.12], [0.55, 0.42, 0.25], [0.26, 0.085, 0.03], [0.30, 0.29, 0.28]]
    + [[0.62, 0.60, 0.58]]
)
_HAIRLINE = np.array(
    [[0, -46], [30, -44], [48, -37], [60, -27], [70, -16], [78, -4], [84, 6], [92, 4], [100, -14]]
    + [[108, 8], [118, 30], [140, 42], [180, 46]],
    float,
)


class Style(NamedTuple):
    """Appearance of one person.

    Attributes:
        skin: Linear RGB of the skin.
        hair: Linear RGB of hair, brows and beard.
        age: 0 smooth to 1 wrinkled.
        bald: Whether there is no hair on the head.
        hat: Whether a cap of cloth replaces the hair.
        long_hair: Whether hair hangs to the shoulders.
        thickness: Thickness of the hair on the crown, in millimeters.
        hairline: Shift of the hairline in degrees; positive is lower.
        fringe: Degrees by which the fringe extends down the forehead.
        parting: Phase of the hairline's waves.
    """

    skin: np.ndarray
    hair: np.ndarray
    age: float
    bald: bool
    hat: bool
    long_hair: bool
    thickness: float
    hairline: float
    fringe: float
    parting: float


def random_style(rng: np.random.Generator) -> Style:
    """Draws the colors and hair of a person."""
    tone = rng.uniform(0, len(_SKIN) - 1.001) * rng.uniform(0.35, 1)
    low = int(tone)
    skin = _SKIN[low] + (tone - low) * (_SKIN[low + 1] - _SKIN[low])
    skin = skin * np.exp(rng.normal([0.02, 0, 0], 0.05)) * np.exp(rng.normal(0, 0.08))
    dark = tone > 2.2
    hair = _HAIR[rng.integers(0, 3 if dark or rng.random() < 0.5 else len(_HAIR))]
    hair = hair * np.exp(rng.normal(0, 0.07, 3)) * np.exp(rng.normal(0, 0.2))
    age = rng.random() ** 1.6
    if age > 0.75 and rng.random() < 0.6:
        hair = np.full(3, rng.uniform(0.25, 0.65))
    hat = rng.random() < 0.07
    if hat:
        hair = rng.uniform(0.02, 0.6) * rng.uniform(0.5, 1, 3)
    bald = not hat and rng.random() < 0.08
    return Style(
        skin=skin.astype(np.float32),
        hair=hair.astype(np.float32),
        age=age,
        bald=bald,
        hat=hat,
        long_hair=not bald and rng.random() < 0.38,
        thickness=rng.uniform(3, 20),
        hairline=rng.normal(3, 4) - (10 * rng.random() if age > 0.6 else 0),
        fringe=rng.uniform(6, 15) if rng.random() < 0.25 else 0.0,
        parting=rng.uniform(0, 6.3),
    )


def hair_weight(
    style: Style, elevation: np.ndarray, azimuth: np.ndarray, soft: float
) -> np.ndarray:
    """Returns the fraction of hair at angles of the head chart, in degrees."""
    if style.bald:
        return np.zeros(np.broadcast_shapes(elevation.shape, azimuth.shape), np.float32)
    away = np.abs(azimuth)
    if style.hat:
        line = -34 + 3 * style.hairline / 4 + away * 0.14
    else:
        line = np.interp(away, *_HAIRLINE.T) + style.hairline * np.clip(1.4 - away / 70, 0, 1)
        line = line + style.fringe * np.exp(-((away / 42) ** 4))
        line = line + 2.0 * np.sin(azimuth / 9 + style.parting) * (away < 75)
    return np.clip((line.astype(np.float32) - elevation) / soft + 0.5, 0, 1)


def grow_hair(head: np.ndarray, style: Style, rng: np.random.Generator) -> np.ndarray:
    """Moves the vertices `[rows, columns, 3]` of the head outwards to the surface of the hair."""
    elevation, azimuth = angles_of_grid(*GRID_SHAPE)
    elevation, azimuth = elevation[:, None], azimuth[None]
    weight = hair_weight(style, elevation + 2, azimuth, 10)
    crown = np.clip(0.35 - elevation / 70, 0.25, 1)
    wave_across = np.sin(azimuth / 17 + style.parting)
    lumps = 1 + 0.18 * wave_across * np.sin(elevation / 11 + rng.uniform(0, 6))
    out = head - np.array([0, 10, -82.0])
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    return head + out * (weight * crown * lumps * style.thickness)[..., None]


class Paint(NamedTuple):
    """The unlit atlas: reflectance `[h, w, 3]`, gloss `[h, w]` and relief `[256, 256]`."""

    color: np.ndarray
    gloss: np.ndarray
    relief: np.ndarray


def _skin(head: Head, style: Style, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mask = regions()
    fine = crop_noise("skin", rng, SIDE, SIDE)
    dirt = rng.uniform(0.006, 0.03) * (1 + style.age)
    fold = float(np.clip(0.45 * style.age + 0.55 * head.smile, 0, 1) * rng.uniform(0.4, 1))
    lines = style.age * rng.random(3)
    blush = rng.uniform(0, 0.3)
    strengths = {
        "socket": rng.uniform(0.12, 0.45),
        "nose_side": rng.uniform(0.05, 0.25),
        "wing": rng.uniform(0.15, 0.45),
        "nose_under": rng.uniform(0.1, 0.4),
        "under_lip": rng.uniform(0.05, 0.5),
        "philtrum": rng.uniform(0.05, 0.2),
        "fold": 0.45 * fold,
        "corner": rng.uniform(0.2, 0.5),
        "bag": (0.1 + 0.3 * style.age) * rng.random(),
        "crow": 0.35 * lines[0],
        "frown": 0.35 * lines[1],
        "forehead_lines": 0.16 * lines[2] + 0.01 * max(head.brow_raise, 0),
        "chin_shade": rng.uniform(0.2, 0.5),
        "nostril": rng.uniform(1.2, 3.0),
    }
    dark = dirt * fine + rng.uniform(0, 0.05) * crop_noise("cloud", rng, SIDE, SIDE)
    if rng.random() < 0.12:
        spots = np.clip(crop_noise("stubble", rng, SIDE, SIDE) - 1.6, 0, 1)
        freckled = np.clip(2 * mask["cheek"] + mask["nose_tip"], 0, 1)
        dark += rng.uniform(0.2, 0.6) * spots * freckled
    for name, strength in strengths.items():
        box = region_boxes()[name]
        dark[box] += np.float32(strength) * mask[name][box]
    # Absorption is additive in the exponent, and strongest for blue.
    color = cv2.exp(cv2.transform(dark, np.c_[[-0.8, -1.0, -1.1], np.log(style.skin)]))
    for name, strength in (("cheek", blush), ("nose_tip", 0.7 * blush)):
        box = region_boxes()[name]
        flush = np.c_[strength * np.array([0.2, -0.3, -0.25]), np.ones(3)]
        color[box] = color[box] * cv2.transform(mask[name][box], flush)
    wrinkled = mask["crow"] + mask["bag"] + mask["forehead_lines"]
    relief = 0.25 * dirt * fine - 0.5 * fold * mask["fold"] - 0.25 * mask["wing"]
    relief -= 0.22 * float(lines.mean()) * wrinkled
    return color, relief


def _brows(color: np.ndarray, style: Style, rng: np.random.Generator) -> None:
    along, away = brow_chart()
    thick, lift = rng.uniform(1.6, 5.2), rng.normal(0.6, 0.7)
    slot = slice(36, 76)
    along, away = along[slot], away[slot]
    inner = np.clip((along + rng.uniform(-0.02, 0.08)) / 0.10, 0, 1)
    outer = np.clip((rng.uniform(0.95, 1.1) - along) / 0.5, 0, 1)
    half = thick * (0.25 + 0.75 * outer) * (0.55 + 0.45 * inner)
    hair = crop_noise("stubble", rng, away.shape[1], away.shape[0]).T
    strokes = cv2.GaussianBlur(hair, (3, 3), 0) * 0.45
    covered = (half - np.abs(away - half - lift)) / 1.3 + strokes
    weight = np.clip(covered, 0, 1) * inner * (outer > 0)
    weight = np.clip(weight * rng.uniform(0.4, 1.05), 0, 1).astype(np.float32)
    tint = 0.8 * style.hair + 0.05 * style.skin
    if style.hat or rng.random() < 0.5:
        tint = 0.25 * style.skin * np.array([0.8, 0.65, 0.6])
    lightest = rng.uniform(0.35, 0.75) * style.skin
    paint_over(color[slot], np.minimum(tint, lightest), weight)


def _beard(color: np.ndarray, relief: np.ndarray, style: Style, rng: np.random.Generator) -> None:
    mask = regions()
    kind = rng.random()
    if kind > 0.34:
        return
    grain = crop_noise("stubble", rng, SIDE, SIDE)
    area = mask["moustache"] * (rng.random() < 0.75)
    if kind < 0.2:
        area = np.maximum(area, mask["beard"])
    elif kind < 0.28:
        area = np.maximum(area, mask["goatee"])
    full = rng.random() < 0.45
    density = rng.uniform(0.65, 0.95) if full else rng.uniform(0.15, 0.45)
    weight = np.clip(area * (density + (0.25 if full else 0.35 * density) * grain), 0, 1)
    tint = np.array([0.06, 0.04, 0.03]) if style.hat else style.hair
    paint_over(color, np.minimum(tint, style.skin), weight)
    if full:
        relief += 0.04 * area * grain


def paint(head: Head, style: Style, yaw: float, rng: np.random.Generator) -> Paint:
    """Paints the whole atlas.

    Args:
        head: Geometry of the head, whose openings eyes and mouth are painted to.
        style: Appearance of the person.
        yaw: Yaw of the head in degrees; eyes often look back at the camera.
        rng: Generator.
    """
    color, relief = _skin(head, style, rng)
    atlas = np.empty((*ATLAS_SHAPE, 3), np.float32)
    gloss = np.full(ATLAS_SHAPE, rng.uniform(0.03, 0.35), np.float32)
    face_gloss = gloss[:SIDE]
    face_gloss *= 1 + 0.7 * regions()["nose_tip"] + 0.35 * regions()["cheek"]
    _beard(color, relief, style, rng)
    _brows(color, style, rng)
    paint_mouth(color, face_gloss, head, style.skin, rng)
    paint_eyes(color, face_gloss, head, yaw, style.skin, rng)

    elevation, azimuth = texel_angles()
    azimuth = azimuth[:1]
    strand = _strands(rng)
    weight = hair_weight(style, elevation + 1.4 * strand, azimuth, 2.5 + 6 * rng.random())
    weave = 0.10 if style.hat else rng.uniform(0.12, 0.35)
    sheen = cv2.exp(cv2.transform(strand, np.c_[np.full(3, weave), np.log(style.hair)]))
    paint_over(color, sheen, weight)
    relief += 0.25 * weight * strand
    face_gloss *= 1 - weight * (0.9 if style.hat else 0.5)
    atlas[BLOCKS["head"].slices] = color

    ear = style.skin * rng.uniform(0.85, 1.05) * np.array([1.05, 0.92, 0.9])
    for name in ("left_ear", "right_ear"):
        atlas[BLOCKS[name].slices] = ear * _ear_shade()[..., None]
    atlas[BLOCKS["torso"].slices] = _torso(style, rng)
    block = BLOCKS["long_hair"]
    hang = crop_noise("strand", rng, block.height, block.width)
    tint = style.hair if not style.hat else _HAIR[rng.integers(0, 5)]
    atlas[block.slices] = tint * np.exp(0.5 * hang)[..., None] * rng.uniform(0.7, 1)
    return Paint(atlas, gloss, relief.astype(np.float32))


def _strands(rng: np.random.Generator) -> np.ndarray:
    """Returns a hair texture: straight, combed to a side, or curly."""
    if rng.random() < 0.2:
        curls = crop_noise("skin", rng, SIDE // 2, SIDE // 2)
        return cv2.resize(curls, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    strand = crop_noise("strand", rng, SIDE, SIDE)
    combed = np.array([[1, rng.normal(0, 0.9), 0], [rng.normal(0, 0.25), 1, 0]])
    combed[:, 2] = SIDE / 2 - combed[:, :2] @ [SIDE / 2, SIDE / 2]
    return cv2.warpAffine(strand, combed, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)


def _ear_shade() -> np.ndarray:
    block = BLOCKS["left_ear"]
    b = np.linspace(-1, 1, block.height, dtype=np.float32)[:, None]
    a = np.linspace(0, 1, block.width, dtype=np.float32)[None]
    ring = np.exp(-(((np.hypot(a - 0.35, 0.8 * b) - 0.52) / 0.07) ** 2))
    concha = np.exp(-(((a - 0.3) / 0.2) ** 2) - ((b - 0.15) / 0.3) ** 2)
    return np.exp(-0.55 * ring - 0.9 * concha)


def _torso(style: Style, rng: np.random.Generator) -> np.ndarray:
    block = BLOCKS["torso"]
    row = np.linspace(0, block.rows - 1, block.height)[:, None]
    angle = np.linspace(-np.pi, np.pi, block.width)[None]
    collar = rng.uniform(3.6, 6.4) + rng.uniform(0, 2.5) * np.exp(-((angle / 0.4) ** 2))
    cloth = np.clip((row - collar) / 0.25, 0, 1)[..., None]
    first, second = rng.uniform(0.01, 0.7, (2, 3)) * rng.uniform(0.3, 1, (2, 1))
    pattern = np.zeros((block.height, block.width))
    if rng.random() < 0.4:
        waves = np.sin(row * rng.uniform(0, 9) + angle * rng.uniform(0, 40))
        pattern = (waves > 0).astype(float)
    dress = first + (second - first) * pattern[..., None]
    dress = dress * np.exp(0.15 * crop_noise("cloud", rng, block.height, block.width))[..., None]
    shade = 1 - rng.uniform(0.25, 0.65) * np.exp(-(((row - 1.4) / 1.5) ** 2))[..., None]
    return style.skin * shade * (1 - cloth) + dress * cloth
