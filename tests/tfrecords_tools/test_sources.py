import collections

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import BadRecordError, Ibug300WSource, SyntheticSource
from tfrecords_tools.sources.ibug_300w import read_pts
from tfrecords_tools.synthetic import render_face

POINTS = np.stack([np.linspace(20, 80, 68), np.linspace(90, 25, 68)], axis=1)


def _pts(points=POINTS, header=True, origin=1.0):
    rows = "\n".join(f"{x + origin:.3f} {y + origin:.3f}" for x, y in points)
    return f"version: 1\nn_points: {len(points)}\n{{\n{rows}\n}}\n" if header else rows + "\n"


def _image(path, seed=0, size=(120, 110)):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    ok, data = cv2.imencode(path.suffix.lower(), image)
    assert ok
    path.write_bytes(data.tobytes())


@pytest.fixture
def tree(tmp_path):
    for name in (
        "helen/trainset/100_1.jpg", "helen/trainset/100_2.JPG", "lfpw/trainset/image_0001.PNG",
        "lfpw/trainset/image_0002.png", "helen/testset/200_1.jpg", "ibug/image 03 a.jpg",
    ):  # fmt: skip
        path = tmp_path / name
        _image(path)
        path.with_suffix(".pts").write_text(_pts(header="0002" not in name))
    return tmp_path


def test_ibug_300w_lists_all_folders(tree):
    items = {item.key: item for item in Ibug300WSource(tree).items()}
    assert {key: item.split for key, item in items.items()} == {
        "helen/trainset/100_1": "train",
        "helen/trainset/100_2": "train",
        "lfpw/trainset/image_0001": "train",
        "lfpw/trainset/image_0002": "train",
        "helen/testset/200_1": "test_helen",
        "ibug/image 03 a": "test_ibug",
    }
    # Two faces of one image; two images whose names only look alike.
    assert items["helen/trainset/100_1"].source_image == items["helen/trainset/100_2"].source_image
    assert (
        items["lfpw/trainset/image_0001"].source_image
        != items["lfpw/trainset/image_0002"].source_image
    )


def test_ibug_300w_origin_is_one_by_default(tree):
    source = Ibug300WSource(tree)
    for item in source.items():
        face = source.load(item)
        np.testing.assert_allclose(face.landmarks_px, POINTS, atol=1e-3)
        assert face.box_xyxy_px is None  # the data set has none
        assert face.image.shape == (120, 110, 3)
        assert (face.visibility == 2).all()
    zero = Ibug300WSource(tree, origin=0.0)
    np.testing.assert_allclose(zero.load(zero.items()[0]).landmarks_px, POINTS + 1, atol=1e-3)


def test_images_are_rgb(tmp_path):
    (tmp_path / "afw").mkdir()
    red = np.zeros((100, 100, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "afw" / "a.png"), red)
    (tmp_path / "afw" / "a.pts").write_text(_pts())
    source = Ibug300WSource(tmp_path)
    assert source.load(source.items()[0]).image[0, 0].tolist() == [255, 0, 0]


def test_files_without_a_partner_are_skipped_by_name(tree):
    (tree / "helen/testset/200_1.pts").rename(tree / "helen/testset/300_1.pts")
    source = Ibug300WSource(tree)
    source.items()
    assert source.skipped == {
        "helen/testset/200_1": "image without a .pts file",
        "helen/testset/300_1": ".pts file without an image",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_pts(POINTS[:67]), r"expected 68 rows .* found shape \(67, 2\)"),
        (_pts().replace("91.000", "nan", 1), "holds NaN"),
        (_pts().replace("91.000", "left", 1), "not rows of two numbers"),
        (_pts().replace("91.000", "91.000 3", 1), r"two numbers \(found '.*91\.000 3.*'\)"),
        ("", "expected 68 rows"),
    ],
)
def test_malformed_pts_files_are_refused(tmp_path, text, message):
    path = tmp_path / "a.pts"
    path.write_text(text)
    with pytest.raises(BadRecordError, match=message):
        read_pts(path, 68)


