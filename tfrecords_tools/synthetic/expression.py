"""Random expressions: movements of the brows, the lids, the mouth and the jaw."""

from functools import cache

import numpy as np

from tfrecords_tools.synthetic.head import mean_controls

_EYES = ((37, 41, 38, 40), (44, 46, 43, 47))  # upper lid, lower lid, twice per eye
_UPPER_LIP, _LOWER_LIP = [61, 62, 63], [67, 66, 65]
OUTER_UPPER, OUTER_LOWER = [49, 50, 51, 52, 53], [59, 58, 57, 56, 55]
_UPPER_INNER, _LOWER_INNER = [61, 61, 62, 63, 63], [67, 67, 66, 65, 65]  # next to the outer lips
EYE_CENTER = 32.5  # mm from the middle line


def _bump(center: tuple[float, float, float], width: tuple[float, float, float]) -> np.ndarray:
    mean = mean_controls()
    offset = np.abs(mean[:, 0]) - center[0], mean[:, 1] - center[1], mean[:, 2] - center[2]
    return np.exp(-0.5 * sum((o / w) ** 2 for o, w in zip(offset, width, strict=True)))


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@cache
def fields() -> dict[str, np.ndarray]:
    """Returns weights `[N]` of the control points in each change of the head, by name."""
    mean = mean_controls()
    jaw = _ramp(mean[:, 1], 58, 84)
    jaw[_LOWER_LIP + OUTER_LOWER] = 1
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
        "eye": _bump((EYE_CENTER, 1, -17), (14, 8, 14)),
        "brow": _bump((36, -18, -10), (24, 7, 18)),
        "glabella": _bump((13, -15, 0), (8, 8, 10)),
        "brow_end": _bump((60, -12, -27), (11, 8, 16)),
        "arch": _bump((42, -21, -12), (9, 6, 12)),
        "mouth": _bump((0, 72, -8), (24, 11, 22)),
        "corner": _bump((28, 69, -22), (9, 9, 12)),
        "smile_cheek": _bump((40, 38, -20), (14, 14, 16)),
        "forehead": _ramp(-mean[:, 1], 25, 75),
        "side": _ramp(np.abs(mean[:, 0]), 46, 66),
        "under_chin": _bump((0, 112, -52), (40, 14, 24)),
    }


def _open_jaw(points: np.ndarray, angle: float) -> None:
    down, forward = points[:, 1] - 8, points[:, 2] + 74
    weight = fields()["jaw"] * angle
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
    points[OUTER_UPPER, 1] -= np.array([0.12, 0.2, 0.22, 0.2, 0.12]) * change
    points[OUTER_LOWER, 1] += np.array([0.3, 0.4, 0.4, 0.4, 0.3]) * change


def _lids(points: np.ndarray, closing: float, eye: int) -> float:
    first_up, first_low, second_up, second_low = _EYES[eye]
    for upper, lower in ((first_up, first_low), (second_up, second_low)):
        step = points[lower] - points[upper]
        points[upper] += 0.80 * closing * step
        points[lower] -= 0.14 * closing * step
    gaps = points[[first_low, second_low], 1] - points[[first_up, second_up], 1]
    return float(max(gaps.mean(), 0.3))


def _press_lips(points: np.ndarray, strength: float) -> None:
    """Draws both lips inwards, so that less of them is seen."""
    for outer, inner in ((OUTER_UPPER, _UPPER_INNER), (OUTER_LOWER, _LOWER_INNER)):
        points[outer, 1] += strength * (points[inner, 1] - points[outer, 1])
    points[OUTER_UPPER + OUTER_LOWER, 2] -= 3 * strength


def move_brows(points: np.ndarray, rng: np.random.Generator) -> float:
    """Raises or lowers the brows of a head `[N, 3]` in place, and returns the rise in mm."""
    field, side = fields(), np.sign(mean_controls()[:, 0])
    x, y, _ = points.T
    raised = 3.0 * rng.standard_normal() + (5.0 if rng.random() < 0.15 else 0)
    raised = float(np.clip(raised, -6, 11))
    y -= raised * field["brow"] + 0.9 * rng.standard_normal() * side * field["brow"]
    frown = max(0.0, rng.normal(-0.3, 0.8))
    x -= side * 2.0 * frown * field["glabella"]
    y += 2.0 * frown * field["glabella"]
    if rng.random() < 0.15:  # the inner ends alone, as in sorrow
        y -= rng.uniform(1, 6) * field["glabella"]
    return raised


def _smile(points: np.ndarray, smile: float) -> None:
    field, side = fields(), np.sign(mean_controls()[:, 0])
    x, y, z = points.T
    x += side * 6.0 * smile * field["corner"]
    y -= 6.5 * smile * field["corner"]
    z -= 4.0 * smile * field["corner"]
    y -= 3.5 * smile * field["smile_cheek"]
    z += 2.5 * smile * field["smile_cheek"]
    x *= 1 + 0.11 * smile * field["mouth"]
    x *= 1 + 0.08 * smile * field["nose"]
    y[OUTER_UPPER + _UPPER_LIP] -= 1.5 * smile
    y[OUTER_UPPER] += 0.5 * smile


def move_mouth(points: np.ndarray, rng: np.random.Generator) -> float:
    """Moves mouth and jaw of a head `[N, 3]` in place, and returns the strength of the smile."""
    field, side = fields(), np.sign(mean_controls()[:, 0])
    x, y, z = points.T
    mood, smile = rng.random(), 0.0
    if mood < 0.52:
        smile = float(0.15 + 1.3 * rng.beta(1.1, 1.3))
        _smile(points, smile)
    elif mood < 0.62:
        pucker = rng.uniform(0.2, 1.1)
        x *= 1 - 0.32 * pucker * field["mouth"]
        z += 5.0 * pucker * field["mouth"]
    elif mood < 0.70:
        y += rng.uniform(1, 5) * field["corner"]
    # The average of annotated faces smiles a little.
    x -= side * 2.4 * field["corner"]
    y += 2.0 * field["corner"]
    y += rng.normal(0, 1.0) * side * field["corner"]
    x += rng.normal(0, 1.0) * field["corner"]
    x += rng.normal(0, 1.3) * field["jaw"]

    # Broad smiles show the teeth; large openings are laughs, shouts and yawns.
    gap, angle = rng.uniform(0, 0.8), 0.0
    if rng.random() < 0.27 + 0.58 * smile:
        gap = float(rng.uniform(1, 4) + 7.0 * smile * rng.uniform(0.4, 1.1))
        angle = rng.uniform(0, 0.06 + 0.05 * smile)
        if rng.random() < 0.22:
            gap, angle = gap + rng.uniform(0, 4), rng.beta(1, 1.8) * 0.55
    elif rng.random() < 0.3:
        _press_lips(points, rng.uniform(0.1, 0.6))
    _part_lips(points, gap)
    _open_jaw(points, angle)
    return smile


def move_lids(points: np.ndarray, smile: float, rng: np.random.Generator) -> tuple[float, float]:
    """Opens or closes the lids of a head `[N, 3]` in place.

    Returns:
        The openings of the left and the right eye in the image, in millimeters.
    """
    blink = rng.random()
    closing = rng.uniform(0.75, 1.0) if blink < 0.07 else rng.normal(-0.12, 0.17) + 0.22 * smile
    closing = float(np.clip(closing, -0.45, 1.0))
    wink = closing if rng.random() > 0.03 else 1.0
    return _lids(points, closing, 0), _lids(points, wink, 1)
