"""CSV files of annotations."""

import cv2
import numpy as np
import pytest

from tfrecords_tools.sources import BadRecordError, CsvSource


def _image(path, size=(120, 110)):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))


def _csv(folder, header, *rows):
    path = folder / "faces.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


FIVE = "path," + ",".join(f"{a}{i}" for i in range(5) for a in "xy")


def test_csv_points_boxes_and_visibility(tmp_path):
    _image(tmp_path / "my images" / "a.jpg")
    header = FIVE + ",split,box_x0,box_y0,box_x1,box_y1," + ",".join(f"v{i}" for i in range(5))
    path = _csv(
        tmp_path,
        header,
        "my images/a.jpg,10,20,30,20,20,30,12,40,28,40,test,5,10,35,50,2,2,1,2,2",
        "my images/a.jpg,10,20,30,20,,,12,40,28,40,,,,,,2,2,0,2,1",
    )
    source = CsvSource(path, scheme="celeba_5")
    first, second = source.items()
    assert (first.split, second.split) == ("test", "train")
    assert first.source_image == second.source_image
    face = source.load(first)
    np.testing.assert_array_equal(face.landmarks_px[2], [20, 30])
    np.testing.assert_array_equal(face.box_xyxy_px, [5, 10, 35, 50])
    np.testing.assert_array_equal(face.visibility, [2, 2, 1, 2, 2])
    face = source.load(second)
    assert np.isnan(face.landmarks_px[2]).all()
    assert face.box_xyxy_px is None
    np.testing.assert_array_equal(face.visibility, [2, 2, 0, 2, 1])


def test_csv_attributes_are_separated_by_spaces_or_bars(tmp_path):
    row = ",10,20,30,20,20,30,12,40,28,40,test,"
    rows = [name + row + a for name, a in zip("abc", ("", "a b|c_1", "a-b"), strict=True)]
    path = _csv(tmp_path, FIVE + ",split,attributes", *rows)
    source = CsvSource(path, scheme="celeba_5")
    assert [item.attributes for item in source.items()] == [(), ("a", "b", "c_1")]
    assert source.skipped == {"line 4": "attribute 'a-b': letters, digits and _ only"}


def test_csv_rows_with_bad_lengths_are_skipped(tmp_path):
    columns = FIVE.split(",")
    path = _csv(
        tmp_path,
        ",".join([*columns[1:], "path", "split"]),  # the path is not the first column
        "1,2,3,4,5,6,7,8,9,10,./a.jpg,",
        "1,2,3",
        "2,2,3,4,5,6,7,8,9,10,a.jpg, test ",
    )
    source = CsvSource(path, scheme="celeba_5")
    items = source.items()
    assert [(item.source_image, item.split) for item in items] == [
        ("a.jpg", "train"),
        ("a.jpg", "test"),
    ]
    assert list(source.skipped) == ["line 3"]


def test_csv_errors_say_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match="No CSV file"):
        CsvSource(tmp_path / "absent.csv", scheme="celeba_5")
    with pytest.raises(ValueError, match="Missing: x4, y4"):
        CsvSource(_csv(tmp_path, FIVE[:-6], "a.jpg"), scheme="celeba_5").items()
    with pytest.raises(ValueError, match="more points than celeba_5's 5"):
        CsvSource(_csv(tmp_path, FIVE + ",x5,y5", "a.jpg"), scheme="celeba_5").items()
    with pytest.raises(ValueError, match="all or none of the columns box_x0"):
        CsvSource(_csv(tmp_path, FIVE + ",box_x0", "a.jpg"), scheme="celeba_5").items()
    with pytest.raises(
        ValueError, match="No usable face in .*: nothing is listed. Expected: a header"
    ):
        CsvSource(_csv(tmp_path, FIVE), scheme="celeba_5").items()
    with pytest.raises(ValueError, match="Did you mean 'celeba_5'"):
        CsvSource(tmp_path / "faces.csv", scheme="celeba5")


BOX_COLUMNS = ",box_x0,box_y0,box_x1,box_y1"
GOOD = "a.jpg,10,20,30,20,20,30,12,40,28,40"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,,,,,,,,,,", "no landmark has coordinates"),
        ("a.jpg,.1,.2,.3,.2,.2,.3,.12,.4,.28,.4", r"scaled to \[0, 1\]"),
        (GOOD + ",60,10,20,70", "not x0, y0, x1, y1"),
        (GOOD + ",60,10,,70", "not x0, y0, x1, y1"),
        ("b.jpg,10,20,30,20,20,30,12,40,28,40", "Cannot read image"),
    ],
)
def test_unusable_csv_faces_are_refused(tmp_path, row, message):
    _image(tmp_path / "a.jpg")
    header = FIVE + (BOX_COLUMNS if row.count(",") > 10 else "")
    source = CsvSource(_csv(tmp_path, header, row), scheme="celeba_5")
    with pytest.raises(BadRecordError, match=message):
        source.load(source.items()[0])


