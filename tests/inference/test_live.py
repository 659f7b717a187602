"""Live sources over the loopback interface: streams that break, errors and passwords."""

import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
import wave

import av
import numpy as np
import pytest
from predict_command import ENVIRONMENT
from streams import SIZE_HW, FileServer, Mjpeg, Rtsp, RtspHandler, frame, number_of, serve
from waiting import wait_until

from wing_tf.inference.live import LiveVideo
from wing_tf.inference.live_source import source_name, without_password
from wing_tf.inference.video import open_video


def first_frames(video, number):
    """Returns the frames up to a number."""
    frames = []
    for one in video:
        frames.append(one)
        if one.number >= number:
            break
    return frames


def test_stream_that_breaks_is_connected_again(caplog):
    camera = Mjpeg(6, 0, 5000)
    with serve(camera) as host:
        with open_video(f"http://admin:s3cret@{host}/live?token=s3cret") as video:
            assert video.size_hw == SIZE_HW
            assert video.num_frames is None
            frames = first_frames(video, 12)
    assert camera.num_connections == 3  # of which the second one got no frame
    assert np.all(np.diff([f.time_s for f in frames]) > 0)
    assert np.all(np.diff([f.number for f in frames]) > 0)
    for one in frames:
        assert one.image.dtype == np.uint8
        assert one.image.shape == (*SIZE_HW, 3)
        assert number_of(one.image) == one.number % 40
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "; connected again after" in record.getMessage()
    assert "s3cret" not in record.getMessage()


def test_slow_consumer_gets_the_newest_frame():
    camera = Mjpeg(100)
    camera.allowed = 5
    with serve(camera) as host, LiveVideo(f"http://{host}/live") as video:
        frames = iter(video)
        first = next(frames)
        camera.allowed = 40  # while the first frame is processed
        wait_until(lambda: camera.num_sent == 40 and video.num_dropped >= 37)
        newest = next(frames)
        assert newest.number - first.number > 30
        assert number_of(newest.image) == newest.number
        camera.allowed = 100


def test_given_up_stream_ends_the_iteration(caplog):
    with serve(Mjpeg(5, 0)) as host, LiveVideo(f"http://{host}/live", give_up_s=0.6) as video:
        assert [f.number for f in video][-1] == 4
    (record,) = caplog.records
    assert "no frame for" in record.getMessage()


def test_wait_for_the_next_frame_can_be_ended():
    camera = Mjpeg(10)
    camera.allowed = 3
    answers = [True, True, False]
    with serve(camera) as host, LiveVideo(f"http://{host}/live") as video:
        video.on_wait = lambda: answers.pop(0)
        assert all(f.number < 4 for f in video)
        assert not answers
        camera.allowed = None
    assert list(video) == []


def test_interpreter_ends_while_a_stream_is_silent():
    camera = Mjpeg(10)
    camera.allowed = 3
    script = (
        "import sys; from wing_tf.inference.live import LiveVideo\n"
        "video = LiveVideo(sys.argv[1], read_timeout_s=3); print(next(iter(video)).number)"
    )
    with serve(camera) as host:
        command = [sys.executable, "-c", script, f"http://{host}/live"]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
        camera.allowed = None
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 3


def test_rtsp_stream_with_a_password(caplog):
    camera = Rtsp(12, 5000)
    with serve(camera, handler=RtspHandler) as host:
        with open_video(f"rtsp://admin:s3cret@{host}/live/main") as video:
            assert video.size_hw == SIZE_HW
            first_frames(video, 14)
        assert camera.num_connections == 2
        assert "s3cret" not in caplog.text
        for url, text in (
            ("admin:s3cret@%s/other", "404 Not Found"),
            ("admin:wr0ng@%s/live", "401 Unauthorized"),
            ("%s/live", "401 Unauthorized"),
        ):
            with pytest.raises(ValueError, match=text) as raised:
                open_video(f"rtsp://{url % host}")
            assert "s3cret" not in str(raised.value)
            assert "wr0ng" not in str(raised.value)


def test_udp_stream_is_read():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{probe.getsockname()[1]}"
    stop = threading.Event()

    def send():
        with av.open(f"{url}?pkt_size=1316", "w", format="mpegts") as output:
            stream = output.add_stream("mpeg2video", rate=25)
            stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
            number = 0
            while not stop.wait(0.004):
                image = av.VideoFrame.from_ndarray(frame(number), format="rgb24")
                image.pts = number = number + 1
                output.mux(stream.encode(image))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with open_video(url) as video:
            assert video.size_hw == SIZE_HW
            assert first_frames(video, 20)
    finally:
        stop.set()
        thread.join()


