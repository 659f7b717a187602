"""Data sets with text lists, in the owners' formats."""

import pickle

import numpy as np
import pytest
from official_files import (
    LISTS,
    assert_dots,
    dotted,
    spread_points,
    wflw_line,
    write_image,
)

from tfrecords_tools.sources import (
    SOURCES,
    BadRecordError,
    CelebASource,
    Ibug300WSource,
    LapaSource,
    WflwSource,
)
from tfrecords_tools.sources.wflw import ATTRIBUTES


@pytest.fixture
def wflw(tmp_path):
    first, second, third = (spread_points(98, seed) for seed in range(3))
    write_image(tmp_path / "WFLW_images/37--Soccer/a.jpg", dotted(first))
    write_image(tmp_path / "WFLW_images/0--Parade/c.jpg", dotted(third))
    folder = tmp_path / LISTS
    folder.mkdir(parents=True)
    (folder / "list_98pt_rect_attr_train.txt").write_text(
        wflw_line(first, (3, 4, 60, 50), "0 0 0 0 0 0", "37--Soccer/a.jpg")
        + "1.0 2.0 3.0 nowhere.jpg\n"
        + wflw_line(second, (1, 2, 30, 40), "1 1 1 1 1 1", "37--Soccer/a.jpg")
    )
    (folder / "list_98pt_rect_attr_test.txt").write_text(
        wflw_line(third, (5, 6, 70, 55), "0 0 0 1 0 1", "0--Parade/c.jpg")
        + wflw_line(third, (5, 6, 70, 55), "1 0 0 0 0 0", "0--Parade/lost.jpg")
        + wflw_line(third, (5, 6, 70, 55), "2 0 0 0 0 0", "0--Parade/c.jpg")
        + wflw_line(third, (5, "nan", 70, 55), "1 0 0 0 0 0", "0--Parade/c.jpg")
        + wflw_line(third, (5, "y", 70, 55), "1 0 0 0 0 0", "0--Parade/c.jpg")
    )
    return tmp_path, (first, second, third)


def test_wflw_splits_attributes_and_boxes(wflw):
    root, (first, second, third) = wflw
    source = pickle.loads(pickle.dumps(WflwSource(root)))
    items = pickle.loads(pickle.dumps(source.items()))
    assert [(item.key, item.split) for item in items] == [
        ("train/00001", "train"),
        ("train/00003", "train"),
        ("test/00001", "test"),
        ("test/00002", "test"),
    ]
    assert items[0].source_image == items[1].source_image == "37--Soccer/a.jpg"
    assert [item.attributes for item in items] == [(), ATTRIBUTES, ("make_up", "blur"), ("pose",)]
    assert ATTRIBUTES == ("pose", "expression", "illumination", "make_up", "occlusion", "blur")
    face = source.load(items[0])
    assert_dots(face, first)
    np.testing.assert_array_equal(face.box_xyxy_px, [3, 4, 60, 50])
    assert (face.visibility == 2).all()
    np.testing.assert_allclose(source.load(items[1]).landmarks_px, second)
    assert_dots(source.load(items[2]), third)
    with pytest.raises(BadRecordError, match=r"Cannot read image .*lost\.jpg"):
        source.load(items[3])
    assert list(source.skipped) == ["train/00002", "test/00003", "test/00004", "test/00005"]
    assert "expected 207 words" in source.skipped["train/00002"]
    assert "flags must be 0 or 1, found 2 0" in source.skipped["test/00003"]
    assert "NaN" in source.skipped["test/00004"]
    assert "'y'" in source.skipped["test/00005"]
    differences = source.count_differences(items)
    assert differences[:3] == [
        "train: 2 faces, officially 7500",
        "test: 2 faces, officially 2500",
        "test_pose: 1 faces, officially 326",
    ]
    assert "test_make_up: 1 faces, officially 206" in differences
    assert source.default_crop == "dataset_box"


def test_wflw_lists_are_found_in_every_known_folder(wflw):
    root, _ = wflw
    official = root / LISTS / "list_98pt_rect_attr_test.txt"
    for place in (root / "WFLW_annotations", root):
        moved = official.rename(place / official.name)
        assert len(WflwSource(root).items()) == 4
        moved.rename(official)
    official.unlink()
    with pytest.raises(ValueError, match=rf"no .*{LISTS}/{official.name}\. The official layout is"):
        WflwSource(root)
    official.write_text("1 2 3\n")
    (root / LISTS / "list_98pt_rect_attr_train.txt").write_text("\n")
    with pytest.raises(ValueError, match="No usable face in .* test/00001: expected 207 words"):
        WflwSource(root).items()
    with pytest.raises(ValueError, match="no .*WFLW_images"):
        WflwSource(root / "WFLW_annotations")


