"""Landmarks on pictures, and sheets of pictures."""

from collections.abc import Sequence

import cv2
import numpy as np

from wing_tf.landmarks import LandmarkScheme

_SUBPIXEL_BITS = 4
# One colour a region, RGB, told apart on skin; left and right parts of a face differ.
_COLOURS = (
    (64, 160, 255), (255, 200, 0), (255, 110, 0), (0, 230, 118), (0, 229, 255), (213, 0, 249),
    (255, 23, 68), (170, 255, 0), (255, 255, 255),
)  # fmt: skip


def _fixed(point: np.ndarray) -> tuple[int, int]:
    # What lies far outside is drawn nowhere, and OpenCV's integers are short.
    near = np.clip(np.asarray(point, float), -1e5, 1e5)
    x, y = np.round(near * 2**_SUBPIXEL_BITS).astype(int)
    return int(x), int(y)


def draw_landmarks(
    image: np.ndarray,
    landmarks_px: np.ndarray,
    scheme: LandmarkScheme,
    *,
    radius_px: float | None = None,
    colour: tuple[int, int, int] | None = None,
    box_xyxy_px: np.ndarray | None = None,
    lines: bool = True,
) -> np.ndarray:
    """Returns a copy of a picture with landmarks, the scheme's lines and a box drawn on it.

    Args:
        image: uint8 RGB [H, W, 3].
        landmarks_px: [K, 2] in its pixels; NaN is not drawn.
        scheme: gives regions their colours, and the lines.
        radius_px: of the dots; 1/80 of the landmarks' extent if None.
        colour: RGB for all, instead of one a region.
        box_xyxy_px: [4], drawn in white.
        lines: join the landmarks.
    """
    canvas = np.ascontiguousarray(image).copy()
    side = max(canvas.shape[:2])
    # OpenCV fails on points that are far outside, as those of a training that goes wrong.
    landmarks_px = np.clip(np.asarray(landmarks_px, float), -8 * side, 8 * side)
    drawn = np.all(np.isfinite(landmarks_px), axis=1)
    if radius_px is None:
        extent = np.ptp(landmarks_px[drawn], axis=0).max() if drawn.any() else 0.0
        radius_px = max(min(extent, side) / 80, 0.7)
    region_of = {i: r for r, region in enumerate(scheme.regions.values()) for i in region}

    def colour_of(index: int) -> tuple[int, int, int]:
        return colour or _COLOURS[region_of[index] % len(_COLOURS)]

    style = {"lineType": cv2.LINE_AA, "shift": _SUBPIXEL_BITS}
    thickness = max(1, round(radius_px / 2))
    for line in scheme.lines if lines else ():
        for a, b in zip(line[:-1], line[1:], strict=True):
            if drawn[a] and drawn[b]:
                ends = _fixed(landmarks_px[a]), _fixed(landmarks_px[b])
                cv2.line(canvas, *ends, colour_of(a), thickness, **style)
    for index in np.flatnonzero(drawn):
        centre = _fixed(landmarks_px[index])
        radius = round(radius_px * 2**_SUBPIXEL_BITS)
        cv2.circle(canvas, centre, radius, colour_of(int(index)), cv2.FILLED, **style)
    if box_xyxy_px is not None:
        corners = _fixed(box_xyxy_px[:2]), _fixed(box_xyxy_px[2:])
        cv2.rectangle(canvas, *corners, (255, 255, 255), thickness, **style)
    return canvas


def contact_sheet(
    images: Sequence[np.ndarray],
    *,
    columns: int | None = None,
    captions: Sequence[str] | None = None,
    gap_px: int = 4,
) -> np.ndarray:
    """Returns pictures of one size side by side, row by row.

    Args:
        images: uint8 RGB, all [H, W, 3].
        columns: how many stand in a row; about as many as rows if None.
        captions: a short text for each.
        gap_px: between pictures.

    Raises:
        ValueError: if there is no picture or their sizes differ.
    """
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise ValueError(f"Pictures must be some and of one size. Received: {sorted(shapes)}.")
    ((height, width, _),) = shapes
    columns = min(columns or int(np.ceil(np.sqrt(len(images)))), len(images))
    rows = -(-len(images) // columns)
    sheet = np.full(
        (rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3), 24, np.uint8
    )
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = gap_px + row * (height + gap_px), gap_px + column * (width + gap_px)
        cell = sheet[top : top + height, left : left + width]
        cell[:] = image
        if captions:
            scale = width / 400
            origin = (left + 4, top + round(30 * scale) + 4)
            for tone, weight in ((0, 3), (255, 1)):
                cv2.putText(
                    sheet, captions[index], origin, cv2.FONT_HERSHEY_SIMPLEX, scale,
                    (tone, tone, tone), weight, cv2.LINE_AA,
                )  # fmt: skip
    return sheet