def recording(path, codec, *, format=None, count=90, **options):
    """Writes a video of numbered frames at 25 frames per second."""
    with av.open(str(path), "w", format=format, options=options) as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE_HW, "yuv420p"
        stream.gop_size = 5
        for number in range(count):
            image = av.VideoFrame.from_ndarray(frame(number), format="rgb24")
            image.pts = number
            output.mux(stream.encode(image))
        output.mux(stream.encode())


def test_recording_over_http_is_read_completely(tmp_path):
    recording(tmp_path / "video.mp4", "mpeg4", movflags="faststart")
    content = (tmp_path / "video.mp4").read_bytes()
    server = FileServer({"video.mp4": content}, breaks=[len(content) // 2])
    with serve(server) as host, open_video(f"http://{host}/video.mp4") as video:
        assert (video.num_frames, video.frames_per_s) == (90, 25.0)
        frames = []
        for one in video:
            frames.append(one)
            time.sleep(0.002)  # slower than the network
        assert video.num_dropped == video.num_broken == 0
    assert server.num_connections > 1  # the rest was asked for
    assert [f.number for f in frames] == list(range(90))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(90) / 25, atol=1e-3)
    for one in frames:
        assert abs(number_of(one.image) - one.number % 40) <= 1


def test_playlist_of_a_recording_is_read_completely(tmp_path):
    recording(
        tmp_path / "live.m3u8", "mpeg2video", format="hls", hls_time="1", hls_playlist_type="vod"
    )
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with serve(FileServer(files)) as host, open_video(f"http://{host}/live.m3u8") as video:
        assert len(list(video)) == 90


def test_playlist_of_a_server_opens_no_local_file(tmp_path):
    recording(tmp_path / "own.ts", "mpeg2video", format="mpegts")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:3.6,\nfile://{tmp_path}/own.ts\n"
    files = {"live.m3u8": f"{playlist}#EXT-X-ENDLIST\n".encode()}
    with serve(FileServer(files)) as host, pytest.raises(ValueError, match="127.0.0.1"):
        open_video(f"http://{host}/live.m3u8")


@pytest.mark.parametrize("path", ["absent", "text.html", "sound.wav"])
def test_address_without_a_video_raises_one_line(path, tmp_path):
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", None))
        sound.writeframes(bytes(16000))
    files = {
        "text.html": b"<html>A login page.</html>" * 200,
        "sound.wav": (tmp_path / "sound.wav").read_bytes(),
    }
    texts = {"absent": "404", "text.html": "not a video", "sound.wav": "no video stream"}
    with serve(FileServer(files)) as host:
        with pytest.raises(ValueError, match=texts[path]) as raised:
            open_video(f"http://admin:s3cret@{host}/{path}")
    assert "s3cret" not in str(raised.value)


def test_server_that_is_absent_or_silent_raises_one_line():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for scheme in ("http", "rtsp", "rtmp"):
            with pytest.raises(ValueError, match="connection was refused"):
                open_video(f"{scheme}://127.0.0.1:{closed.getsockname()[1]}/live")
    with pytest.raises(ValueError, match="host is not known"):
        open_video("http://camera.invalid/live")
    with pytest.raises(ValueError, match="must start with one of http://"):
        open_video("gopher://camera/live")
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(serve(lambda request: over.wait()))
        stack.callback(over.set)
        with pytest.raises(ValueError, match="no answer in time"):
            LiveVideo(f"http://{host}/live", open_timeout_s=0.3)


def test_camera_that_is_absent_raises_one_line():
    with pytest.raises(ValueError, match=r"^Camera 63: there is no such camera"):
        open_video(63)


@pytest.mark.parametrize(
    ("url", "shown", "name"),
    [
        ("rtsp://host:554/a", "rtsp://host:554/a", "host_554_a"),
        ("rtsp://u:p@host/a@b", "rtsp://u:***@host/a@b", "host_a_b"),
        ("rtsp://u:p@w@host:8554/a", "rtsp://u:***@host:8554/a", "host_8554_a"),
        ("rtsp://u:p/w@host:8554/a", "rtsp://u:***@host:8554/a", "host_8554_a"),
        ("http://u@host/?Pwd=1&x=2&TOKEN=3#f", "http://u@host/?Pwd=***&x=2&TOKEN=***#f", "host"),
        ("http://host:80/v@720p?size=2", "http://host:80/v@720p?size=2", "host_80_v_720p"),
        ("udp://@:5000", "udp://@:5000", "5000"),
    ],
)
def test_shown_urls_have_no_password(url, shown, name):
    assert without_password(url) == shown
    assert source_name(url) == name
