"""Reading of intact and damaged videos, and atomic writing of videos."""

import struct
import subprocess
import sys

import numpy as np
import pytest

from wing_tf.inference.video import open_video
from wing_tf.inference.video_writer import VideoWriter

SIZE_HW = (120, 160)
FRAMES = 60


def noise_frame(index):
    """A bright square that moves 2 pixels a frame over something with structure."""
    rows, columns = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    image = np.stack([rows, columns // 2, (rows + columns) // 3], axis=-1).astype(np.uint8)
    image[40:80, 10 + 2 * index : 30 + 2 * index] = (250, 120, 10)
    return image


def place(image):
    """Returns the left edge of the square."""
    return int(np.flatnonzero(image[60, :, 0].astype(int) - image[60, :, 2] > 100)[0])


def write(path, *, rate=25.0):
    with VideoWriter(path, frames_per_s=rate, size_hw=SIZE_HW) as writer:
        for index in range(FRAMES):
            writer.write(noise_frame(index))
    return path


def damage(path, target, start, stop):
    """Writes a copy with noise between two fractions of its length."""
    content = bytearray(path.read_bytes())
    a, b = int(start * len(content)), int(stop * len(content))
    content[a:b] = np.random.default_rng(0).integers(0, 256, b - a, np.uint8).tobytes()
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".MOV"])
def test_written_video_is_read_back(tmp_path, ending):
    path = write(tmp_path / f"video{ending}")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with open_video(path) as video:
        frames = list(video)
        assert video.size_hw == SIZE_HW
        assert video.frames_per_s == 25.0
        assert (video.num_frames, video.num_broken) == (FRAMES, 0)
    assert [frame.number for frame in frames] == list(range(FRAMES))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(FRAMES) / 25, atol=2e-3)
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert abs(place(frame.image) - 10 - 2 * frame.number) <= 1
    red, green, blue = frames[5].image[60, 30].astype(int)  # channels in this order
    assert red > green + 60 > blue + 100
    assert list(open_video(path))[-1].number == FRAMES - 1
    video.close()
    assert list(video) == []


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_broken_frames_are_skipped_and_counted(tmp_path, ending):
    path = write(tmp_path / f"video{ending}")
    with open_video(damage(path, tmp_path / f"broken{ending}", 0.4, 0.5)) as video:
        frames = [next(iter(video)) for _ in range(40)]
        if ending == ".mp4":  # AVI files state only how many frames there are
            assert video.num_broken == frames[-1].number - 39 > 0
            assert abs(place(frames[-1].image) - 10 - 2 * frames[-1].number) <= 1
        frames += list(video)
        assert 1 <= video.num_broken <= 20
        assert len(frames) + video.num_broken == FRAMES
    times = [frame.time_s for frame in frames]
    assert np.all(np.diff(times) > 0)
    assert np.all(np.diff([frame.number for frame in frames]) > 0)
    assert abs(place(frames[10].image) - 30) <= 1
    assert abs(place(frames[-1].image) - 10 - 2 * (FRAMES - 1)) <= 1  # after the damage


