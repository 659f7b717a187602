"""Writers of data set files in the owners' formats, with images that show a dot per landmark."""

import cv2
import h5py
import numpy as np
import scipy.io

DOT = (250, 120, 10)  # RGB, all different, so that swapped channels are noticed
BOX = np.array([6.0, 8.0, 50.0, 40.0])  # x y width height, as MATLAB counts
BOX_XYXY = [5, 7, 55, 47]
LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"


def spread_points(count, seed=0, size_hw=(60, 80)):
    """Returns integer points [count, 2], no two on one pixel."""
    height, width = size_hw
    chosen = np.random.default_rng(seed).choice(height * width, count, replace=False)
    return np.stack([chosen % width, chosen // width], axis=1).astype(float)


def dotted(points, size_hw=(60, 80)):
    """Returns a gray RGB image with one colored pixel at each point."""
    image = np.full((*size_hw, 3), 40, np.uint8)
    for x, y in np.asarray(points, int):
        image[y, x] = DOT
    return image


def write_image(path, image):
    """Writes a lossless image, whatever its suffix: readers look at the content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(".png", image[..., ::-1])
    assert ok
    path.write_bytes(data.tobytes())


def assert_dots(face, points, size_hw=(60, 80)):
    """Checks the points, and that the colored pixels are exactly there."""
    np.testing.assert_allclose(face.landmarks_px, points, atol=1e-9)
    assert face.image.dtype == np.uint8
    np.testing.assert_array_equal(face.image, dotted(points, size_hw))


def write_mat73(path, cells=None, **arrays):
    """Writes arrays, and lists of images as a cell array, as MATLAB's save -v7.3 does.

    MATLAB's memory is column-major, so that HDF5 arrays have their axes reversed. A cell array is a
    matrix of references to members of the group #refs#.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        stored = file.create_group("#refs#")
        for name, images in (cells or {}).items():
            references = np.empty((1, len(images)), h5py.ref_dtype)  # N x 1 in MATLAB
            for index, image in enumerate(images):
                data = stored.create_dataset(f"{name}{index}", data=np.transpose(image))
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


def _phi(points, occluded):
    return np.concatenate([points[:, 0] + 1, points[:, 1] + 1, occluded])


def write_cofw(path, suffix, seeds, image=dotted):
    """Writes one of COFW's two files; every third point is occluded. Returns the points."""
    points = [spread_points(29, seed) for seed in seeds]
    occluded = np.arange(29) % 3 == 0
    write_mat73(
        path,
        {f"Is{suffix}": [image(p) for p in points]},
        **{
            f"phis{suffix}": np.stack([_phi(p, occluded) for p in points]),
            f"bboxes{suffix}": np.stack([BOX + n for n in range(len(points))]),
        },
    )
    return points


def write_cofw68(folder, count=3):
    """Writes COFW-68's points and boxes; of face n, point n is occluded. Returns the points."""
    marks = folder / "test_annotations"
    marks.mkdir(parents=True)
    points = [spread_points(68, seed) for seed in range(count)]
    for number, places in enumerate(points, start=1):
        occluded = (np.arange(68) == number).astype(float)[:, None]
        mat = {"Points": places + 1, "Occ": occluded}
        scipy.io.savemat(marks / f"{number}_points.mat", mat)
    scipy.io.savemat(
        folder / "cofw68_test_bboxes.mat", {"bboxes": np.stack([BOX + n for n in range(count)])}
    )
    return points


def write_aflw(root, count=20003, flickr="data/flickr", **changed):
    """Writes AFLW-19, whose test set is the first rows of the file; returns the points."""
    names = np.array([[f"0/image{n:05d}.jpg"] for n in range(count)], object)
    points = np.tile(spread_points(19), (count, 1, 1)) + 0.25
    points[:3] = [spread_points(19, seed) for seed in range(3)]
    visible = np.ones((count, 19), np.uint8)
    visible[1, 4] = visible[-1, 2] = 0
    variables = {
        "nameList": names,
        "data": np.concatenate([points[..., 0], points[..., 1]], axis=1),
        "bbox": np.tile([3.0, 53.0, 4.0, 54.0], (count, 1)),  # xmin xmax ymin ymax
        "mask_new": visible,
        "ra": np.arange(count, 0, -1.0)[None],
    }
    scipy.io.savemat(root / "AFLWinfo_release.mat", variables | changed)
    for row in range(2):
        write_image(root / flickr / names[row, 0], dotted(points[row]))
    return points


def wflw_line(points, box, flags, image):
    """Returns a line of WFLW's lists."""
    coordinates = " ".join(f"{value:.6f}" for value in np.ravel(points))
    return f"{coordinates} {' '.join(map(str, box))} {flags} {image}\n"


def write_ibug_boxes(path, boxes):
    """Writes boxes by image in the organizers' format, a 1 x N cell array of structs."""
    cells = np.empty((1, len(boxes)), object)
    for index, (name, box) in enumerate(boxes.items()):
        cells[0, index] = {
            "imgName": name,
            "bb_detector": np.array([box], float),
            "bb_ground_truth": np.array([box], float) + 7,
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"bounding_boxes": cells})
