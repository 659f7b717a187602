"""Models by name: resolution, integrity, terms of use, and models of other distributions."""

import dataclasses
import hashlib
import logging
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from wing_tf import zoo
from wing_tf.inference import Landmarker
from wing_tf.model_spec import read_model_spec
from wing_tf.models.saving import find_network
from wing_tf.training.tasks import _faces_of

ROOT = pathlib.Path(__file__).parents[2]
_SHIPPED = [model.name for model in zoo.SHIPPED]


@pytest.fixture(params=zoo.SHIPPED, ids=lambda model: model.name)
def shipped(request):
    return request.param


@pytest.fixture
def own(tmp_path):
    """A model of its own folder, with the files of the shipped one."""
    folder = tmp_path / "own"
    folder.mkdir()
    sha256 = {}
    for suffix in (zoo.LITERT, zoo.KERAS):
        copy = shutil.copy(zoo.model_path(suffix=suffix), folder / f"own_68{suffix}")
        sha256[suffix] = hashlib.sha256(copy.read_bytes()).hexdigest()
    return dataclasses.replace(
        zoo.SHIPPED[0], name="own_68", folder=folder, sha256=sha256, notice="For research only."
    )


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a distribution with entry points; returns a function of their text and a module."""

    def install(entry_points, **modules):
        folder = tmp_path / f"site_{len(list(tmp_path.iterdir()))}"
        info = folder / f"{folder.name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder.name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[wing_tf.models]\n{entry_points}\n")
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(folder)

    return install


def _module(model):
    return (
        "from wing_tf.zoo import Score, ZooModel\n"
        f"from pathlib import {type(model.folder).__name__}\n"
        f"MODEL = {model!r}\n"
    )


def test_facts_of_shipped_models_are_those_of_their_files(shipped):
    for suffix in (zoo.LITERT, zoo.KERAS):
        spec = read_model_spec(shipped.file(suffix))
        assert (spec.scheme_name, spec.input_size) == (shipped.scheme, shipped.input_size)
    assert spec.known_faces


def test_both_files_of_a_model_predict_the_same(shipped):
    rng = np.random.default_rng(0)
    side = shipped.input_size
    coarse = rng.uniform(0, 255, (4, 4, 4, 3)).astype(np.uint8)
    crops = np.kron(coarse, np.ones((1, side // 4, side // 4, 1), np.uint8))
    litert, fine = (
        Landmarker(shipped.file(suffix), detector=None).predict_crops(crops)
        for suffix in (zoo.LITERT, zoo.KERAS)
    )
    assert np.median(np.abs(litert[0] - fine[0])) < 0.05
    np.testing.assert_allclose(litert[1], fine[1], atol=0.01)


def test_documentation_has_the_table_of_shipped_models():
    page = (ROOT / "docs" / "models.md").read_text()
    assert zoo.markdown_table(zoo.SHIPPED) in page, zoo.markdown_table(zoo.SHIPPED)


def test_names_are_resolved_wherever_a_model_is_given(shipped):
    assert Landmarker(shipped.name, detector=None).spec == read_model_spec(shipped.file())
    assert find_network(shipped.name) == shipped.file(zoo.KERAS)
    assert _faces_of(shipped.name) == read_model_spec(shipped.file()).known_faces


def test_models_at_a_path_of_that_name_win(tmp_path, monkeypatch):
    name = zoo.DEFAULT_MODEL
    shipped = zoo.model_path()
    monkeypatch.chdir(tmp_path)
    export = tmp_path / name
    export.mkdir()
    assert zoo.resolve_model(name) == shipped  # an output folder, say: it holds no model
    shutil.copy(shipped, export / "model.tflite")
    assert zoo.resolve_model(name) == pathlib.Path(name)
    assert zoo.resolve_model(pathlib.Path("nothing")) == pathlib.Path("nothing")


def test_unknown_names_are_errors_with_a_suggestion(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="No model 'fase_68'.*names face_68.* mean 'face_68'"):
        Landmarker("fase_68")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "model.onnx").touch()
    with pytest.raises(ValueError, match=r"its model\.onnx runs without this package"):
        Landmarker("export")
    with pytest.raises(ValueError, match="No model at fase_68.keras"):
        find_network("fase_68.keras")


def test_changed_and_missing_files_are_errors(own):
    with pytest.raises(ValueError, match=r"has the files .tflite, .keras. Received: '.onnx'"):
        own.file(".onnx")
    path = own.file()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="is not the file of the model 'own_68': its SHA-256"):
        own.file()
    path.unlink()
    with pytest.raises(ValueError, match="'own_68' can't be read .No such file"):
        own.file()


def test_models_of_other_distributions_are_found(own, installed, caplog):
    installed("own_68 = own_68_module:MODEL", own_68_module=_module(own))
    assert zoo.resolve_model("own_68") == own.file()
    assert zoo.get_model("own_68").notice == "For research only."
    assert list(zoo.all_models()) == [*_SHIPPED, "own_68"]
    known = ", ".join([*_SHIPPED, "own_68"])
    with pytest.raises(ValueError, match=f"names {known}. Did you mean 'own_68'"):
        zoo.resolve_model("own_86")
    assert find_network("own_68") == own.file(zoo.KERAS)
    # The terms of use are logged once, however often the model is loaded.
    assert [record.getMessage() for record in caplog.records] == ["own_68: For research only."]


def test_broken_models_of_other_distributions_are_warnings(own, installed, caplog):
    installed("broken = no_such_module_here:MODEL\nother = other_module:MODEL",
              other_module=_module(own))  # fmt: skip
    installed(f"{zoo.DEFAULT_MODEL} = other_module:MODEL")
    assert zoo.resolve_model(zoo.DEFAULT_MODEL) == zoo.model_path()  # the package's own
    assert not caplog.records  # nothing else was imported
    assert list(zoo.all_models()) == _SHIPPED
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "The model 'broken' of site_" in caplog.messages[0]
    assert "No module named 'no_such_module_here'" in caplog.messages[0]
    assert "other_module:MODEL is not a ZooModel of that name" in caplog.messages[1]
    with pytest.raises(ValueError, match="No model 'broken'"):
        zoo.resolve_model("broken")


@pytest.mark.parametrize("command", ["predict", "train"])
def test_help_of_commands_lists_the_models(command):
    said = subprocess.run(
        [sys.executable, "-m", f"wing_tf.cli.{command}", "--help"],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert f"Models by name:\n{zoo.help_table(zoo.SHIPPED)}\n" in said.stdout


@pytest.mark.slow
def test_training_starts_from_a_named_model(tmp_path):
    def run(module, *arguments):
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            check=True, capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ).stdout  # fmt: skip

    run("tfrecords_tools.cli", "write", "--source=synthetic", "--num_train=40", "--num_test=8",
        "--output=records")  # fmt: skip
    said = run(
        "wing_tf.cli.train", f"--config={ROOT}/configs/awing_synthetic_cpu.py",
        "--init_from=face_68", "--workdir=run", "--config.data.path=records", "--config.epochs=1",
        "--config.schedule.warmup_epochs=0", "--config.optimizer.learning_rate=1e-5",
        "--config.jit_compile=off",
    )  # fmt: skip
    assert "From face_68: 1" in said
    assert "New: 0 layer(s)." in said
    # The statistics of batch normalization are those of its training, too.
    nme = float(said.partition("validation NME ")[2].split()[0])
    assert nme < 4.0  # of the box
    assert read_model_spec(tmp_path / "run").trained_on["synthetic"] > 8000
