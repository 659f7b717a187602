"""Drawing of located faces."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from wing_tf.inference.face import Face
from wing_tf.landmarks import LandmarkScheme
from wing_tf.visualization.draw import draw_on, draw_pose, put_text

# What a drawn image is scaled to: from this side of a face on its numbers can be read.
_NUMBERED_FACE_PX, _SMALLEST_PX, _LARGEST_PX = 800, 160, 6000


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
        draw_on(canvas, landmarks_px, scheme, box_xyxy_px=shown_box, lines=lines, numbers=numbers)
        if pose_axis and face.angles_deg is not None:
            draw_pose(canvas, landmarks_px, box, face.angles_deg)
        if captions and (text := caption_of(face)):
            size_px = float(np.clip(np.ptp(box[1::2]) / 14, 9, 60))
            put_text(canvas, text, box[:2] - [0, 0.4 * size_px], size_px=size_px)
    return canvas


def legible_scale(image: np.ndarray, faces: Sequence[Face], *, numbers: bool = False) -> float:
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


def caption_of(face: Face) -> str:
    """Returns a face's identity and score as a short text."""
    words = [] if face.identity is None else [f"#{face.identity}"]
    if face.score is not None and np.isfinite(face.score):
        words.append(f"{face.score:.2f}")
    return " ".join(words)
