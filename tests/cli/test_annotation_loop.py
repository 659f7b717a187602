"""Annotate, train, predict, correct: the loop of docs/your_own_data.md, by commands."""

import json

import cv2
import pytest
from annotation_files import cvat_skeleton, write_cvat
from commands import output_of, train_smoke

from tfrecords_tools.synthetic import render_face

CHOSEN = [36, 39, 42, 45, 30, 31, 35, 48, 54, 51, 57, 8]  # of 68
LABELS = [
    "left_eye_outer", "left_eye_inner", "right_eye_inner", "right_eye_outer", "nose_tip",
    "left_nostril", "right_nostril", "mouth_l", "mouth_r", "upper_lip", "lower_lip", "chin",
]  # fmt: skip


@pytest.mark.slow
def test_commands_from_annotations_to_corrected_predictions(tmp_path):
    images, boxes = {}, ["path,x0,y0,x1,y1"]
    for number in range(24):
        face = render_face(9, number, wide_yaw_fraction=0.0)
        folder = tmp_path / ("first" if number < 16 else "second")
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), face.image[..., ::-1])
        points = face.landmarks_px[CHOSEN].astype(float)
        if number < 16:
            images[f"{number}.png"] = cvat_skeleton(points + 0.5, LABELS)
        else:
            x0, y0, x1, y1 = *points.min(axis=0), *points.max(axis=0)
            boxes.append(f"{number}.png,{x0},{y0},{x1},{y1}")
    (tmp_path / "boxes.csv").write_text("\n".join(boxes))
    size_wh = face.image.shape[1::-1]
    annotations = write_cvat(tmp_path / "annotations.xml", images, size_wh)
    scheme = tmp_path / "face_12.json"
    out = output_of(
        "tfrecords", "scheme", "--source=cvat", f"--cvat={annotations}",
        f"--output={scheme}",
    )  # fmt: skip
    assert "Confirm pairs and normalizer" in out
    values = json.loads(scheme.read_text())
    assert values["pairs"] == [
        ["left_eye_outer", "right_eye_outer"],
        ["left_eye_inner", "right_eye_inner"],
        ["left_nostril", "right_nostril"],
        ["mouth_l", "mouth_r"],
    ]
    assert values["normalizer"] == ["left_eye_outer", "right_eye_outer"]

    def write(annotations, root, name):
        output_of(
            "tfrecords", "write", "--source=cvat", f"--cvat={annotations}",
            f"--root={tmp_path / root}", f"--scheme={scheme}", f"--output={tmp_path / name}",
            "--side=96", "--validation_fraction=0.2", "--crop=landmark_box",
        )  # fmt: skip
        return json.loads((tmp_path / name / "manifest.json").read_text())

    assert sum(write(annotations, "first", "records_1")["counts"].values()) == 16
    train_smoke(tmp_path / "records_1", tmp_path / "run")
    out = output_of(
        "predict", f"--model={tmp_path / 'run'}", f"--folder={tmp_path / 'second'}",
        "--detector=boxes", f"--box_file={tmp_path / 'boxes.csv'}", "--format=cvat",
        f"--output={tmp_path / 'more'}", "--nodraw",
    )  # fmt: skip
    predicted = tmp_path / "more" / "annotations.xml"
    assert str(predicted) in out
    (label,) = json.loads((tmp_path / "more" / "annotations_labels.json").read_text())
    assert [part["name"] for part in label["sublabels"]] == LABELS
    first = write(predicted, "second", "records_2")
    assert sum(first["counts"].values()) == 8
    assert first["skipped"] == {}
    assert write(predicted, "second", "records_3")["sha256"] == first["sha256"]
    records = f"{tmp_path / 'records_1'},{tmp_path / 'records_2'}"
    train_smoke(records, tmp_path / "run_2", f"--config.init_from={tmp_path / 'run'}")
