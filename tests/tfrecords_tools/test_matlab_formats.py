"""Data sets with MATLAB files, in the owners' formats."""

import multiprocessing
import pickle

import numpy as np
import pytest
import scipy.io
from official_files import (
    BOX_XYXY,
    DOT,
    assert_dots,
    dotted,
    write_aflw,
    write_cofw,
    write_cofw68,
    write_mat73,
)

from tfrecords_tools.sources import AflwSource, BadRecordError, Cofw68Source, CofwSource
from tfrecords_tools.sources.dataset_files import read_mat


def _gray(image):
    return image[..., 0]


def test_cofw_points_occlusion_and_boxes(tmp_path):
    train = write_cofw(tmp_path / "COFW_train_color.mat", "Tr", (0, 1))
    test = write_cofw(tmp_path / "COFW_test_color.mat", "T", (2,))
    source = pickle.loads(pickle.dumps(CofwSource(tmp_path)))
    items = pickle.loads(pickle.dumps(source.items()))
    assert [(i.key, i.source_image, i.split) for i in items] == [
        ("train/0001", "train/0001", "train"),
        ("train/0002", "train/0002", "train"),
        ("test/0001", "test/0001", "test"),
    ]
    for item, points in zip(items, [*train, *test], strict=True):
        face = source.load(item)
        assert_dots(face, points)
        np.testing.assert_array_equal(face.visibility, np.where(np.arange(29) % 3 == 0, 1, 2))
    np.testing.assert_array_equal(source.load(items[0]).box_xyxy_px, BOX_XYXY)
    np.testing.assert_array_equal(source.load(items[1]).box_xyxy_px, [6, 8, 57, 49])
    assert source.count_differences(items) == [
        "train: 2 faces, officially 1345",
        "test: 1 faces, officially 507",
    ]
    as_python_loaders = CofwSource(tmp_path, origin=0.0)
    np.testing.assert_allclose(as_python_loaders.load(items[0]).landmarks_px, train[0] + 1)


def test_cofw_is_read_by_several_processes(tmp_path):
    train = write_cofw(tmp_path / "COFW_train_color.mat", "Tr", range(6))
    write_cofw(tmp_path / "COFW_test_color.mat", "T", (2,))
    source = CofwSource(tmp_path)
    items = source.items()
    source.load(items[0])  # the parent process reads from the file, too
    with multiprocessing.get_context("fork").Pool(2) as pool:
        faces = pool.map(source.load, items)
    for face, points in zip(faces, train, strict=False):
        assert_dots(face, points)


def test_cofw_gray_images_become_rgb(tmp_path):
    folder = tmp_path / "common/xpburgos/behavior/code/pose"
    points = write_cofw(tmp_path / "COFW_train.mat", "Tr", (0,), lambda p: _gray(dotted(p)))
    write_cofw(folder / "COFW_test.mat", "T", (1,), lambda p: _gray(dotted(p)))
    source = CofwSource(tmp_path)
    face = source.load(source.items()[0])
    assert face.image.shape == (60, 80, 3)
    np.testing.assert_array_equal(face.image[..., 2], _gray(dotted(points[0])))
    x, y = points[0][5].astype(int)
    assert face.image[y, x].tolist() == [DOT[0]] * 3


def test_malformed_cofw_files_are_refused(tmp_path):
    write_cofw(tmp_path / "COFW_train_color.mat", "Tr", (0,), lambda p: dotted(p)[..., :2])
    with pytest.raises(ValueError, match=r"no .*COFW_test_color\.mat\. The official layout is"):
        CofwSource(tmp_path)
    path = tmp_path / "COFW_test_color.mat"
    write_mat73(path, {"IsT": []}, phisT=np.zeros((1, 87)))
    source = CofwSource(tmp_path)
    with pytest.raises(ValueError, match="Missing: bboxesT; found: IsT, phisT"):
        source.items()
    write_mat73(path, {"IsT": [dotted([])]}, phisT=np.zeros((1, 58)), bboxesT=np.zeros((1, 4)))
    with pytest.raises(ValueError, match="phisT must be 1 x 87, .* Found: 1 x 58"):
        source.items()
    path.write_bytes(b"no file")
    with pytest.raises(ValueError, match="not a MATLAB file of version 7.3"):
        source.items()
    write_cofw(path, "T", (1,))
    items = source.items()
    with pytest.raises(BadRecordError, match=r"must be uint8 .* Found: uint8 \[60, 80, 2\]"):
        source.load(items[0])
    write_mat73(path, IsT=np.zeros((1, 1)))
    with pytest.raises(BadRecordError, match="no image 1"):
        source.load(items[1])


