"""The scripts of benchmarks/, each run to its end in a short form."""

import pathlib
import re
import subprocess
import sys

import pytest

from wing_tf.detection.blazeface import blazeface_path

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
# Started by other scripts; that of MediaPipe needs an environment of its own.
_PARTS = {"inference_networks", "inference_process", "mediapipe_worker"}


def _run(name, *arguments):
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_script_has_a_quick_form_that_is_run():
    scripts = {
        path.stem for path in BENCHMARKS.glob("*.py") if "__main__" in path.read_text("utf-8")
    }
    tests = "".join(
        path.read_text("utf-8") for path in pathlib.Path(__file__).parent.glob("test_*bench*.py")
    )
    named = set(re.findall(r'"(\w+?)(?:\.py)?"', tests))
    assert scripts - _PARTS <= named
    for script in scripts - _PARTS:
        assert '"--quick"' in (BENCHMARKS / f"{script}.py").read_text("utf-8")


@pytest.mark.slow
def test_pose_angles_of_few_faces():
    lines = _run("pose_angles", "--quick").splitlines()
    assert [int(line.split()[3]) > 0 for line in lines[1:]] == [True] * 3


@pytest.mark.slow
def test_recall_of_face_detection(real_faces):
    output = _run("face_detection", f"--data={real_faces}", "--quick")
    found = dict(re.findall(r"(.*): ([\d.]+) % of \d+", output))
    assert float(found["2 x 2 faces, 2 level(s)"]) > 50
    assert "afw rotated by 180 degrees" in found


@pytest.mark.slow
def test_reliability_of_face_scores(real_faces):
    output = _run("face_scores", f"--data={real_faces}", "--quick")
    assert len(re.findall(r"^kept at [\d.]+: \d+ of \d+ \(face\)$", output, re.MULTILINE)) == 3


@pytest.mark.slow
def test_one_cell_of_few_images(synthetic_records, tmp_path):
    arguments = [f"--data={synthetic_records}", f"--output={tmp_path}", "--test=test"]
    output = _run("few_images", *arguments, "--quick")
    assert re.search(r"\| face_12 \| 25 \| scratch \| 1 \| [\d.]+ \([\d.]+ to [\d.]+\)", output)
    assert (tmp_path / "few_images.png").is_file()


@pytest.mark.slow
def test_time_to_accuracy_of_two_cells(synthetic_records, tmp_path):
    arguments = [f"--data={synthetic_records}", f"--output={tmp_path}", "--test=test", "--quick"]
    output = _run("time_to_accuracy", *arguments)
    row = r"\| {} \| {} \| 1 \| ([\d.]+) \| [\d.]+ \([\d.]+ to [\d.]+\)"
    for cell in (("cnn6", "scratch"), ("hourglass", "face_68")):
        assert float(re.search(row.format(*cell), output)[1]) > 0
    assert re.search(r"\| cnn6 \| scratch \| - \| - \| - \|", output)
    repeated = _run("time_to_accuracy", *arguments)  # trains nothing
    assert repeated.startswith("| recipe |")
    assert output.endswith(repeated)


@pytest.mark.slow
def test_inference_of_one_model():
    facemesh = blazeface_path().with_name("face_landmark.tflite")  # an earlier one
    output = _run(
        "inference", "--models=cnn6", "--precisions=float32", "--peers=", "--quick",
        f"--facemesh={facemesh}",
    )  # fmt: skip
    for engine in (r"LiteRT \| float32", r"FaceMesh \| float16"):
        assert re.search(rf"^\| {engine} \|( [\d.]+ \|)+", output, re.MULTILINE)
    assert re.search(r"overhead of .*: -?[\d.]+ %", output)  # below 0 by chance


@pytest.mark.slow
def test_tracking_of_one_video(tmp_path):
    _run("video", "--quick", f"--output={tmp_path / 'video.json'}")
    assert '"identity_switches": 0' in (tmp_path / "video.json").read_text()


@pytest.mark.slow
def test_rates_and_memory_of_writing(real_faces, tmp_path):
    arguments = [f"--root={real_faces}", "--quick", f"--folder={tmp_path}"]
    output = _run("writing_at_scale", *arguments)
    assert re.search(r"\| faces written \| \d+ \|", output)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in /proc")
def test_memory_of_long_runs_is_flat(tmp_path):
    output = _run("long_runs", "--quick", f"--folder={tmp_path}")
    lines = re.findall(r"^(\w+), \d+, (.+): \d+ MiB .* growth [+-][\d.]+%", output, re.MULTILINE)
    kinds = ("RSS", "of it anonymous")
    assert lines == [(part, kind) for part in ("video", "training", "reading") for kind in kinds]
    assert "of which 0 without a face" in output