@pytest.fixture
def lapa(tmp_path):
    points = {}
    for index, name in enumerate(("train/10_0", "train/10_1", "val/20_0", "test/AFW_3_1_12")):
        split, _, stem = name.partition("/")
        points[name] = spread_points(106, index)
        write_image(tmp_path / split / "images" / f"{stem}.jpg", dotted(points[name]))
        rows = [f"{x:.6f} {y:.6f}" for x, y in points[name]]
        (tmp_path / split / "landmarks").mkdir(exist_ok=True)
        header = [] if split == "val" else ["106"]
        (tmp_path / split / "landmarks" / f"{stem}.txt").write_text("\n".join(header + rows) + "\n")
    return tmp_path, points


def test_lapa_points_and_source_images(lapa):
    root, points = lapa
    (root / "val/landmarks/30_0.txt").write_text("106\n")
    write_image(root / "val/images/31_0.jpg", dotted([]))
    source = pickle.loads(pickle.dumps(LapaSource(root)))
    items = source.items()
    assert [(i.key, i.source_image, i.split) for i in items] == [
        ("train/10_0", "10", "train"),
        ("train/10_1", "10", "train"),
        ("val/20_0", "20", "val"),
        ("test/AFW_3_1_12", "AFW_3_1", "test"),
    ]
    for item in items:
        face = source.load(item)
        assert_dots(face, points[item.key])
        assert face.box_xyxy_px is None
    assert source.skipped == {
        "val/30_0": ".txt file without an image",
        "val/31_0": "image without a .txt file",
    }
    assert source.count_differences(items)[0] == "train: 2 faces, officially 18176"
    assert source.default_crop == "landmark_box"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("106\n1 2\n", r"expected 106 rows .* found shape \(1, 2\)"),
        ("106\n" + "1 2\n" * 105 + "1 nan\n", "holds NaN"),
        ("106\n" + "1 2\n" * 105 + "1 x\n", "not rows of two numbers"),
        ("", "expected 106 rows"),
    ],
)
def test_malformed_lapa_files_are_refused(lapa, text, message):
    root, _ = lapa
    source = LapaSource(root)
    item = source.items()[0]
    (root / "train/landmarks/10_0.txt").write_text(text)
    with pytest.raises(BadRecordError, match=message):
        source.load(item)
    (root / "train/landmarks/10_0.txt").unlink()
    with pytest.raises(BadRecordError, match="cannot read"):
        source.load(item)
    (root / "test/landmarks").rename(root / "test/marks")
    with pytest.raises(ValueError, match="no .*test/landmarks. The official layout is"):
        LapaSource(root)


@pytest.fixture
def celeba(tmp_path):
    points = {f"{i + 1:06d}.jpg": spread_points(5, i) for i in range(4)}
    for name, places in points.items():
        write_image(tmp_path / "Img/img_celeba" / name, dotted(places))
        write_image(tmp_path / "Img/img_align_celeba" / name, dotted(places + 1, (62, 82)))
    names = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y"
    names += " leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    for folder in ("Anno", "Eval"):
        (tmp_path / folder).mkdir()
    for kind, shift in (("celeba", 0), ("align_celeba", 1)):
        rows = [
            name + " " + "".join(f"{int(v) + shift:4d}" for v in places.ravel())
            for name, places in points.items()
        ]
        text = "\n".join(["4", names, *rows]) + "\n"
        (tmp_path / f"Anno/list_landmarks_{kind}.txt").write_text(text)
    boxes = "4\nimage_id x_1 y_1 width height\n"
    boxes += "000001.jpg    5   7  60  50\n000002.jpg    0   0   0   0\n"
    boxes += "000003.jpg    1   2  78  57\n000004.jpg    1   2  78  57\n"
    (tmp_path / "Anno/list_bbox_celeba.txt").write_text(boxes)
    splits = "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 0\n"
    (tmp_path / "Eval/list_eval_partition.txt").write_text(splits)
    return tmp_path, points


