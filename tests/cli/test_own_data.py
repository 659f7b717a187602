"""Twelve points that no built-in scheme has: from a CSV file to an exported model, by commands."""

import csv
import json

import cv2
import numpy as np
import pytest
from commands import output_of, train_smoke

from tfrecords_tools.synthetic import render_face

CHOSEN = [36, 39, 42, 45, 30, 31, 35, 48, 54, 51, 57, 8]  # of 68
SCHEME = {
    "name": "face_12",
    "points": 12,
    "pairs": [[0, 3], [1, 2], [5, 6], [7, 8]],
    "normalizer": [0, 3],
    "curves": [[7, 9, 8], [7, 10, 8]],
}


@pytest.mark.slow
def test_commands_from_own_images_to_an_exported_model(tmp_path):
    rows = []
    for index in range(64):
        face = render_face(0, index, wide_yaw_fraction=0.0)
        cv2.imwrite(str(tmp_path / f"{index}.png"), face.image[..., ::-1])
        split = "test" if index < 8 else ""
        rows.append([f"{index}.png", split, *face.landmarks_px[CHOSEN].round(3).ravel()])
    with (tmp_path / "faces.csv").open("w", newline="") as file:
        header = ["path", "split", *(f"{a}{i}" for i in range(12) for a in "xy")]
        csv.writer(file).writerows([header, *rows])
    (tmp_path / "face_12.json").write_text(json.dumps(SCHEME))
    records = tmp_path / "records"
    output_of(
        "tfrecords", "write", "--source=csv", f"--csv={tmp_path / 'faces.csv'}",
        f"--scheme={tmp_path / 'face_12.json'}", f"--output={records}", "--side=96",
        "--validation_fraction=0.2", "--crop=pipnet",
    )  # fmt: skip
    manifest = json.loads((records / "manifest.json").read_text())
    assert manifest["scheme_definition"]["pairs"] == SCHEME["pairs"]
    assert manifest["crop_rule"]["name"] == "pipnet"
    (tmp_path / "face_12.json").unlink()  # it is in the records now
    run = tmp_path / "run"
    train_smoke(records, run, "--config.crop_margin=0")
    assert json.loads((run / "config.json").read_text())["crop_margin"] == 1.1  # the crop rule's
    out = output_of(
        "evaluate", f"--model=a={run},b={run / 'checkpoints' / 'last.keras'}",
        f"--data={records}/test-*", f"--output={tmp_path / 'both'}", "--protocol=menpo_diagonal",
    )  # fmt: skip
    assert (
        "face_12, diagonal NME (the landmarks' box), boxes: pipnet (landmark box x 1.1, not" in out
    )
    comparison = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert list(comparison["groups"]["all"]["systems"]) == ["a", "b"]
    assert comparison["num_faces"] == 8
    report = json.loads((tmp_path / "both" / "a" / "report.json").read_text())
    assert report["trained_on"] == {"csv": manifest["counts"]["train"]}
    box = np.reshape(rows[0][2:], (-1, 2)).astype(float)
    corners = ",".join(map(str, [*box.min(axis=0), *box.max(axis=0)]))
    output_of(
        "predict", f"--model={run}", f"--image={tmp_path / '0.png'}",
        f"--output={tmp_path / 'out'}", f"--box={corners}",
    )  # fmt: skip
    found = json.loads((tmp_path / "out" / "0_landmarks.json").read_text())
    assert found["scheme"] == "face_12"
    assert np.array(found["faces"][0]["landmarks_px"]).shape == (12, 2)
    output_of("export", f"--model={run}", f"--output={tmp_path / 'export'}")
    spec = json.loads((tmp_path / "export" / "model_spec.json").read_text())
    assert spec["crop"] == {
        "center": "of the face box", "margin": 1.1, "square": False, "boxes": ["landmark"],
        "box_around_landmarks": None, "outside": "black",
    }  # fmt: skip
    assert (tmp_path / "export" / "model.tflite").stat().st_size > 10_000
