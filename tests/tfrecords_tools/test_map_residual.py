"""Residuals of maps between schemes, on faces with both annotations."""

import dataclasses

import numpy as np
import pytest

from tfrecords_tools.inspection.map_residual import format_residual, map_residual
from tfrecords_tools.sources import SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.landmarks import find_scheme_map, get_scheme


class MappedSource(SyntheticSource):
    """The same faces in another scheme, optionally displaced."""

    def __init__(self, target, shift=(0.0, 0.0)):
        super().__init__(num_train=6, seed=3, wide_yaw_fraction=0.0)
        self.mapping = None if target == "ibug_68" else find_scheme_map("ibug_68", target)
        self.scheme, self.shift = get_scheme(target), np.array(shift)

    def load(self, item):
        face = super().load(item)
        points = face.landmarks_px if self.mapping is None else self.mapping(face.landmarks_px)
        flags = np.where(np.isfinite(points).all(axis=1), 2, 0)
        return dataclasses.replace(face, landmarks_px=points + self.shift, visibility=flags)


def _write(folder, source):
    write_records(
        source, folder, square_format=SquareFormat(side=64), num_processes=0, progress=False,
        validation_fraction=0,
    )  # fmt: skip
    return folder


def test_map_to_a_subset_of_the_landmarks_has_no_residual(tmp_path):
    all_landmarks = _write(tmp_path / "68", MappedSource("ibug_68"))
    for target in ("ibug_51", "ibug_49"):
        result = map_residual(all_landmarks, _write(tmp_path / target, MappedSource(target)))
        assert result["faces"] == 6
        assert result["nme"] < 1e-4
        assert result["normalizer"] == "inter_ocular"


def test_residual_and_shift_of_displaced_landmarks(tmp_path):
    all_landmarks = _write(tmp_path / "68", MappedSource("ibug_68"))
    displaced = _write(tmp_path / "29", MappedSource("cofw_29", shift=(3.0, -4.0)))
    result = map_residual(all_landmarks, displaced)
    # 5 px for each landmark, over the distance between the outer corners of the eyes.
    source = MappedSource("ibug_68")
    faces = [source.load(item).landmarks_px for item in source.items()]
    distances = [np.linalg.norm(face[36] - face[45]) for face in faces]
    assert result["nme"] == pytest.approx(np.mean(5 / np.array(distances)), rel=1e-3)
    assert [i for i, error in enumerate(result["by_landmark"]) if error is None] == [5, 7]
    x, y = result["shift"]
    assert y / x == pytest.approx(-4 / 3, rel=1e-3)
    assert x < 0
    text = format_residual(result)
    assert f"residual NME {100 * result['nme']:.2f}" in text
    assert "5: -" in text
    with pytest.raises(ValueError, match="is from ibug_68 to aflw_19, the records are of"):
        map_residual(all_landmarks, displaced, scheme_map=find_scheme_map("ibug_68", "aflw_19"))