def test_skipped_csv_rows_are_named_by_line(tmp_path):
    path = _csv(
        tmp_path,
        FIVE,
        GOOD,  # line 2
        "",
        ",,,,,,,,,,",
        "a.jpg,10,20,30,20,20,30,12,left,28,40",  # line 5
        "a.jpg,10,20,30,20,20,30,12,inf,28,40",
        '"a.jpg","10,5","20,5",30,20,20,30,12,40,28,40',  # line 7: decimal commas, in quotes
        "a.jpg,10,5,20,30,20,20,30,12,40,28,40",  # line 8: one without
        "a.jpg,10,20,30,20,20,30,12,40,28",  # line 9
        ",10,20,30,20,20,30,12,40,28,40",
        "   ",
        GOOD.replace("10", "11"),  # line 12
    )
    source = CsvSource(path, scheme="celeba_5")
    assert [item.key for item in source.items()] == ["a.jpg#2", "a.jpg#12"]
    assert source.skipped == {
        "line 5": "column y3 holds 'left', not a number",
        "line 6": "a coordinate is infinite",
        "line 7": "column x0 holds '10,5', not a number",
        "line 8": "12 fields, but the header has 11",
        "line 9": "10 fields, but the header has 11",
        "line 10": "the path is empty",
    }
    assert source.items()[1].source_data[1].tolist()[0] == [11, 20]  # and again, the same
    assert len(source.skipped) == 6


def test_csv_without_a_usable_row_names_the_first_reason(tmp_path):
    source = CsvSource(_csv(tmp_path, FIVE, GOOD + ",1"), scheme="celeba_5")
    with pytest.raises(ValueError, match="No usable face in .*: line 2: 12 fields, but"):
        source.items()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{FIVE},x0\n{GOOD},1\n".encode(), "columns of the same name: x0"),
        (f"{FIVE}\n{GOOD}\nJos\xe9.jpg".encode("latin-1"), "is not a UTF-8 text file"),
        (
            f'{FIVE}\n"{GOOD}\n'.encode() + b"x" * 200_000,
            r"line 2: not valid CSV \(field larger than field limit",
        ),
        (b"", "must have the columns path, x0, y0"),
        (FIVE.replace(",", "|").encode() + b"\n1|2\n", r"Found: path\|x0\|y0\|.*, separated by"),
    ],
)
def test_malformed_csv_files_are_refused(tmp_path, content, message):
    path = tmp_path / "faces.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        CsvSource(path, scheme="celeba_5").items()


def test_csv_box_without_area_is_dropped(tmp_path):
    _image(tmp_path / "a.jpg")
    # Rows of equal points would be copies.
    goods = [GOOD.replace(",12,", f",{x},") for x in (12, 13, 14, 15)]
    ends = (",0,0,0,0", ",,,,", ",5,6,50,6", ",5,6,50,60")
    *rows, with_box = (good + end for good, end in zip(goods, ends, strict=True))
    source = CsvSource(_csv(tmp_path, FIVE + BOX_COLUMNS, *rows), scheme="celeba_5")
    items = source.items()
    assert [source.load(item).box_xyxy_px for item in items] == [None] * 3
    assert not source.has_boxes
    path = _csv(tmp_path, FIVE + BOX_COLUMNS, *rows, with_box)
    source = CsvSource(path, scheme="celeba_5")
    assert source.load(source.items()[3]).box_xyxy_px.tolist() == [5, 6, 50, 60]
    assert source.has_boxes


def test_source_image_column_groups_faces_of_one_photograph(tmp_path):
    path = _csv(
        tmp_path,
        FIVE + ",source_image",
        GOOD + ",photo 1",
        GOOD.replace("a", "b", 1) + ",photo 1",
        GOOD.replace(",12,", ",13,") + ",",
    )
    items = CsvSource(path, scheme="celeba_5").items()
    assert [(i.key, i.source_image) for i in items] == [
        ("a.jpg#2", "photo 1"), ("b.jpg#3", "photo 1"), ("a.jpg#4", "a.jpg"),
    ]  # fmt: skip
