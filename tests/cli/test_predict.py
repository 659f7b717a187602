"""wing-predict as people call it, mostly on the model that comes with it: without TensorFlow."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from experiments import untrained_model
from predict_command import ENVIRONMENT, error_line, predict, read_rows

from wing_tf.cli.predict import parse_box
from wing_tf.detection import BlazeFaceDetector
from wing_tf.inference import Landmarker
from wing_tf.utils.printable import text_of_cell


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "5,0,1,9", "1,2,3,nan"])
def test_box_flag_is_checked(text):
    with pytest.raises(ValueError, match="--box must be"):
        parse_box(text.split(","))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "takes one of --image, --folder, --video, --camera. Received: none."),
        (["--image=a", "--folder=b"], "Received: --image, --folder."),
        (["--image=a", "--box=1,2,3"], "--box must be"),
        (["--folder=a", "--box=1,2,3,4"], "--box goes with --image only"),
        (["--image=a", "--box=1,2,3,4", "--levels=2"], "the detector, so --levels has no use"),
        (["--folder=a", "--format=json"], "--format of a folder is one of jsonl, csv, pts"),
        (["--video=a", "--format=pts"], "--format of a video is one of jsonl, csv"),
        (["--image=a", "--scheme=aflw_19", "--scheme_map=m"], "give one of them"),
        (["calibrate", "--image=a"], "calibrate takes none of --image, --folder"),
        (["--image=a", "--detector=yunet"], "--detector=yunet needs --detector_model."),
        (["--folder=a", "--detector=boxes"], "--detector=boxes needs --box_file."),
        (["calibrate", "--data=a"], "calibrate needs --data and --output"),
        (["--video=a", "--data=b"], "--data goes with calibrate"),
        (["compose"], "Name one of: calibrate"),
        (["--image=a", "--passes=3"], "--passes"),
        (["--image=a", "--detector=haar", "--levels=2"], "--levels goes with --detector=blazeface"),
        (["--camera=-1"], "--camera"),
    ],
)
def test_contradicting_flags_raise_usage_errors(arguments, message):
    done = predict(*arguments)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def _without_tensorflow(*arguments, cwd):
    """Runs wing-predict and makes sure that nothing large was imported."""
    script = (
        "import sys\n"
        f"sys.argv = ['wing-predict', *{list(map(str, arguments))!r}]\n"
        "from wing_tf.cli import predict\n"
        "try: predict.entry()\n"
        "except SystemExit as end: print('end', end.code)\n"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, check=True,
    )  # fmt: skip
    assert done.stdout.strip().endswith("[]")
    return done


def test_image_flag_alone_is_sufficient(face, tmp_path):
    path, truth = face
    done = _without_tensorflow(f"--image={path}", cwd=tmp_path)
    assert done.stdout.startswith("1 face(s): wing_predict/face_landmarks.png, ")
    (found,) = json.loads((tmp_path / "wing_predict/face_landmarks.json").read_text())["faces"]
    errors = np.linalg.norm(np.array(found["landmarks_px"]) - truth, axis=1)
    assert errors.mean() < 0.05 * np.ptp(truth, axis=0).max()
    detector = BlazeFaceDetector(levels=2)
    once, twice = (
        Landmarker(detector=detector, passes=passes)(path)[0].landmarks_px for passes in (1, 2)
    )
    np.testing.assert_allclose(found["landmarks_px"], twice, atol=1e-3)
    assert np.abs(once - twice).max() > 0.1
    assert (tmp_path / "wing_predict/face_landmarks.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "passes", "levels"),
    [([], 2, 2), (["--levels=3"], 2, 3), (["--detector=boxes", "--box_file={boxes}"], 1, None)],
)
def test_default_passes_and_levels_follow_the_detector(images, tmp_path, arguments, passes, levels):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("path,x0,y0,x1,y1\nc.jpg,5,5,50,38\n")
    out = tmp_path / "out"
    done = predict(f"--folder={images / 'below'}", f"--output={out}", "--nodraw",
                    *(one.format(boxes=boxes) for one in arguments))  # fmt: skip
    assert done.returncode == 0, done.stderr
    settings = json.loads((out / "run.json").read_text())
    assert (settings["passes"], settings["levels"]) == (passes, levels)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are text elsewhere")
def test_undecodable_file_names_are_kept(face, tmp_path):
    path = tmp_path / "\udcff.png"
    path.write_bytes(face[0].read_bytes())
    done = predict(f"--image={path}", f"--output={tmp_path / 'out'}", "--format=csv")
    assert done.returncode == 0, done.stderr
    (row,) = read_rows(tmp_path / "out" / "\udcff_landmarks.csv")
    assert row["image"].endswith(r"\udcff.png")  # escaped: the file is UTF-8 for others
    assert text_of_cell(row["image"]) == str(path)


def test_litert_prediction_does_not_import_tensorflow(model, images, tmp_path):
    _without_tensorflow(
        f"--model={model}", f"--image={images / 'a.png'}", "--box=5,5,50,38", "--pose_axis",
        "--numbers", cwd=tmp_path,
    )  # fmt: skip
    output = tmp_path / "wing_predict"
    result = json.loads((output / "a_landmarks.json").read_text())
    assert result["size_hw"] == [40, 60]
    (face,) = result["faces"]
    (once,) = Landmarker(model)(images / "a.png", np.array([[5.0, 5, 50, 38]]))
    np.testing.assert_allclose(face["landmarks_px"], once.landmarks_px, atol=1e-3)
    assert face["box_xyxy_px"] == [5, 5, 50, 38]
    assert len(face["angles_deg"]) == 3
    assert 0 <= face["score"] <= 1
    drawn = cv2.imread(str(output / "a_landmarks.png"))
    assert drawn.shape[0] * 60 == pytest.approx(drawn.shape[1] * 40, rel=0.01)
    assert drawn.shape[1] > 800  # so that the numbers can be read


def test_invalid_image_raises_a_one_line_error(model, images, tmp_path):
    common = [f"--model={model}", f"--output={tmp_path / 'out'}"]
    assert "Cannot read image" in error_line(predict(*common, f"--image={tmp_path / 'absent.png'}"))
    assert "not an image" in error_line(predict(*common, f"--image={images / 'text.jpg'}"))
    assert "No face found" in error_line(predict(*common, f"--image={images / 'one.png'}"))
    image = f"--image={images / 'a.png'}"
    assert "outside of the image" in error_line(predict(*common, image, "--box=90,90,120,120"))
    assert not (tmp_path / "out").exists()
    done = predict(*common, image, "--box=5,5,50,38", "--format=pts")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "a_landmarks.pts").read_text()
    assert text.startswith("version: 1\nn_points: 68\n{\n")
    assert "exists already" in error_line(
        predict(*common, image, "--box=5,5,50,38", "--format=pts")
    )


def test_box_that_extends_beyond_the_image_is_used(model, images, tmp_path):
    done = predict(f"--model={model}", f"--image={images / 'a.png'}", "--box=-20,-20,30,30",
                    f"--output={tmp_path / 'out'}", "--scheme=aflw_19", "--format=csv",
                    "--nodraw")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = read_rows(tmp_path / "out" / "a_landmarks.csv")
    assert row["box_x0_px"] == "-20.0"
    assert sum(name.startswith("x_") for name in row) == 19
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_landmarks.csv"]


def test_folder_run_skips_and_names_bad_files(model, images, tmp_path):
    out = tmp_path / "out"
    arguments = [f"--model={model}", f"--folder={images}", "--detector=whole"]
    done = predict(*arguments, f"--output={out}", "--format=pts")
    assert done.returncode == 0, done.stderr
    assert "6 image(s)" in done.stdout
    lines = [json.loads(line) for line in (out / "landmarks.jsonl").read_text().splitlines()]
    names = [line["image"] for line in lines]
    assert names == ["a.png", "b.jpg", "below/c.jpg", "below/c.png", "one.png", "z.png"]
    skipped = {row["image"]: row["reason"] for row in read_rows(out / "skipped.csv")}
    assert set(skipped) == {"away.png", "empty.png", "half.png", "text.jpg"}
    assert "not an image" in skipped["text.jpg"]
    assert "No such file" in skipped["away.png"]
    for name in ("a.pts", "below/c.jpg.pts", "below/c.png.pts", "drawn/below/c.png"):
        assert (out / name).is_file(), name
    assert not (out / "below/c.pts").exists()

    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    text = before[out / "landmarks.jsonl"]
    (out / "landmarks.jsonl").write_bytes(text[: len(text) // 2])  # as if killed while writing
    done = predict(*arguments, f"--output={out}", "--format=pts")
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    done = predict(*arguments, f"--output={out}", "--format=pts", "--flip_average")
    assert "of a run with flip=False. Received: flip=True" in error_line(done)


def test_folder_without_faces_has_empty_entries(model, images, tmp_path):
    out = images / "results"  # in the folder itself
    for _ in range(2):
        done = predict(f"--model={model}", f"--folder={images}", f"--output={out}",
                        "--format=csv")  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = read_rows(out / "landmarks.csv")
        assert [row["faces"] for row in rows] == ["0"] * 6
    assert "No folder at" in error_line(predict(f"--model={model}", "--folder=absent"))
    (tmp_path / "nothing").mkdir()
    line = error_line(predict(f"--model={model}", f"--folder={tmp_path / 'nothing'}"))
    assert "No images in" in line


@pytest.mark.slow
def test_command_equals_python_for_keras_models(images, tmp_path):
    file = untrained_model(tmp_path / "cnn6.keras", input_size=32)
    done = predict(f"--model={file}", f"--image={images / 'a.png'}", "--box=5,5,50,38",
                    f"--output={tmp_path / 'out'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out/a_landmarks.json").read_text())
    (face,) = Landmarker(file)(images / "a.png", np.array([[5.0, 5, 50, 38]]))
    np.testing.assert_allclose(result["faces"][0]["landmarks_px"], face.landmarks_px, atol=0.02)
    (tmp_path / "nothing").mkdir()
    done = predict(f"--model={tmp_path / 'nothing'}", f"--image={images / 'a.png'}")
    assert "No model at" in error_line(done)


@pytest.mark.slow
def test_calibrated_correction_is_read_by_the_detector(model, synthetic_records, images, tmp_path):
    path = tmp_path / "whole.json"
    done = predict("calibrate", "--detector=whole", f"--data={synthetic_records}/test-*",
                    f"--output={path}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "side_ratio" in json.loads(path.read_text())
    done = predict(f"--model={model}", f"--image={images / 'a.png'}", "--detector=whole",
                    f"--correction={path}", f"--output={tmp_path / 'out'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = predict("calibrate", "--detector=whole", "--data=x", f"--output={path}")
    assert "exists already" in error_line(done)
