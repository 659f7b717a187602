"""Random identity and expression of a head."""

from functools import cache

import numpy as np

from tfrecords_tools.synthetic.deterministic_linalg import matmul
from tfrecords_tools.synthetic.head import GRID_SHAPE, Head, mean_controls, surface
from wing_tf.landmarks import get_scheme

_EYES = ((37, 41, 38, 40), (44, 46, 43, 47))  # upper lid, lower lid, twice per eye
_UPPER_LIP, _LOWER_LIP = [61, 62, 63], [67, 66, 65]
_OUTER_UPPER, _OUTER_LOWER = [49, 50, 51, 52, 53], [59, 58, 57, 56, 55]
_EYE_CENTER = 32.5  # mm from the middle line


def _bump(center: tuple[float, float, float], width: tuple[float, float, float]) -> np.ndarray:
    mean = mean_controls()
    offset = np.abs(mean[:, 0]) - center[0], mean[:, 1] - center[1], mean[:, 2] - center[2]
    return np.exp(-0.5 * sum((o / w) ** 2 for o, w in zip(offset, width, strict=True)))


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@cache
def _fields() -> dict[str, np.ndarray]:
    """Returns weights `[N]` of the control points in each change of the head, by name."""
    mean = mean_controls()
    jaw = _ramp(mean[:, 1], 58, 84)
    jaw[_LOWER_LIP + _OUTER_LOWER] = 1
    jaw[[59, 55]] = 0.85
    jaw[[48, 54, 60, 64]] = 0.42
    jaw[[*range(49, 54), 61, 62, 63]] = 0
    jaw[mean[:, 2] < -100] = 0
    return {
        "jaw": jaw,
        "lower": _ramp(mean[:, 1], 15, 110),
        "gonion": _bump((52, 88, -52), (14, 20, 25)),
        "chin": _bump((0, 114, -18), (20, 13, 22)),
        "cheek": _bump((47, 48, -28), (17, 24, 22)),
        "cheekbone": _bump((62, 15, -45), (16, 16, 25)),
        "nose": _bump((0, 38, 12), (15, 13, 18)),
        "tip": _bump((0, 39, 20), (9, 7, 10)),
        "bridge": _bump((0, 12, 4), (9, 14, 14)),
        "eye": _bump((_EYE_CENTER, 1, -17), (14, 8, 14)),
        "brow": _bump((36, -18, -10), (24, 7, 18)),
        "glabella": _bump((13, -15, 0), (8, 8, 10)),
        "arch": _bump((42, -21, -12), (9, 6, 12)),
        "mouth": _bump((0, 72, -8), (24, 11, 22)),
        "corner": _bump((28, 69, -22), (9, 9, 12)),
        "smile_cheek": _bump((40, 38, -20), (14, 14, 16)),
        "forehead": _ramp(-mean[:, 1], 25, 75),
    }


@cache
def _noise_factor(length: float) -> np.ndarray:
    mean = mean_controls()
    squared = ((mean[:, None] - mean[None]) ** 2).sum(-1)
    kernel = np.exp(-0.5 * squared / length**2)
    # Rounded, because LAPACK's last bits depend on the number of threads.
    return np.round(np.linalg.cholesky(kernel + 1e-6 * np.eye(len(mean))), 9)


@cache
def _mirror_all() -> np.ndarray:
    mean = mean_controls()
    flipped = mean * [-1, 1, 1]
    order = ((flipped[:, None] - mean[None]) ** 2).sum(-1).argmin(1)
    order[:68] = get_scheme("ibug_68").flip_permutation
    return order


def _identity(rng: np.random.Generator) -> np.ndarray:
    mean, field = mean_controls(), _fields()
    points = mean.copy()
    side = np.sign(mean[:, 0])
    draw = iter(np.clip(1.15 * rng.standard_normal(64), -2.6, 2.6))
    x, y, z = points.T  # Views of `points`, which the statements below change.
    x *= 1 + 0.050 * next(draw)
    x *= 1 + 0.085 * next(draw) * field["lower"]
    y *= np.where(y > 0, 1 + 0.045 * next(draw), 1 + 0.06 * next(draw))
    z *= 1 + 0.07 * next(draw)
    y += 3.5 * next(draw) * field["lower"]
    amount = next(draw)
    x += side * 4.5 * amount * field["gonion"]
    y += 3.5 * amount * field["gonion"]
    y += 4.0 * next(draw) * field["chin"]
    z += 4.0 * next(draw) * field["chin"]
    x *= 1 + 0.2 * next(draw) * field["chin"]
    amount = next(draw)
    x += side * 3.0 * amount * field["cheek"]
    z += 3.0 * amount * field["cheek"]
    x += side * 2.5 * next(draw) * field["cheekbone"]
    y += 3.2 * next(draw) * field["nose"]
    z += 3.0 * next(draw) * field["nose"]
    x *= 1 + 0.13 * next(draw) * field["nose"]
    y -= 2.0 * next(draw) * field["tip"]
    z += 2.5 * next(draw) * field["bridge"]
    x += side * 1.7 * next(draw) * field["eye"]
    x += (np.abs(mean[:, 0]) - _EYE_CENTER) * side * 0.08 * next(draw) * field["eye"]
    y += (mean[:, 1] - 1.5) * 0.18 * next(draw) * field["eye"]
    y += (np.abs(mean[:, 0]) - _EYE_CENTER) * 0.06 * next(draw) * field["eye"]
    z += 1.5 * next(draw) * field["eye"]
    y += 2.8 * next(draw) * field["brow"]
    y += 0.07 * next(draw) * (np.abs(mean[:, 0]) - 36) * field["brow"]
    y -= 1.6 * next(draw) * field["arch"]
    x += side * 1.8 * next(draw) * field["glabella"]
    z += 1.8 * next(draw) * field["brow"]
    y += 2.2 * next(draw) * field["mouth"]
    x *= 1 + 0.075 * next(draw) * field["mouth"]
    z += 2.2 * next(draw) * field["mouth"]
    y[_OUTER_UPPER] -= np.array([0.5, 1, 0.9, 1, 0.5]) * 1.3 * next(draw)
    y[_OUTER_LOWER] += np.array([0.5, 1, 1.1, 1, 0.5]) * 1.6 * next(draw)
    y *= np.where(mean[:, 1] < -25, 1 + 0.05 * next(draw) * field["forehead"], 1)
    factor = _noise_factor(16.0)
    noise = matmul(factor, rng.standard_normal((len(mean), 3))) * [1.4, 1.35, 1.0]
    mirrored = noise[_mirror_all()] * [-1, 1, 1]
    # Both halves share about two thirds of the noise, because faces are nearly symmetric.
    points += 0.62 * (noise + mirrored) + 0.38 * (noise - mirrored)
    return points


