import json

import numpy as np
import pytest

from wing_tf.detection import BoxFile, Correction, make_detector
from wing_tf.inference import Face
from wing_tf.inference.output import (
    ImageFaces,
    as_dict,
    csv_columns,
    csv_rows,
    format_json_line,
)
from wing_tf.landmarks import get_scheme
from wing_tf.utils.printable import format_csv

IMAGE = np.zeros((50, 60, 3), np.uint8)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_csv_columns_may_be_in_any_order(tmp_path):
    path = write(
        tmp_path / "boxes.csv",
        "who, path ,x1,y1,x0,y0\nme,a.jpg,10,11,0,1\nyou,sub/b.jpg,5,5,1,1\nme,./a.jpg,40,41,2,3\n",
    )
    boxes = make_detector("boxes", box_file=path)
    assert boxes.needs_name
    np.testing.assert_array_equal(boxes(IMAGE, "a.jpg"), [[2, 3, 40, 41], [0, 1, 10, 11]])
    np.testing.assert_array_equal(boxes(IMAGE, "sub/b.jpg"), [[1, 1, 5, 5]])
    assert boxes(IMAGE, "c.jpg").shape == (0, 4)


@pytest.mark.parametrize(
    "content",
    [
        {"path": "a.jpg", "boxes_xyxy_px": [[0, 1, 10, 11], [2, 3, 40, 41]]},
        {
            "image": "a.jpg",
            "size_hw": [50, 60],
            "faces": [
                {"box_xyxy_px": [0, 1, 10, 11], "landmarks_px": [[1, 2], None]},
                {"box_xyxy_px": [2, 3, 40, 41], "landmarks_px": [[1, 2], None]},
            ],
        },
    ],
)
def test_json_lines_are_read(tmp_path, content):
    lines = [{"note": "of no image"}, content, {"path": "empty.jpg", "faces": []}]
    path = write(tmp_path / "boxes.jsonl", "\n\n".join(json.dumps(line) for line in lines) + "\n")
    boxes = BoxFile(path)
    np.testing.assert_array_equal(boxes(IMAGE, "a.jpg"), [[2, 3, 40, 41], [0, 1, 10, 11]])
    assert boxes(IMAGE, "empty.jpg").shape == (0, 4)
    assert boxes.find("empty.jpg") == "empty.jpg"
    assert boxes.find("other.jpg") is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_files_of_spreadsheets(tmp_path, delimiter):
    text = "Path,X0,Y0,X1,Y1\n a.jpg ,1.5,2,30,40\nb.jpg,,,,\na.jpg,1.5,2,30,40\n"
    (tmp_path / "boxes.csv").write_text(text.replace(",", delimiter))
    boxes = BoxFile(tmp_path / "boxes.csv")
    assert boxes.names == ("a.jpg", "b.jpg")
    assert boxes.raw_boxes(None, "a.jpg").tolist() == [[1.5, 2, 30, 40]]  # the copy counts once


@pytest.mark.parametrize(
    "text",
    [
        "path,score,detection_score,x0,y0,x1,y1\na.jpg,.1,0.9,0,0,4,4\na.jpg,.1,,0,0,8,8\nb.jpg"
        + ",,,,,,",
        "path,x0,y0,x1,y1,score\na.jpg,0,0,4,4,.9\na.jpg,0,0,8,8,\na.jpg,0,0,4,4,.3\nb.jpg,,,,,",
        '{"path": "a.jpg", "boxes_xyxy_px": [[0, 0, 4, 4, 0.9], [0, 0, 8, 8]]}',
        '{"path": "a.jpg", "box_xyxy_px": [0, 0, 4, 4], "detection_score": 0.9, "score": 0.2}\n'
        '{"path": "a.jpg", "box_xyxy_px": [0, 0, 8, 8], "detection_score": null, "score": 0.2}',
        '{"path": "a.jpg", "faces": [{"box_xyxy_px": [0, 0, 4, 4], "score": 0.9}, '
        '{"box_xyxy_px": [0, 0, 8, 8]}]}',
    ],
)
def test_box_file_reads_detection_scores(tmp_path, text):
    boxes = BoxFile(write(tmp_path / "boxes", text))
    np.testing.assert_array_equal(boxes(IMAGE, "a.jpg"), [[0, 0, 8, 8, np.nan], [0, 0, 4, 4, 0.9]])
    assert boxes(IMAGE, "b.jpg").shape == (0, 5)


