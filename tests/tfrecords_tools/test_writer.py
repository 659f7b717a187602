import fcntl
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from dots import DotSource

from tfrecords_tools.inspection import inspect_records
from tfrecords_tools.sources import CsvSource, Face, Ibug300WSource, Item, SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.write_job import assign_splits
from tfrecords_tools.writer import write_records
from wing_tf.data.read import read_faces
from wing_tf.data.records import find_shards, open_records
from wing_tf.geometry import apply_affine
from wing_tf.landmarks import scheme_from_dict


def _bytes(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_bytes_at_any_number_of_processes(tmp_path):
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


def test_the_manifest_says_what_was_done(tmp_path):
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


def test_images_stay_on_one_side_of_the_split():
    items = [Item(f"p{i}_{j}", f"p{i}", "train", None) for i in range(400) for j in range(3)]
    splits = assign_splits(items, 0.1)
    held_out = {item.source_image for item in splits["validation"]}
    assert not held_out & {item.source_image for item in splits["train"]}
    assert 20 < len(held_out) < 60
    more = assign_splits([*items, Item("new", "new", "train", None)], 0.1)
    assert held_out <= {item.source_image for item in more["validation"]}


def test_a_test_split_gives_nothing_to_validation():
    items = [Item(f"p{i}", f"p{i}", "test_helen", None) for i in range(100)]
    assert set(assign_splits(items, 0.5)) == {"test_helen"}


def test_a_split_without_a_usable_face_leaves_no_file(tmp_path):
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


def test_a_very_wide_image_is_a_image(tmp_path):
    """Wider than OpenCV's warps can address (32767), which crops were once cut with."""

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


def test_nothing_usable_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="None of 2 faces is usable. dot/"):
        write_records(DotSource(2, bad=(0, 1)), tmp_path / "r", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "precious.txt").write_text("keep me")
    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        write_records(DotSource(), tmp_path, progress=False)
    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        write_records(DotSource(), tmp_path / "precious.txt", progress=False)
    assert (tmp_path / "precious.txt").read_text() == "keep me"


def test_a_folder_of_the_partial_name_with_something_else_is_kept(tmp_path):
    precious = tmp_path / "r.partial" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("keep me")
    with pytest.raises(ValueError, match="holds something other than records"):
        write_records(DotSource(2), tmp_path / "r", progress=False)
    assert precious.read_text() == "keep me"


def test_a_killed_run_leaves_nothing_that_reads_as_records(tmp_path):
    process = multiprocessing.get_context("spawn").Process(
        target=write_records,
        args=(DotSource(10_000), tmp_path / "r"),
        kwargs={"num_processes": 0, "progress": False},
    )
    process.start()
    partial = tmp_path / "r.partial"
    deadline = time.monotonic() + 60
    while not (partial.is_dir() and any(partial.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.join()
    assert partial.is_dir()
    assert not (tmp_path / "r").exists()
    with pytest.raises(ValueError, match="No record file"):
        find_shards(str(tmp_path / "r"))
    write_records(DotSource(2), tmp_path / "r", progress=False)  # the next run tidies up
    assert not partial.exists()


SECOND = """
from dots import DotSource
from tfrecords_tools.writer import write_records
write_records(DotSource(3), {output!r}, num_processes=0, progress=False)
"""


def _second_process(output):
    """Writes to the same folder; returns what it said last."""
    tests = pathlib.Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SECOND.format(output=str(output))],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
    )
    assert done.returncode
    return done.stderr.strip().rpartition("\n")[2]


def test_a_second_run_to_one_place_is_refused_and_the_first_unharmed(tmp_path):
    said = []

    class Watched(DotSource):
        def load(self, item):
            if not said:
                said.append(_second_process(tmp_path / "r"))
            return super().load(item)

    options = {"square_format": SquareFormat(side=64), "num_processes": 0, "progress": False}
    write_records(Watched(12), tmp_path / "r", **options)
    assert said == [
        f"ValueError: Another process is writing to this folder: it holds {tmp_path / 'r.lock'}."
    ]
    write_records(DotSource(12), tmp_path / "alone", **options)
    assert _bytes(tmp_path / "r") == _bytes(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "r"]
    # A lock that a killed run has left behind is no lock.
    (tmp_path / "later.lock").touch()
    write_records(DotSource(2), tmp_path / "later", **options)


