"""The scripts in examples/, each in a process and folder of its own."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
FITTED = ("coordinate_model", "heatmap_model", "tf_data_pose_balance")


def _run(name: str, folder: pathlib.Path, arguments=(), backend="tensorflow", **constants) -> str:
    """Runs an example with other values of its constants, and returns what it prints."""
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    for key, value in constants.items():
        text, count = re.subn(rf"^{key} = \d+$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    script = folder / f"{name}.py"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script.name, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(EXAMPLES.parent)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_example_is_run_here():
    names = {*FITTED, "landmarks_of_an_image", "losses_on_jax_and_torch"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == names


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTED)
def test_models_of_the_examples_learn(name, tmp_path):
    output = _run(name, tmp_path, NUM_FACES=150, EPOCHS=3)
    losses = [float(loss) for loss in re.findall(r"(?<!_)loss: ([\d.]+)", output)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    if name == "tf_data_pose_balance":
        (before, after), *_ = re.findall(r"coefficient: ([\d.]+), balanced ([\d.]+)\.", output)
        assert float(after) > float(before)
    else:
        assert re.search(r"Mean error: \d+\.\d+ px", output)


def test_landmarks_of_a_rendered_face_and_of_a_file(tmp_path):
    output = _run("landmarks_of_an_image", tmp_path)
    assert output.count("The tip of the nose is at") == 1
    again = _run("landmarks_of_an_image", tmp_path, ["face.png"])  # the rendered face
    assert again.count("The tip of the nose is at") == 1


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_losses_decrease_in_plain_training_loops(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:  # Beside TensorFlow, an import may crash.
        pytest.skip(f"{backend} is not installed")
    output = _run("losses_on_jax_and_torch", tmp_path, backend=backend)
    changes = re.findall(rf"on {backend}: ([\d.]+) -> ([\d.]+)", output)
    assert len(changes) == 2
    assert all(float(last) < 0.5 * float(first) for first, last in changes)


def test_losses_on_an_absent_backend_end_in_one_line(tmp_path):
    with pytest.raises(AssertionError, match="KERAS_BACKEND=tensorflow must be jax or torch"):
        _run("losses_on_jax_and_torch", tmp_path)
