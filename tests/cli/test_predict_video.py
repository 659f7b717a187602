"""Tests of wing-predict with videos, cameras and windows."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from predict_command import ENVIRONMENT, error_line, predict, read_rows
from waiting import LIMIT_S, wait_until

from wing_tf.cli import predict_runs
from wing_tf.inference.video import open_video
from wing_tf.inference.video_writer import VideoWriter


@pytest.fixture
def video_file(tmp_path):
    """Of 3000 frames, so that it can be interrupted."""
    with VideoWriter(tmp_path / "video.mp4", frames_per_s=25, size_hw=(48, 64)) as writer:
        for number in range(3000):
            writer.write(np.full((48, 64, 3), number % 200, np.uint8))
    return tmp_path / "video.mp4"


def test_interrupted_video_leaves_complete_files(model, video_file, tmp_path):
    out = tmp_path / "out"
    arguments = [f"--model={model}", f"--video={video_file}", f"--output={out}", "--detector=whole"]
    with subprocess.Popen(
        [sys.executable, "-m", "wing_tf.cli.predict", *arguments, "--format=csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    ) as process:  # fmt: skip
        results = out / "landmarks.partial.csv"
        wait_until(
            lambda: process.poll() is not None or results.exists() and len(read_rows(results)) > 3
        )
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert stdout.startswith("stopped; ")
    count = len({row["frame"] for row in read_rows(out / "landmarks.csv")})
    assert 3 < count < 3000
    assert f" {count} frame(s)" in stdout
    with open_video(out / "output.mp4") as drawn:
        assert drawn.num_frames == len(list(drawn)) == count
    assert "exists already" in error_line(predict(*arguments, "--format=csv"))


def test_missing_library_is_one_line():
    code = "import sys; sys.modules['av'] = None; from wing_tf.cli import predict; predict.entry()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--camera=0"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert done.stderr == "error: PyAV is needed for videos: pip install av.\n"


class Screen:
    """Stands for a window, as there need not be a screen: keeps what it is shown."""

    shown: list
    closed: bool

    def __init__(self, title):
        Screen.shown, Screen.closed = [], False

    def show(self, image, *, wait_ms=1):
        self.shown.append(image)
        return len(self.shown) < 3

    def close(self):
        Screen.closed = True


@pytest.mark.parametrize("draw", [True, False])
def test_window_shows_landmarks_with_and_without_drawing(
    model, video_file, tmp_path, monkeypatch, draw
):
    monkeypatch.setattr("wing_tf.visualization.window.Window", Screen)
    options = predict_runs.LandmarkerOptions(
        detector="whole", detector_model=None, box_file=None, correction=None, passes=1,
        flip=False, scheme=None, scheme_map=None, threads=1,
    )  # fmt: skip
    drawing = predict_runs.DrawOptions(
        draw=draw, show=True, lines=True, boxes=True, numbers=False, pose_axis=False
    )
    out = tmp_path / "out"
    predict_runs.predict_video(options, drawing, model, str(video_file), str(out), "jsonl", True)
    assert Screen.closed
    with open_video(video_file) as video:
        for shown, frame in zip(Screen.shown, video, strict=False):
            assert np.abs(shown.astype(int) - frame.image).max() > 100
    assert len(Screen.shown) == 3
    assert (out / "output.mp4").exists() == draw


def test_unreadable_video_and_camera_raise_one_line_errors(model, images, tmp_path):
    assert "Camera 63: there is no such camera" in error_line(
        predict(f"--model={model}", "--camera=63")
    )
    for name in ("absent.mp4", "text.jpg"):
        assert name in error_line(predict(f"--model={model}", f"--video={images / name}"))


def test_full_disk_ends_the_command_with_one_line(model, video_file, tmp_path):
    """A limit of the file size fails as a full disk does, while the video is written."""
    out = tmp_path / "out"
    code = (
        "import resource, sys\n"
        "from wing_tf.cli import predict\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "predict.entry()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"--model={model}", f"--video={video_file}",
         f"--output={out}", "--detector=whole"],
        capture_output=True, text=True, env=ENVIRONMENT,
    )  # fmt: skip
    partial = out / "landmarks.partial.jsonl"
    assert error_line(done).endswith(f"The landmarks of the frames before it are in {partial}.")
    assert list(out.iterdir()) == [partial]
    lines = partial.read_text()
    assert lines.endswith("\n")
    assert [json.loads(line)["frame"] for line in lines.splitlines()] == list(
        range(lines.count("\n"))
    )
