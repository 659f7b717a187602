"""Drawing of located faces."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from wing_tf.inference.face import Face
from wing_tf.landmarks import LandmarkScheme
from wing_tf.visualization.draw import draw_on, draw_pose, put_text

# Sides of drawn images, and the side of a face at which the indices of landmarks are legible.
_NUMBERED_FACE_PX, _MIN_SIDE_PX, _MAX_SIDE_PX = 800, 160, 6000


def draw_faces(
    image: np.ndarray,
    faces: Iterable[Face],
    scheme: LandmarkScheme,
    *,
    lines: bool = True,
    boxes: bool = True,
    numbers: bool = False,
    pose_axis: bool = False,
    captions: bool = True,
    scale: float = 1.0,
) -> np.ndarray:
    """Returns a copy of an image with its faces drawn on it.

    Args:
        image: uint8 RGB [H, W, 3].
        faces: Faces in pixels of the image.
        scheme: Scheme of their landmarks.
        lines: Whether to draw the lines of the scheme.
        boxes: Whether to draw the boxes that were cropped.
        numbers: Whether to draw the index of each landmark.
        pose_axis: Whether to draw the axes of the head from the center of the face: red sideways,
            green up, blue along the nose.
        captions: Whether to write identity and score above the box.
        scale: Scale of the copy; see `legible_scale`.
    """
    canvas = np.ascontiguousarray(image)
    if scale == 1.0:
        canvas = canvas.copy()
    else:
        size_wh = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        canvas = cv2.resize(canvas, size_wh, interpolation=interpolation)
    for face in faces:
        landmarks_px = (np.asarray(face.landmarks_px) + 0.5) * scale - 0.5
        box = (np.asarray(face.box_xyxy_px) + 0.5) * scale - 0.5
        shown_box = box if boxes else None
        draw_on(canvas, landmarks_px, scheme, box_xyxy_px=shown_box, lines=lines, numbers=numbers)
        if pose_axis and face.angles_deg is not None:
            draw_pose(canvas, landmarks_px, box, face.angles_deg)
        if captions and (text := caption_of(face)):
            size_px = float(np.clip(np.ptp(box[1::2]) / 14, 9, 60))
            put_text(canvas, text, box[:2] - [0, 0.4 * size_px], size_px=size_px)
    return canvas


def legible_scale(image: np.ndarray, faces: Sequence[Face], *, numbers: bool = False) -> float:
    """Returns the scale at which drawings on an image are legible.

    It is 1 for most images, larger for very small images and for small faces with indices, and
    smaller for very large images.

    Args:
        image: [H, W, 3].
        faces: Faces in pixels of the image.
        numbers: Whether the indices of landmarks are drawn.
    """
    side = max(image.shape[:2])
    scale = max(1.0, _MIN_SIDE_PX / side)
    if numbers and faces:
        sides = [np.ptp(face.box_xyxy_px.reshape(2, 2), axis=0).max() for face in faces]
        scale = max(scale, _NUMBERED_FACE_PX / float(np.median(sides)))
    return min(scale, _MAX_SIDE_PX / side)


def caption_of(face: Face) -> str:
    """Returns the identity and the score of a face as a short text."""
    words = [] if face.identity is None else [f"#{face.identity}"]
    if face.score is not None and np.isfinite(face.score):
        words.append(f"{face.score:.2f}")
    return " ".join(words)
