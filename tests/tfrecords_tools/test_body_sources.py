"""LSP and LSP-extended, in files as MATLAB writes them."""

import pickle

import numpy as np
import pytest
import scipy.io
from official_files import assert_dots, dotted, spread_points, write_image

from tfrecords_tools.sources import BadRecordError, LspExtendedSource, LspSource


def _write_lsp(root, count=1002, name="joints.mat"):
    """Person 1 and 2 train, 1001 and 1002 test; joint 3 is occluded, joint 5 of the last, too."""
    joints = np.zeros((3, 14, count))
    joints[:2] = spread_points(14).T[..., None] + 1
    points = {}
    for index in {0, 1, count - 2, count - 1}:
        points[index] = spread_points(14, index)
        joints[:2, :, index] = points[index].T + 1
        write_image(root / "images" / f"im{index + 1:04d}.jpg", dotted(points[index]))
    joints[2, 3] = joints[2, 5, -1] = 1
    scipy.io.savemat(root / name, {"joints": joints})
    return points


def test_lsp_ignores_occluded_joints_in_training_and_keeps_them_in_test(tmp_path):
    points = _write_lsp(tmp_path)
    source = pickle.loads(pickle.dumps(LspSource(tmp_path)))
    items = source.items()
    assert [item.key for item in items[::1001]] == ["im0001", "im1002"]
    assert [item.split for item in items[999:1001]] == ["train", "test"]
    assert source.count_differences(items) == ["test: 2 faces, officially 1000"]

    test = source.load(items[1001])  # occluded joints count
    assert_dots(test, points[1001])
    assert np.flatnonzero(test.visibility == 1).tolist() == [3, 5]
    assert test.box_xyxy_px is None

    train = source.load(items[1])  # occluded joints have no weight
    assert np.flatnonzero(train.visibility != 2).tolist() == [3]
    assert train.visibility[3] == 0
    assert np.isnan(train.landmarks_px[3]).all()
    others = np.arange(14) != 3
    np.testing.assert_array_equal(train.landmarks_px[others], points[1][others])
    np.testing.assert_array_equal(train.image, dotted(points[1]))

    with pytest.raises(BadRecordError, match=r"im0500\.jpg"):
        source.load(items[499])


@pytest.mark.parametrize(("occluded", "flag"), [("ignore", 0), ("keep", 1)])
def test_lsp_occluded_joints_are_ignored_or_kept(tmp_path, occluded, flag):
    _write_lsp(tmp_path)
    source = LspSource(tmp_path, occluded=occluded)
    items = source.items()
    for index in (0, 1000):
        assert source.load(items[index]).visibility.tolist() == [2, 2, 2, flag] + [2] * 10


def test_lsp_reads_other_joint_files_and_refuses_malformed_ones(tmp_path):
    points = _write_lsp(tmp_path)
    (tmp_path / "joints.mat").rename(tmp_path / "lsp-joints-PC.mat")
    assert len(LspSource(tmp_path, joints="lsp-joints-PC.mat").items()) == 1002
    with pytest.raises(ValueError, match=r"no .*joints\.mat\. The official layout is"):
        LspSource(tmp_path)
    observer = spread_points(14, 7).T[..., None] + 1
    scipy.io.savemat(tmp_path / "lsp-joints-OC.mat", {"joints": observer})
    source = LspSource(tmp_path, joints="lsp-joints-OC.mat")
    face = source.load(source.items()[0])  # no third row: no joint is occluded
    np.testing.assert_array_equal(face.landmarks_px, spread_points(14, 7))
    assert (face.visibility == 2).all()
    np.testing.assert_array_equal(face.image, dotted(points[0]))
    scipy.io.savemat(tmp_path / "joints.mat", {"joints": np.zeros((14, 3, 10))})
    with pytest.raises(ValueError, match="must be 3 x 14 x N .* Found: 14 x 3 x 10"):
        LspSource(tmp_path).items()
    with pytest.raises(ValueError, match="`occluded` must be one of"):
        LspSource(tmp_path, occluded="drop")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="no .*images"):
        LspSource(tmp_path)


def test_lsp_extended_drops_joints_that_are_not_visible(tmp_path):
    points = spread_points(14)
    joints = np.zeros((14, 3, 2))
    joints[:, :2] = points[..., None] + 1
    joints[:, 2] = 1
    joints[4, :, 0] = -37.5, 11, 0  # meaningless numbers of a joint that is not annotated
    joints[:, 2, 1] = 0
    scipy.io.savemat(tmp_path / "joints.mat", {"joints": joints})
    marked = np.arange(14) != 4
    for number in (1, 2):
        write_image(tmp_path / f"images/im0000{number}.jpg", dotted(points[marked]))
    source = pickle.loads(pickle.dumps(LspExtendedSource(tmp_path)))
    items = source.items()
    assert [(item.key, item.split) for item in items] == [
        ("im00001", "train"),
        ("im00002", "train"),
    ]
    face = source.load(items[0])
    np.testing.assert_array_equal(face.visibility, np.where(marked, 2, 0))
    assert np.isnan(face.landmarks_px[4]).all()
    np.testing.assert_array_equal(face.landmarks_px[marked], points[marked])
    np.testing.assert_array_equal(face.image, dotted(points[marked]))
    with pytest.raises(BadRecordError, match="all landmarks have visibility 0"):
        source.load(items[1])
    assert source.count_differences(items) == ["train: 2 faces, officially 10000"]

    scipy.io.savemat(tmp_path / "joints.mat", {"joints": np.zeros((3, 14, 10))})
    with pytest.raises(ValueError, match="must be 14 x 3 x N .* Found: 3 x 14 x 10"):
        source.items()
    with pytest.raises(ValueError, match=r"no .*joints\.mat\. The official layout is"):
        LspExtendedSource(tmp_path / "images")