def test_celeba_wild_and_aligned_images(celeba):
    root, points = celeba
    source = pickle.loads(pickle.dumps(CelebASource(root)))
    items = source.items()
    assert [item.split for item in items] == ["train", "val", "test", "train"]
    for item in items:
        assert_dots(source.load(item), points[item.key])
    np.testing.assert_array_equal(source.load(items[0]).box_xyxy_px, [5, 7, 65, 57])
    assert source.load(items[1]).box_xyxy_px is None  # zeros count as no box
    assert source.count_differences(items) == [
        "train: 2 faces, officially 162770",
        "val: 1 faces, officially 19867",
        "test: 1 faces, officially 19962",
    ]
    assert source.default_crop == "dataset_box"

    aligned = pickle.loads(pickle.dumps(CelebASource(root, aligned=True)))
    assert aligned.default_crop == "landmark_box"
    for item in aligned.items():
        face = aligned.load(item)
        assert_dots(face, points[item.key] + 1, (62, 82))
        assert face.box_xyxy_px is None


def test_skipped_celeba_faces_are_named(celeba):
    root, _ = celeba
    path = root / "Anno/list_landmarks_celeba.txt"
    path.write_text(path.read_text() + "000005.jpg 1 2 3\n000006.jpg 1 2 3\n000007.jpg 1\n")
    with (root / "Eval/list_eval_partition.txt").open("a") as file:
        file.write("000005.jpg 0\n000006.jpg 7\n000008.jpg 0\n000009.jpg 0\n")
    path.write_text(path.read_text() + "".join(f"00000{i}.jpg{' 1' * 10}\n" for i in (8, 9)))
    with (root / "Anno/list_bbox_celeba.txt").open("a") as file:
        file.write("000009.jpg 1 2 x 4\n")
    source = CelebASource(root)
    assert len(source.items()) == 4
    assert source.skipped == {
        "000005.jpg": "not 10 numbers in list_landmarks_celeba.txt: 1 2 3",
        "000006.jpg": "no 0, 1 or 2 for it in list_eval_partition.txt",
        "000007.jpg": "no 0, 1 or 2 for it in list_eval_partition.txt",
        "000008.jpg": "no box for it in list_bbox_celeba.txt",
        "000009.jpg": "not 4 numbers in list_bbox_celeba.txt: 1 2 x 4",
    }
    path.write_text("0\nnames\n")
    with pytest.raises(ValueError, match="No usable face in .*nothing is listed"):
        CelebASource(root).items()
    (root / "Anno/list_bbox_celeba.txt").unlink()
    with pytest.raises(ValueError, match=r"no .*Anno/list_bbox_celeba\.txt\. The official layout"):
        CelebASource(root)


def test_celeba_items_are_small(celeba):
    """200,000 faces are in memory at once."""
    items = CelebASource(celeba[0]).items()
    assert max(len(pickle.dumps(item.source_data)) for item in items) < 120


@pytest.mark.parametrize("parent", ["", "300W/"])
def test_ibug_300w_private_set_is_found(tmp_path, parent):
    for folder, name in (("01_Indoor", "indoor_001"), ("02_Outdoor", "outdoor_002")):
        points = spread_points(68, len(name))
        write_image(tmp_path / f"{parent}{folder}" / f"{name}.png", dotted(points))
        rows = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in points)
        text = f"version: 1\nn_points:  68\n{{\n{rows}\n}}\n"
        (tmp_path / f"{parent}{folder}" / f"{name}.pts").write_text(text)
    source = Ibug300WSource(tmp_path)
    items = source.items()
    assert [(i.key, i.split) for i in items] == [
        ("01_Indoor/indoor_001", "test_indoor"),
        ("02_Outdoor/outdoor_002", "test_outdoor"),
    ]
    for item in items:
        assert_dots(source.load(item), spread_points(68, len(item.key.partition("/")[2])))
    assert source.count_differences(items) == [
        "afw: 0 faces, officially 337",
        "helen/trainset: 0 faces, officially 2000",
        "lfpw/trainset: 0 faces, officially 811",
        "helen/testset: 0 faces, officially 330",
        "lfpw/testset: 0 faces, officially 224",
        "ibug: 0 faces, officially 135",
        "01_Indoor: 1 faces, officially 300",
        "02_Outdoor: 1 faces, officially 300",
    ]


def test_source_names_match_the_registry():
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.default_crop in ("landmark_box", "dataset_box", "dataset_or_landmark_box")
