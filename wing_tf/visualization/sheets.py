"""Contact sheets of images."""

from collections.abc import Sequence

import cv2
import numpy as np

from wing_tf.visualization.draw import put_text

_BACKGROUND = 24


def contact_sheet(
    images: Sequence[np.ndarray],
    *,
    columns: int | None = None,
    captions: Sequence[str] | None = None,
    gap_px: int = 4,
    cell_px: int | None = None,
) -> np.ndarray:
    """Returns images arranged in rows and columns.

    Args:
        images: uint8 RGB [H, W, 3].
        columns: Number of images per row. Defaults to about the number of rows.
        captions: A short text for each image.
        gap_px: Gap between images.
        cell_px: Side of square cells, to which images are scaled. Defaults to 256 if the sizes of
            the images differ; images of equal size are not scaled.

    Raises:
        ValueError: If there is no image.
    """
    if not len(images):
        raise ValueError("A contact sheet needs at least one image. Received: 0 images.")
    if cell_px is None and len({image.shape for image in images}) > 1:
        cell_px = 256
    if cell_px is not None:
        images = [fit_image(image, (cell_px, cell_px)) for image in images]
    height, width = images[0].shape[:2]
    columns = min(columns or int(np.ceil(np.sqrt(len(images)))), len(images))
    rows = -(-len(images) // columns)
    sheet = np.full(
        (rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3),
        _BACKGROUND,
        np.uint8,
    )
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = gap_px + row * (height + gap_px), gap_px + column * (width + gap_px)
        cell = sheet[top : top + height, left : left + width]
        cell[:] = image
        if captions:
            size_px = max(width / 18, 7.0)
            put_text(cell, captions[index], np.array([4, 4 + size_px]), size_px=size_px)
    return sheet


def fit_image(image: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Returns an image scaled to fit into a size, centered on a dark background.

    Args:
        image: uint8 RGB [H, W, 3].
        size_hw: Size of the result.
    """
    height, width = image.shape[:2]
    scale = min(size_hw[0] / height, size_hw[1] / width)
    fitted_h, fitted_w = (max(1, round(side * scale)) for side in (height, width))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = cv2.resize(image, (fitted_w, fitted_h), interpolation=interpolation)
    cell = np.full((*size_hw, 3), _BACKGROUND, np.uint8)
    top, left = (size_hw[0] - fitted_h) // 2, (size_hw[1] - fitted_w) // 2
    cell[top : top + fitted_h, left : left + fitted_w] = fitted
    return cell
