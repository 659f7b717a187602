"""Landmarks of the faces on an image, with the pretrained model.

Without an image, a face is rendered as face.png. The landmarks are drawn in landmarks.png.

  python examples/landmarks_of_an_image.py [image.jpg]
"""

import sys

from tfrecords_tools.synthetic import render_face
from wing_tf.inference import Landmarker
from wing_tf.landmarks import get_scheme
from wing_tf.utils.image_files import load_image, save_image
from wing_tf.visualization import draw_landmarks

if len(sys.argv) > 1:
    image = load_image(sys.argv[1])  # uint8 RGB [H, W, 3]
else:
    image = render_face(0, 0, size=256, wide_yaw_fraction=0, yaw_std_deg=10).image
    save_image("face.png", image)

landmarker = Landmarker()  # or Landmarker("run"), Landmarker("export/model.tflite")
drawn = image
for face in landmarker(image):  # each face that the detector finds
    if face.angles_deg is not None:  # it is known for the 68 landmarks
        yaw, pitch, roll = face.angles_deg
        print(f"Score {face.score:.2f}, yaw {yaw:.0f}, pitch {pitch:.0f}, roll {roll:.0f} degrees.")
    nose_x, nose_y = face.landmarks_px[30]  # [68, 2] in pixels of the image
    print(f"The tip of the nose is at ({nose_x:.1f}, {nose_y:.1f}).")
    drawn = draw_landmarks(
        drawn, face.landmarks_px, get_scheme("ibug_68"), box_xyxy_px=face.box_xyxy_px
    )
save_image("landmarks.png", drawn)
