"""CSV and other text files as spreadsheets and editors of many systems write them."""

import codecs
import json

import numpy as np
import pytest
from official_files import LISTS, spread_points, wflw_line

from tfrecords_tools.sources import CocoSource, CsvSource, CvatSource, ImglabSource, WflwSource
from tfrecords_tools.sources.ibug_300w import read_pts
from wing_tf.detection.correction import Correction
from wing_tf.landmarks import load_scheme, load_scheme_map
from wing_tf.utils.text_files import MAX_ANNOTATION_BYTES, read_json, read_text

FIVE = "path," + ",".join(f"{a}{i}" for i in range(5) for a in "xy")
GOOD = "a.jpg,10,20.5,30,20,20,30,12,40,28,40"


def _items(folder, text, encoding="utf-8"):
    path = folder / "faces.csv"
    path.write_bytes(text.encode(encoding))
    source = CsvSource(path, scheme="celeba_5")
    return source.items(), source


@pytest.mark.parametrize(
    "text",
    [
        f"{FIVE}\n{GOOD}\n",
        f"{FIVE}\r\n{GOOD}\r\n",
        f"{FIVE}\n{GOOD}\n".replace(",", ";"),
        f"{FIVE}\n{GOOD}\n".replace(",", ";").replace(".5", ",5"),  # Excel in most of Europe
        f"{FIVE}\n{GOOD}\n".replace(",", "\t"),
        f"{FIVE.upper()}\n{GOOD}\n",
        f"{FIVE.replace(',', ' , ')}\n{GOOD.replace(',', ', ')}\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_spellings_of_csv_files_give_the_same_faces(tmp_path, text, encoding):
    (item,), source = _items(tmp_path, text, encoding)
    assert (item.key, item.split, source.skipped) == ("a.jpg#2", "train", {})
    expected = [[10, 20.5], [30, 20], [20, 30], [12, 40], [28, 40]]
    np.testing.assert_array_equal(item.source_data[1], expected)


def test_quote_that_is_not_closed_is_an_error_of_its_line(tmp_path):
    rows = [GOOD.replace("a.jpg", name) for name in ("b.jpg", '"c.jpg', "d.jpg", "e.jpg")]
    with pytest.raises(ValueError, match=r"faces\.csv, line 4: not valid CSV .*is a quote not clo"):
        _items(tmp_path, "\n".join([FIVE, GOOD, *rows]))
    quoted = GOOD.replace("a.jpg", '"a,b.jpg"')
    (item,), _ = _items(tmp_path, f"{FIVE}\n{quoted}")
    assert item.source_data[0] == "a,b.jpg"


def test_path_of_windows_is_no_escaped_character_where_it_is_a_file(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "x10.jpg").touch()
    rows = (GOOD.replace("a.jpg", f"faces\\{name}.jpg") for name in ("x10", "x11"))
    items, _ = _items(tmp_path, "\n".join([FIVE, *rows]))
    assert [item.source_data[0] for item in items] == ["faces\\x10.jpg", "faces\x11.jpg"]


def test_spellings_of_one_path_are_one_image(tmp_path):
    names = ("f/a.jpg", "f\\a.jpg", "./f/a.jpg")
    rows = (
        GOOD.replace("a.jpg", name).replace("20.5", f"2{number}")
        for number, name in enumerate(names)
    )
    items, _ = _items(tmp_path, "\n".join([FIVE, *rows]))
    assert [item.source_image for item in items] == ["f/a.jpg"] * 3


def test_big_endian_utf_16_is_read_and_utf_16_without_a_mark_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(codecs.BOM_UTF16_BE + "x\r\ny".encode("utf-16-be"))
    assert read_text(path) == "x\ny"
    path.write_bytes(codecs.BOM_UTF16_LE + "x".encode("utf-16-le") + b"\x00\xd8")
    with pytest.raises(ValueError, match="is not a UTF-16 text file"):
        read_text(path)
    path.write_bytes("x".encode("utf-16-le"))
    with pytest.raises(ValueError, match="UTF-16 with a byte order mark: it starts with a null"):
        read_text(path)


def test_missing_columns_are_told_with_those_that_were_found(tmp_path):
    message = r"Missing: path\. Found: file, x0, y0, x1, y1, x2, \.\.\., separated by semicolons"
    with pytest.raises(ValueError, match=message):
        _items(tmp_path, f"{FIVE}\n{GOOD}".replace("path", "file").replace(",", ";"))


@pytest.mark.parametrize(
    ("column", "hint"),
    [("splits", "'split'"), ("boxx0", "'box_x0'"), ("Attribute", "'attributes'")],
)
def test_unknown_columns_are_refused_with_a_suggestion(tmp_path, column, hint):
    with pytest.raises(ValueError, match=f"unknown columns: {column.lower()}. Did you mean {hint}"):
        _items(tmp_path, f"{FIVE},{column}\n{GOOD},test\n")


SPLITS = {
    "training": "'train'",
    "val": "'validation'",
    "valid": "'validation'",
    "Train": "'train'",
    "tset": "'test'",
    "test/hard": "'test'",
    "mine": "",
}


@pytest.mark.parametrize("split", SPLITS)
def test_unknown_splits_are_refused_with_a_suggestion(tmp_path, split):
    message = rf"Received: '{split}'\.( Did you mean {SPLITS[split]}\?)?$"
    with pytest.raises(ValueError, match=f"line 3: a split must be train, .*{message}") as error:
        _items(tmp_path, f"{FIVE},split\n{GOOD},test\n{GOOD},{split}\n")
    assert SPLITS[split] in str(error.value)
    path = tmp_path / "faces.json"
    keypoints = [v for x, y in spread_points(5).tolist() for v in (x, y, 2)]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "split": split}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "keypoints": keypoints}],
        "categories": [{"id": 1, "name": "face"}],
    }
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"annotation 5: a split must be train, .*{message}"):
        CocoSource(path, scheme="celeba_5").items()


