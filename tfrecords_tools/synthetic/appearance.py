"""Texture atlas of a head: skin, brows, lips, hair, beard, ears, neck and clothes.

Colors are linear RGB reflectances. Eyes and mouth are in `eyes_and_mouth`.
"""

from typing import NamedTuple

import cv2
import numpy as np

from tfrecords_tools.synthetic.eyes_and_mouth import paint_eyes, paint_mouth
from tfrecords_tools.synthetic.head import Head
from tfrecords_tools.synthetic.mesh_parts import ATLAS_SHAPE, BLOCKS
from tfrecords_tools.synthetic.style import HAIR_COLORS, Style, hair_weight
from tfrecords_tools.synthetic.texture_maps import (
    SIDE,
    brow_chart,
    crop_noise,
    mean_surface,
    paint_over,
    region_boxes,
    regions,
    texel_angles,
    triple,
)


class Paint(NamedTuple):
    """The unlit atlas: reflectance `[h, w, 3]`, gloss `[h, w]` and relief `[256, 256]`."""

    color: np.ndarray
    gloss: np.ndarray
    relief: np.ndarray


def _skin(head: Head, style: Style, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mask = regions()
    fine = crop_noise("skin", rng, SIDE, SIDE)
    dirt = rng.uniform(0.006, 0.03) * (1 + style.age)
    fold = float(np.clip(0.5 * style.age + 0.6 * head.smile, 0, 1.3) * rng.uniform(0.3, 1))
    squint = float(np.clip(head.smile - 0.4, 0, 1) * rng.random())
    lines = style.age * rng.random(3)
    blush = rng.uniform(0, 0.3)
    strengths = {
        "socket": rng.uniform(0.12, 0.45),
        "nose_side": rng.uniform(0.05, 0.25),
        "wing": rng.uniform(0.15, 0.45),
        "nose_under": rng.uniform(0.1, 0.4),
        "under_lip": rng.uniform(0.05, 0.5),
        "philtrum": rng.uniform(0.05, 0.2),
        "fold": 0.65 * fold,
        "corner": rng.uniform(0, 0.4),
        "bag": (0.1 + 0.3 * style.age + 0.3 * squint) * rng.random(),
        "crow": 0.35 * lines[0] + 0.4 * squint,
        "frown": 0.35 * lines[1],
        "forehead_lines": 0.16 * lines[2] + 0.01 * max(head.brow_raise, 0),
        "chin_shade": rng.uniform(0, 0.8) ** 1.5,
        "nostril": rng.uniform(1.2, 3.0),
        "double_chin": rng.uniform(0, 0.5) if rng.random() < 0.25 else 0.0,
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
    thick, lift = rng.uniform(1.6, 5.2), rng.normal(0.1, 0.5)
    slot = slice(36, 76)
    along, away = along[slot], away[slot]
    inner = np.clip((along + rng.uniform(0.01, 0.05)) / 0.10, 0, 1)
    outer = np.clip((rng.uniform(0.99, 1.06) - along) / 0.5, 0, 1)
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
    if not style.moustache and not style.beard:
        return
    mask = regions()
    grain = crop_noise("stubble", rng, SIDE, SIDE)
    area = mask["moustache"] * style.moustache
    if style.beard:
        area = np.maximum(area, mask[style.beard])
    density, full = style.beard_density, style.beard_length > 0
    if full and style.beard_length > 5:
        grain = 0.6 * grain + crop_noise("strand", rng, SIDE, SIDE)
    weight = np.clip(area * (density + (0.25 if full else 0.35 * density) * grain), 0, 1)
    tint = np.array([0.06, 0.04, 0.03]) if style.hat else style.hair
    gray = rng.uniform(0, 0.7) if style.age > 0.5 else 0.0
    tint = tint + gray * (np.array([0.45, 0.44, 0.42]) - tint)
    tint = np.minimum(tint, style.skin if gray == 0 else 1.3 * style.skin)
    paint_over(color, tint * triple(np.exp(0.25 * full * grain)), weight)
    if full:
        relief += 0.045 * area * grain


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
    if style.visor and rng.random() < 0.7:
        edge = rng.uniform(-10, 35)
        depth = rng.uniform(0.3, 0.75)
        color *= triple(1 - depth * np.clip((edge - mean_surface()[..., 1]) / 8, 0, 1))

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
    tint = style.hair if not style.hat else HAIR_COLORS[rng.integers(0, 5)]
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
    collar = rng.uniform(2.0 if rng.random() < 0.3 else 3.6, 6.4) + rng.uniform(0, 2.5) * np.exp(
        -((angle / 0.4) ** 2)
    )
    cloth = np.clip((row - collar) / 0.25, 0, 1)[..., None]
    first, second = rng.uniform(0.01, 0.7, (2, 3)) * rng.uniform(0.3, 1, (2, 1))
    pattern = np.zeros((block.height, block.width))
    if rng.random() < 0.4:
        waves = np.sin(row * rng.uniform(0, 9) + angle * rng.uniform(0, 40))
        pattern = (waves > 0).astype(float)
    dress = first + (second - first) * pattern[..., None]
    dress = dress * np.exp(0.15 * crop_noise("cloud", rng, block.height, block.width))[..., None]
    shade = 1 - rng.uniform(0.0, 0.75) * np.exp(-(((row - 1.4) / 1.5) ** 2))[..., None]
    return style.skin * shade * (1 - cloth) + dress * cloth