def test_json_lines_of_one_image_are_merged(tmp_path):
    path = write(
        tmp_path / "boxes.jsonl",
        '{"image": "a.jpg", "box_xyxy_px": [0, 0, 4, 4]}\n'
        '{"image": "a.jpg", "box_xyxy_px": [0, 0, 8, 8]}\n',
    )
    np.testing.assert_array_equal(BoxFile(path)(IMAGE, "a.jpg"), [[0, 0, 8, 8], [0, 0, 4, 4]])


def test_longest_matching_name_is_used(tmp_path, monkeypatch):
    path = write(
        tmp_path / "lists" / "boxes.csv",
        "path,x0,y0,x1,y1\na.jpg,0,0,1,1\none/b.jpg,0,0,2,2\ntwo/b.jpg,0,0,3,3\none/c.jpg,0,0,4,4\n",
    )
    monkeypatch.chdir(tmp_path)
    boxes = BoxFile(path)

    def side(name):
        return boxes(IMAGE, name)[0, 2]

    assert side("one/b.jpg") == 2  # as given
    assert side(tmp_path / "lists" / "two" / "b.jpg") == 3  # relative to the file
    assert side("lists/a.jpg") == 1
    assert side("/elsewhere/one/b.jpg") == 2  # its end
    assert side("/elsewhere/two/b.jpg") == 3
    assert side("/elsewhere/a.jpg") == 1  # the bare name, where the file has no folder
    monkeypatch.chdir(tmp_path / "lists")
    (tmp_path / "one").mkdir()
    assert side("../one/c.jpg") == 4
    for other in ("/elsewhere/b.jpg", "/elsewhere/c.jpg", "two/c.jpg", "/some/zone/c.jpg"):
        assert boxes.find(other) is None  # another image of the same bare name
    with pytest.raises(ValueError, match="needs the name of the image"):
        boxes(IMAGE)


