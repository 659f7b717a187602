import csv
import io
import json
import pathlib

import numpy as np
import pytest

from wing_tf.inference import Face
from wing_tf.inference.output import (
    ImageFaces,
    as_dict,
    csv_columns,
    csv_rows,
    drawn_names,
    files_of_image,
    format_json_line,
    format_pts,
    pts_bases,
)
from wing_tf.inference.run_files import ResultFile, SkippedFile, claim_output
from wing_tf.landmarks import get_scheme
from wing_tf.landmarks.head import AVERAGE_HEAD_MM
from wing_tf.utils.printable import format_csv

SCHEME = get_scheme("ibug_68")


def _face(shift=100.0, **more):
    landmarks = AVERAGE_HEAD_MM[:, :2] + shift
    return Face(landmarks, np.array([30.0, 80, 170.25, 220]), scheme=SCHEME, **more)


def _found(name="a.jpg", count=1, **more):
    return ImageFaces(name, (300, 200), [_face(100 + i) for i in range(count)], **more)


def test_json_holds_all_facts_of_a_face():
    scores = np.linspace(0, 1, 68, dtype=np.float32)
    face = _face(scores=scores, identity=4, score=0.5, detection_score=0.75)
    face.landmarks_px[3] = np.nan
    found = ImageFaces("v.mp4", (300, 200), [face], frame=7, time_s=0.28)
    values = json.loads(format_json_line(found, SCHEME))
    assert (values["image"], values["frame"], values["time_s"]) == ("v.mp4", 7, 0.28)
    assert (values["size_hw"], values["scheme"]) == ([300, 200], "ibug_68")
    (one,) = values["faces"]
    assert one["identity"] == 4
    assert one["landmarks_px"][3] is None
    assert one["landmarks_px"][27] == [100, 100]
    assert one["box_xyxy_px"] == [30, 80, 170.25, 220]
    assert (one["score"], one["detection_score"]) == (0.5, 0.75)
    np.testing.assert_allclose(one["scores"], scores, atol=1e-4)
    np.testing.assert_allclose(one["angles_deg"], [0, 0, 0], atol=1)
    plain = as_dict(ImageFaces("a", (1, 1), []), SCHEME)
    assert plain == {"image": "a", "size_hw": [1, 1], "scheme": "ibug_68", "faces": []}


def test_csv_rows_match_their_columns():
    face = _face()
    face.landmarks_px[3] = np.nan
    found = ImageFaces('a "b",c.jpg', (300, 200), [face, _face(120)])
    text = format_csv([csv_columns(SCHEME), *csv_rows(found, SCHEME)])
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["image"], first["width_px"], first["height_px"]) == (found.image, "200", "300")
    assert (first["faces"], first["face"], second["face"]) == ("2", "1", "2")
    assert (first["x_3_px"], first["x_27_px"], second["y_27_px"]) == ("", "100.0", "120.0")
    assert (first["box_x1_px"], first["score_0"]) == ("170.25", "")
    assert float(second["yaw_deg"]) == pytest.approx(0, abs=1)
    (none,) = csv_rows(ImageFaces("n.jpg", (3, 4), []), SCHEME)
    assert len(none) == len(csv_columns(SCHEME))
    assert none[:4] == ["n.jpg", 4, 3, 0]
    assert set(none[4:]) == {None}


def test_video_csv_has_frames_and_identities():
    found = ImageFaces("v", (9, 9), [_face(identity=2)], frame=5, time_s=0.2)
    text = format_csv([csv_columns(SCHEME, video=True), *csv_rows(found, SCHEME)])
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["frame"], row["time_s"], row["identity"]) == ("5", "0.2", "2")


def test_pts_files_are_one_based(tmp_path):
    from tfrecords_tools.sources.ibug_300w import read_pts

    landmarks = np.random.default_rng(0).uniform(0, 99, (68, 2))
    (tmp_path / "a.pts").write_text(format_pts(landmarks))
    np.testing.assert_allclose(read_pts(tmp_path / "a.pts", 68), landmarks, atol=1e-3)


def test_files_of_one_image(tmp_path):
    names = {
        (form, count): [path.name for path in files_of_image(
            _found(count=count), SCHEME, tmp_path / "a.b_landmarks", form)]
        for form in ("json", "csv", "pts") for count in (1, 2)
    }  # fmt: skip
    assert names["json", 2] == ["a.b_landmarks.json"]
    assert names["csv", 1] == ["a.b_landmarks.csv"]
    assert names["pts", 1] == ["a.b_landmarks.pts"]
    assert names["pts", 2] == ["a.b_landmarks_1.pts", "a.b_landmarks_2.pts"]


