"""Drawing of landmarks, boxes, head poses and text on images."""

import cv2
import numpy as np

from wing_tf.geometry.pose import rotation_matrix
from wing_tf.landmarks import LandmarkScheme
from wing_tf.utils.printable import printable

_SUBPIXEL_BITS = 4
# RGB colors of the regions, distinguishable on skin; left and right parts of a face differ.
_COLORS = (
    (64, 160, 255), (255, 200, 0), (255, 110, 0), (0, 230, 118), (0, 229, 255), (213, 0, 249),
    (255, 23, 68), (170, 255, 0), (255, 255, 255),
)  # fmt: skip
_AXIS_COLORS = ((255, 60, 60), (60, 230, 60), (70, 130, 255))  # sideways, up, along the nose
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT_PX = 22.0  # height of a capital letter at scale 1


def draw_landmarks(
    image: np.ndarray,
    landmarks_px: np.ndarray,
    scheme: LandmarkScheme,
    *,
    radius_px: float | None = None,
    color: tuple[int, int, int] | None = None,
    box_xyxy_px: np.ndarray | None = None,
    lines: bool = True,
    numbers: bool = False,
) -> np.ndarray:
    """Returns a copy of an image with landmarks, the scheme's lines and a box drawn on it.

    Args:
        image: uint8 RGB [H, W, 3].
        landmarks_px: [K, 2] in pixels of the image; NaN is not drawn.
        scheme: Scheme of the landmarks, for lines and colors of regions.
        radius_px: Radius of the dots. Defaults to 1/80 of the extent of the landmarks.
        color: RGB color of all landmarks. Defaults to one color per region.
        box_xyxy_px: Box [4], drawn in white.
        lines: Whether to draw the lines of the scheme.
        numbers: Whether to draw the index of each landmark.
    """
    canvas = np.ascontiguousarray(image).copy()
    draw_on(
        canvas, landmarks_px, scheme, radius_px=radius_px, color=color, box_xyxy_px=box_xyxy_px,
        lines=lines, numbers=numbers,
    )  # fmt: skip
    return canvas


def pose_axes(angles_deg: np.ndarray) -> np.ndarray:
    """Returns the directions of the three axes of a head in the image.

    Args:
        angles_deg: Yaw, pitch and roll; see `wing_tf.geometry.pose.HeadPose`.

    Returns:
        float64 [3, 2], x right and y down, of length 1 for an axis that is parallel to the image:
        sideways (to the right for a frontal face), up, and along the nose.

    Examples:
        >>> pose_axes([0, 0, 0])[1]
        array([ 0., -1.])
    """
    side, down, nose = rotation_matrix(*angles_deg)[:2].T
    return np.stack([side, -down, nose])


def put_text(
    canvas: np.ndarray,
    text: str,
    at_px: np.ndarray,
    *,
    size_px: float,
    color: tuple[int, int, int] = (255, 255, 255),
) -> None:
    """Writes text with a dark outline on an image, inside of it if it fits.

    Args:
        canvas: uint8 RGB [H, W, 3], modified in place.
        text: Text; characters outside of ASCII become "?".
        at_px: (x, y) of the lower left corner.
        size_px: Height of a capital letter.
        color: RGB color.
    """
    text = printable(text).encode("ascii", "replace").decode()
    scale, weight = size_px / _FONT_HEIGHT_PX, max(1, round(size_px / 11))
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, weight)
    high, wide = canvas.shape[:2]
    x = max(min(float(at_px[0]), wide - width - 2.0), 1.0)
    y = max(min(float(at_px[1]), high - 2.0), height + 1.0)
    origin = round(x), round(y)
    edge = weight + 2 * max(1, round(size_px / 14))
    cv2.putText(canvas, text, origin, _FONT, scale, (0, 0, 0), edge, cv2.LINE_AA)
    cv2.putText(canvas, text, origin, _FONT, scale, color, weight, cv2.LINE_AA)


def _fixed(points: np.ndarray) -> list:
    """Returns points [..., 2] as lists of OpenCV's fixed-point numbers with `_SUBPIXEL_BITS`."""
    # OpenCV's integers overflow for points far outside of the image, which are not visible.
    near = np.clip(np.nan_to_num(np.asarray(points, float)), -1e5, 1e5)
    return np.round(near * 2**_SUBPIXEL_BITS).astype(int).tolist()


def draw_on(
    canvas: np.ndarray,
    landmarks_px: np.ndarray,
    scheme: LandmarkScheme,
    *,
    radius_px: float | None = None,
    color: tuple[int, int, int] | None = None,
    box_xyxy_px: np.ndarray | None = None,
    lines: bool = True,
    numbers: bool = False,
) -> None:
    """Draws landmarks on the canvas in place; see `draw_landmarks`."""
    side = max(canvas.shape[:2])
    # OpenCV fails on points far outside of the image, such as those of a diverged training.
    landmarks_px = np.clip(np.asarray(landmarks_px, float), -8 * side, 8 * side)
    drawn = np.all(np.isfinite(landmarks_px), axis=1)
    extent = np.ptp(landmarks_px[drawn], axis=0).max() if drawn.any() else 0.0
    if radius_px is None:
        radius_px = max(min(extent, side) / 80, 0.7)
    region_of = {i: r for r, region in enumerate(scheme.regions.values()) for i in region}

    def color_of(index: int) -> tuple[int, int, int]:
        return color or _COLORS[region_of[index] % len(_COLORS)]

    style = {"lineType": cv2.LINE_AA, "shift": _SUBPIXEL_BITS}
    thickness = max(1, round(radius_px / 2))
    places = _fixed(landmarks_px)
    for line in scheme.lines if lines else ():
        for a, b in zip(line[:-1], line[1:], strict=True):
            if drawn[a] and drawn[b]:
                cv2.line(canvas, places[a], places[b], color_of(a), thickness, **style)
    radius = round(radius_px * 2**_SUBPIXEL_BITS)
    for index in map(int, np.flatnonzero(drawn)):
        cv2.circle(canvas, places[index], radius, color_of(index), cv2.FILLED, **style)
    if box_xyxy_px is not None:
        low, high = _fixed(np.reshape(box_xyxy_px, (2, 2)))
        cv2.rectangle(canvas, low, high, (255, 255, 255), thickness, **style)
    if numbers:
        size_px = max(min(extent, side) / 50, 6.0)
        for index in map(int, np.flatnonzero(drawn)):
            beside = landmarks_px[index] + [1.3 * radius_px, -0.7 * radius_px]
            if np.all(beside >= 0) and np.all(beside < canvas.shape[1::-1]):
                put_text(canvas, str(index), beside, size_px=size_px, color=color_of(index))


def draw_pose(
    canvas: np.ndarray, landmarks_px: np.ndarray, box_xyxy_px: np.ndarray, angles_deg: np.ndarray
) -> None:
    """Draws the three axes of a head from the center of its landmarks, else of its box."""
    points = landmarks_px[np.isfinite(landmarks_px).all(axis=1)]
    points = points if len(points) else np.reshape(box_xyxy_px, (2, 2))
    low, high = points.min(axis=0), points.max(axis=0)
    middle, length = (low + high) / 2, 0.6 * float(np.max(high - low))
    thickness = max(1, round(length / 60))
    axes = pose_axes(angles_deg)
    for axis, color in zip(axes, _AXIS_COLORS, strict=True):
        start, end = _fixed(np.stack([middle, middle + length * axis]))
        for tone, weight in (((0, 0, 0), thickness + 2), (color, thickness)):
            cv2.line(canvas, start, end, tone, weight, cv2.LINE_AA, _SUBPIXEL_BITS)