def test_unreadable_images_are_refused(tree):
    source = Ibug300WSource(tree)
    item = source.items()[0]
    item.source_data[0].write_bytes(b"no image")
    with pytest.raises(BadRecordError, match="Cannot decode image"):
        source.load(item)
    item.source_data[0].unlink()
    with pytest.raises(BadRecordError, match="Cannot read image"):
        source.load(item)


def test_empty_or_missing_folder_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="No usable face in .*: nothing is listed. Expected: one or more of afw"
    ):
        Ibug300WSource(tmp_path).items()
    with pytest.raises(ValueError, match="must be a folder"):
        Ibug300WSource(tmp_path / "absent")


def test_points_outside_the_image_are_kept_as_occluded(tmp_path):
    _image(tmp_path / "afw" / "a.png", size=(60, 70))
    (tmp_path / "afw" / "a.pts").write_text(_pts())
    source = Ibug300WSource(tmp_path)
    face = source.load(source.items()[0])
    np.testing.assert_allclose(face.landmarks_px, POINTS, atol=1e-3)
    outside = (POINTS > [69.5, 59.5]).any(axis=1)
    assert 0 < outside.sum() < 68
    np.testing.assert_array_equal(face.visibility, np.where(outside, 1, 2))


def test_synthetic_test_set_does_not_depend_on_num_train():
    few, many = SyntheticSource(num_train=2, num_test=2), SyntheticSource(num_train=5, num_test=2)
    for a, b in zip(few.items(), many.items(), strict=False):
        assert (a.key, a.split) == (b.key, b.split)
        np.testing.assert_array_equal(few.load(a).image, many.load(b).image)
    assert few.load(few.items()[0]).angles_deg.shape == (3,)
    with pytest.raises(ValueError, match="one of them positive"):
        SyntheticSource(num_train=0)


def test_real_faces_are_counted_by_folder(real_faces):
    source = Ibug300WSource(real_faces)
    items = source.items()
    assert collections.Counter(item.split for item in items) == {"train": 2012, "test_helen": 330}
    face = source.load(items[0])
    assert face.landmarks_px.shape == (68, 2)
    assert source.count_differences(items) == [
        "helen/trainset: 870 faces, officially 2000",
        "lfpw/trainset: 805 faces, officially 811",
        "lfpw/testset: 0 faces, officially 224",
        "ibug: 0 faces, officially 135",
        "01_Indoor: 0 faces, officially 300",
        "02_Outdoor: 0 faces, officially 300",
    ]


def test_wide_yaw_fraction_sets_the_fraction_of_large_yaws():
    made = SyntheticSource(
        num_train=40, num_test=40, wide_yaw_fraction=0.0, test_wide_yaw_fraction=1.0
    )
    yaw = {"train": [], "test": []}
    for item in made.items():
        yaw[item.split].append(abs(made.load(item).angles_deg[0]))
    assert np.mean(np.array(yaw["train"]) > 60) < 0.05
    assert np.mean(np.array(yaw["test"]) > 60) > 0.15
    with pytest.raises(ValueError, match="`wide_yaw_fraction` must be in"):
        SyntheticSource(num_train=1, wide_yaw_fraction=2.0)
    narrow = SyntheticSource(num_train=20, wide_yaw_fraction=0.0, yaw_std_deg=1.0)
    yaws = [narrow.load(item).angles_deg[0] for item in narrow.items()]
    assert 0.5 < np.std(yaws) < 1.5
    with pytest.raises(ValueError, match="`yaw_std_deg` must be in"):
        SyntheticSource(num_train=1, yaw_std_deg=-1.0)
    for wrong in ({"wide_yaw_fraction": -1.0}, {"yaw_std_deg": 91.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be in"):
            render_face(0, 0, **wrong)
