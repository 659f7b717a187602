"""Background, glasses and occluders."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from tfrecords_tools.synthetic.rasterizer import Camera, Frame
from tfrecords_tools.synthetic.texture_maps import crop_noise, paint_over

_BITS = 4


def _fixed(points: npt.ArrayLike) -> np.ndarray:
    return np.rint(np.asarray(points) * 2**_BITS).astype(np.int32)


def _line(
    canvas: np.ndarray, start: np.ndarray, end: np.ndarray, color: Sequence[float], width: int
) -> None:
    cv2.line(canvas, _fixed(start).tolist(), _fixed(end).tolist(), color, width, 16, _BITS)


def _color(rng: np.random.Generator) -> tuple[float, ...]:
    gray = rng.uniform(10, 245)
    return tuple(float(c) for c in np.clip(gray + rng.normal(0, 26, 3), 0, 255))


def _texture(size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a gradient, clouds, stripes or a checkerboard; uint8 `[size, size, 3]`."""
    first, second = np.array(_color(rng)), np.array(_color(rng))
    x = np.linspace(0, 1, size, dtype=np.float32)[None]
    y = x.T
    angle = rng.uniform(0, 6.3)
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kind = rng.random()
    if kind < 0.35:
        mix = 0.5 + 0.7 * across
    elif kind < 0.7:
        small = crop_noise("cloud" if rng.random() < 0.6 else "skin", rng, 128, 128)
        mix = 0.5 + 0.4 * cv2.resize(small, (size, size))
    elif kind < 0.85:
        mix = 0.5 + 0.5 * np.sin(across * rng.uniform(10, 90) + 2 * np.sin(along * 8))
    else:
        mix = (np.sin(across * rng.uniform(10, 60)) * np.sin(along * rng.uniform(10, 60)) > 0) * 1.0
    mix = np.clip(mix, 0, 1).astype(np.float32)
    return cv2.transform(mix, np.c_[second - first, first]).astype(np.uint8)


