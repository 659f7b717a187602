import json
import os
import pathlib
import subprocess
import sys

import pytest

from wing_tf.cli.native_logs import is_noise

ROOT = pathlib.Path(__file__).parents[2]


def _run(*arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("line", "noise"),
    [
        (
            b"I0000 00:00:1795920889.390505   13155 port.cc:153] oneDNN custom operations are on.",
            True,
        ),
        (
            b"W0000 00:00:1795920889.390505   13155 cpu_allocator.cc:84] Allocation exceeds 10%",
            True,
        ),
        (b"2026-11-29 02:37:06.123456: I tensorflow/core/util/port.cc:153] oneDNN", True),
        (b"WARNING: All log messages before absl::InitializeLog() is called are written", True),
        (b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.", True),
        (b"fully_quantize: 0, inference_type: 6, input_inference_type: FLOAT32", True),
        (
            b"E0000 00:00:1795978784.881951   18854 node_def_util.cc:682] NodeDef mentions "
            b"attribute Truncate which is not in the op definition",
            True,
        ),
        (b"E0000 00:00:1795920897.904801   13155 file_system.cc:52] disk is full", False),
        (b"2026-11-29 02:37:06.123456: E tensorflow/core/util/port.cc:153] broken", False),
        (b"F0000 00:00:1795920897.904801   13155 tensor.cc:52] Check failed: dims", False),
        (b"W1129 02:37:06.123456 139 initialization.py:10] The targets look normalized", False),
        (b"Segmentation fault", False),
    ],
)
def test_levels_below_error_and_known_messages_are_noise(line, noise):
    assert is_noise(line) == noise


@pytest.mark.parametrize("driver", [False, True])
def test_failed_gpu_start_is_shown_where_there_is_a_gpu_driver(driver, tmp_path, monkeypatch):
    version = tmp_path / "version"
    if driver:
        version.write_text("")
    monkeypatch.setattr("wing_tf.cli.native_logs._NVIDIA_DRIVER", version)
    line = b"E0000 00:00:1795920897.904801 1 cuda_platform.cc:52] failed call to cuInit: INTERNAL"
    assert is_noise(line) != driver


def test_training_prints_only_its_own_lines(synthetic_records, tmp_path):
    done = _run(
        "-m", "wing_tf.cli.train", "--config=configs/smoke.py", f"--workdir={tmp_path / 'run'}",
        f"--config.data.path={synthetic_records}", "--config.epochs=1", "--config.batch_size=8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cnn6: ")
    assert done.stderr == ""


def _fails(body):
    """Runs a command whose main function is `body`."""
    script = (
        '"""A command."""\nimport os, sys\nfrom wing_tf.cli import common\n'
        f"def main():\n    {body}\nsys.argv = ['command']\ncommon.run(main, '__main__')"
    )
    return _run("-c", script)


def test_native_errors_are_shown():
    done = _fails("os.write(2, b'I0000 00:00:17 1 a.cc:1] info\\nE0000 00:00:17 1 b.cc:2] bad\\n')")
    assert done.stderr == "E0000 00:00:17 1 b.cc:2] bad\n"


def test_last_words_of_a_crash_are_shown():
    done = _fails("os.write(2, b'F0000 00:00:17 1 c.cc:1] Check failed\\n'); os.abort()")
    assert done.returncode < 0
    assert "Check failed" in done.stderr


def test_import_error_of_tensorflow_is_shown(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no tensorflow for this machine')")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = _run(
        "-m", "wing_tf.cli.train", "--config=configs/smoke.py", f"--workdir={tmp_path / 'run'}",
        PYTHONPATH=path,
    )  # fmt: skip
    assert done.returncode != 0
    assert "no tensorflow for this machine" in done.stderr


def test_log_level_of_the_user_is_kept():
    script = (
        "import json, os\nfrom wing_tf.cli.native_logs import filter_native_logs\n"
        "filter_native_logs(); os.write(2, b'I0000 00:00:17 1 a.cc:1] info\\n')\n"
        "print(json.dumps(os.environ['TF_CPP_MIN_LOG_LEVEL']))"
    )
    done = _run("-c", script, TF_CPP_MIN_LOG_LEVEL="0")
    assert json.loads(done.stdout) == "0"
    assert "info" in done.stderr
