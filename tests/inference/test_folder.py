"""A run over a folder goes on whatever one image does, and ends where none can be written."""

import csv
import json
import shutil

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from wing_tf.detection import make_detector
from wing_tf.inference import Landmarker
from wing_tf.inference.folder import run_folder


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, shade in (("a.png", 90), ("b.png", 180)):
        cv2.imwrite(str(folder / name), np.full((40, 50, 3), shade, np.uint8))
    return folder


class FailsOnBright(Landmarker):
    """Runs out of memory on a crop that is bright."""

    def predict_crops(self, crops):
        if crops.mean(axis=(1, 2, 3)).max() > 100:
            raise MemoryError
        return super().predict_crops(crops)


def _run(folder, output, *, draw=None, format="jsonl"):
    landmarker = Landmarker(detector="whole", min_score=0)
    return run_folder(landmarker, folder, output, format=format, settings={}, draw=draw)


def _names(output):
    lines = (output / "landmarks.jsonl").read_text().splitlines()
    return [json.loads(line)["image"] for line in lines]


def _skipped(output):
    rows = csv.DictReader((output / "skipped.csv").read_text().splitlines())
    return {row["image"]: row["reason"] for row in rows}


def _plain(image, faces):
    return image


@pytest.mark.parametrize("alone", [True, False])
def test_image_on_which_the_landmarker_fails_is_skipped(folder, tmp_path, alone):
    if alone:
        (folder / "a.png").unlink()

    summary = run_folder(FailsOnBright(detector="whole"), folder, tmp_path / "out", settings={})
    assert summary.num_images == (0 if alone else 1)
    assert _names(tmp_path / "out") == ([] if alone else ["a.png"])
    assert _skipped(tmp_path / "out") == {"b.png": "needs more memory than there is"}


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("drawing"), ValueError("a size")])
def test_image_that_can_not_be_drawn_is_skipped(folder, tmp_path, error):
    def draw(image, faces):
        if image.mean() < 100:
            raise error
        return image

    out = tmp_path / "out"
    assert _run(folder, out, draw=draw, format="pts").num_images == 1
    assert _names(out) == ["b.png"]
    assert list(_skipped(out)) == ["a.png"]
    assert [path.name for path in out.glob("*.pts")] == ["b.pts"]


def test_image_whose_output_name_is_too_long_is_skipped(folder, tmp_path):
    long = "n" * 251 + ".bmp"
    cv2.imwrite(str(folder / long), np.zeros((9, 9, 3), np.uint8))
    out = tmp_path / "out"
    assert _run(folder, out, draw=_plain).num_images == 2
    assert "too long" in _skipped(out)[long]


def test_unwritable_output_ends_the_run(folder, tmp_path):
    out = tmp_path / "out"
    _run(folder, out)
    (out / "drawn").write_text("in the way")
    cv2.imwrite(str(folder / "c.png"), np.zeros((40, 50, 3), np.uint8))
    with pytest.raises(OSError, match="drawn"):
        _run(folder, out, draw=_plain)
    assert _names(out) == ["a.png", "b.png"]
    assert _skipped(out) == {}
    (out / "drawn").unlink()
    assert _run(folder, out, draw=_plain).num_images == 3


def test_images_of_a_folder_that_vanishes_are_not_skipped(folder, tmp_path):
    names = sorted(path.name for path in folder.iterdir())

    class Unmounts(Landmarker):
        def predict_crops(self, crops):
            folder.rename(tmp_path / "away")
            return super().predict_crops(crops)

    for number in range(16):  # the second batch is read after the first one was located
        shutil.copy(folder / "a.png", folder / f"c{number:02}.png")
    landmarker = Unmounts(detector="whole", min_score=0)
    with pytest.raises(ValueError, match=r"images was removed"):
        run_folder(landmarker, folder, tmp_path / "out", settings={})
    assert _skipped(tmp_path / "out") == {}
    (tmp_path / "away").rename(folder)
    assert _run(folder, tmp_path / "out").num_images == len(names) + 16
    assert len(_names(tmp_path / "out")) == len(names) + 16


def test_output_folder_that_vanishes_ends_the_run(folder, tmp_path):
    def draw(image, faces):
        (tmp_path / "out").rename(tmp_path / "away")
        return image

    (folder / "b.png").unlink()
    with pytest.raises(OSError, match=r"out/\w+\.\w+ can't be written: No such file"):
        _run(folder, tmp_path / "out", draw=draw)


def test_images_of_all_formats_are_read_and_other_files_counted(folder, tmp_path):
    image = np.full((40, 50, 3), 90, np.uint8)
    for name in ("c.JFIF", "d.jpe"):
        (folder / name).write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
    for suffix in ("avif", "gif", "jp2"):
        cv2.imwrite(str(folder / f"e.{suffix}"), image)
    pillow_heif.from_pillow(Image.fromarray(image)).save(folder / "f.heic")
    for name in ("notes.txt", "more.TXT", "raw.cr2", "LICENSE"):
        (folder / name).write_text("text")
    summary = _run(folder, tmp_path / "out")
    names = ["a.png", "b.png", "c.JFIF", "d.jpe", "e.avif", "e.gif", "e.jp2", "f.heic"]
    assert _names(tmp_path / "out") == names
    assert summary.skipped == {}
    assert summary.others == {".txt": 2, ".cr2": 1, "no suffix": 1}


def test_images_that_the_box_file_does_not_name_are_skipped(folder, tmp_path):
    path = tmp_path / "boxes.csv"
    out = tmp_path / "out"
    path.write_text("path,x0,y0,x1,y1\nimages\\A.PNG,5,5,30,30\n")
    detector = make_detector("boxes", box_file=path)
    summary = run_folder(Landmarker(detector=detector, min_score=0), folder, out, settings={})
    assert (summary.num_images, summary.num_faces) == (1, 1)
    assert _skipped(out) == {"b.png": "not in the box file boxes.csv"}
    path.write_text("path,x0,y0,x1,y1\nC:\\other\\z.png,5,5,30,30\n")
    detector = make_detector("boxes", box_file=path)
    with pytest.raises(ValueError, match=r"none of the 2 images of .*names: C:/other/z\.png\."):
        run_folder(
            Landmarker(detector=detector, min_score=0), folder, tmp_path / "new", settings={}
        )
    assert not (tmp_path / "new").exists()


def test_boxes_of_another_image_size_are_reported(folder, tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("path,x0,y0,x1,y1\na.png,5,5,30,30\nb.png,100,100,140,140\n")
    landmarker = Landmarker(detector=make_detector("boxes", box_file=path), min_score=0)
    run_folder(landmarker, folder, tmp_path / "out", settings={})
    assert _names(tmp_path / "out") == ["a.png"]
    (reason,) = _skipped(tmp_path / "out").values()
    assert reason.startswith("A box lies outside of the image of 50 x 40 pixels.")
    with pytest.raises(ValueError, match="A box lies outside of the image"):
        landmarker(folder / "b.png")


def test_drawn_images_of_earlier_runs_are_not_photographs(folder):
    expected = ["a.png", "b.png"]
    _run(folder, folder / "earlier", draw=_plain)  # a run with another --output
    assert list((folder / "earlier" / "drawn").iterdir())
    (folder / "wing_predict").mkdir()  # of wing-predict --image
    shutil.copy(folder / "a.png", folder / "wing_predict" / "a_landmarks.png")
    _run(folder, folder / "new")
    assert _names(folder / "new") == expected
