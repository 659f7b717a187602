import dataclasses
import os
import re
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from wing_tf.geometry import landmark_box
from wing_tf.geometry.pose import head_pose
from wing_tf.inference import Face
from wing_tf.inference.drawing import caption_of, draw_faces, legible_scale
from wing_tf.landmarks import get_scheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM
from wing_tf.utils.atomic import write_text
from wing_tf.utils.image_files import load_image, save_image
from wing_tf.visualization import (
    contact_sheet,
    draw_landmarks,
    pose_axes,
)
from wing_tf.visualization.plots import plot_ced, plot_curves
from wing_tf.visualization.window import Window, why_no_window

SCHEME = get_scheme("celeba_5")


def test_drawn_dots_are_at_the_landmarks():
    black = np.zeros((60, 80, 3), np.uint8)
    landmarks = np.array([[20.25, 20], [60, 20], [40, 30.5], [25, 45], [np.nan, np.nan]])
    drawn = draw_landmarks(
        black, landmarks, SCHEME, radius_px=3, color=(255, 255, 255), lines=False
    )
    assert not black.any()
    weight = drawn[..., 0].astype(float)
    rows, columns = np.mgrid[:60, :80]
    for x, y in landmarks[:4]:
        near = weight * (np.hypot(columns - x, rows - y) < 6)
        centroid = [(near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()]
        np.testing.assert_allclose(centroid, [x, y], atol=0.15)
    assert np.count_nonzero(weight) < 4 * 60


def test_landmarks_far_outside_are_drawn_without_error():
    """What a training that goes wrong emits: it must not end in an image of it."""
    image = np.zeros((40, 60, 3), np.uint8)
    for size in (1e4, 1e9, 1e30):
        landmarks = np.random.default_rng(0).normal(0, size, (68, 2))
        landmarks[0], landmarks[1] = np.nan, 20.0
        drawn = draw_landmarks(image, landmarks, get_scheme("ibug_68"))
        assert drawn[20, 20].any()


def test_contact_sheet_arranges_images():
    images = [np.full((10, 20, 3), i, np.uint8) for i in range(1, 6)]
    sheet = contact_sheet(images, columns=3, gap_px=2)
    assert sheet.shape == (2 * 12 + 2, 3 * 22 + 2, 3)
    assert sheet[2 + 12 + 5, 2 + 22 + 5, 0] == 5
    assert contact_sheet(images[:1]).shape == (18, 28, 3)
    with pytest.raises(ValueError, match="needs at least one image"):
        contact_sheet([])


def test_contact_sheet_scales_and_pads_images_of_different_sizes():
    wide, high = np.full((30, 90, 3), 255, np.uint8), np.full((400, 100, 3), 128, np.uint8)
    sheet = contact_sheet([wide, high], cell_px=60, gap_px=0)
    assert sheet.shape == (60, 120, 3)
    white, gray = sheet[..., 0] == 255, sheet[..., 0] == 128
    np.testing.assert_array_equal(np.argwhere(white).min(axis=0), [20, 0])
    np.testing.assert_array_equal(np.argwhere(white).max(axis=0), [39, 59])
    np.testing.assert_array_equal(np.argwhere(gray).min(axis=0), [0, 60 + 22])
    np.testing.assert_array_equal(np.argwhere(gray).max(axis=0), [59, 60 + 36])
    assert contact_sheet([wide, high]).shape == (264, 524, 3)


def _face(shift_px=100.0, scale=1.0, **more):
    scheme = get_scheme("ibug_68")
    landmarks = AVERAGE_HEAD_MM[:, :2] * scale + shift_px
    return Face(landmarks, landmark_box(landmarks), scheme=scheme, **more), scheme


def test_each_drawing_option_draws_its_part():
    face, scheme = _face(identity=3)
    blank = np.zeros((240, 220, 3), np.uint8)
    none = {"lines": False, "boxes": False, "numbers": False, "pose_axis": False, "captions": False}
    plain = draw_faces(blank, [face], scheme, **none).astype(int)
    assert plain.any()
    assert not blank.any()
    for part in none:
        more = draw_faces(blank, [face], scheme, **none | {part: True}).astype(int)
        assert np.abs(more - plain).any(axis=-1).sum() > 30, part
    boxed = draw_faces(blank, [face], scheme, **none | {"boxes": True}).astype(int)
    rows, columns = np.nonzero(np.abs(boxed - plain).sum(axis=-1))
    reach = [columns.min(), rows.min(), columns.max(), rows.max()]
    np.testing.assert_allclose(reach, face.box_xyxy_px, atol=1.5)
    assert caption_of(face) == "#3"
    assert caption_of(dataclasses.replace(face, score=0.5)) == "#3 0.50"


def test_scaled_drawing_equals_drawing_of_scaled_face():
    face, scheme = _face()
    parts = {"lines": False, "captions": False}
    drawn = draw_faces(np.zeros((240, 220, 3), np.uint8), [face], scheme, scale=2.5, **parts)
    assert drawn.shape == (600, 550, 3)
    rows, columns = np.nonzero((drawn == 255).all(axis=-1))  # the box
    reach = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
    np.testing.assert_allclose((reach + 0.5) / 2.5 - 0.5, face.box_xyxy_px, atol=1.0)


def test_drawings_are_scaled_to_be_legible():
    face, _ = _face()
    assert legible_scale(np.zeros((400, 500, 3), np.uint8), [face]) == 1
    assert legible_scale(np.zeros((1, 1, 3), np.uint8), []) == 160
    assert legible_scale(np.zeros((20, 12000, 3), np.uint8), []) == 0.5
    side = np.ptp(face.box_xyxy_px.reshape(2, 2), axis=0).max()
    scale = legible_scale(np.zeros((300, 300, 3), np.uint8), [face], numbers=True)
    assert scale == pytest.approx(800 / side)


def test_axes_follow_the_pose():
    np.testing.assert_allclose(pose_axes([0, 0, 0]), [[1, 0], [0, -1], [0, 0]], atol=1e-12)
    nose = pose_axes([30, 20, 0])[2]
    assert nose[0] > 0.4  # positive yaw: to the image's right
    assert nose[1] < -0.25  # positive pitch: up
    assert pose_axes([0, 0, 10])[1][0] > 0.1  # clockwise: the top leans to the right


@pytest.mark.parametrize("angles", [(25.0, 0, 0), (0, -15, 0), (0, 0, 40), (20, 10, -30)])
def test_drawn_axes_and_fitted_pose_agree(angles):
    side, up, nose = pose_axes(angles)
    seen = AVERAGE_HEAD_MM @ np.stack([side, -up, nose])
    np.testing.assert_allclose(head_pose(seen, get_scheme("ibug_68")).angles_deg, angles, atol=0.1)


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (64, 48)])
def test_faces_are_drawn_on_images_of_any_size(size):
    image = np.zeros((*size, 3), np.uint8)
    for face, scheme in (_face(), _face(-500.0), _face(0.5, 1e-3), _face(20, 50.0)):
        drawn = draw_faces(image, [face], scheme, numbers=True, pose_axis=True)
        assert drawn.shape == image.shape
    unknown = Face(np.full((68, 2), np.nan), np.array([1.0, 1, 9, 9]), scheme=scheme)
    draw_faces(image, [unknown], scheme, numbers=True, pose_axis=True)


