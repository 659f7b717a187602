"""MediaPipe in a process of its own, which `mediapipe_faces.py` starts.

MediaPipe 0.10.21 needs NumPy 1 and so an environment of its own. This script imports only MediaPipe
and NumPy. Each request is one line of JSON, {"task": "detection" or "mesh", "shape": [H, W, 3]},
followed by the pixels of that uint8 RGB image. The answer is one line of JSON: the milliseconds of
processor time, and the landmarks [F, K, 2] of the faces in pixels (pixel centers are integers).
"detection" is the short-range detector with its six points, "mesh" is FaceMesh in static image
mode, which includes that detector. "track" is FaceMesh for the frames of a video, of which the
first is "start"; at most two faces are tracked.
"""

import json
import sys
import time

import mediapipe
import numpy as np

_MAX_FACES = 20
_MAX_TRACKED = 2


def main():
    """Answers the requests of the standard input."""
    solutions = mediapipe.solutions
    detection = solutions.face_detection.FaceDetection(model_selection=0)
    mesh = solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=_MAX_FACES)
    tracker = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        height, width, channels = request["shape"]
        pixels = sys.stdin.buffer.read(height * width * channels)
        image = np.frombuffer(pixels, np.uint8).reshape(height, width, channels)
        if request["task"] == "start":
            tracker = solutions.face_mesh.FaceMesh(max_num_faces=_MAX_TRACKED)
        start = time.process_time()
        if request["task"] in ("start", "track"):
            found = tracker.process(image).multi_face_landmarks or []
            faces = [face.landmark for face in found]
        elif request["task"] == "mesh":
            found = mesh.process(image).multi_face_landmarks or []
            faces = [face.landmark for face in found]
        else:
            found = detection.process(image).detections or []
            faces = [face.location_data.relative_keypoints for face in found]
        milliseconds = 1e3 * (time.process_time() - start)
        points = [[(p.x * width - 0.5, p.y * height - 0.5) for p in face] for face in faces]
        print(json.dumps({"milliseconds": milliseconds, "faces": points}), flush=True)


if __name__ == "__main__":
    main()
