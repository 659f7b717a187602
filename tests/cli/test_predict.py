"""wing-predict as people call it, mostly on the model that comes with it: without TensorFlow."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from experiments import untrained_model

from tfrecords_tools.sources import SyntheticSource
from wing_tf.cli import predict_runs
from wing_tf.cli.predict import parse_box
from wing_tf.inference import Landmarker
from wing_tf.inference.video import VideoWriter, open_video
from wing_tf.zoo import model_path

ROOT = pathlib.Path(__file__).parents[2]
ENVIRONMENT = {
    key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")
} | {"PYTHONPATH": str(ROOT)}


def _predict(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "wing_tf.cli.predict", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
    )


def _rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def _error(done):
    """The one line that a command ends with."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return line


@pytest.fixture
def model():
    return model_path()


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    """An image with a face that is found, and its landmarks."""
    source = SyntheticSource(
        num_train=0, num_test=8, seed=77, image_size=240, test_wide_yaw_fraction=0.0
    )
    loaded = source.load(list(source.items())[-1])
    path = tmp_path_factory.mktemp("face") / "face.png"
    cv2.imwrite(str(path), np.ascontiguousarray(loaded.image[..., ::-1]))
    return path, loaded.landmarks_px


@pytest.fixture
def images(tmp_path):
    """A folder with images, and with files that are none; one below it."""
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number, name in enumerate(["a.png", "b.jpg", "below/c.png", "below/c.jpg", "z.png"]):
        image = generator.integers(0, 256, (40 + number, 60, 3), np.uint8)
        cv2.imwrite(str(folder / name), image)
    cv2.imwrite(str(folder / "one.png"), np.zeros((1, 1), np.uint8))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "half.png").write_bytes((folder / "a.png").read_bytes()[:2000])
    (folder / "away.png").symlink_to("nowhere")
    (folder / "notes.txt").write_text("not looked at")
    return folder


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
        (["--folder=a", "--format=json"], "--format of a folder is one of jsonl, csv, pts"),
        (["--video=a", "--format=pts"], "--format of a video is one of jsonl, csv"),
        (["--image=a", "--scheme=aflw_19", "--scheme_map=m"], "give one of them"),
        (["calibrate", "--image=a"], "calibrate takes none of --image, --folder"),
        (["--image=a", "--detector=yunet"], "--detector=yunet needs --detector_model."),
        (["--folder=a", "--detector=boxes"], "--detector=boxes needs --box_file."),
        (["calibrate", "--data=a"], "calibrate needs --data and --output"),
        (["compose"], "Name one of: calibrate"),
        (["--image=a", "--passes=3"], "--passes"),
        (["--camera=-1"], "--camera"),
    ],
)
def test_contradicting_flags_raise_usage_errors(arguments, message):
    done = _predict(*arguments)
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
    once, twice = (Landmarker(passes=passes)(path)[0].landmarks_px for passes in (1, 2))
    np.testing.assert_allclose(found["landmarks_px"], twice, atol=1e-3)
    assert np.abs(once - twice).max() > 0.1
    assert (tmp_path / "wing_predict/face_landmarks.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "passes"),
    [(["--detector=haar"], 2), (["--detector=boxes", "--box_file={boxes}"], 1)],
)
def test_default_passes_depend_on_the_source_of_boxes(images, tmp_path, arguments, passes):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("path,x0,y0,x1,y1\na.png,5,5,50,38\n")
    out = tmp_path / "out"
    done = _predict(f"--folder={images / 'below'}", f"--output={out}", "--nodraw",
                    *(one.format(boxes=boxes) for one in arguments))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "run.json").read_text())["passes"] == passes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are text elsewhere")
def test_undecodable_file_names_are_kept(face, tmp_path):
    path = tmp_path / "\udcff.png"
    path.write_bytes(face[0].read_bytes())
    done = _predict(f"--image={path}", f"--output={tmp_path / 'out'}", "--format=csv")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "\udcff_landmarks.csv").read_bytes()
    assert text.splitlines()[1].startswith(os.fsencode(path))


