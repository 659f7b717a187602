"""MediaPipe FaceMesh for other benchmarks: its process, and the map to the 68 landmarks."""

import json
import pathlib
import subprocess
from collections.abc import Iterable

import numpy as np

from wing_tf.detection import matching_box
from wing_tf.geometry import landmark_box

_RIDGE = 1e-2  # chosen on training faces that the fit does not see


class MediaPipe:
    """The process of `mediapipe_worker.py`, which inherits the cores of this one.

    Args:
        python: Interpreter of an environment with ``mediapipe==0.10.21``.
    """

    def __init__(self, python: str):
        worker = pathlib.Path(__file__).with_name("mediapipe_worker.py")
        self._process = subprocess.Popen(
            [python, str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> "MediaPipe":
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait()

    def __call__(self, image: np.ndarray) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
        """Runs the detector, and then FaceMesh, which includes it, on an image.

        Returns:
            Milliseconds of "detection", "network" (unknown) and "path", the boxes [F, 4] of the
            meshes, and the meshes [F, 468, 2] in pixels.
        """
        detection, _ = self._run("detection", image)
        path, meshes = self._run("mesh", image)
        times = {"detection": detection, "network": float("nan"), "path": path}
        boxes = landmark_box(meshes) if len(meshes) else np.zeros((0, 4))
        return times, boxes, meshes

    def track(self, image: np.ndarray, *, is_start: bool) -> tuple[float, np.ndarray]:
        """Runs FaceMesh on the next frame of a video.

        Returns:
            Milliseconds of processor time, and the meshes [F, 468, 2] in pixels.
        """
        return self._run("start" if is_start else "track", image)

    def _run(self, task: str, image: np.ndarray) -> tuple[float, np.ndarray]:
        """Runs a task on an image.

        Returns:
            Milliseconds of processor time, and the landmarks [F, K, 2] of the faces in pixels.
        """
        request = json.dumps({"task": task, "shape": image.shape})
        self._process.stdin.write(request.encode() + b"\n" + np.ascontiguousarray(image).tobytes())
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The process of MediaPipe ended: run its script to see the reason.")
        answer = json.loads(line)
        return answer["milliseconds"], np.array(answer["faces"], np.float64)


def matching_number(boxes_xyxy_px: np.ndarray, landmarks_px: np.ndarray) -> int | None:
    """Returns which of the boxes [F, 4] detects an annotated face. None if none does."""
    box = matching_box(boxes_xyxy_px, landmarks_px)
    return None if box is None else int(np.flatnonzero((boxes_xyxy_px == box).all(axis=1))[0])


def fit_mesh_map(
    mediapipe: MediaPipe, photos: Iterable[tuple[np.ndarray, np.ndarray]]
) -> "MeshTo68":
    """Returns the map of meshes to landmarks, fitted on images and their landmarks [68, 2]."""
    pairs = []
    for image, landmarks in photos:
        _, boxes, meshes = mediapipe(image)
        if (number := matching_number(boxes, landmarks)) is not None:
            pairs.append((meshes[number], landmarks))
    return MeshTo68(*(np.stack(arrays) for arrays in zip(*pairs, strict=True)))


class MeshTo68:
    """Map from meshes to landmarks [68, 2], by ridge regression in the frame of the mesh's box.

    Args:
        meshes_px: Meshes [N, K, 2] of training faces.
        landmarks_px: Ground truth landmarks [N, 68, 2] of these faces.
    """

    def __init__(self, meshes_px: np.ndarray, landmarks_px: np.ndarray):
        centers, sides = _frames(meshes_px)
        inputs = ((meshes_px - centers) / sides).reshape(len(meshes_px), -1)
        targets = ((landmarks_px - centers) / sides).reshape(len(meshes_px), -1)
        self._input_mean, self._target_mean = inputs.mean(axis=0), targets.mean(axis=0)
        inputs, targets = inputs - self._input_mean, targets - self._target_mean
        gram = inputs.T @ inputs + _RIDGE * np.eye(inputs.shape[1])
        self._weights = np.linalg.solve(gram, inputs.T @ targets)

    def __call__(self, meshes_px: np.ndarray) -> np.ndarray:
        """Returns the landmarks [N, 68, 2] of meshes [N, K, 2]."""
        centers, sides = _frames(meshes_px)
        inputs = ((meshes_px - centers) / sides).reshape(len(meshes_px), -1)
        mapped = (inputs - self._input_mean) @ self._weights + self._target_mean
        return mapped.reshape(len(meshes_px), -1, 2) * sides + centers


def _frames(meshes_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the centers [N, 1, 2] and longer sides [N, 1, 1] of the boxes of meshes."""
    boxes = landmark_box(meshes_px)[:, None]
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, np.max(high - low, axis=-1, keepdims=True)