def test_truncated_video_ends_early(tmp_path):
    content = write(tmp_path / "video.avi").read_bytes()
    (tmp_path / "short.avi").write_bytes(content[: len(content) // 2])
    with open_video(tmp_path / "short.avi") as video:
        assert 10 < len(list(video)) < FRAMES


def test_trimmed_video_has_no_broken_frames(tmp_path):
    """The edit list shows the first half of the frames, which are all in the file."""
    content = bytearray(write(tmp_path / "video.mp4").read_bytes())
    start = content.index(b"elst") + 12  # behind the kind, the version and the number of entries
    (length,) = struct.unpack_from(">I", content, start)
    struct.pack_into(">I", content, start, length // 2)
    (tmp_path / "trimmed.mp4").write_bytes(content)
    with open_video(tmp_path / "trimmed.mp4") as video:
        assert len(list(video)) == FRAMES // 2
        assert (video.num_frames, video.num_broken) == (FRAMES, 0)


def test_invalid_sources_raise_one_line_errors(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 100)
    empty = tmp_path / "empty.avi"
    empty.touch()
    whole = write(tmp_path / "video.mp4").read_bytes()
    headless = tmp_path / "cut.mp4"  # the index is at the end of this kind
    headless.write_bytes(whole[: len(whole) // 2])
    for path in (text, empty, headless):
        with pytest.raises(ValueError, match=rf"{path.name} is not a video that can be read\.$"):
            open_video(path)
    with pytest.raises(ValueError, match=r"^No video at .*absent\.mp4\.$"):
        open_video(str(tmp_path / "absent.mp4"))
    with pytest.raises(ValueError, match="is a folder, not a video"):
        open_video(tmp_path)
    for camera in (93, "93"):
        with pytest.raises(ValueError, match=r"^Camera 93 can't be opened\.$"):
            open_video(camera)


def test_nothing_is_printed_for_damaged_videos(tmp_path):
    broken = damage(write(tmp_path / "video.mp4"), tmp_path / "broken.mp4", 0.4, 0.6)
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from wing_tf.inference import VideoWriter, open_video\n"
        "with VideoWriter(sys.argv[1], frames_per_s=65.537, size_hw=(121, 160)) as writer:\n"
        "    writer.write(np.zeros((121, 160, 3), np.uint8))\n"
        "for source in sys.argv[1:]:\n"
        "    try:\n"
        "        print(sum(1 for _ in open_video(source)))\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            *(str(tmp_path / "new.mp4"), str(broken)),
            str(tmp_path / "text.mp4"),
            "93",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines()[0] == "1"
    assert run.stdout.splitlines()[2:] == [
        f"{tmp_path / 'text.mp4'} is not a video that can be read.",
        "Camera 93 can't be opened.",
    ]


def test_interrupted_writing_leaves_no_file(tmp_path):
    path = tmp_path / "video.mp4"

    def interrupted():
        with VideoWriter(path, frames_per_s=25, size_hw=SIZE_HW) as writer:
            writer.write(noise_frame(0))
            assert not path.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    writer = VideoWriter(path, frames_per_s=25, size_hw=SIZE_HW)
    with pytest.raises(ValueError, match="No frame was written"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_video_of_odd_size_is_written(tmp_path):
    path = tmp_path / "odd.mp4"
    with VideoWriter(path, frames_per_s=29.97, size_hw=(121, 161)) as writer:
        for _ in range(5):
            writer.write(np.full((121, 161, 3), 90, np.uint8))
    with open_video(path) as video:
        assert len(list(video)) == 5
        assert video.frames_per_s == pytest.approx(29.97, abs=0.01)


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
@pytest.mark.parametrize(
    ("rate", "written"),
    [(0.01, 0.01), (23.976, 23.976), (65.537, 65.54), (240.123, 240.12), (999.99, 1000.0)],
)
def test_all_frame_rates_are_written(tmp_path, rate, written, ending):
    path = tmp_path / f"video{ending}"
    with VideoWriter(path, frames_per_s=rate, size_hw=SIZE_HW) as writer:
        assert writer.frames_per_s == written
        writer.write(noise_frame(0))
        writer.write(noise_frame(1))
    with open_video(path) as video:
        assert video.frames_per_s == pytest.approx(written, rel=1e-4)


def test_invalid_writer_arguments_raise(tmp_path):
    good = {"frames_per_s": 25, "size_hw": SIZE_HW}
    for path, change, message in (
        ("video.gif", {}, r"must be one of \.avi, \.m4v, \.mov, \.mp4"),
        ("video.mp4", {"frames_per_s": 0}, "`frames_per_s` must be positive"),
        ("video.mp4", {"frames_per_s": 0.001}, "`frames_per_s` must be positive, 0.01 to 1000"),
        ("video.mp4", {"size_hw": (1, 50)}, "at least 2 x 2"),
        ("absent/video.mp4", {}, "No folder .*absent to write video.mp4 to"),
    ):
        with pytest.raises(ValueError, match=message):
            VideoWriter(tmp_path / path, **good | change)
    with VideoWriter(tmp_path / "video.avi", **good) as writer:
        writer.write(noise_frame(0))
        for image in (noise_frame(0)[1:], noise_frame(0).astype(float), noise_frame(0)[..., 0]):
            with pytest.raises(ValueError, match="A frame must be uint8"):
                writer.write(image)
