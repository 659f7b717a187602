"""Glasses, visors and locks of hair in front of a rendered head."""

import cv2
import numpy as np

from tfrecords_tools.synthetic.drawing import BITS, fixed, line, random_color
from tfrecords_tools.synthetic.rasterizer import Camera, Frame


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
    sun = rng.random() < 0.35
    if sun and rng.random() < 0.5:
        width, height = rng.uniform(26, 33), rng.uniform(19, 27)
    tint = np.array(random_color(rng)) * (rng.uniform(0.05, 0.5) if sun else 1.0)
    opacity = rng.uniform(0.7, 1.0) if sun else rng.choice([0.0, rng.uniform(0.05, 0.35)])
    shine = rng.uniform(0.1, 0.8) * (rng.random() < 0.4)
    tilt = rng.uniform(-1, 1)
    angle = np.linspace(0, 2 * np.pi, 33)
    ring_x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / square) * width
    ring_y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / square) * height
    color = np.array(random_color(rng)) * rng.choice([0.15, 0.5, 1], p=[0.6, 0.2, 0.2])
    per_mm = camera.scale / camera.distance
    thick = max(1, int(round(per_mm * rng.uniform(0.8, 4.0))))
    front = max(landmarks[27, 2] + 3, landmarks[[19, 24], 2].max() + 7)
    shift = rng.uniform(-3, 4)

    def clear_line(points: np.ndarray) -> None:
        xy, near = camera.project(points)
        clear = frame.is_clear(xy, near, 3.0)
        for start, end, shown in zip(xy, xy[1:], clear[:-1] & clear[1:], strict=False):
            if shown:
                line(image, start, end, color.tolist(), thick)

    for eye in (slice(36, 42), slice(42, 48)):
        center = landmarks[eye].mean(0) * [1.03, 1, 0] + [0, 2 + shift, 0]
        x, y = center[0] + ring_x, center[1] + ring_y
        ring = np.stack([x, y, front - 0.0032 * x**2], -1)
        xy, near = camera.project(ring)
        if opacity + shine > 0 and frame.is_clear(xy, near, 3.0).mean() > 0.5:
            lens = image.copy()
            cv2.fillPoly(lens, [fixed(xy)], tint.tolist(), 16, BITS)
            image[:] = cv2.addWeighted(lens, opacity, image, 1 - opacity, 0)
            # The reflection of a window or the sky covers one corner of the lens.
            part = np.sin(angle + tilt) > rng.uniform(-0.6, 0.7)
            if shine and part.sum() > 2:
                lens = image.copy()
                cv2.fillPoly(lens, [fixed(xy[part])], (235.0, 240.0, 245.0), 16, BITS)
                image[:] = cv2.addWeighted(lens, shine, image, 1 - shine, 0)
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
    return sun and opacity > 0.75


def visor(
    image: np.ndarray, hat_rgb: np.ndarray, camera: Camera, rng: np.random.Generator
) -> np.ndarray:
    """Draws the visor of a cap above the brows.

    Args:
        image: uint8 RGB `[H, W, 3]`; changed.
        hat_rgb: Gamma-encoded color, 0 to 255.
        camera: Camera of `image`.
        rng: Generator.

    Returns:
        uint8 `[H, W]`, 255 where the visor covers the image.
    """
    angle = np.linspace(-1.15, 1.15, 25)
    level, length, drop = rng.uniform(-52, -34), rng.uniform(40, 80), rng.uniform(-5, 22)
    sine, cosine = np.sin(angle), np.cos(angle)
    forward = np.clip(np.cos(angle * 1.36), 0, 1) ** 0.6
    inner = np.stack([70 * sine, level - 4 * cosine, 86 * cosine - 82], -1)
    outer = inner + forward[:, None] * np.array([0, drop, length])
    outer[:, 0] *= rng.uniform(0.9, 1.05)
    outer[:, 1] += 6 * (1 - cosine)
    cover = np.zeros(image.shape[:2], np.uint8)
    xy, _ = camera.project(np.concatenate([inner, outer[::-1]]))
    color = np.clip(hat_rgb * rng.uniform(0.3, 1.1), 0, 255).tolist()
    for canvas, value in ((image, color), (cover, [255])):
        cv2.fillPoly(canvas, [fixed(xy)], value, 16, BITS)
    rim, _ = camera.project(outer)
    per_mm = camera.scale / camera.distance
    width = max(1, int(round(per_mm * rng.uniform(1, 3))))
    cv2.polylines(image, [fixed(rim)], False, (0.7 * np.array(color)).tolist(), width, 16, BITS)
    return cover


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
            width = max(1, int(round(per_mm * rng.uniform(0.5, 3))))
            color = np.clip(hair_rgb * np.exp(0.3 * strand[2]), 0, 255).tolist()
            cv2.polylines(image, [fixed(xy)], False, color, width, 16, BITS)
            cv2.polylines(cover, [fixed(xy)], False, [255], width, 16, BITS)
    return cover
