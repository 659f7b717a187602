"""Random colors and hair of a person, and the volume of hair and beard."""

from functools import cache
from typing import NamedTuple

import numpy as np

from tfrecords_tools.synthetic.head import GRID_SHAPE, angles_of_grid
from tfrecords_tools.synthetic.texture_maps import SIDE, regions

_SKIN = np.array(
    [[0.80, 0.56, 0.47], [0.70, 0.45, 0.355], [0.53, 0.305, 0.215], [0.31, 0.165, 0.105]]
    + [[0.165, 0.085, 0.05], [0.085, 0.045, 0.03]]
)
HAIR_COLORS = np.array(
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
        visor: Whether the hat has a visor.
        moustache: Whether there is a moustache.
        beard: Region of the beard, `"beard"` or `"goatee"`, or "" for none.
        beard_density: Fraction of the skin that the beard covers.
        beard_length: Length of the beard in millimeters; 0 for stubble.
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
    visor: bool
    moustache: bool
    beard: str
    beard_density: float
    beard_length: float


def random_style(rng: np.random.Generator) -> Style:
    """Draws the colors and hair of a person."""
    tone = rng.uniform(0, len(_SKIN) - 1.001) * rng.uniform(0.35, 1)
    low = int(tone)
    skin = _SKIN[low] + (tone - low) * (_SKIN[low + 1] - _SKIN[low])
    skin = skin * np.exp(rng.normal([0.02, 0, 0], 0.05)) * np.exp(rng.normal(0, 0.08))
    dark = tone > 2.2
    hair = HAIR_COLORS[rng.integers(0, 3 if dark or rng.random() < 0.5 else len(HAIR_COLORS))]
    hair = hair * np.exp(rng.normal(0, 0.07, 3)) * np.exp(rng.normal(0, 0.2))
    age = rng.random() ** 1.6
    if age > 0.75 and rng.random() < 0.6:
        hair = np.full(3, rng.uniform(0.25, 0.65))
    hat = rng.random() < 0.10
    if hat:
        hair = rng.uniform(0.02, 0.6) * rng.uniform(0.5, 1, 3)
    bald = not hat and rng.random() < 0.08
    volume = rng.uniform(3, 20) if rng.random() < 0.8 else rng.uniform(18, 55)
    kind, shaven = rng.random(), rng.random() < 0.25
    stubble = rng.random() < 0.45
    long_beard = rng.uniform(12, 60) if rng.random() < 0.2 else rng.uniform(1, 12)
    return Style(
        skin=skin.astype(np.float32),
        hair=hair.astype(np.float32),
        age=age,
        bald=bald,
        hat=hat,
        long_hair=not bald and rng.random() < 0.38,
        thickness=min(volume, 12.0) if hat else volume,
        hairline=rng.normal(1, 6) - (10 * rng.random() if age > 0.6 else 0),
        fringe=rng.uniform(6, 15) if rng.random() < 0.25 else 0.0,
        parting=rng.uniform(0, 6.3),
        visor=hat and rng.random() < 0.6,
        moustache=kind < 0.38 and not shaven,
        beard="beard" if kind < 0.24 else "goatee" if kind < 0.32 else "",
        beard_density=rng.uniform(0.12, 0.5) if stubble else rng.uniform(0.65, 0.97),
        beard_length=0.0 if stubble else long_beard,
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


@cache
def _beard_of_grid(region: str) -> np.ndarray:
    rows, columns = (np.rint(np.linspace(0, SIDE - 1, n)).astype(int) for n in GRID_SHAPE)
    return regions()[region][rows[:, None], columns].astype(float)


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
    grown = head + out * (weight * crown * lumps * style.thickness)[..., None]
    if not style.beard or style.beard_length == 0:
        return grown
    # Long beards hang from the chin, short ones stand off from the whole jaw.
    length = np.minimum(style.beard_length, 12.0) * _beard_of_grid(style.beard)
    hanging = np.exp(-((azimuth / 45) ** 2)) * _beard_of_grid(style.beard)
    fall = max(style.beard_length - 12.0, 0.0) * hanging * np.clip((elevation - 42) / 12, 0, 1)
    waves = 1 + 0.15 * np.sin(azimuth / 5 + style.parting) + 0.1 * wave_across
    grown += (0.55 * out + [0, 0.45, 0]) * (length * waves)[..., None]
    grown += np.array([0, 0.95, 0.3]) * (fall * waves)[..., None]
    return grown
