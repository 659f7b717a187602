"""Damaged MATLAB files."""

import pickle

import h5py
import numpy as np
import pytest
import scipy.io
from official_files import (
    dotted,
    spread_points,
    write_aflw,
    write_cofw,
    write_cofw68,
    write_mat73,
)

from tfrecords_tools.matlab_files import load_mat
from tfrecords_tools.sources import (
    AflwSource,
    BadRecordError,
    Cofw68Source,
    CofwSource,
    LspExtendedSource,
    LspSource,
)
from tfrecords_tools.sources.dataset_files import read_mat, read_mat73
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records


def _flipped(data):
    """Returns the data with a hundred wrong bytes in the middle."""
    middle = len(data) // 2
    wrong = bytes(255 - value for value in data[middle : middle + 100])
    return data[:middle] + wrong + data[middle + 100 :]


DAMAGES = {
    "empty": lambda data: b"",
    "100 bytes": lambda data: data[:100],
    "200 bytes": lambda data: data[:200],
    "half": lambda data: data[: len(data) // 2],
    "other content": lambda data: b"<html>not found</html>" * 20,
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_read_mat_refuses_damaged_files(tmp_path, damage, compressed):
    path = tmp_path / "a.mat"
    values = np.random.default_rng(0).normal(size=(300, 4))
    scipy.io.savemat(path, {"boxes": values}, do_compression=compressed)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.mat (is not a MATLAB file|must hold the variables)"):
        read_mat(path, ["boxes"])


@pytest.mark.parametrize("nested", [False, True])
def test_matlab_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch, nested):
    path = tmp_path / "a.mat"
    values = np.zeros(100_000)
    scipy.io.savemat(path, {"x": {"y": values} if nested else values}, do_compression=True)
    assert path.stat().st_size < 2000
    load_mat(path, ["x"])
    monkeypatch.setattr("tfrecords_tools.matlab_files._MAX_NUMBERS", 99_999)
    with pytest.raises(ValueError, match=r"a\.mat is not .*: it unpacks to more than 799992 bytes"):
        load_mat(path, ["x"])


def test_read_mat_refuses_corrupt_compressed_content(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"boxes": np.zeros((300, 40)) + np.arange(40)}, do_compression=True)
    path.write_bytes(_flipped(path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.mat is not a MATLAB file of version 5 to 7"):
        read_mat(path, ["boxes"])


@pytest.mark.parametrize("damage", DAMAGES)
def test_read_mat73_refuses_damaged_files(tmp_path, damage):
    path = tmp_path / "a.mat"
    write_mat73(path, joints=np.random.default_rng(0).normal(size=(300, 14)))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(ValueError, match=r"a\.mat is not a MATLAB file of version 7\.3"):
        read_mat73(path, ["joints"])


def _external_storage(file):
    file.create_dataset("joints", (3, 14), "f8", external=[("b.raw", 0, 8 * 42)])


def _virtual(file):
    layout = h5py.VirtualLayout((3, 14), "f8")
    layout[:] = h5py.VirtualSource("b.mat", "joints", (3, 14))
    file.create_virtual_dataset("joints", layout)


def _link(link):
    def add(file):
        file["joints"] = link

    return add


FOREIGN = {
    "link": (_link(h5py.ExternalLink("b.mat", "joints")), "joints is a link, maybe to another"),
    "soft link": (_link(h5py.SoftLink("/other/joints")), "joints is a link, maybe to another"),
    "storage": (_external_storage, "joints has its values in another file"),
    "virtual": (_virtual, "joints has its values in another file"),
    "huge": (
        lambda f: f.create_dataset("joints", (2**40,), "f8"),
        "joints has the shape",
    ),
    "group": (lambda f: f.create_group("joints"), "joints is not an array"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_mat73_values_outside_of_the_file_are_refused(tmp_path, kind):
    write_mat73(tmp_path / "b.mat", joints=np.ones((3, 14)))
    (tmp_path / "b.raw").write_bytes(np.ones(42).tobytes())
    add, message = FOREIGN[kind]
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["other"] = h5py.ExternalLink("b.mat", "/")
        add(file)
    with pytest.raises(ValueError, match=rf"a\.mat is not .* version 7\.3: {message}"):
        read_mat73(tmp_path / "a.mat", ["joints"])


def _lsp(root):
    scipy.io.savemat(root / "joints.mat", {"joints": np.ones((3, 14, 1002))})
    (root / "images").mkdir()
    return LspSource(root), root / "joints.mat"


def _lsp_extended(root):
    scipy.io.savemat(root / "joints.mat", {"joints": np.ones((14, 3, 2))})
    (root / "images").mkdir()
    return LspExtendedSource(root), root / "joints.mat"


def _aflw(root):
    write_aflw(root, 3)
    return AflwSource(root), root / "AFLWinfo_release.mat"


def _cofw68(root):
    points = write_cofw68(root)
    write_mat73(root / "COFW_test_color.mat", {"IsT": [dotted(p) for p in points]})
    return Cofw68Source(root), root / "cofw68_test_bboxes.mat"


def _cofw68_images(root):
    return _cofw68(root)[0], root / "COFW_test_color.mat"


def _cofw(root):
    write_cofw(root / "COFW_train_color.mat", "Tr", (0, 1))
    write_cofw(root / "COFW_test_color.mat", "T", (2,))
    return CofwSource(root), root / "COFW_test_color.mat"


@pytest.mark.parametrize("damage", ["empty", "100 bytes", "half"])
@pytest.mark.parametrize("make", [_lsp, _lsp_extended, _aflw, _cofw68, _cofw68_images, _cofw])
def test_error_names_the_damaged_annotation_file(tmp_path, make, damage):
    source, path = make(tmp_path)
    assert source.items()
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(ValueError, match=path.name):
        source.items()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_cofw68_file_skips_one_face(tmp_path, damage):
    source, _ = _cofw68(tmp_path / "COFW68_Data")
    bad = tmp_path / "COFW68_Data/test_annotations/2_points.mat"
    bad.write_bytes(DAMAGES[damage](bad.read_bytes()))
    source = pickle.loads(pickle.dumps(source))
    with pytest.raises(BadRecordError, match=r"2_points\.mat"):
        source.load(source.items()[1])
    manifest = write_records(
        source, tmp_path / "r", square_format=SquareFormat(side=64), num_processes=0, progress=False
    )
    assert manifest["counts"] == {"test": 2}
    assert list(manifest["skipped"]) == ["test/0002"]
    assert manifest["differences_from_official_counts"] == ["test: 2 faces, officially 507"]


def test_damaged_cofw_image_skips_one_face(tmp_path):
    """Only one compressed chunk can't be unpacked."""
    write_cofw(tmp_path / "COFW_train_color.mat", "Tr", (0, 1))
    write_cofw(tmp_path / "COFW_test_color.mat", "T", (2,))
    path = tmp_path / "COFW_train_color.mat"
    with h5py.File(path, "a") as file:
        del file["#refs#/IsTr1"]
        image = np.transpose(dotted(spread_points(29, 1)))
        data = file.create_dataset(
            "#refs#/packed", data=image, compression="gzip", chunks=image.shape
        )
        file["IsTr"][0, 1] = data.ref
        chunk = data.id.get_chunk_info(0)
        at, size = chunk.byte_offset, chunk.size
    source = CofwSource(tmp_path)
    items = source.items()
    source.load(items[1])
    content = bytearray(path.read_bytes())
    content[at + 10 : at + size - 10] = bytes(255 - v for v in content[at + 10 : at + size - 10])
    path.write_bytes(bytes(content))
    with pytest.raises(BadRecordError, match="no image 2"):
        source.load(items[1])
    manifest = write_records(
        source, tmp_path / "r", square_format=SquareFormat(side=64), validation_fraction=0,
        num_processes=0, progress=False,
    )  # fmt: skip
    assert manifest["counts"] == {"test": 1, "train": 1}
    assert list(manifest["skipped"]) == ["train/0002"]


def test_file_that_crashes_scipy_is_refused_and_others_are_read(tmp_path):
    names = np.array([["a"], ["bb"]], object)
    values = {"joints": np.arange(30.0).reshape(3, 10), "nameList": names}
    scipy.io.savemat(tmp_path / "a.mat", values)
    data = bytearray((tmp_path / "a.mat").read_bytes())
    # SciPy reads beyond the file, and crashes or divides by zero, as the memory there has it.
    data[184], data[440] = 251, 30
    (tmp_path / "bad.mat").write_bytes(data)
    with pytest.raises(ValueError, match=r"bad\.mat is (damaged: it crashes SciPy|not a MATLAB)"):
        read_mat(tmp_path / "bad.mat", ["joints", "nameList"])
    read = read_mat(tmp_path / "a.mat", ["joints", "nameList"])
    np.testing.assert_array_equal(read["joints"], values["joints"])
    assert [str(name[0]) for name in read["nameList"].ravel()] == ["a", "bb"]
