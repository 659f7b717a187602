"""Figure of what the pretrained models return."""

import pathlib

import numpy as np
from crop_figures import save_sheet
from figure_faces import crop_face, rendered_set

from wing_tf.inference import Landmarker
from wing_tf.visualization import contact_sheet, draw_landmarks
from wing_tf.visualization.draw import draw_pose

_RESEARCH = "packaging/face_68_300w/wing_tf_face_68_300w/face_68_300w.tflite"
_MODELS = ("face_68", pathlib.Path(__file__).parents[2] / _RESEARCH)
_FACES = (39, 24, 27, 40, 23, 45)


def models(path: pathlib.Path) -> None:
    """Draws landmarks, head pose and score of the same faces by each model, a row each."""
    cells, captions = [], []
    for model in _MODELS:
        landmarker = Landmarker(model)
        for number in _FACES:
            image, _ = crop_face(rendered_set()[number], margin=1.6, side=160)
            caption = "no face"
            for face in landmarker(image):
                image = draw_landmarks(image, face.landmarks_px, landmarker.scheme, radius_px=1.2)
                angles_deg = np.asarray(face.angles_deg)
                draw_pose(image, face.landmarks_px, face.box_xyxy_px, angles_deg)
                yaw, pitch, roll = np.round(angles_deg).astype(int)
                caption = f"{face.score:.2f}   {yaw:+d} {pitch:+d} {roll:+d}"
            cells.append(image)
            captions.append(caption)
    save_sheet(contact_sheet(cells, columns=len(_FACES), captions=captions), path)