@pytest.mark.parametrize("images", ["", "COFW68_Data", "elsewhere"])
def test_cofw68_points_occlusion_and_boxes(tmp_path, images):
    points = write_cofw68(tmp_path / "COFW68_Data")
    write_mat73(tmp_path / images / "COFW_test_color.mat", {"IsT": [dotted(p) for p in points]})
    given = {"cofw_root": tmp_path / images} if images == "elsewhere" else {}
    source = pickle.loads(pickle.dumps(Cofw68Source(tmp_path, **given)))
    scipy.io.savemat(tmp_path / "COFW68_Data/test_annotations/4_points.mat", {"Points": [1]})
    items = source.items()
    assert [(item.key, item.split) for item in items] == [
        (f"test/000{n}", "test") for n in (1, 2, 3)
    ]
    assert list(source.skipped) == ["4_points.mat"]
    for number, item in enumerate(items, start=1):
        face = source.load(item)
        assert_dots(face, points[number - 1])
        assert np.flatnonzero(face.visibility == 1).tolist() == [number]
    np.testing.assert_array_equal(source.load(items[0]).box_xyxy_px, BOX_XYXY)
    assert source.count_differences(items) == ["test: 3 faces, officially 507"]


def test_malformed_cofw68_files_are_refused(tmp_path):
    points = write_cofw68(tmp_path)
    with pytest.raises(ValueError, match=r"no .*COFW_test_color\.mat\. The official layout is"):
        Cofw68Source(tmp_path)
    write_mat73(tmp_path / "COFW_test_color.mat", {"IsT": [dotted(p) for p in points]})
    source = Cofw68Source(tmp_path)
    items = source.items()
    mat = {"Points": points[0][:29], "Occ": np.zeros((68, 1))}
    scipy.io.savemat(tmp_path / "test_annotations/1_points.mat", mat)
    with pytest.raises(BadRecordError, match="expected Points 68 x 2 .* found 29 x 2"):
        source.load(items[0])
    scipy.io.savemat(tmp_path / "test_annotations/1_points.mat", {"Points": points[0]})
    with pytest.raises(BadRecordError, match="Missing: Occ"):
        source.load(items[0])
    scipy.io.savemat(tmp_path / "cofw68_test_bboxes.mat", {"bboxes": np.zeros((2, 4))})
    with pytest.raises(
        ValueError, match="bboxes must be 3 x 4, a row for each image of .* Found: 2 x 4"
    ):
        source.items()
    with pytest.raises(ValueError, match="no .*COFW68_Data/test_annotations"):
        Cofw68Source(tmp_path / "test_annotations")


def test_aflw_splits_attributes_and_boxes(tmp_path):
    points = write_aflw(tmp_path)
    source = pickle.loads(pickle.dumps(AflwSource(tmp_path)))
    items = source.items()
    assert [item.split for item in items[19999:20001]] == ["train", "test"]
    assert items[0].key == "0/image20002.jpg#20003"
    assert items[0].attributes == ()
    assert [item.source_image for item in items[20000:]] == [
        f"0/image0000{n}.jpg" for n in (2, 1, 0)
    ]
    assert [item.attributes for item in items[20000:]] == [("frontal",), (), ("frontal",)]
    first = source.load(items[-1])
    assert_dots(first, points[0])
    np.testing.assert_array_equal(first.box_xyxy_px, [3, 4, 53, 54])
    assert (first.visibility == 2).all()
    second = source.load(items[-2])
    assert_dots(second, points[1])
    assert np.flatnonzero(second.visibility == 1).tolist() == [4]
    with pytest.raises(BadRecordError, match=r"image00002\.jpg"):
        source.load(items[20000])
    assert source.count_differences(items) == [
        "test: 3 faces, officially 4386",
        "test_frontal: 2 faces, officially 1314",
    ]
    assert len(pickle.dumps(items[0].source_data)) < 1500
    for place in ("aflw/data/flickr", "flickr"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        source.images.rename(tmp_path / place)
        source = AflwSource(tmp_path)
        assert_dots(source.load(items[-1]), points[0])


def test_malformed_aflw_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no .*AFLWinfo_release\.mat\. The official layout is"):
        AflwSource(tmp_path)
    write_aflw(tmp_path, 3, "images")
    with pytest.raises(ValueError, match="no .*data/flickr"):
        AflwSource(tmp_path)
    (tmp_path / "flickr").mkdir()
    source = AflwSource(tmp_path)
    write_aflw(tmp_path, 3, data=np.zeros((3, 42)))
    with pytest.raises(ValueError, match="data must be 3 x 38, .* Found: 3 x 42"):
        source.items()
    write_aflw(tmp_path, 3, ra=np.arange(3))
    with pytest.raises(ValueError, match=r"each of 1 \.\.\. 3 once"):
        source.items()
    (tmp_path / "AFLWinfo_release.mat").write_bytes(b"<html>not found</html>" * 20)
    with pytest.raises(ValueError, match="not a MATLAB file of version 5 to 7"):
        source.items()


def test_mat_file_of_another_version_is_refused(tmp_path):
    write_mat73(tmp_path / "a.mat", joints=np.zeros((3, 14, 2)))
    with pytest.raises(ValueError, match="not a MATLAB file of version 5 to 7"):
        read_mat(tmp_path / "a.mat", ["joints"])
