"""Pictures with dots at their landmarks, and files as MATLAB writes them."""

import cv2
import h5py
import numpy as np

DOT = (250, 120, 10)  # RGB: a channel that is swapped shows


def spread_points(count, seed=0, size_hw=(60, 80)):
    """Whole-numbered points [count, 2], no two on one pixel."""
    height, width = size_hw
    chosen = np.random.default_rng(seed).choice(height * width, count, replace=False)
    return np.stack([chosen % width, chosen // width], axis=1).astype(float)


def dotted(points, size_hw=(60, 80)):
    """A grey RGB picture with one coloured pixel at each point."""
    image = np.full((*size_hw, 3), 40, np.uint8)
    for x, y in np.asarray(points, int):
        image[y, x] = DOT
    return image


def write_picture(path, image):
    """Writes a picture without loss, whatever its suffix: readers go by the content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(".png", image[..., ::-1])
    assert ok
    path.write_bytes(data.tobytes())


def assert_dots(face, points, size_hw=(60, 80)):
    """The points are as expected, and the coloured pixels are exactly there."""
    np.testing.assert_allclose(face.landmarks_px, points, atol=1e-9)
    assert face.image.dtype == np.uint8
    np.testing.assert_array_equal(face.image, dotted(points, size_hw))


def write_mat73(path, cells=None, **arrays):
    """Writes arrays, and lists of pictures as a cell array, as MATLAB's save -v7.3 does.

    MATLAB's memory is column-major: HDF5 sees each array with its axes turned round. A cell array
    is a matrix of references to what lies in the group #refs#.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        stored = file.create_group("#refs#")
        for name, pictures in (cells or {}).items():
            references = np.empty((1, len(pictures)), h5py.ref_dtype)  # N x 1 in MATLAB
            for index, picture in enumerate(pictures):
                data = stored.create_dataset(f"{name}{index}", data=np.transpose(picture))
                data.attrs["MATLAB_class"] = np.bytes_("uint8")
                references[0, index] = data.ref
            file.create_dataset(name, data=references, dtype=h5py.ref_dtype)
            file[name].attrs["MATLAB_class"] = np.bytes_("cell")
        for name, values in arrays.items():
            file[name] = np.transpose(values)
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Nov  4 15:22:10 2013 HDF5"
    with path.open("r+b") as file:
        file.write(header.ljust(124) + b"\x00\x02IM")