def test_a_lock_whose_file_was_removed_holds_nothing(tmp_path, monkeypatch):
    """Between opening and locking, its former holder may finish: others lock a new file then."""
    lock = fcntl.flock

    def late(file, how):
        (tmp_path / "r.lock").unlink()
        (tmp_path / "r.lock").touch()  # another's
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(ValueError, match="Another process is writing"):
        write_records(DotSource(2), tmp_path / "r", num_processes=0, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["r.lock"]


def test_a_run_that_finished_in_between_is_not_overwritten(tmp_path):
    options = {"square_format": SquareFormat(side=64), "num_processes": 0, "progress": False}

    class Slow(DotSource):
        def items(self):  # after the output was looked at, before it is locked
            write_records(DotSource(2), tmp_path / "r", **options)
            return super().items()

    with pytest.raises(ValueError, match="must be a new or an empty folder"):
        write_records(Slow(3), tmp_path / "r", **options)
    assert sum(json.loads((tmp_path / "r/manifest.json").read_text())["counts"].values()) == 2


def test_official_counts_are_held_against_what_was_written(tmp_path):
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
def test_a_rule_that_needs_boxes_is_refused_at_the_door(tmp_path, rule):
    source = DotSource(2, bad=(0, 1))  # no face is read before
    with pytest.raises(ValueError, match=f"{rule} needs the data set's own boxes; dots has none"):
        write_records(source, tmp_path / "r", crop=rule, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_mark_up_of_one_point_lives_by_boxes(tmp_path):
    scheme = scheme_from_dict({"name": "pupil_1", "points": 1, "pairs": []})
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((90, 120, 3), np.uint8))
    (tmp_path / "faces.csv").write_text(
        "path,x0,y0,box_x0,box_y0,box_x1,box_y1\na.png,50,40,30,20,90,80\na.png,50,40,,,,\n"
        "a.png,0,1,0,0,60,60\n"
    )
    source = CsvSource(tmp_path / "faces.csv", scheme=scheme)
    manifest = write_records(
        source, tmp_path / "r", square_format=SquareFormat(side=64), validation_fraction=0,
        num_processes=0, progress=False,
    )  # fmt: skip
    assert manifest["counts"] == {"train": 2}
    assert manifest["skipped"] == {
        "a.png#3": "the dataset_or_landmark box is smaller than 2 px: [50.0, 40.0, 50.0, 40.0]"
    }
    records = open_records(find_shards(str(tmp_path / "r"), "train"))
    assert records.scheme == scheme
    faces = {face["key"]: face for face in read_faces(records).as_numpy_iterator()}
    for key, expected in ((b"a.png#2", [50, 40]), (b"a.png#4", [0, 1])):
        point = apply_affine(faces[key]["square_to_source"], faces[key]["landmarks_square_px"])
        np.testing.assert_allclose(point, [expected], atol=1e-4)
    report = inspect_records(tmp_path / "r", tmp_path / "seen")
    assert report["mean_shape"].startswith("none:")
    assert report["warnings"] == []


@pytest.mark.parametrize(
    "bad", [{"side": 100}, {"side": 16}, {"context": 0.5}, {"jpeg_quality": 0}]
)
def test_bad_crop_rules_are_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        SquareFormat(**bad)


def test_real_faces_keep_their_landmarks(real_faces, tmp_path):
    source = Ibug300WSource(real_faces)
    some = [item for item in source.items() if item.split == "test_helen"][:12]
    source.items = lambda: some
    write_records(source, tmp_path / "r", num_processes=0, progress=False)
    records = open_records(find_shards(str(tmp_path / "r"), "test_helen"))
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
