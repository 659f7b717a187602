"""Landmarks, boxes and poses on images."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from wing_tf.geometry.pose import rotation_matrix
from wing_tf.landmarks import LandmarkScheme
from wing_tf.runtime.faces import LocatedFace

_SUBPIXEL_BITS = 4
# One color a region, RGB, told apart on skin; left and right parts of a face differ.
_COLORS = (
    (64, 160, 255), (255, 200, 0), (255, 110, 0), (0, 230, 118), (0, 229, 255), (213, 0, 249),
    (255, 23, 68), (170, 255, 0), (255, 255, 255),
)  # fmt: skip
_AXIS_COLORS = ((255, 60, 60), (60, 230, 60), (70, 130, 255))  # to its side, up, along the nose
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT_PX = 22.0  # of a capital at scale 1
# What a drawn image is scaled to: from this side of a face on its numbers can be read.
_NUMBERED_FACE_PX, _SMALLEST_PX, _LARGEST_PX = 800, 160, 6000


def draw_faces(
    image: np.ndarray,
    faces: Iterable[LocatedFace],
    scheme: LandmarkScheme,
    *,
    lines: bool = True,
    boxes: bool = True,
    numbers: bool = False,
    pose_axis: bool = False,
    captions: bool = True,
    scale: float = 1.0,
) -> np.ndarray:
    """Returns a copy of an image with all that was found in it.

    Args:
        image: uint8 RGB [H, W, 3].
        faces: in its pixels.
        scheme: the scheme of their landmarks.
        lines: join the landmarks.
        boxes: draw the boxes that the landmarks were looked for in.
        numbers: write each landmark's index beside it.
        pose_axis: draw three lines from the face's middle: red to the image's right of a frontal
            face, green up, blue where the nose points. Nothing for a face without a pose.
        captions: write identity and score above the box.
        scale: of the copy over the image; see `legible_scale`.
    """
    canvas = np.ascontiguousarray(image)
    if scale == 1.0:
        canvas = canvas.copy()
    else:
        size_wh = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        canvas = cv2.resize(canvas, size_wh, interpolation=way)
    for face in faces:
        landmarks_px = (np.asarray(face.landmarks_px) + 0.5) * scale - 0.5
        box = (np.asarray(face.box_xyxy_px) + 0.5) * scale - 0.5
        shown_box = box if boxes else None
        _mark(canvas, landmarks_px, scheme, box_xyxy_px=shown_box, lines=lines, numbers=numbers)
        if pose_axis and face.angles_deg is not None:
            _mark_pose(canvas, landmarks_px, box, face.angles_deg)
        if captions and (text := caption_of(face)):
            size_px = float(np.clip(np.ptp(box[1::2]) / 14, 9, 60))
            put_text(canvas, text, box[:2] - [0, 0.4 * size_px], size_px=size_px)
    return canvas


def legible_scale(
    image: np.ndarray, faces: Sequence[LocatedFace], *, numbers: bool = False
) -> float:
    """Returns how much to scale an image so that what is drawn on it can be read, and stored.

    1 for most images. Very small ones are drawn larger, and faces that get numbers so large that
    these stay apart; very large images are drawn smaller.

    Args:
        image: [H, W, 3].
        faces: in its pixels.
        numbers: whether the landmarks' indices are written.
    """
    side = max(image.shape[:2])
    scale = max(1.0, _SMALLEST_PX / side)
    if numbers and faces:
        sides = [np.ptp(face.box_xyxy_px.reshape(2, 2), axis=0).max() for face in faces]
        scale = max(scale, _NUMBERED_FACE_PX / float(np.median(sides)))
    return min(scale, _LARGEST_PX / side)


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
        landmarks_px: [K, 2] in its pixels; NaN is not drawn.
        scheme: gives regions their colors, and the lines.
        radius_px: of the dots; 1/80 of the landmarks' extent if None.
        color: RGB for all, instead of one a region.
        box_xyxy_px: [4], drawn in white.
        lines: join the landmarks.
        numbers: write each landmark's index beside it.
    """
    canvas = np.ascontiguousarray(image).copy()
    _mark(
        canvas, landmarks_px, scheme, radius_px=radius_px, color=color, box_xyxy_px=box_xyxy_px,
        lines=lines, numbers=numbers,
    )  # fmt: skip
    return canvas


def pose_axes(angles_deg: np.ndarray) -> np.ndarray:
    """Returns where a head's three axes point in the image.

    Args:
        angles_deg: yaw, pitch and roll; see `wing_tf.geometry.pose.HeadPose`.

    Returns:
        float64 [3, 2], x right and y down, of length 1 where an axis lies in the image's plane:
        to the side (right in a frontal face), up, and along the nose.

    Example:
        >>> pose_axes([0, 0, 0])[1]
        array([ 0., -1.])
    """
    side, down, nose = rotation_matrix(*angles_deg)[:2].T
    return np.stack([side, -down, nose])


def caption_of(face: LocatedFace) -> str:
    """Returns a face's identity and score as a short text."""
    words = [] if face.identity is None else [f"#{face.identity}"]
    if face.score is not None and np.isfinite(face.score):
        words.append(f"{face.score:.2f}")
    return " ".join(words)


def put_text(
    canvas: np.ndarray,
    text: str,
    at_px: np.ndarray,
    *,
    size_px: float,
    color: tuple[int, int, int] = (255, 255, 255),
) -> None:
    """Writes a text with a dark edge on an image, kept inside where it can be.

    Args:
        canvas: uint8 RGB [H, W, 3]; changed.
        text: printed as far as it is ASCII.
        at_px: (x, y) of the lower left corner.
        size_px: a capital's height.
        color: RGB.
    """
    text = text.encode("ascii", "replace").decode()
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
    """Returns points [..., 2] as OpenCV takes them with `_SUBPIXEL_BITS`, in lists of numbers."""
    # What lies far outside is drawn nowhere, and OpenCV's integers are short.
    near = np.clip(np.nan_to_num(np.asarray(points, float)), -1e5, 1e5)
    return np.round(near * 2**_SUBPIXEL_BITS).astype(int).tolist()


def _mark(
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
    """Draws on the canvas; see `draw_landmarks`."""
    side = max(canvas.shape[:2])
    # OpenCV fails on points that are far outside, as those of a training that goes wrong.
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
        for index in np.flatnonzero(drawn):
            beside = landmarks_px[index] + [1.3 * radius_px, -0.7 * radius_px]
            if np.all(beside >= 0) and np.all(beside < canvas.shape[1::-1]):
                tone = color_of(int(index))
                put_text(canvas, str(index), beside, size_px=size_px, color=tone)


def _mark_pose(
    canvas: np.ndarray, landmarks_px: np.ndarray, box_xyxy_px: np.ndarray, angles_deg: np.ndarray
) -> None:
    """Draws the three axes of a head from the middle of its landmarks, or of its box."""
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
