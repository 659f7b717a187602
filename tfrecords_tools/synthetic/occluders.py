"""Objects and hands in front of a face."""

import cv2
import numpy as np

from tfrecords_tools.synthetic.drawing import BITS, fixed, line, random_polygon, random_texture
from tfrecords_tools.synthetic.texture_maps import paint_over, triple


def _hand(
    mask: np.ndarray,
    at: np.ndarray,
    angle: float,
    side: float,
    skin: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draws fingers, the back of a hand and a forearm at a place, and returns their look."""
    forward = np.array([np.cos(angle), np.sin(angle)])
    beside = np.array([-forward[1], forward[0]])
    finger = side * rng.uniform(0.05, 0.08)
    tint = np.clip(skin * rng.uniform(0.7, 1.15), 0, 250)
    look = np.zeros((*mask.shape, 3), np.uint8)
    look[:] = (0.8 * tint).astype(np.uint8)
    spread = rng.uniform(1.9, 2.6)
    reach = rng.uniform(0.28, 0.42) if rng.random() < 0.6 else rng.uniform(0.1, 0.18)  # a fist
    width = int(round(2 * finger))
    palm = at + forward * side * 0.2
    elbow = palm + forward * side * 2 + beside * side * rng.normal(0, 0.4)
    arm = int(side * rng.uniform(0.24, 0.34))
    line(mask, palm, elbow, [255], arm)
    line(look, palm, elbow, (0.75 * tint).tolist(), arm)
    line(look, palm, elbow, (0.95 * tint).tolist(), max(1, int(0.6 * arm)))
    if rng.random() < 0.5:
        sleeve = palm + forward * side * rng.uniform(0.3, 0.8)
        line(look, sleeve, elbow, rng.uniform(0, 255, 3).tolist(), 2 * arm)
    axes = fixed([side * 0.25, finger * 4.3]).tolist()
    for canvas, color in ((mask, 255), (look, tint.tolist())):
        cv2.ellipse(
            canvas, fixed(palm).tolist(), axes, np.degrees(angle), 0, 360, color, -1, 16, BITS
        )
    for k in range(int(rng.integers(2, 5))):
        root = at + beside * (k - 1.5) * finger * spread + forward * side * 0.06
        bend = beside * side * rng.normal(0, 0.03)
        knuckle = root - forward * side * reach * rng.uniform(0.5, 0.65) + bend
        tip = knuckle - forward * side * reach * rng.uniform(0.25, 0.5) - bend
        for start, end in ((root, knuckle), (knuckle, tip)):
            line(mask, start, end, [255], width)
            line(look, start, end, (0.55 * tint).tolist(), width)
        for start, end in ((root, knuckle), (knuckle, tip)):
            line(look, start, end, tint.tolist(), max(1, int(width * 0.72)))
        if rng.random() < 0.4:
            line(look, tip, tip, (0.5 * tint + 110).tolist(), max(1, int(width * 0.4)))
    return cv2.GaussianBlur(look, (0, 0), max(0.5, finger * 0.2))


def _twigs(mask: np.ndarray, at: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    """Draws twigs with leaves, blades of grass or wires across a place, and returns their look."""
    look = np.zeros((*mask.shape, 3), np.uint8)
    green = rng.uniform([20, 50, 5], [120, 170, 80])
    bark = rng.uniform([20, 15, 10], [140, 110, 90])
    leaf = side * rng.uniform(0.0, 0.08)
    for _ in range(rng.integers(1, 6)):
        heading = rng.uniform(0, 6.3)
        walk = heading + np.cumsum(rng.normal(0, 0.25, 14))
        steps = side * 0.11 * np.stack([np.cos(walk), np.sin(walk)], -1)
        path = at + rng.normal(0, 0.15, 2) * side + np.cumsum(steps, 0) - steps.sum(0) / 2
        width = max(1, int(side * rng.uniform(0.006, 0.035)))
        for canvas, color in ((mask, [255]), (look, (bark * rng.uniform(0.6, 1.3)).tolist())):
            cv2.polylines(canvas, [fixed(path)], False, color, width, 16, BITS)
        if leaf > side * 0.02:
            for place in path[rng.random(14) < 0.6]:
                axes = fixed([leaf * rng.uniform(0.6, 1.4), leaf * 0.4]).tolist()
                turn = rng.uniform(0, 360)
                shade = (green * rng.uniform(0.5, 1.4)).tolist()
                where = fixed(place + rng.normal(0, leaf, 2)).tolist()
                for canvas, color in ((mask, [255]), (look, shade)):
                    cv2.ellipse(canvas, where, axes, turn, 0, 360, color, -1, 16, BITS)
    return look


def _microphone(
    mask: np.ndarray, at: np.ndarray, side: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws a stick with a round end below a place, and returns its look."""
    look = np.zeros((*mask.shape, 3), np.uint8)
    look[:] = int(rng.uniform(10, 90))
    radius = side * rng.uniform(0.07, 0.16)
    away = np.array([rng.normal(0, 0.6), 1.0]) * side * 2
    color = rng.uniform(10, 110, 3)
    for canvas, value in ((mask, [255]), (look, color.tolist())):
        line(canvas, at, at + away, value, max(1, int(radius * rng.uniform(0.5, 1.3))))
        cv2.circle(canvas, fixed(at).tolist(), int(radius * 2**BITS), value, -1, 16, BITS)
    shine = fixed(at - radius * rng.uniform(0.1, 0.5, 2)).tolist()
    light = np.clip(1.6 * color + 30, 0, 255).tolist()
    cv2.circle(look, shine, int(radius * 0.5 * 2**BITS), light, -1, 16, BITS)
    return cv2.GaussianBlur(look, (0, 0), max(0.5, radius * 0.15))


def _cloth(mask: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws a face mask, or a scarf, sheet or book that covers the lower face."""
    size = len(mask)
    down = landmarks[8] - landmarks[27]
    if rng.random() < 0.5:  # a face mask
        top = landmarks[[28, 29][rng.integers(0, 2)]]
        edge = landmarks[2:15] + 0.03 * (landmarks[2:15] - landmarks[30])
        outline = np.concatenate([[top], edge[::-1]])
        for ear, cheeks in ((0, (2, 4)), (16, (14, 12))):
            for cheek in cheeks:
                line(mask, landmarks[cheek], landmarks[ear], [255], max(1, size // 150))
        look = np.empty((size, size, 3), np.uint8)
        look[:] = rng.choice([[225, 230, 235], [120, 170, 215], [30, 30, 35]])
        if rng.random() < 0.3:
            look = random_texture(size, rng)
    else:
        level = landmarks[27] + down * rng.uniform(0.55, 0.95)
        across = np.array([down[1], -down[0]]) + down * rng.normal(0, 0.2)
        t = np.linspace(-3, 3, 13)[:, None]
        wave = rng.normal(0, rng.choice([0.0, 0.03]), (13, 1)) * down
        edge = level + t * across + wave
        outline = np.concatenate([edge, edge[::-1] + 3 * down])
        look = random_texture(size, rng)
    cv2.fillPoly(mask, [fixed(outline)], 255, 16, BITS)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    folds = 1 + 0.15 * np.sin(axis[:, None] * rng.uniform(5, 40) + axis * rng.normal(0, 8))
    return np.clip(look * folds[..., None] * rng.uniform(0.5, 1.05), 0, 255).astype(np.uint8)


def occlude(
    image: np.ndarray, landmarks: np.ndarray, skin_rgb: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws a hand, twigs, a microphone, cloth, a bar, a blob or a polygon in front of the face.

    Args:
        image: uint8 RGB `[H, W, 3]`; changed.
        landmarks: `[68, 2]` in pixels.
        skin_rgb: Gamma-encoded color of hands, 0 to 255.
        rng: Generator.

    Returns:
        Float32 `[H, W]`, the coverage of each pixel.
    """
    size = image.shape[0]
    low, high = landmarks.min(0), landmarks.max(0)
    side = float((high - low).max())
    mask = np.zeros((size, size), np.uint8)
    edge = low + rng.uniform(0, 1, 2) * (high - low)
    edge[rng.integers(0, 2)] = rng.choice([-1, 1]) * side * 0.42 + (low + high)[0] / 2
    edge = np.clip(edge, low, high)
    kind = rng.random()
    if kind < 0.34:
        outwards = edge - (low + high) / 2
        # Arms come from outside of the face, mostly from below.
        angle = float(np.arctan2(outwards[1] + 0.4 * side, outwards[0]) + rng.normal(0, 0.5))
        look = _hand(mask, edge, angle, side, skin_rgb, rng)
    elif kind < 0.46:
        look = _twigs(mask, edge, side, rng)
    elif kind < 0.54:
        chin, mouth = landmarks[8], landmarks[48:68].mean(0)
        at = mouth + rng.uniform(0, 1.2) * (chin - mouth) + rng.normal(0, 0.12, 2) * side
        look = _microphone(mask, at, side, rng)
    elif kind < 0.68:
        look = _cloth(mask, landmarks, rng)
    elif kind < 0.80:
        look = random_texture(size, rng)
        direction = rng.normal(0, 1, 2)
        direction /= np.linalg.norm(direction)
        far = direction * size
        line(mask, edge - far, edge + far, [255], max(1, int(side * rng.uniform(0.04, 0.2))))
    else:
        look = random_texture(size, rng)
        outline = random_polygon(edge, side * rng.uniform(0.15, 0.36), rng)
        cv2.fillPoly(mask, [fixed(outline)], 255, 16, BITS)
        if kind < 0.9:
            soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), side * 0.03), np.float32)
            mask = np.clip(3.0 * soft - 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), side * rng.uniform(0.003, 0.02)), np.uint8)
    alpha = mask.astype(np.float32) / 255
    mixed = image.astype(np.float32)
    # The object's shadow falls on the face around it.
    shift = np.array([[1, 0, rng.normal(0, 0.03) * side], [0, 1, rng.uniform(0, 0.06) * side]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(alpha, shift, (size, size)), (0, 0), 0.03 * side)
    mixed *= triple(1 - rng.uniform(0, 0.5) * shadow)
    paint_over(mixed, look, alpha)
    image[:] = mixed.astype(np.uint8)
    return alpha
