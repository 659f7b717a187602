import dataclasses
import functools
import json

import cv2
import numpy as np
import pytest
from dots import DotSource

from tfrecords_tools.inspection import inspect_records
from tfrecords_tools.inspection.boxes import box_statistics
from tfrecords_tools.inspection.checks import (
    Finding,
    check_annotation_offset,
    check_boxes,
    check_duplicates,
    check_pairs,
    check_swapped_landmarks,
)
from tfrecords_tools.inspection.face_table import read_face_table
from tfrecords_tools.inspection.plots import plot_boxes
from tfrecords_tools.inspection.report import format_report
from tfrecords_tools.sources import Item, SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.geometry import procrustes
from wing_tf.landmarks import get_scheme, scheme_from_dict

SCHEME = get_scheme("ibug_68")
FLIP = list(SCHEME.flip_permutation)
IMAGES = ("contact_sheet", "mean_shape", "pose", "boxes", "visibility")


@functools.cache
def _render(number, split):
    source = SyntheticSource(num_train=28, num_test=12, seed=5, image_size=112)
    return source.load(Item("", "", split, number))


class Altered(SyntheticSource):
    """Rendered faces of all poses, of which some are changed."""

    has_boxes = True  # of some changed ones

    def __init__(self, change=None, *, num_train=28):
        super().__init__(num_train=num_train, num_test=12, seed=5)
        self.change = change

    def load(self, item):
        face = _render(item.source_data, "test" if item.source_data < 12 else "train")
        return face if self.change is None else self.change(item, face)


@functools.cache
def _frontal():
    """Numbers of faces that are turned by less than 40 degrees."""
    source = Altered()
    return [i.source_data for i in source.items() if abs(source.load(i).angles_deg[0]) < 40]


def _write(path, source, **options):
    write_records(
        source,
        path,
        square_format=SquareFormat(side=96),
        num_processes=0,
        progress=False,
        **options,
    )
    return path


def _check(folder, other=None):
    """All checks of `inspect_records`, without its images."""
    table, warnings = read_face_table(folder), []
    mean, _ = procrustes(table.landmarks_square_px, table.records.scheme.flip_permutation)
    check_boxes(table, warnings)
    check_swapped_landmarks(table, mean, warnings)
    check_pairs(table, np.arange(len(table)), warnings)
    check_duplicates(table, warnings)
    if other is None:
        return _kinds(warnings)
    second = read_face_table(other, images=False)
    return _kinds(warnings) | {"figures": check_annotation_offset(table, second, "other", warnings)}


def _kinds(warnings: list[Finding]):
    assert len({warning.kind for warning in warnings}) == len(warnings)
    return {warning.kind: warning for warning in warnings}


def _key(number):
    return f"synthetic/5/{number:07d}"


def _moved(face, landmarks):
    return dataclasses.replace(face, landmarks_px=landmarks)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("clean") / "r", Altered())


def test_clean_records_give_images_and_figures_but_no_warning(clean, tmp_path):
    report = inspect_records(clean, tmp_path / "seen", num_images=9)
    assert report["warnings"] == []
    assert report["faces"] == 40
    assert report["splits"].keys() == {"train", "validation", "test"}
    for name in IMAGES:
        assert min(cv2.imread(str(tmp_path / "seen" / f"{name}.png")).shape[:2]) > 300
    assert json.loads((tmp_path / "seen/inspection.json").read_text()) == report
    text = (tmp_path / "seen/inspection.txt").read_text()
    assert text == format_report(report) + "\n"
    assert "no warning" in text
    # The renderer's own angles, and its hidden points.
    assert set(report["pose"]) == {"yaw", "pitch", "roll"}
    assert max(report["visibility"]["hidden"]) > 0.05
    assert report["visibility"]["missing"] == [0.0] * 68
    assert report["boxes"]["by the crop rule"]["landmarks_over_box"] == [1.0, 1.0, 1.0]


def test_faces_whose_points_are_all_exchanged(tmp_path):
    wrong = (_frontal()[0], _frontal()[-1])

    def change(item, face):
        return _moved(face, face.landmarks_px[FLIP]) if item.source_data in wrong else face

    found = _check(_write(tmp_path / "r", Altered(change)))
    assert set(found) == {"swapped_faces"}
    assert found["swapped_faces"].count == 2
    assert found["swapped_faces"].share == 2 / 40
    assert sorted(found["swapped_faces"].first) == [_key(number) for number in wrong]


def test_single_pairs_that_are_exchanged(tmp_path):
    pairs = [(36, 45), (31, 35), (0, 16), (61, 63)]
    wrong = dict(zip(_frontal()[1:5], pairs, strict=True))

    def change(item, face):
        landmarks = face.landmarks_px.copy()
        if pair := wrong.get(item.source_data):
            landmarks[list(pair)] = landmarks[list(pair[::-1])]
        return _moved(face, landmarks)

    found = _check(_write(tmp_path / "r", Altered(change)))
    assert set(found) == {"swapped_pairs"}
    assert sorted(found["swapped_pairs"].first) == [
        f"{_key(number)} ({a}-{b})" for number, (a, b) in wrong.items()
    ]


