"""Effects on the whole image: cast shadows, blur, color, compression and noise."""

import cv2
import numpy as np

from tfrecords_tools.synthetic.texture_maps import crop_noise, triple


def cast_shadow(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darkens a random side or patch, like the shadows of leaves, hats and window frames."""
    size = image.shape[0]
    cloud = cv2.resize(crop_noise("cloud", rng, 160, 160), (size, size))
    x = np.linspace(-1, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 6.3)
    plane = np.cos(angle) * x[None] + np.sin(angle) * x[:, None] + rng.uniform(-0.5, 0.5)
    soft = rng.uniform(0.05, 0.4)
    weight = np.clip((plane + 0.3 * cloud) / soft, 0, 1) * rng.uniform(0.15, 0.6)
    return (image * triple((1 - weight).astype(np.float32))).astype(np.uint8)


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Applies blur, color changes, noise and compression, none of which moves the face.

    Args:
        image: uint8 RGB `[H, W, 3]`.
        rng: Generator.

    Returns:
        uint8 RGB `[H, W, 3]`.
    """
    size = image.shape[0]
    unit = size / 192
    kind = rng.random()
    if kind < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), unit * rng.uniform(0.4, 1.9))
    elif kind < 0.4:
        length = int(round(unit * rng.uniform(3, 7))) // 2 * 2 + 1
        angle = rng.uniform(0, np.pi)
        kernel = np.zeros((length, length), np.float32)
        middle = length // 2
        reach = middle * np.array([np.cos(angle), np.sin(angle)])
        ends = np.rint(np.array([middle - reach, middle + reach])).astype(int)
        cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0)
        kernel += kernel[::-1, ::-1]  # Symmetric, so that nothing is shifted.
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    elif kind < 0.52:
        small = max(24, int(size * rng.uniform(0.35, 0.75)))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)

    steps = np.linspace(0, 1, 256)
    gamma = np.exp(rng.normal(0.05, 0.2))
    contrast, lift = np.exp(rng.normal(0.08, 0.2)), rng.normal(0, 0.04)
    curve = np.clip((steps**gamma - 0.5) * contrast + 0.5 + lift, 0, 1)
    cast = np.exp(rng.normal(0, 0.03, 3))
    table = np.clip(255 * curve[:, None] * cast, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table[None])
    saturation = float(np.clip(rng.normal(1, 0.22), 0, 1.6)) if rng.random() > 0.1 else 0.0
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    image = cv2.addWeighted(image, saturation, gray, 1 - saturation, 0)

    if rng.random() < 0.85:
        level = np.abs(rng.normal(0, 3.6 if rng.random() < 0.9 else 12)) + 0.8
        noise = rng.standard_normal((size, size, 3), dtype=np.float32)
        image = np.clip(image + level * noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.45:
        quality = int(rng.integers(12, 85))
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    if rng.random() < 0.06:  # the border of a photograph
        reach = size - int(size * rng.uniform(0.02, 0.14))
        first = (reach, 0) if rng.random() < 0.5 else (0, reach)
        border = 255.0 if rng.random() < 0.2 else 0.0
        cv2.rectangle(image, first, (size, size), (border, border, border), -1)
    return image