def test_litert_prediction_does_not_import_tensorflow(model, images, tmp_path):
    done = _without_tensorflow(
        f"--model={model}", f"--image={images / 'a.png'}", "--box=5,5,50,38", "--pose_axis",
        "--numbers", "--show", cwd=tmp_path,
    )  # fmt: skip
    assert "note: No window: there is no screen" in done.stderr
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
    assert "Cannot read image" in _error(_predict(*common, f"--image={tmp_path / 'absent.png'}"))
    assert "not an image" in _error(_predict(*common, f"--image={images / 'text.jpg'}"))
    assert "No face found" in _error(_predict(*common, f"--image={images / 'one.png'}"))
    image = f"--image={images / 'a.png'}"
    assert "outside of the image" in _error(_predict(*common, image, "--box=90,90,120,120"))
    assert not (tmp_path / "out").exists()
    done = _predict(*common, image, "--box=5,5,50,38", "--format=pts")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "a_landmarks.pts").read_text()
    assert text.startswith("version: 1\nn_points: 68\n{\n")
    assert "exists already" in _error(_predict(*common, image, "--box=5,5,50,38", "--format=pts"))


def test_box_that_extends_beyond_the_image_is_used(model, images, tmp_path):
    done = _predict(f"--model={model}", f"--image={images / 'a.png'}", "--box=-20,-20,30,30",
                    f"--output={tmp_path / 'out'}", "--scheme=aflw_19", "--format=csv",
                    "--nodraw")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = _rows(tmp_path / "out" / "a_landmarks.csv")
    assert row["box_x0_px"] == "-20.0"
    assert sum(name.startswith("x_") for name in row) == 19
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a_landmarks.csv"]