def _open_jaw(points: np.ndarray, angle: float) -> None:
    down, forward = points[:, 1] - 8, points[:, 2] + 74
    weight = _fields()["jaw"] * angle
    sine, cosine = np.sin(weight), np.cos(weight)
    points[:, 1] += forward * sine - down * (1 - cosine)
    points[:, 2] += -down * sine - forward * (1 - cosine)


def _part_lips(points: np.ndarray, gap: float) -> None:
    """Moves the inner lips to a distance of `gap`, and the outer lips by a fraction of that."""
    changes = gap - (points[_LOWER_LIP, 1] - points[_UPPER_LIP, 1])
    points[_UPPER_LIP, 1] -= 0.45 * changes
    points[_LOWER_LIP, 1] += 0.55 * changes
    # Touching lips meet in depth, too. Otherwise one would hide the other at large pitch angles.
    meeting = 0.5 * np.exp(-gap / 2) * (points[_LOWER_LIP, 2] - points[_UPPER_LIP, 2])
    points[_UPPER_LIP, 2] += meeting
    points[_LOWER_LIP, 2] -= meeting
    change = changes.mean()
    points[_OUTER_UPPER, 1] -= np.array([0.12, 0.2, 0.22, 0.2, 0.12]) * change
    points[_OUTER_LOWER, 1] += np.array([0.3, 0.4, 0.4, 0.4, 0.3]) * change


def _lids(points: np.ndarray, closing: float, eye: int) -> float:
    first_up, first_low, second_up, second_low = _EYES[eye]
    for upper, lower in ((first_up, first_low), (second_up, second_low)):
        step = points[lower] - points[upper]
        points[upper] += 0.80 * closing * step
        points[lower] -= 0.14 * closing * step
    gaps = points[[first_low, second_low], 1] - points[[first_up, second_up], 1]
    return float(max(gaps.mean(), 0.3))


def random_head(rng: np.random.Generator) -> Head:
    """Draws a head with a random identity and expression, in the head frame.

    Args:
        rng: Generator, the only source of randomness.
    """
    points = _identity(rng)
    field, mean = _fields(), mean_controls()
    side = np.sign(mean[:, 0])
    x, y, z = points.T
    raised = 3.0 * rng.standard_normal() + (4.0 if rng.random() < 0.15 else 0)
    raised = float(np.clip(raised, -5, 9))
    y -= raised * field["brow"] + 0.6 * rng.standard_normal() * side * field["brow"]
    frown = max(0.0, rng.normal(-0.3, 0.7))
    x -= side * 2.0 * frown * field["glabella"]
    y += 2.0 * frown * field["glabella"]

    mood, smile = rng.random(), 0.0
    if mood < 0.42:
        smile = float(rng.uniform(0.2, 1.1))
        x += side * 5.5 * smile * field["corner"]
        y -= 4.5 * smile * field["corner"]
        z -= 3.5 * smile * field["corner"]
        y -= 3.5 * smile * field["smile_cheek"]
        z += 2.5 * smile * field["smile_cheek"]
        x *= 1 + 0.10 * smile * field["mouth"]
    elif mood < 0.50:
        pucker = rng.uniform(0.3, 1.0)
        x *= 1 - 0.30 * pucker * field["mouth"]
        z += 5.0 * pucker * field["mouth"]
    elif mood < 0.60:
        y += rng.uniform(1, 4) * field["corner"]
    # The average of annotated faces smiles a little.
    x -= side * 1.5 * field["corner"]
    y += 1.2 * field["corner"]
    y += rng.normal(0, 0.8) * side * field["corner"]

    parting = rng.random()
    if parting < 0.48:
        gap, angle = rng.uniform(0.2, 1.0), 0.0
    elif parting < 0.80:
        gap, angle = rng.uniform(1.5, 6) + 5.5 * smile, rng.uniform(0, 0.07)
    else:
        gap, angle = rng.uniform(3, 6), rng.uniform(0.08, 0.40)
    _part_lips(points, gap)
    _open_jaw(points, angle)

    blink = rng.random()
    closing = rng.uniform(0.75, 1.0) if blink < 0.08 else rng.normal(-0.06, 0.17) + 0.22 * smile
    closing = float(np.clip(closing, -0.35, 1.0))
    wink = closing if rng.random() > 0.03 else 1.0
    gaps = _lids(points, closing, 0), _lids(points, wink, 1)
    return Head(
        vertices=surface(points, *GRID_SHAPE),
        landmarks=points[:68].copy(),
        eye_gaps=gaps,
        mouth_gap=float(max(y[66] - y[62], 0.2)),
        smile=smile,
        brow_raise=raised,
    )