def test_missing_screen_raises_instead_of_crashing(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "no screen" in why_no_window()
    with pytest.raises(OSError, match="No window"):
        Window("face")
    monkeypatch.setenv("DISPLAY", ":987")  # nobody is there
    assert "can't open a window" in why_no_window()


def test_saved_images_load_equal_and_invalid_ones_raise(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    save_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"))[..., ::-1], image)
    with pytest.raises(ValueError, match="Cannot read image"):
        load_image(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes(b"text")
    with pytest.raises(ValueError, match="Cannot decode image"):
        load_image(tmp_path / "b.png")
    os.mkfifo(tmp_path / "c.png")
    with pytest.raises(ValueError, match="not a file"):
        load_image(tmp_path / "c.png")


def _png(width, height):
    """A PNG file that ends after its first row."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(width + 1))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def test_too_large_image_raises_a_clear_error(tmp_path):
    (tmp_path / "a.png").write_bytes(_png(40_000, 30_000))
    with pytest.raises(ValueError, match="has 1200000000 pixels, more than max_pixels="):
        load_image(tmp_path / "a.png")
    with pytest.raises(ValueError, match="too large for OpenCV"):
        load_image(tmp_path / "a.png", max_pixels=2**31)


_WITH_LITTLE_MEMORY = """
import resource, sys
from wing_tf.utils.image_files import load_image
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000,) * 2)
try: load_image(sys.argv[1])
except ValueError as error: print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_image_that_needs_too_much_memory_raises_a_clear_error(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    cv2.imwrite(str(path), np.zeros((8000, 8000), np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", _WITH_LITTLE_MEMORY, path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "needs more memory than there is" in done.stdout


def test_text_keeps_undecodable_file_names(tmp_path):
    write_text(tmp_path / "a.csv", "\udcffü\n")
    assert (tmp_path / "a.csv").read_bytes() == b"\xff\xc3\xbc\n"


def test_failed_write_leaves_no_file(tmp_path):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError, match=r"taken\.png"):
        write_text(tmp_path / "taken.png", "text")
    with pytest.raises(OSError, match=r"taken\.png"):
        save_image(tmp_path / "taken.png", np.zeros((3, 3, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]


def test_longest_file_names_are_written(tmp_path):
    path = tmp_path / f"{'n' * 251}.png"
    save_image(path, np.zeros((3, 3, 3), np.uint8))
    assert load_image(path).shape == (3, 3, 3)


def test_ced_plot_is_written_as_an_image(tmp_path):
    errors = np.random.default_rng(0).uniform(0, 0.2, 100)
    plot_ced(tmp_path / "ced.png", {"one": errors, "two": errors / 2})
    assert cv2.imread(str(tmp_path / "ced.png")).shape[0] > 300


@pytest.mark.parametrize(
    ("values", "written"),
    [([13, 6, 4.2], "6"), ([19, 2], "5"), ([0.25, 0.21], "0.22"), ([50, 1e-3], "0.01")],
)
def test_logarithmic_axes_have_plain_numbers(tmp_path, values, written):
    plot_curves(tmp_path / "curves.svg", {"a": {"NME": values}}, steps="epoch")
    texts = re.findall(r"<!-- (.*) -->", (tmp_path / "curves.svg").read_text(encoding="utf-8"))
    assert written in texts
    assert not [text for text in texts if "math" in text]


def test_more_curves_than_colors_differ_in_their_lines(tmp_path):
    plot_curves(tmp_path / "ten.svg", {str(i): {"NME": [2, 1]} for i in range(10)}, steps="epoch")
    plot_curves(tmp_path / "more.svg", {str(i): {"NME": [2, 1]} for i in range(11)}, steps="epoch")
    assert "stroke-dasharray" not in (tmp_path / "ten.svg").read_text(encoding="utf-8")
    assert "stroke-dasharray" in (tmp_path / "more.svg").read_text(encoding="utf-8")