def test_folder_run_skips_and_names_bad_files(model, images, tmp_path):
    out = tmp_path / "out"
    arguments = [f"--model={model}", f"--folder={images}", "--detector=whole"]
    done = _predict(*arguments, f"--output={out}", "--format=pts")
    assert done.returncode == 0, done.stderr
    assert "6 image(s)" in done.stdout
    lines = [json.loads(line) for line in (out / "landmarks.jsonl").read_text().splitlines()]
    names = [line["image"] for line in lines]
    assert names == ["a.png", "b.jpg", "below/c.jpg", "below/c.png", "one.png", "z.png"]
    skipped = {row["image"]: row["reason"] for row in _rows(out / "skipped.csv")}
    assert set(skipped) == {"away.png", "empty.png", "half.png", "text.jpg"}
    assert "not an image" in skipped["text.jpg"]
    assert "No such file" in skipped["away.png"]
    for name in ("a.pts", "below/c.jpg.pts", "below/c.png.pts", "drawn/below/c.png"):
        assert (out / name).is_file(), name
    assert not (out / "below/c.pts").exists()

    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    text = before[out / "landmarks.jsonl"]
    (out / "landmarks.jsonl").write_bytes(text[: len(text) // 2])  # as if killed while writing
    done = _predict(*arguments, f"--output={out}", "--format=pts")
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    done = _predict(*arguments, f"--output={out}", "--format=pts", "--flip_average")
    assert "of a run with flip=False. Received: flip=True" in _error(done)


def test_folder_without_faces_has_empty_entries(model, images, tmp_path):
    out = images / "results"  # in the folder itself
    for _ in range(2):
        done = _predict(f"--model={model}", f"--folder={images}", f"--output={out}",
                        "--format=csv")  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = _rows(out / "landmarks.csv")
        assert [row["faces"] for row in rows] == ["0"] * 6
    assert "No folder at" in _error(_predict(f"--model={model}", "--folder=absent"))
    (tmp_path / "nothing").mkdir()
    line = _error(_predict(f"--model={model}", f"--folder={tmp_path / 'nothing'}"))
    assert "No images in" in line


@pytest.fixture
def video_file(tmp_path):
    """Of 3000 frames, so that it can be interrupted."""
    with VideoWriter(tmp_path / "video.avi", frames_per_s=25, size_hw=(48, 64)) as writer:
        for number in range(3000):
            writer.write(np.full((48, 64, 3), number % 200, np.uint8))
    return tmp_path / "video.avi"


def test_interrupted_video_leaves_complete_files(model, video_file, tmp_path):
    out = tmp_path / "out"
    arguments = [f"--model={model}", f"--video={video_file}", f"--output={out}", "--detector=whole"]
    with subprocess.Popen(
        [sys.executable, "-m", "wing_tf.cli.predict", *arguments, "--format=csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
    ) as process:  # fmt: skip
        results = out / "landmarks.partial.csv"
        until = time.monotonic() + 60
        while time.monotonic() < until and not (results.exists() and len(_rows(results)) > 3):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert stdout.startswith("stopped; ")
    count = len({row["frame"] for row in _rows(out / "landmarks.csv")})
    assert 3 < count < 3000
    assert f" {count} frame(s)" in stdout
    drawn = cv2.VideoCapture(str(out / "output.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == count
    assert "exists already" in _error(_predict(*arguments, "--format=csv"))


class Screen:
    """Stands for a window, as there need not be a screen: keeps what it is shown."""

    shown: list
    closed: bool

    def __init__(self, title):
        Screen.shown, Screen.closed = [], False

    def show(self, image, *, wait_ms=1):
        self.shown.append(image)
        return len(self.shown) < 3

    def close(self):
        Screen.closed = True


@pytest.mark.parametrize("draw", [True, False])
def test_window_shows_landmarks_with_and_without_drawing(
    model, video_file, tmp_path, monkeypatch, draw
):
    monkeypatch.setattr("wing_tf.visualization.window.Window", Screen)
    options = predict_runs.LandmarkerOptions(
        detector="whole", detector_model=None, box_file=None, correction=None, passes=1,
        flip=False, scheme=None, scheme_map=None, threads=1,
    )  # fmt: skip
    drawing = predict_runs.DrawOptions(
        draw=draw, show=True, lines=True, boxes=True, numbers=False, pose_axis=False
    )
    out = tmp_path / "out"
    predict_runs.predict_video(options, drawing, model, str(video_file), str(out), "jsonl", True)
    assert Screen.closed
    with open_video(video_file) as video:
        for shown, frame in zip(Screen.shown, video, strict=False):
            assert np.abs(shown.astype(int) - frame.image).max() > 100
    assert len(Screen.shown) == 3
    assert (out / "output.mp4").exists() == draw


def test_unreadable_video_and_camera_raise_one_line_errors(model, images, tmp_path):
    assert "Camera 63 can't be opened" in _error(_predict(f"--model={model}", "--camera=63"))
    for name in ("absent.mp4", "text.jpg"):
        assert name in _error(_predict(f"--model={model}", f"--video={images / name}"))


@pytest.mark.slow
def test_command_equals_python_for_keras_models(images, tmp_path):
    file = untrained_model(tmp_path / "cnn6.keras", input_size=32)
    done = _predict(f"--model={file}", f"--image={images / 'a.png'}", "--box=5,5,50,38",
                    f"--output={tmp_path / 'out'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out/a_landmarks.json").read_text())
    (face,) = Landmarker(file)(images / "a.png", np.array([[5.0, 5, 50, 38]]))
    np.testing.assert_allclose(result["faces"][0]["landmarks_px"], face.landmarks_px, atol=0.02)
    (tmp_path / "nothing").mkdir()
    done = _predict(f"--model={tmp_path / 'nothing'}", f"--image={images / 'a.png'}")
    assert "No model at" in _error(done)


@pytest.mark.slow
def test_calibrated_correction_is_read_by_the_detector(model, synthetic_records, images, tmp_path):
    path = tmp_path / "whole.json"
    done = _predict("calibrate", "--detector=whole", f"--data={synthetic_records}/test-*",
                    f"--output={path}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "side_ratio" in json.loads(path.read_text())
    done = _predict(f"--model={model}", f"--image={images / 'a.png'}", "--detector=whole",
                    f"--correction={path}", f"--output={tmp_path / 'out'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = _predict("calibrate", "--detector=whole", "--data=x", f"--output={path}")
    assert "exists already" in _error(done)
