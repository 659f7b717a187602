"""Background and a second face."""

import cv2
import numpy as np

from tfrecords_tools.synthetic.drawing import (
    BITS,
    fixed,
    line,
    random_color,
    random_polygon,
    random_texture,
)


def background(size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a background of texture, polygons, ellipses and lines, mostly out of focus."""
    image = random_texture(size, rng)
    if rng.random() < 0.1:  # a studio, a night, or the sky
        image[:] = np.clip(rng.choice([8, 128, 248]) + rng.normal(0, 20, 3), 0, 255)
        return image
    for _ in range(rng.integers(0, 14)):
        center = rng.uniform(0, size, 2)
        kind = rng.random()
        radius = size * rng.uniform(0.04, 0.4)
        if kind < 0.5:
            cv2.fillPoly(
                image, [fixed(random_polygon(center, radius, rng))], random_color(rng), 16, BITS
            )
        elif kind < 0.8:
            axes = fixed(radius * rng.uniform(0.3, 1, 2)).tolist()
            angle = rng.uniform(0, 180)
            cv2.ellipse(
                image, fixed(center).tolist(), axes, angle, 0, 360, random_color(rng), -1, 16, BITS
            )
        else:
            end = center + rng.normal(0, size * 0.5, 2)
            width = int(rng.integers(1, max(2, size // 20)))
            line(image, center, end, random_color(rng), width)
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