def test_all_faces_in_another_order_of_points(tmp_path):
    source = Altered(lambda item, face: _moved(face, face.landmarks_px[FLIP]))
    found = _check(_write(tmp_path / "r", source))
    assert set(found) == {"reversed_mean"}
    assert "36-45" in found["reversed_mean"].message


class OwnScheme(Altered):
    """Twelve of the points, under a scheme of one's own without regions."""

    picked = (36, 39, 42, 45, 30, 31, 35, 48, 54, 51, 57, 8)

    def __init__(self, pairs, change=None):
        super().__init__(change)
        self.scheme = scheme_from_dict(
            {"name": f"own_12_{len(pairs)}", "points": 12, "pairs": pairs}
        )

    def load(self, item):
        face = super().load(item)
        points, flags = (v[list(self.picked)] for v in (face.landmarks_px, face.visibility))
        return dataclasses.replace(face, landmarks_px=points, visibility=flags)


def test_a_mark_up_of_ones_own_with_a_pair_too_few(tmp_path):
    folder = _write(tmp_path / "r", OwnScheme([[0, 3], [1, 2], [5, 6]]))
    report = inspect_records(folder, tmp_path / "seen", num_images=4)
    (warning,) = report["warnings"]
    assert warning["kind"] == "forgotten_pairs"
    assert warning["message"].startswith("points 7 and 8 are in no pair, but mirror each other in")
    assert "WARNING forgotten_pairs: 1: points 7 and 8" in format_report(report)


def test_a_mark_up_of_ones_own_that_counts_from_one(tmp_path):
    folder = _write(tmp_path / "r", OwnScheme([[1, 4], [2, 3], [6, 7], [8, 9], [10, 11]]))
    table, warnings = read_face_table(folder, images=False), []
    check_pairs(table, np.arange(len(table)), warnings)
    (warning,) = warnings
    assert warning.kind == "wrong_pairs"
    assert "1-4, 2-3, 6-7, 8-9, 10-11 (0-3, 1-2, 5-6, 7-8 do). Do its numbers" in warning.message


def test_a_mark_up_of_ones_own_with_faults(tmp_path):
    pairs = [[0, 3], [1, 2], [5, 6], [7, 8]]
    assert _check(_write(tmp_path / "right", OwnScheme(pairs))) == {}
    wrong = _frontal()[2]

    def one(item, face):
        return _moved(face, face.landmarks_px[FLIP]) if item.source_data == wrong else face

    found = _check(_write(tmp_path / "one", OwnScheme(pairs, one)))
    assert set(found) == {"swapped_faces"}
    assert found["swapped_faces"].first == [_key(wrong)]

    def many(item, face):
        return _moved(face, face.landmarks_px[FLIP]) if item.source_data % 3 == 0 else face

    found = _check(_write(tmp_path / "many", OwnScheme(pairs, many)))
    assert set(found) == {"turned_round"}
    assert found["turned_round"].first == []
    assert "the objects turn round, or the order of points is reversed" in (
        found["turned_round"].message
    )


class Copied(Altered):
    """Three test faces stand in "train" again, under other names, scaled, darker and shifted."""

    def items(self):
        items = super().items()
        return items + [Item(f"copy/{i}", f"copy/{i}", "train", i) for i in range(3)]

    def load(self, item):
        face = super().load(item)
        if not item.key.startswith("copy"):
            return face
        image = cv2.resize(face.image, None, fx=1.4, fy=1.4, interpolation=cv2.INTER_LINEAR)
        landmarks = (face.landmarks_px + 0.5) * 1.4 - 0.5 + [0.8, -0.6]
        return dataclasses.replace(
            face, image=(0.8 * image).astype(np.uint8), landmarks_px=landmarks
        )


def test_one_image_in_two_splits(tmp_path):
    found = _check(_write(tmp_path / "r", Copied()))
    assert set(found) == {"duplicates_across_splits"}
    assert found["duplicates_across_splits"].count == 3
    pairs = [sorted(pair.split(" = ")) for pair in found["duplicates_across_splits"].first]
    assert sorted(pairs) == [[f"copy/{i}", _key(i)] for i in range(3)]


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        ((1.0, 1.0), ["x: -1.000 px, as where one counts", "y: -1.000 px, as where one counts"]),
        ((-0.5, 0.0), ["x: +0.500 px, as where one has pixels' centers at .0"]),
        ((0.0, 0.25), ["y: -0.250 px, a shift that faces share"]),
        ((0.02, 0.0), []),
    ],
)
def test_an_origin_that_is_off(clean, tmp_path, shift, words):
    def change(item, face):
        noise = np.random.default_rng(item.source_data).normal(0, 0.3, (68, 2))
        return _moved(face, face.landmarks_px + shift + noise - np.median(noise, axis=0))

    found = _check(clean, _write(tmp_path / "other", Altered(change)))
    figures = found.pop("figures")
    np.testing.assert_allclose(figures["median_px"], np.negative(shift), atol=0.01)
    assert figures["faces"] == 40
    for verdict, expected in zip(figures["verdicts"], words, strict=True):
        assert verdict.startswith(expected)


