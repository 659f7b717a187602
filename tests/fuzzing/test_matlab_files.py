"""Damaged MATLAB files of data sets are refused in one line, or give faces that make sense."""

import numpy as np
import pytest
import scipy.io
from fuzzed import check_reader, damaged_bytes
from official_files import (
    dotted,
    spread_points,
    write_aflw,
    write_cofw,
    write_cofw68,
    write_ibug_boxes,
    write_image,
    write_mat73,
)
from sound_faces import read_faces

pytestmark = pytest.mark.slow  # 300 inputs for each reader


def _ibug_boxes(root):
    points = spread_points(68)
    write_image(root / "afw/a.png", dotted(points))
    rows = "".join(f"{x + 1:.3f} {y + 1:.3f}\n" for x, y in points)
    (root / "afw/a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}}}\n")
    path = root / "bounding_boxes_afw.mat"
    write_ibug_boxes(path, {"a.png": [1, 1, 80, 60], "b.png": [1, 1, 80, 60]})
    return {"root": root}, path


def _lsp(root):
    joints = np.zeros((3, 14, 2))
    joints[:2] = spread_points(14).T[..., None] + 1
    scipy.io.savemat(root / "joints.mat", {"joints": joints}, do_compression=True)
    for number in (1, 2, 3):
        write_image(root / f"images/im000{number}.jpg", dotted(spread_points(14)))
    return {"root": root}, root / "joints.mat"


def _aflw(root):
    write_aflw(root, 3)
    for number in (1, 2, 3):
        image = dotted(spread_points(19))
        write_image(root / f"data/flickr/0/image0000{number}.jpg", image)
    return {"root": root}, root / "AFLWinfo_release.mat"


def _cofw68(root):
    points = write_cofw68(root / "COFW68_Data")
    images = root / "COFW68_Data/COFW_test_color.mat"
    write_mat73(images, {"IsT": [dotted(p) for p in points]})
    return {"root": root}, root / "COFW68_Data/test_annotations/2_points.mat"


def _cofw(root):
    write_cofw(root / "COFW_train_color.mat", "Tr", (0, 1))
    write_cofw(root / "COFW_test_color.mat", "T", (2,))
    return {"root": root}, root / "COFW_train_color.mat"


FILES = {
    "lsp": ("lsp", _lsp),
    "aflw": ("aflw", _aflw),
    "cofw68": ("cofw68", _cofw68),
    "cofw": ("cofw", _cofw),
    "ibug boxes": ("ibug_300w", _ibug_boxes),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_matlab_files_give_sound_faces_or_a_reason(name, tmp_path):
    source, write = FILES[name]
    options, path = write(tmp_path)
    valid = path.read_bytes()
    check_reader(path, valid, lambda: read_faces(source, options, path), damaged_bytes(valid))
