"""Copies of an image stay on one side of the train/validation split."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest
from altered_faces import AlteredSource, write

from tfrecords_tools.beam import write_records_with_beam
from tfrecords_tools.duplicates import find_copied_images
from tfrecords_tools.inspection.face_table import read_face_table
from tfrecords_tools.sources import Ibug300WSource, Item
from tfrecords_tools.splits import assign_splits, split_warnings
from tfrecords_tools.square_crops import SquareFormat
from wing_tf.utils.text_files import read_json

NUM_COPIED = 8


class CopiedSource(AlteredSource):
    """Eight training images are in the source three times: scaled, compressed and shifted."""

    def items(self):
        items = [item for item in super().items() if item.split == "train"]
        copies = [
            Item(f"{name}/{item.source_data}", f"{name}/{item.source_data}", "train",
                 item.source_data)
            for name in ("copy", "other")
            for item in items[:NUM_COPIED]
        ]  # fmt: skip
        return items + copies

    def load(self, item):
        face = super().load(item)
        scale = {"copy": 1.4, "other": 0.8}.get(item.key.partition("/")[0])
        if scale is None:
            return face
        image = cv2.resize(face.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])
        landmarks = (face.landmarks_px + 0.5) * scale - 0.5 + [0.4, -0.3]
        return dataclasses.replace(
            face, image=cv2.imdecode(jpeg, cv2.IMREAD_COLOR), landmarks_px=landmarks
        )


def _splits_of(folder):
    table = read_face_table(folder, images=False)
    return dict(zip(table.images, table.splits, strict=True))


def test_copies_are_in_one_split_whatever_their_names(tmp_path):
    source = CopiedSource()
    by_name = assign_splits(source.items(), 0.4)
    held_out = {item.source_image for item in by_name["validation"]}
    originals = [item for item in source.items() if item.split == "train"][:NUM_COPIED]
    groups = [
        (item.source_image, f"copy/{item.source_data}", f"other/{item.source_data}")
        for item in originals
    ]
    assert any(0 < len(held_out.intersection(group)) < 3 for group in groups)  # not by their names

    splits = _splits_of(write(tmp_path / "r", source, validation_fraction=0.4))
    assert set(splits.values()) == {"train", "validation"}
    for group in groups:
        assert len({splits[image] for image in group}) == 1
    manifest = read_json(tmp_path / "r" / "manifest.json")
    assert manifest["copied_images"] == {image: min(group) for group in groups for image in group}
    # All others stay where their names put them.
    for image in set(splits) - set(manifest["copied_images"]):
        assert splits[image] == ("validation" if image in held_out else "train")


def test_beam_splits_copies_as_the_local_writer_does(tmp_path):
    pytest.importorskip("apache_beam", reason="needs the extra beam")
    source = CopiedSource()
    write(tmp_path / "local", source, validation_fraction=0.4)
    write_records_with_beam(
        source, tmp_path / "beam", square_format=SquareFormat(side=96), validation_fraction=0.4
    )
    local, beam = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("local", "beam")
    )
    assert local == beam


def test_copies_within_lfpw_are_in_one_split(real_faces, tmp_path):
    groups = [
        ("0692", "0691"), ("0847", "0825"), ("0449", "0419"), ("0044", "0011"), ("0374", "0376"),
        ("0824", "0816", "0856", "0858"),
    ]  # fmt: skip
    folder = tmp_path / "lfpw" / "trainset"
    folder.mkdir(parents=True)
    others = ("0001", "0002", "0100", "0200", "0300")
    for number in (*others, *(number for group in groups for number in group)):
        for suffix in (".jpg", ".pts"):
            name = f"image_{number}{suffix}"
            shutil.copy(real_faces / "lfpw" / "trainset" / name, folder / name)
    source = Ibug300WSource(tmp_path)
    held_out = {item.source_image for item in assign_splits(source.items(), 0.1)["validation"]}
    first = {f"lfpw/trainset/image_{group[0]}" for group in groups}
    assert first <= held_out  # by their names alone, as before

    write(tmp_path / "r", source)
    copies = read_json(tmp_path / "r" / "manifest.json")["copied_images"]
    splits = _splits_of(tmp_path / "r")
    for group in groups:
        images = [f"lfpw/trainset/image_{number}" for number in group]
        assert {copies[image] for image in images} == {min(images)}
        assert len({splits[image] for image in images}) == 1
    assert not {f"lfpw/trainset/image_{number}" for number in others} & set(copies)


def test_copies_of_copies_belong_together():
    generator = np.random.default_rng(0)
    base = generator.integers(0, 200, 256)
    thumbnails = np.clip(base + generator.normal(0, 3, (6, 256)), 0, 255).astype(np.uint8)
    hashes = generator.integers(0, 2**64, 6, np.uint64)
    hashes[1] = hashes[0] ^ np.uint64(0b11111)
    hashes[2] = hashes[1] ^ np.uint64(0b1111100000)  # 10 bits from the first
    images = ["c", "b", "a", "d", "e", "f"]
    expected = dict.fromkeys("abc", "a")
    assert find_copied_images(hashes, thumbnails, images) == expected
    order = [4, 2, 0, 5, 1, 3]
    again = find_copied_images(hashes[order], thumbnails[order], [images[i] for i in order])
    assert again == expected


def test_faces_of_one_image_and_uniform_images_are_not_copies():
    hashes, thumbnails = np.zeros(4, np.uint64), np.zeros((4, 256), np.uint8)
    assert find_copied_images(hashes, thumbnails, ["a", "b", "c", "d"]) == {}
    thumbnails[:] = np.arange(256)
    assert find_copied_images(hashes, thumbnails, ["a"] * 4) == {}


def test_images_with_faces_in_several_splits_are_a_warning():
    places = [("a", "train"), ("b", "test"), ("a", "test"), ("a", "train"), ("c", "validation")]
    counts = {"train": 2, "validation": 1, "test": 2}
    (warning,) = split_warnings(places, counts, 0.1, {})
    assert warning.startswith("images with faces in several splits: 1, such as a. Give")
    assert not split_warnings(places[:2], counts, 0.1, {})


@pytest.mark.parametrize(("other", "empty"), [("train", "validation"), ("validation", "train")])
def test_warning_of_an_empty_split_names_copies_as_the_reason(other, empty):
    places = [("a", other), ("b", other)]
    (warning,) = split_warnings(places, {other: 2}, 0.1, {"b": "a"})
    assert warning.startswith(f"the split {empty} is empty: copies of other images, ")
    (warning,) = split_warnings(places, {other: 2}, 0.1, {})
    assert "a fraction of 0.1 of so few training images is" in warning
