"""Windows of wing-predict on a virtual screen."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from predict_command import ENVIRONMENT, error_line, predict
from streams import Mjpeg, serve
from waiting import LIMIT_S, wait_until

from wing_tf.inference.video_writer import VideoWriter
from wing_tf.utils.image_files import load_image
from wing_tf.visualization.window import draw_rate

SCREEN_HW = (400, 600)


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """The environment variables of a virtual screen, and its memory."""
    for name in ("Xvfb", "xdotool"):
        if not shutil.which(name):
            pytest.skip(f"no {name}: apt-get install xvfb xdotool")
    folder = tmp_path_factory.mktemp("screen")
    receiver, sender = os.pipe()
    size = f"{SCREEN_HW[1]}x{SCREEN_HW[0]}x24"
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(sender), "-screen", "0", size, "-fbdir", folder],
        pass_fds=[sender], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        number = pipe.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start")
    yield ENVIRONMENT | {"DISPLAY": f":{number}"}, folder / "Xvfb_screen0"
    server.terminate()
    server.wait()


def seen(memory):
    """Returns the screen as RGB [H, W, 3]; the file is of the format of xwd."""
    content = memory.read_bytes()
    header = np.frombuffer(content, ">u4", 25)
    start = int(header[0] + 12 * header[19])  # the colors come between header and pixels
    pixels = np.frombuffer(content, np.uint8, int(header[12]) * SCREEN_HW[0], start)
    return pixels.reshape(SCREEN_HW[0], -1, 4)[:, : SCREEN_HW[1], 2::-1]


@contextlib.contextmanager
def shown(environment, *arguments):
    """Runs wing-predict --show; yields the process and a function that presses a key."""
    with subprocess.Popen(
        [sys.executable, "-m", "wing_tf.cli.predict", "--show", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip

        def press(key):
            command = ["xdotool", "mousemove", "30", "30", "key", key]
            subprocess.run(command, env=environment, check=True)

        try:
            yield process, press
        finally:
            process.send_signal(signal.SIGKILL)


def wait_for_pause(count):
    """Waits until a number has stayed the same for a second; returns it."""
    seen = [count()]

    def is_constant():
        time.sleep(1)
        seen.append(count())
        return seen[-1] == seen[-2]

    wait_until(is_constant)
    return seen[-1]


@pytest.mark.slow
def test_window_shows_pauses_and_ends(screen, face, tmp_path):
    environment, memory = screen
    path, out, image = tmp_path / "video.mp4", tmp_path / "out", load_image(face[0])
    with VideoWriter(path, frames_per_s=25, size_hw=image.shape[:2]) as writer:
        for _ in range(500):
            writer.write(image)
    results = out / "landmarks.partial.jsonl"

    def count():
        return results.read_bytes().count(b"\n") if results.exists() else 0

    arguments = (f"--video={path}", f"--output={out}", "--nodraw", "--detector=whole")
    with shown(environment, *arguments) as (process, press):
        wait_until(lambda: count() > 5)
        part = seen(memory)[: image.shape[0], : image.shape[1]].astype(int)
        is_drawn = np.abs(part - image).max(axis=-1) > 60
        assert 0.005 < is_drawn[40:].mean() < 0.3  # landmarks on a frame
        press("space")
        before = wait_for_pause(count)
        assert before < 500
        press("space")
        wait_until(lambda: count() > before + 5)
        press("q")
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert stdout.startswith("stopped; ")
    assert (out / "landmarks.jsonl").exists()


@pytest.mark.slow
def test_window_of_a_silent_stream_ends(screen, tmp_path):
    environment, memory = screen
    camera, out = Mjpeg(1000), tmp_path / "out"
    camera.allowed = 10
    with serve(camera) as host:
        url = f"http://admin:s3cret@{host}/live"
        arguments = (f"--video={url}", f"--output={out}", "--detector=whole")
        with shown(environment, *arguments) as (process, press):
            results = out / "landmarks.partial.jsonl"
            wait_until(lambda: results.exists() and results.stat().st_size)
            press("Escape")
            stdout, stderr = process.communicate(timeout=LIMIT_S)
        camera.allowed = None
    assert process.returncode == 0, stderr
    assert stdout.startswith("stopped; ")
    assert (out / "output.mp4").exists()
    text = (out / "landmarks.jsonl").read_text()
    assert f"http://admin:***@{host}/live" in text
    assert "s3cret" not in text + stdout + stderr


def test_missing_screen_is_an_error_before_the_first_frame(tmp_path):
    with VideoWriter(tmp_path / "video.mp4", frames_per_s=25, size_hw=(48, 64)) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    out = tmp_path / "out"
    done = predict("--show", f"--video={tmp_path / 'video.mp4'}", f"--output={out}")
    assert "No window: there is no screen (DISPLAY is not set)" in error_line(done)
    assert not out.exists()


def test_rate_is_drawn_into_the_corner():
    image = np.full((120, 160, 3), 128, np.uint8)
    draw_rate(image, 29.6)
    assert image[:30].min() < 20
    assert image[:30].max() > 220
    assert np.all(image[30:] == 128)
    other = np.full_like(image, 128)
    draw_rate(other, 7.2)
    assert np.any(other != image)