def _polygon(center: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    count = rng.integers(3, 10)
    angle = np.sort(rng.uniform(0, 2 * np.pi, count))
    reach = radius * rng.uniform(0.4, 1.3, count)
    return center + np.stack([np.cos(angle) * reach, np.sin(angle) * reach], -1)


def background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a background of texture, polygons, ellipses and lines, mostly out of focus."""
    image = _texture(size, rng)
    for _ in range(rng.integers(0, 14)):
        center = rng.uniform(0, size, 2)
        kind = rng.random()
        radius = size * rng.uniform(0.04, 0.4)
        if kind < 0.5:
            cv2.fillPoly(image, [_fixed(_polygon(center, radius, rng))], _color(rng), 16, _BITS)
        elif kind < 0.8:
            axes = _fixed(radius * rng.uniform(0.3, 1, 2)).tolist()
            angle = rng.uniform(0, 180)
            cv2.ellipse(
                image, _fixed(center).tolist(), axes, angle, 0, 360, _color(rng), -1, 16, _BITS
            )
        else:
            end = center + rng.normal(0, size * 0.5, 2)
            width = int(rng.integers(1, max(2, size // 20)))
            _line(image, center, end, _color(rng), width)
    blur = rng.choice([0, 0.004, 0.012, 0.03], p=[0.2, 0.3, 0.3, 0.2]) * size
    if blur > 0.4:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    return image


def other_face(
    scene: np.ndarray, face: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> None:
    """Puts a recolored copy of a rendered face into the background, as in crowds.

    Args:
        scene: uint8 RGB `[H, W, 3]`; changed.
        face: uint8 RGB `[H, W, 3]`.
        mask: uint8 `[H, W]`, 1 on the face.
        rng: Generator.
    """
    size = scene.shape[0]
    angle, zoom = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2)
    center = np.array([np.cos(angle), 0.6 * np.sin(angle)]) * rng.uniform(0.4, 0.75) + 0.5
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 12), zoom)
    turn[:, 2] += size * (center - 0.5)
    if rng.random() < 0.5:
        turn[:, 2] += turn[:, 0] * (size - 1)
        turn[:, 0] *= -1
    tint = np.diag(np.exp(rng.normal(0, 0.25, 3)) * rng.uniform(0.5, 1.1))
    other = cv2.transform(cv2.warpAffine(face, turn, (size, size)), tint)
    cv2.copyTo(other, cv2.warpAffine(mask, turn, (size, size), flags=cv2.INTER_NEAREST), scene)


def glasses(
    image: np.ndarray,
    landmarks: np.ndarray,
    camera: Camera,
    frame: Frame,
    rng: np.random.Generator,
) -> bool:
    """Draws glasses on the supersampled image, as far as the head does not occlude them.

    Args:
        image: uint8 RGB `[H, W, 3]`; changed.
        landmarks: `[68, 3]` in the head frame, in millimeters.
        camera: Camera of `image`.
        frame: Rasterized head, for the depth test.
        rng: Generator.

    Returns:
        Whether the lenses occlude the eyes.
    """
    width, height = rng.uniform(20, 29), rng.uniform(14, 24)
    square = rng.uniform(2.0, 5.0)
    sun = rng.random() < 0.25
    angle = np.linspace(0, 2 * np.pi, 33)
    ring_x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / square) * width
    ring_y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / square) * height
    color = np.array(_color(rng)) * rng.choice([0.15, 0.5, 1], p=[0.6, 0.2, 0.2])
    per_mm = camera.scale / camera.distance
    thick = max(1, int(round(per_mm * rng.uniform(0.8, 4.0))))
    front = max(landmarks[27, 2] + 3, landmarks[[19, 24], 2].max() + 7)
    shift = rng.uniform(-3, 4)

    def clear_line(points: np.ndarray) -> None:
        xy, near = camera.project(points)
        clear = frame.is_clear(xy, near, 3.0)
        for start, end, shown in zip(xy, xy[1:], clear[:-1] & clear[1:], strict=False):
            if shown:
                _line(image, start, end, color.tolist(), thick)

    for eye in (slice(36, 42), slice(42, 48)):
        center = landmarks[eye].mean(0) * [1.03, 1, 0] + [0, 2 + shift, 0]
        x, y = center[0] + ring_x, center[1] + ring_y
        ring = np.stack([x, y, front - 0.0032 * x**2], -1)
        if sun:
            xy, near = camera.project(ring)
            if frame.is_clear(xy, near, 3.0).mean() > 0.5:
                lens = image.copy()
                cv2.fillPoly(lens, [_fixed(xy)], (0.4 * color + 8).tolist(), 16, _BITS)
                image[:] = cv2.addWeighted(lens, 0.9, image, 0.1, 0)
        clear_line(ring)
        side = np.sign(center[0])
        hinge = np.array([center[0] + side * width, center[1] - 0.4 * height, ring[0, 2]])
        hinge[2] = front - 0.0032 * hinge[0] ** 2
        ear = np.array([side * (np.abs(landmarks[0, 0]) + 9), 2 + shift, -84])
        clear_line(hinge + np.linspace(0, 1, 14)[:, None] * (ear - hinge))
    inner = [landmarks[s].mean(0)[0] * 1.03 for s in (slice(36, 42), slice(42, 48))]
    across = np.linspace(inner[0] + width, inner[1] - width, 7)
    level = landmarks[36:48, 1].mean() + shift - 2 - 3 * np.cos(np.linspace(-1.5, 1.5, 7))
    clear_line(np.stack([across, level, np.full(7, front)], -1))
    return sun


def hair_locks(
    image: np.ndarray, hair_rgb: np.ndarray, camera: Camera, rng: np.random.Generator
) -> np.ndarray:
    """Draws locks that hang over the forehead and down the sides of the face.

    Args:
        image: uint8 RGB `[H, W, 3]`; changed.
        hair_rgb: Gamma-encoded color, 0 to 255.
        camera: Camera of `image`.
        rng: Generator.

    Returns:
        uint8 `[H, W]`, 255 where a lock covers the image.
    """
    cover = np.zeros(image.shape[:2], np.uint8)
    per_mm = camera.scale / camera.distance
    t = np.linspace(0, 1, 9)
    for _ in range(rng.integers(1, 4)):
        side = rng.choice([-1, 1])
        root, tip = rng.uniform(-25, 35), rng.uniform(35, 84)
        length = rng.uniform(35, 75) if rng.random() < 0.5 else rng.uniform(75, 200)
        spread, wave = rng.uniform(4, 28), rng.uniform(0, 7)
        phase, bow = rng.uniform(0, 6), rng.uniform(0.4, 1)
        for strand in rng.standard_normal((int(rng.integers(8, 34)), 3)):
            x = root + (tip - root) * t**bow + 0.7 * spread * strand[0] * (0.3 + 0.7 * t)
            x = side * (x + wave * np.sin(5 * t + phase + 0.4 * strand[1]))
            y = -74 + length * (1 + 0.12 * strand[1]) * t
            # In front of the surface of the average head.
            z = 12 - 0.0125 * x**2 - 16 * np.clip((-y - 30) / 44, 0, 1) ** 2 + 2 * strand[2]
            xy, _ = camera.project(np.stack([x, y, z], -1))
            width = max(1, int(round(per_mm * rng.uniform(1, 4))))
            color = np.clip(hair_rgb * np.exp(0.3 * strand[2]), 0, 255).tolist()
            cv2.polylines(image, [_fixed(xy)], False, color, width, 16, _BITS)
            cv2.polylines(cover, [_fixed(xy)], False, [255], width, 16, _BITS)
    return cover


def occlude(
    image: np.ndarray, box_xyxy: np.ndarray, skin_rgb: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws a hand, a bar, a blob or a polygon in front of a part of the face.

    Args:
        image: uint8 RGB `[H, W, 3]`; changed.
        box_xyxy: Landmark box in pixels.
        skin_rgb: Gamma-encoded color of hands, 0 to 255.
        rng: Generator.

    Returns:
        Float32 `[H, W]`, the coverage of each pixel.
    """
    size = image.shape[0]
    low, high = box_xyxy[:2], box_xyxy[2:]
    side = float((high - low).max())
    mask = np.zeros((size, size), np.uint8)
    edge = low + rng.uniform(0, 1, 2) * (high - low)
    edge[rng.integers(0, 2)] = rng.choice([-1, 1]) * side * 0.42 + (low + high)[0] / 2
    edge = np.clip(edge, low, high)
    kind = rng.random()
    look = _texture(size, rng)
    if kind < 0.4:
        # A hand: parallel fingers, and its back.
        angle = rng.uniform(0, 2 * np.pi)
        forward = np.array([np.cos(angle), np.sin(angle)])
        beside = np.array([-forward[1], forward[0]])
        finger = side * rng.uniform(0.055, 0.085)
        tint = np.clip(skin_rgb * rng.uniform(0.7, 1.15), 0, 250)
        shape = np.zeros((size, size, 3), np.uint8)
        for k in range(4):
            root = edge + beside * (k - 1.5) * finger * 2.05
            tip = root - forward * side * rng.uniform(0.28, 0.42)
            width = int(round(2 * finger))
            _line(mask, root, tip, [255], width)
            _line(shape, root, tip, (0.62 * tint).tolist(), width)
            _line(shape, root, tip, tint.tolist(), max(1, int(width * 0.7)))
        palm = edge + forward * side * 0.2
        axes = _fixed([side * 0.25, finger * 4.3]).tolist()
        for canvas, color in ((mask, 255), (shape, tint.tolist())):
            cv2.ellipse(
                canvas,
                _fixed(palm).tolist(),
                axes,
                np.degrees(angle),
                0,
                360,
                color,
                -1,
                16,
                _BITS,
            )
        look = cv2.GaussianBlur(shape, (0, 0), max(0.5, finger * 0.25))
    elif kind < 0.6:
        direction = rng.normal(0, 1, 2)
        direction /= np.linalg.norm(direction)
        far = direction * size
        _line(mask, edge - far, edge + far, [255], max(1, int(side * rng.uniform(0.06, 0.2))))
    else:
        outline = _polygon(edge, side * rng.uniform(0.15, 0.36), rng)
        cv2.fillPoly(mask, [_fixed(outline)], 255, 16, _BITS)
        if kind < 0.8:
            soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), side * 0.03), np.float32)
            mask = np.clip(3.0 * soft - 255, 0, 255).astype(np.uint8)
    alpha = mask.astype(np.float32) / 255
    mixed = image.astype(np.float32)
    paint_over(mixed, look, alpha)
    image[:] = mixed.astype(np.uint8)
    return alpha