def test_box_file_applies_its_correction(tmp_path):
    path = write(tmp_path / "boxes.csv", "path,x0,y0,x1,y1\na.jpg,0,0,10,10\n")
    boxes = BoxFile(path, correction=Correction((0.0, 0.1), 0.5))
    np.testing.assert_allclose(boxes(IMAGE, "a.jpg"), [[2.5, 3.5, 7.5, 8.5]])


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_box_file_reads_output_of_wing_predict(tmp_path, form):
    scheme = get_scheme("ibug_68")
    boxes = np.array([[0.0, 0, 40, 41], [1, 1, 20, 22]])
    faces = [Face(np.full((68, 2), 3.0), box, None, scheme) for box in boxes]
    images = [ImageFaces("a.jpg", (50, 60), faces), ImageFaces("b.jpg", (50, 60), [])]
    if form == "json":
        text = json.dumps(as_dict(images[0], scheme), indent=1)
    elif form == "jsonl":
        text = "".join(format_json_line(image, scheme) for image in images)
    else:
        rows = [row for image in images for row in csv_rows(image, scheme)]
        text = format_csv([csv_columns(scheme), *rows])
    detector = BoxFile(write(tmp_path / "landmarks", text))
    np.testing.assert_array_equal(detector(IMAGE, "a.jpg"), boxes)
    assert detector(IMAGE, "b.jpg").shape == (0, 4)
    assert detector.find("b.jpg") == (None if form == "json" else "b.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "boxes:1: expected a CSV header"),
        ("path,x0,y0,x1\n", "boxes:1: expected a CSV header"),
        ("path,x0,y0,x1,y1\na.jpg,0,0,1,1\na.jpg,0,0,1\n", "boxes:3: expected 5 fields"),
        ("path,x0,y0,x1,y1\na.jpg\n", "boxes:2: expected 5 fields"),
        ("path,x0,y0,x1,y1,score\na.jpg,0,0,1,1,97\n", "boxes:2: a detection score must be 0 to 1"),
        ("path,x0,y0,x1,y1\na,b.jpg,0,0,1,1\n", "boxes:2: expected 5 fields"),
        ('path,x0,y0,x1,y1\na.jpg,,,,\n"b.jpg,0,0,1,1\nc.jpg,0,0,1,1\n', "boxes:3: not valid CSV"),
        ('path,x0,y0,x1,y1\n"b.jpg,0,0,1,1\n"c.jpg",0,0,1,1\n', "boxes:2: not valid CSV"),
        ('path,x0,y0,x1,"y1\na.jpg,0,0,1,1\n', "boxes:1: not valid CSV"),
        ("path,x0,y0,x1,y1\na.jpg,0,0,one,1\n", "boxes:2: a box must be four"),
        ("path,x0,y0,x1,y1\na.jpg,5,0,1,1\n", "boxes:2: a box must be .* x0 < x1"),
        ("path,x0,y0,x1,y1\na.jpg,0,0,inf,1\n", "boxes:2: a box must be four"),
        ("path,frame,x0,y0,x1,y1\na.mp4,0,0,0,1,1\n", "boxes:2: this is a frame of a video"),
        ('{"image": "a.mp4", "frame": 0, "faces": []}\n', "boxes:1: this is a frame of a video"),
        ("path,x0,y0,x1,y1\n,0,0,1,1\n", "boxes:2: the name of the image is empty"),
        ('{"path": "a.jpg", "faces": []}\n{"path"\n', "boxes:2: not valid JSON"),
        ('{"path": "a.jpg", "faces": []}\n[1]\n', "boxes:2: expected {...}"),
        ('{"faces": []}\n', "boxes:1: expected the name of the image"),
        ('{"path": 3, "faces": []}\n', "boxes:1: expected the name of the image"),
        ('{"path": "a.jpg", "faces": [{}]}\n', "boxes:1: a box must be four"),
        ('{"path": "a.jpg", "faces": 3}\n', "boxes:1: boxes must be a list"),
        ('{"path": "a.jpg", "boxes_xyxy_px": [1, 2, 3, 4]}\n', "boxes:1: a box must be four"),
        ('{"path": "a.jpg", "box_xyxy_px": "0123"}\n', "boxes:1: a box must be four"),
    ],
)
def test_invalid_box_files_raise_with_file_and_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        BoxFile(write(tmp_path / "boxes", text))


def test_unreadable_box_file_raises(tmp_path):
    with pytest.raises(ValueError, match="Cannot read box file .*No such file"):
        BoxFile(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match="Cannot read box file .*directory"):
        BoxFile(tmp_path)
    (tmp_path / "boxes").write_bytes(b"\xff\xd8\xff\x00")
    with pytest.raises(ValueError, match="not a UTF-8 text"):
        BoxFile(tmp_path / "boxes")


def test_names_with_separators_or_case_of_another_system_are_found(tmp_path):
    rows = "pics\\A.JPG,0,0,1,1\npics\\b.jpg,0,0,2,2\npics/B.jpg,0,0,3,3\n"
    boxes = BoxFile(write(tmp_path / "boxes.csv", f"path,x0,y0,x1,y1\n{rows}"))
    assert boxes.find("pics/a.jpg") == "pics/A.JPG"
    assert boxes.find(tmp_path / "PICS" / "a.jpg") == "pics/A.JPG"
    assert boxes.find("/elsewhere/pics/A.jpg") == "pics/A.JPG"
    assert boxes(IMAGE, "pics/b.jpg")[0, 2] == 2
    assert boxes(IMAGE, "pics/B.jpg")[0, 2] == 3
    assert boxes.find("pics/b.JPG") is None  # either of two
    assert boxes.find("a.jpg") is None
    assert boxes.names == ("pics/A.JPG", "pics/b.jpg", "pics/B.jpg")
