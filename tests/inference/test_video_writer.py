"""Writing of videos: times, colors, audio and errors."""

import errno
import os
import shutil
import subprocess
import sys

import av
import numpy as np
import pytest
import video_files
from video_files import NUM_FRAMES, RATE, SIZE_HW, audio_packets, image, index_of, make

from wing_tf.inference.video import open_video
from wing_tf.inference.video_file import VideoFile
from wing_tf.inference.video_writer import VideoWriter

OPTIONS = {"frames_per_s": RATE, "size_hw": SIZE_HW}


def write(path, *, times_s=None, num_frames=NUM_FRAMES, **options):
    with VideoWriter(path, **OPTIONS | options) as writer:
        for index in range(num_frames):
            writer.write(image(index), None if times_s is None else times_s[index])
    return path


def read(path):
    with open_video(path) as video:
        return list(video), video


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("suffix", [".mp4", ".MOV", ".m4v", ".mkv"])
def test_written_video_is_read_back(tmp_path, suffix, codec):
    path = write(tmp_path / f"a{suffix}", codec=codec)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    frames, video = read(path)
    assert (video.size_hw, video.frames_per_s, video.num_broken) == (SIZE_HW, RATE, 0)
    assert video.num_frames == NUM_FRAMES
    assert [index_of(frame.image) for frame in frames] == list(range(NUM_FRAMES))
    np.testing.assert_allclose(
        [frame.time_s for frame in frames], np.arange(NUM_FRAMES) / RATE, atol=6e-4
    )
    for frame in frames:
        assert np.abs(frame.image.astype(int) - image(frame.number)).mean() < 4
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == {"libx264": "h264"}.get(codec, codec)


def test_frames_keep_their_times(tmp_path):
    steps = np.random.default_rng(0).uniform(0.001, 2, NUM_FRAMES)
    times_s = 7 + np.cumsum(steps)
    for name, atol in (("a.mp4", 1e-5), ("a.mkv", 6e-4)):
        frames, _ = read(write(tmp_path / name, times_s=times_s.tolist()))
        np.testing.assert_allclose([f.time_s for f in frames], times_s - times_s[0], atol=atol)


@pytest.mark.parametrize("rate", [0.02, 23.976, 30000 / 1001, 59.94, 1000.0])
def test_frame_rate_is_written(tmp_path, rate):
    path = write(tmp_path / "a.mp4", frames_per_s=rate, num_frames=10)
    frames, video = read(path)
    assert video.frames_per_s == pytest.approx(rate, rel=1e-3)
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(10) / rate, rtol=1e-3)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("size_hw", [(2, 2), (64, 64), (121, 161), (720, 64)])
def test_colors_and_odd_sizes_are_kept(tmp_path, codec, size_hw):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 120, 10), (40, 40, 40), (255, 255, 255)]
    with VideoWriter(tmp_path / "a.mp4", frames_per_s=2, size_hw=size_hw, codec=codec) as writer:
        for color in colors:
            writer.write(np.full((*size_hw, 3), color, np.uint8))
    frames, video = read(tmp_path / "a.mp4")
    assert video.size_hw == tuple(n + n % 2 for n in size_hw)  # one more row or column
    for frame, color in zip(frames, colors, strict=True):
        assert np.abs(frame.image.astype(int) - color).max() <= 3


@pytest.mark.parametrize(
    ("name", "codec", "video_codec"),
    [
        ("a.mp4", "aac", "libx264"),
        ("a.avi", "libmp3lame", "mpeg4"),
        ("a.ts", "aac", "libx264"),
        ("a.webm", "libopus", "libvpx"),
        ("a.mov", "pcm_s16le", "libx264"),
        ("a.mkv", "flac", "libx264"),
    ],
)
def test_audio_is_copied(tmp_path, name, codec, video_codec):
    source = make(
        tmp_path / name, audio=codec, codec=video_codec,
        options={"deadline": "realtime"} if video_codec == "libvpx" else {},
    )  # fmt: skip
    target = tmp_path / "out.mp4"
    with VideoFile(source) as video:
        with VideoWriter(target, **OPTIONS, audio_from=video) as writer:
            times_s = []
            for frame in video:
                writer.write(frame.image, frame.time_s)
                times_s.append(frame.time_s)
        start_s = video.start_s
    before, after = audio_packets(source), audio_packets(target)
    offset = len(before) - len(after)  # packets that end before the video begins
    assert 0 <= offset <= 2
    assert len(after) > 10
    if name == "a.ts":  # each packet has a header there
        before = [(content[7:], time_s) for content, time_s in before]
    assert [content for content, _ in before[offset:]] == [content for content, _ in after]
    np.testing.assert_allclose(
        [time_s - start_s for _, time_s in before[offset:]],
        [time_s for _, time_s in after],
        atol=2e-3,
    )
    np.testing.assert_allclose([f.time_s for f in read(target)[0]], times_s, atol=1e-5)


def test_audio_that_the_container_lacks_is_encoded(tmp_path):
    source = make(tmp_path / "a.avi", audio="wmav2", codec="mpeg4")
    with VideoFile(source) as video:
        with VideoWriter(tmp_path / "b.mp4", **OPTIONS, audio_from=video) as writer:
            for frame in video:
                writer.write(frame.image, frame.time_s)
    with av.open(str(tmp_path / "b.mp4")) as file:
        assert file.streams.audio[0].codec_context.name == "aac"
        sound = np.concatenate([f.to_ndarray()[0] for f in file.decode(file.streams.audio[0])])
    assert len(sound) == pytest.approx(NUM_FRAMES / RATE * 44100, rel=0.1)
    middle = sound[20000:40000]
    crossings = np.count_nonzero(np.diff(np.sign(middle)))
    assert crossings == pytest.approx(2 * 440 * len(middle) / 44100, rel=0.02)