def test_faces_are_matched_by_image_where_keys_differ(clean, tmp_path):
    class Renamed(Altered):
        def items(self):
            return [
                dataclasses.replace(
                    item, key=f"other/{item.source_data}", source_image=f"x/{name}.jpg"
                )
                for item in super().items()
                for name in [item.source_image.rpartition("/")[2]]
            ]

    source = Renamed(lambda item, face: _moved(face, face.landmarks_px + 1.0), num_train=8)
    report = inspect_records(clean, tmp_path / "seen", other=_write(tmp_path / "other", source))
    assert report["origin"]["faces"] == 20
    np.testing.assert_allclose(report["origin"]["median_px"], -1.0, atol=1e-3)
    assert [warning["kind"] for warning in report["warnings"]] == ["origin"]
    assert "WARNING origin: 20: landmarks are off those of" in format_report(report)


def test_records_that_can_not_be_compared(clean, tmp_path):
    other = _write(tmp_path / "dots", DotSource(4))
    with pytest.raises(ValueError, match="ibug_68 can't be compared with those of celeba_5"):
        inspect_records(clean, tmp_path / "seen", other=other)
    assert not (tmp_path / "seen").exists()


def test_boxes_that_miss_points(tmp_path):
    def change(item, face):
        low, high = face.landmarks_px.min(axis=0), face.landmarks_px.max(axis=0)
        if item.source_data == 4:
            high = high - [0, 0.3 * (high - low)[1]]  # the chin is out
        return dataclasses.replace(face, box_xyxy_px=np.concatenate([low - 2, high + 2]))

    warnings = []
    table = read_face_table(_write(tmp_path / "r", Altered(change), crop="dataset_box"))
    report, figures = check_boxes(table, warnings)
    assert [warning.kind for warning in warnings] == ["points_outside_box"] * 2
    for warning in warnings:  # the crop's box is the data set's
        assert warning.count == 1
        assert warning.first[0].startswith("synthetic/5/0000004 (")
    assert report["the data set's own"]["faces"] == 40
    assert report["by the crop rule"]["landmarks_over_box"][1] < 1
    plot_boxes(tmp_path / "boxes.png", figures)
    assert cv2.imread(str(tmp_path / "boxes.png")).shape[0] > 300


@pytest.mark.filterwarnings("error")
def test_boxes_without_height_or_width_have_figures(tmp_path):
    """Points in a row have a flat box, which is a fair crop where crops are squares."""

    class Row(DotSource):
        def load(self, item):
            face = super().load(item)
            face.landmarks_px[:, item.source_data % 2] = 100.0
            return face

    warnings = []
    table = read_face_table(_write(tmp_path / "r", Row(4)))
    report, figures = check_boxes(table, warnings)
    assert np.isfinite(figures["by the crop rule"].offset).all()
    low, _, high = report["by the crop rule"]["width_over_height"]
    assert low < 0.01
    assert high > 100
    none = box_statistics(table, np.repeat(table.box_square_px[:, :2], 2, axis=0).reshape(4, 4))
    assert np.isfinite(none.fill).all()
    plot_boxes(tmp_path / "boxes.png", figures)


def test_points_that_no_network_can_see(tmp_path):
    def change(item, face):
        middle = face.landmarks_px.mean(axis=0)
        return dataclasses.replace(face, box_xyxy_px=np.concatenate([middle - 9, middle + 9]))

    table = read_face_table(_write(tmp_path / "r", Altered(change), crop="dataset_box"))
    warnings = []
    report, _ = check_boxes(table, warnings)
    assert report["faces_with_points_off_the_stored_square"] == 40
    assert warnings[-1].kind == "points_off_square"
    assert len(warnings[-1].first) == 10


def test_one_face_with_missing_points(tmp_path):
    class One(DotSource):
        def load(self, item):
            face = super().load(item)
            face.landmarks_px[0] = np.nan
            face.visibility[0] = 0
            return face

    report = inspect_records(_write(tmp_path / "r", One(1)), tmp_path / "seen")
    assert report["mean_shape"].startswith("none: A landmark is not annotated in any face")
    assert report["pose"] == {}
    assert report["warnings"] == []
    assert (tmp_path / "seen/contact_sheet.png").is_file()


def test_hashing_on_small_images_leaves_landmarks_where_they_are(tmp_path):
    write_records(
        Altered(num_train=1), tmp_path / "r", square_format=SquareFormat(side=256),
        num_processes=0, progress=False,
    )  # fmt: skip
    small, full = read_face_table(tmp_path / "r"), read_face_table(tmp_path / "r", images=False)
    for name in ("landmarks_square_px", "box_square_px", "square_to_source"):
        np.testing.assert_allclose(getattr(small, name), getattr(full, name), atol=1e-4)
    everyone = np.arange(13)
    np.testing.assert_allclose(
        small.landmarks_source_px(everyone), full.landmarks_source_px(everyone), atol=1e-4
    )
