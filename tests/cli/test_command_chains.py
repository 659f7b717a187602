"""Commands that use what other commands wrote."""

import json

import cv2
import numpy as np
import pytest
from commands import output_of, run_command, train_smoke

from wing_tf.inference.output import format_pts


@pytest.mark.slow
def test_commands_from_images_to_predictions(tmp_path):
    """Records from a folder of images, a training, a report, a prediction; as in the README."""
    from tfrecords_tools.synthetic import render_face

    tree = tmp_path / "300w"
    for folder, first, count in (("helen/trainset", 0, 60), ("helen/testset", 100, 8)):
        (tree / folder).mkdir(parents=True)
        for index in range(first, first + count):
            face = render_face(0, index)
            path = tree / folder / f"{index}_1.png"
            cv2.imwrite(str(path), face.image[..., ::-1])
            path.with_suffix(".pts").write_text(format_pts(face.landmarks_px))
    (tree / "helen/trainset/000 broken.jpg").write_bytes(b"no image")
    (tree / "helen/trainset/000 broken.pts").write_text(format_pts(face.landmarks_px))
    records, run, report = tmp_path / "records", tmp_path / "run", tmp_path / "report"

    said = output_of(
        "tfrecords", "write", "--source=ibug_300w", f"--root={tree}", f"--output={records}",
        "--side=96", "--validation_fraction=0.2",
    )  # fmt: skip
    assert "1 skipped: 1 because Cannot decode image" in said
    assert "(helen/trainset/000 broken). All are in " in said
    assert said.endswith(f"\nNext: wing-tfrecords inspect --data={records}\n")
    manifest = json.loads((records / "manifest.json").read_text())
    assert manifest["counts"]["test_helen"] == 8
    assert set(manifest["counts"]) == {"train", "validation", "test_helen"}

    output_of("tfrecords", "inspect", f"--data={records}")
    assert cv2.imread(str(tmp_path / "records_inspection/contact_sheet.png")).shape[0] > 300

    done = run_command("tfrecords", "write", "--source=synthetic", f"--output={records}")
    assert "error: `output` must be a new or an empty folder" in done.stderr

    assert "epoch 1/1" in train_smoke(records, run)

    said = train_smoke(records, tmp_path / "again", f"--config.init_from={run}")
    assert "New: 0 layer(s)" in said

    data = f"{records}/test_helen-*"
    said = output_of(
        "evaluate", f"--model={run}", f"--data={data}", f"--output={report}", "--box_noise=0.1",
        "--normalizer=box",
    )  # fmt: skip
    assert "\nbox noise 0.1 " in said
    values = json.loads((report / "report.json").read_text())
    assert values["num_faces"] == values["by_prefix"]["helen/testset"]["num_faces"] == 8
    done = run_command("evaluate", f"--model={run}", f"--data={data}", f"--output={report}")
    assert "must be a new or an empty folder" in done.stderr

    image = next((tree / "helen/testset").glob("*.png"))
    output_of(
        "predict", f"--model={run}", f"--image={image}", f"--output={tmp_path / 'out'}",
        "--box=40,40,150,150",
    )  # fmt: skip
    result = json.loads((tmp_path / "out" / f"{image.stem}_landmarks.json").read_text())
    assert np.array(result["faces"][0]["landmarks_px"]).shape == (68, 2)
    assert cv2.imread(str(tmp_path / "out" / f"{image.stem}_landmarks.png")).shape == (192, 192, 3)


@pytest.mark.slow
def test_demo_runs_and_resumes(tmp_path):
    arguments = ["--num_faces=96", "--epochs=1", f"--output={tmp_path / 'demo'}"]
    said = output_of("demo", *arguments)
    assert "Images:" in said
    for name in ("records/manifest.json", "run/checkpoints/best.keras", "report/report.json",
                 "images.png"):  # fmt: skip
        assert (tmp_path / "demo" / name).is_file()
    said = output_of("demo", *arguments)
    assert "exists already" in said
    assert "finished training of 1 epochs" in said


@pytest.mark.slow
def test_balance_and_reproduce(synthetic_records, tmp_path):
    output_of(
        "tfrecords", "balance", f"--data={synthetic_records}/train-*",
        f"--output={tmp_path / 'balance'}", "--num_bins=5",
    )  # fmt: skip
    files = {path.name for path in (tmp_path / "balance").iterdir()}
    assert files == {"balance.json", "extremes.png", "histogram.png"}
    assert len(json.loads((tmp_path / "balance" / "balance.json").read_text())["bin_weights"]) == 5
    arguments = [
        "--table=wing_losses", f"--data={synthetic_records}", f"--output={tmp_path / 'table'}",
        "--epochs=1", "--cells=cnn6 wing", "--normalizer=box", "--set=jit_compile=off",
    ]  # fmt: skip
    said = output_of("reproduce", *arguments)
    assert "| cnn6 wing |" in said
    assert "Not run: cnn6 l2, cnn6 l1, cnn6 smooth_l1." in said
    again = output_of("reproduce", *arguments)
    assert "| cnn6 wing |" in again
    assert "epoch 1/1" not in again
    (tmp_path / "empty").mkdir()
    done = run_command(
        "reproduce", "--table=wing_losses", f"--data={tmp_path / 'empty'}", "--output=x"
    )
    assert "No test split" in done.stderr