def test_known_splits(tmp_path):
    names = ["train", "validation", "test", "test_hard_1"]
    rows = "".join(f"{i}.jpg{GOOD[5:]},{name}\n" for i, name in enumerate(names))
    items, _ = _items(tmp_path, f"{FIVE},split\n{rows}")
    assert [item.split for item in items] == names


def test_rows_that_equal_an_earlier_one_are_skipped_by_line(tmp_path):
    other_spelling = f"./{GOOD}".replace("10,", " 10.0,")
    rows = "\n".join([GOOD, f"b{GOOD[1:]}", GOOD, "", other_spelling])
    items, source = _items(tmp_path, f"{FIVE}\n{rows}\n")
    assert [item.key for item in items] == ["a.jpg#2", "b.jpg#3"]
    assert source.skipped == {"a.jpg#4": "equals a.jpg#2", "./a.jpg#6": "equals a.jpg#2"}


def test_a_face_in_two_splits_stays_in_the_first_only(tmp_path):
    items, source = _items(tmp_path, f"{FIVE},split\n{GOOD},test\n{GOOD},train\n")
    assert [(item.key, item.split) for item in items] == [("a.jpg#2", "test")]
    assert source.skipped == {"a.jpg#3": "equals a.jpg#2, which is in the split test"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_in_all_text_files(tmp_path, encoding):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return path

    scheme = {"name": f"marked_{encoding[-2:]}", "points": 5, "pairs": [[0, 4], [1, 3]]}
    assert load_scheme(write("scheme.json", json.dumps(scheme))).num_landmarks == 5
    points = spread_points(5)
    path = write("a.pts", "".join(f"{x} {y}\n" for x, y in points))
    np.testing.assert_array_equal(read_pts(path, 5, 0.0), points)
    path = write("c.json", json.dumps({"center_shift_xy": [0.1, 0.2], "side_ratio": 2.0}))
    assert Correction.load(path).side_ratio == 2
    groups = [[36, 39], [42, 45], [30], [48], [54]]
    scheme_map = {"source": "ibug_68", "target": "celeba_5", "groups": groups}
    assert load_scheme_map(write("map.json", json.dumps(scheme_map))).groups[4] == (54,)
    keypoints = [v for x, y in points.tolist() for v in (x, y, 2)]
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "keypoints": keypoints}],
        "categories": [{"id": 1, "name": "face"}],
    }
    path = write("faces.json", json.dumps(coco))
    assert len(CocoSource(path, scheme="celeba_5").items()) == 1
    line = wflw_line(spread_points(98), [0, 0, 79, 59], "0 0 0 0 0 0", "a.jpg")
    for split in ("train", "test"):
        write(f"{LISTS}/list_98pt_rect_attr_{split}.txt", line)
    (tmp_path / "WFLW_images").mkdir()
    source = WflwSource(tmp_path)
    assert [item.key for item in source.items()] == ["train/00001", "test/00001"]
    assert source.skipped == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested in more than 100 levels"),
        ("[" * 101 + "]" * 101, "nested in more than 100 levels"),
        ("[0, NaN]", "the number NaN, which is not finite"),
        ("[1e999]", "the number 1e999, which is not finite"),
        ('{"a": 1, "b": 2, "a": 1}', "the key 'a' twice"),
        pytest.param(
            json.dumps(dict.fromkeys(range(300_000)))[:-1] + ', "299999": 1}',
            "the key '299999' twice",
            id="one of many keys twice",
        ),
        ("[" + "9" * 400 + "]", "an integer of 400 digits"),
        ("[" + "9" * 5000 + "]", "an integer of 5000 digits"),
        ('{"a": 1', "line 1 column 8"),
    ],
)
def test_json_errors_are_one_line_that_names_the_file(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"a\.json is not valid JSON: .*{message}") as error:
        read_json(path)
    assert "\n" not in str(error.value)


def test_json_files_have_a_size_and_a_depth_that_are_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[" * 100 + "]" * 100)
    assert read_json(path, max_bytes=200) != []
    with pytest.raises(ValueError, match=r"a\.json is too large for its kind: 200 bytes"):
        read_json(path, max_bytes=199)


@pytest.mark.parametrize("source", [CsvSource, CvatSource, ImglabSource])
def test_annotation_files_have_a_size_that_is_read(source, tmp_path):
    path = tmp_path / "annotations"
    with path.open("wb") as file:
        file.truncate(MAX_ANNOTATION_BYTES + 1)  # all of it a hole
    with pytest.raises(ValueError, match="annotations is too large for its kind: 4294967297 bytes"):
        source(path, scheme="celeba_5").items()


def test_schemes_of_too_many_points_are_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"name": "many", "points": 10000000, "pairs": []}')
    with pytest.raises(ValueError, match="at most 10000 points. Received: 10000000"):
        load_scheme(path)
