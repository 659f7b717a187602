import json
import pathlib
import sys

import cv2
import numpy as np
import pytest
from dots import DotSource

from tfrecords_tools.beam import write_records_with_beam
from tfrecords_tools.inspection import inspect_records
from tfrecords_tools.sources import CsvSource, Face, Ibug300WSource, Item, SyntheticSource
from tfrecords_tools.splits import assign_splits
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.read import read_faces
from wing_tf.data.records import open_records
from wing_tf.geometry import apply_affine
from wing_tf.landmarks import scheme_from_dict


def _bytes(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_records_do_not_depend_on_the_number_of_processes(tmp_path):
    source = SyntheticSource(num_train=40, num_test=8, seed=1)
    for name, processes in (("one", 1), ("two", 2)):
        write_records(
            source,
            tmp_path / name,
            square_format=SquareFormat(side=64),
            faces_per_shard=16,
            num_processes=processes,
            progress=False,
        )
    one, two = _bytes(tmp_path / "one"), _bytes(tmp_path / "two")
    assert one == two
    assert set(one) == {
        "manifest.json",
        "test-00000-of-00001.tfrecord",
        *(f"train-0000{i}-of-00003.tfrecord" for i in range(3)),
        "validation-00000-of-00001.tfrecord",
    }


def test_manifest_describes_the_records(tmp_path):
    returned = write_records(
        DotSource(20, bad=(3,)), tmp_path / "r", square_format=SquareFormat(side=64), progress=False
    )
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert manifest == returned
    assert manifest["skipped"] == {"dot/3": "bad on purpose"}
    assert sum(manifest["counts"].values()) == 19
    assert manifest["scheme"] == "celeba_5"
    assert manifest["stored_square"] == {"side": 64, "context": 2.0, "jpeg_quality": 95}
    assert manifest["crop_rule"]["name"] == "landmark_box"
    shards = manifest["shards"]
    assert sum(shard["faces"] for shard in shards.values()) == 19
    assert set(shards) == {path.name for path in (tmp_path / "r").glob("*.tfrecord")}
    assert len(manifest["sha256"]) == 64


def test_all_faces_of_an_image_are_on_one_side_of_the_split():
    items = [Item(f"p{i}_{j}", f"p{i}", "train", None) for i in range(400) for j in range(3)]
    splits = assign_splits(items, 0.1)
    held_out = {item.source_image for item in splits["validation"]}
    assert not held_out & {item.source_image for item in splits["train"]}
    assert 20 < len(held_out) < 60
    more = assign_splits([*items, Item("new", "new", "train", None)], 0.1)
    assert held_out <= {item.source_image for item in more["validation"]}


def test_validation_is_taken_from_train_only():
    items = [Item(f"p{i}", f"p{i}", "test_helen", None) for i in range(100)]
    assert set(assign_splits(items, 0.5)) == {"test_helen"}


def test_split_without_a_usable_face_has_no_file(tmp_path):
    class Tested(DotSource):
        def items(self):
            return [
                Item(
                    item.key,
                    item.source_image,
                    "test" if item.source_data in self.bad else "train",
                    i,
                )
                for i, item in enumerate(super().items())
            ]

    manifest = write_records(
        Tested(bad=(0, 1)), tmp_path / "r", validation_fraction=0, progress=False
    )
    assert manifest["counts"] == {"train": 4}
    assert [path.name for path in sorted((tmp_path / "r").iterdir())] == [
        "manifest.json", "train-00000-of-00001.tfrecord",
    ]  # fmt: skip


def test_very_wide_images_are_cropped(tmp_path):
    """Wider than 32767 pixels, the limit of OpenCV's warps."""

    class Wide(DotSource):
        def load(self, item):
            face = super().load(item)
            if item.source_data != 2:
                return face
            return Face(
                np.zeros((40, 40_000, 3), np.uint8), face.landmarks_px, face.visibility,
                face.box_xyxy_px,
            )  # fmt: skip

    manifest = write_records(Wide(), tmp_path / "r", validation_fraction=0, progress=False)
    assert manifest["counts"] == {"train": 6}
    assert not manifest["skipped"]


def test_strict_stops_at_the_first_bad_face(tmp_path):
    with pytest.raises(ValueError, match="dot/3: bad on purpose"):
        write_records(DotSource(bad=(3,)), tmp_path / "r", strict=True, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_manifest_lists_differences_from_official_counts(tmp_path):
    class Counted(DotSource):
        official_counts = {"train": 20, "test": 3}

        def items(self):
            return super().items() + [Item(f"t/{i}", f"t/{i}", "test", i) for i in range(3)]

    options = {"square_format": SquareFormat(side=64), "num_processes": 0, "progress": False}
    whole = write_records(Counted(20), tmp_path / "whole", **options)
    assert whole["differences_from_official_counts"] == []
    manifest = write_records(Counted(20, bad=(1, 7, 11)), tmp_path / "r", **options)
    assert manifest["differences_from_official_counts"] == [
        "train: 17 faces, officially 20",
        "test: 2 faces, officially 3",
    ]
    assert sorted(manifest["skipped"]) == ["dot/1", "dot/11", "dot/7", "t/1"]


@pytest.mark.parametrize("rule", ["dataset_box", "awing", "awing_official", "awing_official_test"])
def test_crop_rule_that_needs_boxes_is_refused_before_reading_faces(tmp_path, rule):
    source = DotSource(2, bad=(0, 1))  # reading a face would fail
    with pytest.raises(ValueError, match=f"{rule} needs the data set's own boxes; dots has none"):
        write_records(source, tmp_path / "r", crop=rule, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_scheme_of_one_point_is_cropped_by_boxes(tmp_path):
    scheme = scheme_from_dict({"name": "pupil_1", "points": 1, "pairs": []})
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((90, 120, 3), np.uint8))
    (tmp_path / "faces.csv").write_text(
        "path,x0,y0,box_x0,box_y0,box_x1,box_y1\na.png,50,40,30,20,90,80\na.png,50,41,,,,\n"
        "a.png,0,1,0,0,60,60\n"
    )
    source = CsvSource(tmp_path / "faces.csv", scheme=scheme)
    manifest = write_records(
        source, tmp_path / "r", square_format=SquareFormat(side=64), validation_fraction=0,
        num_processes=0, progress=False,
    )  # fmt: skip
    assert manifest["counts"] == {"train": 2}
    assert manifest["skipped"] == {
        "a.png#3": "the dataset_or_landmark box is smaller than 2 px: [50.0, 41.0, 50.0, 41.0]"
    }
    records = open_records(str(tmp_path / "r"), split="train")
    assert records.scheme == scheme
    faces = {face["key"]: face for face in read_faces(records).as_numpy_iterator()}
    for key, expected in ((b"a.png#2", [50, 40]), (b"a.png#4", [0, 1])):
        point = apply_affine(faces[key]["square_to_source"], faces[key]["landmarks_square_px"])
        np.testing.assert_allclose(point, [expected], atol=1e-4)
    report = inspect_records(tmp_path / "r", tmp_path / "seen")
    assert report["mean_shape"].startswith("none:")
    found = {warning["kind"] for warning in report["warnings"]}
    assert found == {"empty_split", "small_split", "landmarks_off_center"}


@pytest.mark.parametrize(
    "bad", [{"side": 100}, {"side": 16}, {"context": 0.5}, {"jpeg_quality": 0}]
)
def test_square_format_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        SquareFormat(**bad)


def test_landmarks_of_real_faces_survive_records(real_faces, tmp_path):
    source = Ibug300WSource(real_faces)
    some = [item for item in source.items() if item.split == "test_helen"][:12]
    source.items = lambda: some
    write_records(source, tmp_path / "r", num_processes=0, progress=False)
    records = open_records(str(tmp_path / "r"), split="test_helen")
    faces = {f["key"].decode(): f for f in read_faces(records).as_numpy_iterator()}
    for item in some:
        truth, face = source.load(item), faces[item.key]
        to_source = face["square_to_source"].astype(np.float64)
        landmarks = apply_affine(to_source, face["landmarks_square_px"].astype(np.float64))
        np.testing.assert_allclose(landmarks, truth.landmarks_px, atol=1e-3)
        # The stored image shows what the source shows there.
        x, y = np.round(landmarks[30]).astype(int)
        patch = truth.image[y - 8 : y + 9, x - 8 : x + 9].mean(axis=(0, 1))
        u, v = face["landmarks_square_px"][30]
        gray = cv2.getRectSubPix(face["image"], (13, 13), (float(u), float(v))).mean(axis=(0, 1))
        assert np.abs(patch - gray).max() < 12


def test_beam_writer_without_beam_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r"pip install 'wing-tf\[beam\]'"):
        write_records_with_beam(DotSource(), tmp_path / "r")
    assert list(tmp_path.iterdir()) == []
