"""The parts of benchmarks/landmarker.py, and a short run of it."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

_BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def mediapipe_faces(monkeypatch):
    monkeypatch.syspath_prepend(_BENCHMARKS)
    import mediapipe_faces

    return mediapipe_faces


def test_mesh_map_finds_a_linear_relation_at_any_place_and_size(mediapipe_faces):
    generator = np.random.default_rng(0)
    meshes = generator.uniform(0, 1, (200, 6, 2))
    scales, shifts = generator.uniform(20, 90, (200, 1, 1)), generator.uniform(0, 400, (200, 1, 2))
    meshes = meshes * scales + shifts
    landmarks = (meshes[:, [0, 2, 4]] + 3 * meshes[:, [1, 3, 5]]) / 4
    to_landmarks = mediapipe_faces.MeshTo68(meshes[:150], landmarks[:150])
    np.testing.assert_allclose(to_landmarks(meshes[150:]), landmarks[150:], atol=0.1)


def test_annotated_face_is_found_among_boxes(mediapipe_faces):
    points = np.array([[12.0, 12], [28, 12], [20, 28]])
    boxes = np.array([[50.0, 50, 70, 70], [10, 10, 30, 30]])
    assert mediapipe_faces.matching_number(boxes, points) == 1
    assert mediapipe_faces.matching_number(boxes[:1], points) is None


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot pin processes to cores")
def test_quick_run_prints_one_line_per_detector(real_faces):
    command = [sys.executable, str(_BENCHMARKS / "landmarker.py"), f"--data={real_faces}"]
    run = subprocess.run(
        [*command, "--quick", "--rounds=1", "--detectors=haar"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("haar ")]
    assert float(line.split()[1]) > 50