def test_pts_files_of_images_are_distinct():
    names = ["a.jpg", "a_1.jpg", "b.jpg", "b.png", "c/b.jpg", "300_2.jpg"]
    bases = pts_bases(names)
    assert bases["a.jpg"] == "a"
    assert bases["c/b.jpg"] == "c/b"
    assert bases["300_2.jpg"] == "300_2"
    written = [f"{base}{end}" for base in bases.values() for end in ("", "_1", "_2")]
    assert len(set(written)) == len(written)


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "a.png", "a.jpg.png"],
        ["a.jpg.png", "a.jpg", "a.png"],
        ["a.jpg", "a.jpg_1", "a.jpg_", "a.jpg_2_1"],
        ["a_1.png", "a.png", "a_1_1.jpg", "a_1_2.png"],
        ["b.jpg", "b.pts/a.jpg", "c.png", "c_2.pts/a.png"],
    ],
)
def test_output_files_of_images_are_distinct(names):
    bases = pts_bases(names)
    assert list(bases) == names
    written = [f"{base}{end}.pts" for base in bases.values() for end in ("", "_1", "_2")]
    assert len(set(written)) == len(written)
    assert not {str(pathlib.PurePosixPath(name).parent) for name in names} & set(written)


def test_drawn_images_have_distinct_names():
    names = ["a.bmp", "a.bmp.jpg", "a.bmp_.jpg", "b.PNG", "c.tif", "c.tif.jpg/d.webp"]
    drawn = drawn_names(names)
    assert set(drawn) == set(names)
    assert (drawn["a.bmp.jpg"], drawn["b.PNG"]) == ("a.bmp.jpg", "b.PNG")
    assert drawn["c.tif.jpg/d.webp"] == "c.tif.jpg/d.webp.jpg"
    assert len({*drawn.values(), "c.tif.jpg"}) == len(names) + 1


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_truncated_result_file_resumes_to_the_same_text(tmp_path, ending):
    images = [_found("a.jpg", 2), _found("ü\n,b.jpg", 0), _found("c\udcff.jpg", 1)]
    whole = tmp_path / f"whole.{ending}"
    with ResultFile(whole, SCHEME) as file:
        file.write(images[:2])
        file.write(images[2:])
        assert file.done == {"a.jpg": 2, "ü\n,b.jpg": 0, "c\udcff.jpg": 1}
    text = whole.read_bytes()
    with ResultFile(whole, SCHEME) as file:
        assert file.done == {one.image: len(one.faces) for one in images}
    cut = tmp_path / f"cut.{ending}"
    for length in [0, 5, *range(100, len(text), len(text) // 60), len(text) - 1]:
        cut.write_bytes(text[:length])
        with ResultFile(cut, SCHEME) as file:
            file.write(one for one in images if one.image not in file.done)
        assert cut.read_bytes() == text, length


def test_foreign_result_file_raises(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match="its columns differ"):
        ResultFile(tmp_path / "a.csv", SCHEME)
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="damaged"):
        ResultFile(tmp_path / "a.jsonl", SCHEME)
    assert (tmp_path / "a.csv").read_text() == "x,y\n1,2\n"


def test_resumed_run_knows_skipped_images(tmp_path):
    path = tmp_path / "skipped.csv"
    with SkippedFile(path) as file:
        file.write({"a.jpg": "not an image, or", "b": "x"})
    text = path.read_text()
    path.write_text(text + "half")
    with SkippedFile(path) as file:
        assert file.reasons == {"a.jpg": "not an image, or", "b": "x"}
    assert path.read_text() == text == 'image,reason\na.jpg,"not an image, or"\nb,x\n'


@pytest.mark.parametrize("text", ["image;reason\na.jpg;x\n", "a.jpg,x\n"])
def test_edited_file_of_skipped_images_raises(tmp_path, text):
    path = tmp_path / "skipped.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="its columns differ"):
        SkippedFile(path)
    assert path.read_text() == text


def test_invalid_tables_raise(tmp_path):
    long = "x" * 200_000  # more than a field may have
    (tmp_path / "a.csv").write_text(format_csv([csv_columns(SCHEME), [long]]))
    with pytest.raises(ValueError, match="damaged"):
        ResultFile(tmp_path / "a.csv", SCHEME)
    (tmp_path / "skipped.csv").write_text(f"image,reason\n{long}\n")
    with pytest.raises(ValueError, match="damaged"):
        SkippedFile(tmp_path / "skipped.csv")


def test_output_folder_of_another_run_raises(tmp_path):
    out = tmp_path / "out" / "deep"
    out.mkdir(parents=True)
    settings = {"model": "a", "passes": 1, "list": (1, 2)}
    claim_output(out, settings)
    claim_output(out, settings)
    with pytest.raises(ValueError, match="of a run with passes=1. Received: passes=2"):
        claim_output(out, settings | {"passes": 2})
    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        claim_output(tmp_path, settings)
    (out / "run.json").write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is not valid JSON"):
        claim_output(out, settings)