def test_damaged_audio_does_not_end_the_video(tmp_path):
    content = bytearray(make(tmp_path / "a.ts", audio="aac").read_bytes())
    start, count = 0, 0
    while (start := content.find(b"\xff\xf1\x50\x80", start + 1)) >= 0:
        count += 1
        if count % 3 == 0:  # the header of three frames with checksums, which MP4 can't hold
            content[start + 1] ^= 1
            content[start + 6] |= 2
    (tmp_path / "b.ts").write_bytes(content)
    source = VideoFile(tmp_path / "b.ts")
    with VideoWriter(tmp_path / "b.mp4", **OPTIONS, audio_from=source) as writer:
        for frame in source:
            writer.write(frame.image, frame.time_s)
    assert len(read(tmp_path / "b.mp4")[0]) == NUM_FRAMES
    kept = len(audio_packets(tmp_path / "b.mp4"))
    assert 0 < kept < len(audio_packets(tmp_path / "a.ts"))


def test_audio_whose_header_is_lost_is_encoded(tmp_path):
    content = make(tmp_path / "a.mkv", audio="libopus").read_bytes()
    (tmp_path / "b.mkv").write_bytes(
        content.replace(b"\x63\xa2\x93OpusHead", b"\xec\0\x93OpusHead")
    )
    source = VideoFile(tmp_path / "b.mkv")
    with VideoWriter(tmp_path / "b.mp4", **OPTIONS, audio_from=source) as writer:
        for frame in source:
            writer.write(frame.image, frame.time_s)
    with av.open(str(tmp_path / "b.mp4")) as file:
        stream = file.streams.audio[0]
        assert stream.codec_context.name == "aac"
        assert float(stream.duration * stream.time_base) == pytest.approx(1.6, abs=0.05)


def test_audio_ends_with_a_video_that_was_stopped(tmp_path):
    source = make(tmp_path / "a.mp4", audio="aac")
    with VideoFile(source) as video:
        with VideoWriter(tmp_path / "b.mp4", **OPTIONS, audio_from=video) as writer:
            for frame in video:
                writer.write(frame.image, frame.time_s)
                if frame.number == 9:
                    break
    last_s = audio_packets(tmp_path / "b.mp4")[-1][1]
    assert 10 / RATE - 0.05 < last_s < 10 / RATE


def test_video_without_audio_has_none(tmp_path):
    with VideoFile(make(tmp_path / "a.mp4")) as video:
        with VideoWriter(tmp_path / "b.mp4", **OPTIONS, audio_from=video) as writer:
            writer.write(next(iter(video)).image)
    assert audio_packets(tmp_path / "b.mp4") == []


def test_interrupted_writing_leaves_no_file(tmp_path):
    path = tmp_path / "video.mp4"

    def interrupted():
        with VideoWriter(path, **OPTIONS) as writer:
            writer.write(image(0))
            assert not path.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    writer = VideoWriter(path, **OPTIONS)
    with pytest.raises(ValueError, match="No frame was written"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_vanished_folder_is_one_line(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    writer = VideoWriter(folder / "a.mp4", **OPTIONS)
    writer.write(image(0))
    shutil.rmtree(folder)
    with pytest.raises(OSError, match=r"out/a\.mp4 can't be written: No such file or directory\."):
        writer.close()
    assert list(tmp_path.iterdir()) == []


LIMITED = """
import resource, sys
import numpy as np
from wing_tf.inference.video_writer import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
generator = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], frames_per_s=25, size_hw=(120, 160)) as writer:
        for _ in range(60):
            writer.write(generator.integers(0, 256, (120, 160, 3), np.uint8))
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [1, 20_000, 300_000, -200])
def test_file_size_limit_is_one_line_and_leaves_no_file(tmp_path, limit):
    """At the header, at a frame, among frames, and in the index at the end."""
    path = tmp_path / "a.mp4"
    if limit < 0:
        run = [sys.executable, "-c", LIMITED, str(path), str(10**8)]
        assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == ""
        limit += path.stat().st_size
        path.unlink()
    run = [sys.executable, "-c", LIMITED, str(path), str(limit)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == f"{path} can't be written: {os.strerror(errno.EFBIG)}.\n"
    assert list(tmp_path.iterdir()) == []


def test_invalid_writer_arguments_raise(tmp_path):
    for path, change, message in (
        ("video.gif", {}, r"must be one of \.m4v, \.mkv, \.mov, \.mp4"),
        ("video.mp4", {"frames_per_s": 0}, "`frames_per_s` must be positive"),
        ("video.mp4", {"frames_per_s": 0.001}, "`frames_per_s` must be positive, 0.01 to 1000"),
        ("video.mp4", {"size_hw": (1, 50)}, "at least 2 x 2"),
        ("video.mp4", {"codec": "h265"}, "`codec` must be one of libx264, mpeg4"),
        ("absent/video.mp4", {}, "No folder .*absent to write video.mp4 to"),
    ):
        with pytest.raises(ValueError, match=message):
            VideoWriter(tmp_path / path, **OPTIONS | change)
    with VideoWriter(tmp_path / "video.mp4", **OPTIONS) as writer:
        writer.write(image(0), 1.0)
        for pixels in (image(0)[1:], image(0).astype(float), image(0)[..., 0]):
            with pytest.raises(ValueError, match="A frame must be uint8"):
                writer.write(pixels)
        with pytest.raises(ValueError, match="`time_s` must be later than .* 1.0"):
            writer.write(image(1), 1.0)
    assert len(read(tmp_path / "video.mp4")[0]) == 1
    assert video_files.audio_packets(tmp_path / "video.mp4") == []
