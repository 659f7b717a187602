"""The inspection report, boxes and offsets between annotations."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from altered_faces import AlteredSource, with_landmarks, write
from dots import DotSource

from tfrecords_tools.inspection import inspect_records
from tfrecords_tools.inspection.boxes import box_statistics, landmarks_outside_box
from tfrecords_tools.inspection.checks import check_annotation_offset, check_boxes
from tfrecords_tools.inspection.drawing import draw_contact_sheet
from tfrecords_tools.inspection.face_table import read_face_table
from tfrecords_tools.inspection.plots import plot_boxes
from tfrecords_tools.inspection.report import format_report
from tfrecords_tools.sources import SyntheticSource
from wing_tf.data.read import read_faces

IMAGES = ("contact_sheet", "mean_shape", "pose", "boxes", "visibility")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return write(tmp_path_factory.mktemp("clean") / "r", AlteredSource())


def test_clean_records_give_images_and_statistics_without_warnings(clean, tmp_path):
    report = inspect_records(clean, tmp_path / "inspection", num_images=9)
    assert [warning["kind"] for warning in report["warnings"]] == ["small_split"]  # 40 faces
    assert report["faces"] == 40
    assert report["splits"].keys() == {"train", "validation", "test"}
    for name in IMAGES:
        assert min(cv2.imread(str(tmp_path / "inspection" / f"{name}.png")).shape[:2]) > 300
    assert json.loads((tmp_path / "inspection/inspection.json").read_text()) == report
    text = (tmp_path / "inspection/inspection.txt").read_text()
    assert text == format_report(report) + "\n"
    assert text.count("WARNING") == 1
    # The renderer's own angles and occluded landmarks.
    assert set(report["pose"]) == {"yaw", "pitch", "roll"}
    assert max(report["visibility"]["occluded"]) > 0.05
    assert report["visibility"]["not_annotated"] == [0.0] * 68
    assert report["boxes"]["by the crop rule"]["landmarks_over_box"] == [1.0, 1.0, 1.0]


def test_faces_that_warnings_name_come_first_on_the_contact_sheet(clean, tmp_path):
    table = read_face_table(clean, images=False)
    named = [len(table) - 1, 7]
    sheet = draw_contact_sheet(table, 9, named)
    faces = dict(enumerate(read_faces(table.records).as_numpy_iterator()))
    red = np.all(sheet == [230, 30, 30], axis=-1)
    rows, columns = np.nonzero(red)
    top, left = rows.min(), columns.min()
    assert top > 640  # below the enlarged faces
    for number, index in enumerate(named):
        start = left + 100 * number  # a face and a gap
        cell = sheet[top : top + 96, start : start + 96]
        inside = cell[40:, 10:86].astype(int) - faces[index]["image"][40:, 10:86]
        assert np.median(np.abs(inside)) == 0  # but for what is drawn
        assert red[top, start : start + 96].all()
    assert not red[top, left + 200 :].any()
    report = inspect_records(clean, tmp_path / "inspection", num_images=1)
    assert report["warnings"][0]["faces"] == []  # A small split is no error of its faces.


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        ((1.0, 1.0), ["x: -1.000 px, as if one counts", "y: -1.000 px, as if one counts"]),
        ((-0.5, 0.0), ["x: +0.500 px, as if one has pixel centers at .0"]),
        ((0.0, 0.25), ["y: -0.250 px, a constant shift"]),
        ((0.02, 0.0), []),
    ],
)
def test_constant_annotation_offset_is_found_and_explained(clean, tmp_path, shift, words):
    def change(item, face):
        noise = np.random.default_rng(item.source_data).normal(0, 0.3, (68, 2))
        return with_landmarks(face, face.landmarks_px + shift + noise - np.median(noise, axis=0))

    other = read_face_table(write(tmp_path / "other", AlteredSource(change)), images=False)
    table = read_face_table(clean, images=False)
    findings, report = check_annotation_offset(table, other, "other")
    assert [finding.kind for finding in findings] == ["annotation_offset"][: len(words)]
    np.testing.assert_allclose(report["median_px"], np.negative(shift), atol=0.01)
    assert report["num_faces"] == 40
    for explanation, expected in zip(report["explanations"], words, strict=True):
        assert explanation.startswith(expected)


def test_faces_with_other_keys_are_matched_by_image(clean, tmp_path):
    class Renamed(AlteredSource):
        def items(self):
            return [
                dataclasses.replace(
                    item, key=f"other/{item.source_data}", source_image=f"x/{name}.jpg"
                )
                for item in super().items()
                for name in [item.source_image.rpartition("/")[2]]
            ]

    source = Renamed(lambda item, face: with_landmarks(face, face.landmarks_px + 1.0), num_train=8)
    report = inspect_records(
        clean, tmp_path / "inspection", other=write(tmp_path / "other", source)
    )
    assert report["annotation_offset"]["num_faces"] == 20
    np.testing.assert_allclose(report["annotation_offset"]["median_px"], -1.0, atol=1e-3)
    kinds = [warning["kind"] for warning in report["warnings"]]
    assert kinds == ["annotation_offset", "small_split"]
    assert "WARNING annotation_offset: 20: landmarks differ from those of" in format_report(report)


def test_records_of_another_scheme_raise_before_writing(clean, tmp_path):
    other = write(tmp_path / "dots", DotSource(4))
    with pytest.raises(ValueError, match="ibug_68 can't be compared with those of celeba_5"):
        inspect_records(clean, tmp_path / "inspection", other=other)
    assert not (tmp_path / "inspection").exists()


def test_landmarks_outside_of_boxes_are_found(tmp_path):
    def change(item, face):
        low, high = face.landmarks_px.min(axis=0), face.landmarks_px.max(axis=0)
        if item.source_data == 4:
            high = high - [0, 0.3 * (high - low)[1]]  # excludes the chin
        return dataclasses.replace(face, box_xyxy_px=np.concatenate([low - 2, high + 2]))

    table = read_face_table(write(tmp_path / "r", AlteredSource(change), crop="dataset_box"))
    findings, report, statistics = check_boxes(table)
    assert [finding.kind for finding in findings] == ["landmarks_outside_box"] * 2
    for finding in findings:  # the crop's box is the data set's
        assert finding.count == 1
        assert finding.examples[0].startswith("synthetic/5/0000004 (")
    assert report["the data set's own"]["faces"] == 40
    assert report["by the crop rule"]["landmarks_over_box"][1] < 1
    plot_boxes(tmp_path / "boxes.png", statistics)
    assert cv2.imread(str(tmp_path / "boxes.png")).shape[0] > 300


def test_boxes_of_a_detector_need_not_contain_each_landmark(tmp_path):
    source = SyntheticSource(num_train=8, seed=3, wide_yaw_fraction=0)
    table = read_face_table(write(tmp_path / "r", source, crop="detector_box"))
    assert landmarks_outside_box(table, table.box_square_px).any()
    findings, report, _ = check_boxes(table)
    assert not findings
    assert report["by the crop rule"]["faces_with_landmarks_outside"] == 0


@pytest.mark.filterwarnings("error")
def test_flat_boxes_have_finite_statistics(tmp_path):
    """Collinear landmarks have a flat box, which is valid for square crops."""

    class Row(DotSource):
        def load(self, item):
            face = super().load(item)
            face.landmarks_px[:, item.source_data % 2] = 100.0
            return face

    table = read_face_table(write(tmp_path / "r", Row(4)))
    _, report, statistics = check_boxes(table)
    assert all(np.isfinite(v).all() for v in statistics["by the crop rule"].values())
    low, _, high = report["by the crop rule"]["width_over_height"]
    assert low < 0.01
    assert high > 100
    empty = box_statistics(table, np.repeat(table.box_square_px[:, :2], 2, axis=0).reshape(4, 4))
    assert np.isfinite(empty["landmarks_over_box"]).all()
    plot_boxes(tmp_path / "boxes.png", statistics)


def test_landmarks_outside_of_the_stored_square_are_found(tmp_path):
    def change(item, face):
        center = face.landmarks_px.mean(axis=0)
        return dataclasses.replace(face, box_xyxy_px=np.concatenate([center - 9, center + 9]))

    table = read_face_table(write(tmp_path / "r", AlteredSource(change), crop="dataset_box"))
    findings, report, _ = check_boxes(table)
    assert report["faces_with_landmarks_outside_of_the_stored_square"] == 40
    assert findings[-1].kind == "landmarks_outside_square"
    assert len(findings[-1].examples) == 10


def test_single_face_without_all_landmarks_is_inspected(tmp_path):
    class One(DotSource):
        def load(self, item):
            face = super().load(item)
            face.landmarks_px[0] = np.nan
            face.visibility[0] = 0
            return face

    report = inspect_records(write(tmp_path / "r", One(1)), tmp_path / "inspection")
    assert report["mean_shape"].startswith("none: A landmark is not annotated in any face")
    assert report["pose"] == {}
    kinds = {warning["kind"] for warning in report["warnings"]}
    assert kinds == {"empty_split", "small_split", "rare_landmarks"}
    (rare,) = (w for w in report["warnings"] if w["kind"] == "rare_landmarks")
    expected = "landmarks that fewer than 10% of the faces have: 0 (0 of 1). Check"
    assert rare["message"].startswith(expected)
    assert (tmp_path / "inspection/contact_sheet.png").is_file()


def test_hashing_of_small_images_does_not_move_landmarks(tmp_path):
    write(tmp_path / "r", AlteredSource(num_train=1), side=256)
    small, full = read_face_table(tmp_path / "r"), read_face_table(tmp_path / "r", images=False)
    for name in ("landmarks_square_px", "box_square_px", "square_to_source"):
        np.testing.assert_allclose(getattr(small, name), getattr(full, name), atol=1e-4)
    faces = np.arange(13)
    np.testing.assert_allclose(
        small.landmarks_source_px(faces), full.landmarks_source_px(faces), atol=1e-4
    )
