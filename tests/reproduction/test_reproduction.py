import dataclasses
import json

import numpy as np
import pytest

from wing_tf.data.pose_balance import fit_balance
from wing_tf.data.read import read_landmarks
from wing_tf.data.records import open_records
from wing_tf.reproduction import TABLES
from wing_tf.reproduction.cells import CellRunner
from wing_tf.reproduction.recipes import RECIPES, cell_config
from wing_tf.reproduction.settings import Settings
from wing_tf.reproduction.table import RECIPE_NAMES, Cell, Table
from wing_tf.reproduction.write import write_table

# Without XLA: compiling takes longer than these trainings.
SMALL = {"model.width": 0.1, "model.input_size": 32, "jit_compile": "off"}
TABLE = Table(
    title="Small",
    source="a test",
    cells=(
        Cell(name="cnn6 l2", overrides={"loss.name": "l2"}, published={"aflw": 2.41}),
        Cell(name="cnn6 wing", overrides={"loss.name": "wing"}),
        Cell(
            name="cnn6/7 pdb",
            overrides={"model.name": "cnn6"},
            first_stage="cnn6 wing",
            balanced=True,
            baseline="cnn6 l2",
        ),
    ),
    baseline="cnn6 wing",
    pose_thirds=True,
    notes=("a note",),
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory, synthetic_records):
    folder = tmp_path_factory.mktemp("table")
    records = open_records(str(synthetic_records), split="train")
    landmarks, visibility, _ = read_landmarks(records)
    fit_balance(landmarks, visibility, records.scheme).save(folder / "balance.json")
    return Settings(
        folder=folder,
        data=str(synthetic_records),
        tests={"test": f"{synthetic_records}/test-*"},
        seeds=(0, 1),
        minutes=0.005,  # some epochs
        normalizer="box",
        balance=str(folder / "balance.json"),
        overrides=SMALL | {"two_stage.margin": 1.8, "two_stage.input_size": 64},
    )


@pytest.fixture(scope="module")
def cells(settings, monkeypatch_module):
    monkeypatch_module.setattr("wing_tf.reproduction.budget._TIMED_SECONDS", 0.5)
    return CellRunner(settings).run(TABLE)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.slow
def test_each_cell_is_trained_once_per_seed(cells, settings):
    assert len(cells) == 6
    assert {(c["cell"], c["seed"]) for c in cells} == {
        (cell.name, seed) for cell in TABLE.cells for seed in (0, 1)
    }
    plan = json.loads((settings.folder / "plan.json").read_text())
    assert {c["epochs"] for c in cells} == {p["epochs"] for p in plan.values()}
    by_seed = [c["tests"]["test"]["nme"] for c in cells if c["cell"] == "cnn6 wing"]
    assert by_seed[0] != by_seed[1]
    second = next(c for c in cells if c["cell"] == "cnn6/7 pdb")
    assert second["parameters"] > next(c for c in cells if c["cell"] == "cnn6 l2")["parameters"]


@pytest.mark.slow
def test_finished_cells_are_not_trained_again(cells, settings, monkeypatch):
    def fail(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr("wing_tf.reproduction.cells.train", fail)
    assert CellRunner(settings).run(TABLE) == cells
    # A cell that is older than a config key has the default of the key.
    path = settings.folder / "cells" / "cnn6_l2_seed0.json"
    text = path.read_text()
    older = json.loads(text)
    del older["setup"]["config"]["loss"]["curvature"]
    del older["setup"]["config"]["balance"]
    path.write_text(json.dumps(older))
    again = CellRunner(settings).run(TABLE)
    assert [c["tests"] for c in again] == [c["tests"] for c in cells]
    path.write_text(text)
    # A missing cell is trained, and a cell with another setup raises.
    path.unlink()
    with pytest.raises(AssertionError, match="trained again"):
        CellRunner(settings).run(TABLE)
    path.write_text(text)
    for change, named in (
        ({"normalizer": "diagonal"}, "normalizer"),
        ({"minutes": 3.0}, "budget"),
        ({"overrides": settings.overrides | {"crop_margin": 1.3}}, "config"),
        ({"tests": {"other": settings.tests["test"]}}, "test_data"),
    ):
        with pytest.raises(ValueError, match=rf"made with another setup \({named}\)"):
            CellRunner(dataclasses.replace(settings, **change)).run(TABLE)


def test_invalid_settings_raise_before_training(settings):
    def runner(**changes):
        return CellRunner(dataclasses.replace(settings, **changes))

    with pytest.raises(ValueError, match="No cell 'cnn9'"):
        runner().run(TABLE, ("cnn9",))
    with pytest.raises(ValueError, match="normalizer must be one of"):
        runner(normalizer="nose")
    with pytest.raises(ValueError, match="must be a word"):
        runner(tests={"a/b": settings.tests["test"]})
    with pytest.raises(ValueError, match="holds training faces"):
        runner(tests={"test": f"{settings.data}/train-*"})


@pytest.mark.slow
def test_table_scores_equal_those_of_the_cells(cells, settings):
    text = write_table(settings.folder, "small", TABLE, cells)
    assert text == (settings.folder / "table.md").read_text()
    assert (settings.folder / "ced_test.png").stat().st_size > 1000
    values = json.loads((settings.folder / "table.json").read_text())["tests"]["test"]
    rows = {row["cell"]: row for row in values}
    errors = {
        cell.name: np.mean([c["tests"]["test"]["nme"] for c in cells if c["cell"] == cell.name], 0)
        for cell in TABLE.cells
    }
    for name, row in rows.items():
        assert row["nme"] == pytest.approx(np.mean(errors[name]))
        against = {"cnn6 l2": "cnn6 wing", "cnn6/7 pdb": "cnn6 l2"}.get(name)
        assert row.get("baseline") == against
        if against:
            mean, low, high = row["difference"]
            assert mean == pytest.approx(np.mean(errors[name] - errors[against]))
            assert low <= mean <= high
        thirds = row["pose_thirds"].values()
        assert sum(third["faces"] for third in thirds) == 24
        means = sum(third["faces"] * third["nme"] for third in thirds) / 24
        assert means == pytest.approx(row["nme"])
    assert f"{100 * rows['cnn6 l2']['nme']:.2f} (" in text
    assert "2.41 (aflw)" in text
    assert "- a note" in text


@pytest.mark.slow
def test_table_ignores_unscored_faces_and_uses_common_seeds(cells, settings, tmp_path):
    changed = json.loads(json.dumps(cells))
    for cell in changed:
        cell["tests"]["test"]["nme"][3] = None
    changed = [c for c in changed if (c["cell"], c["seed"]) != ("cnn6 wing", 1)]
    text = write_table(tmp_path, "small", TABLE, changed)
    assert "test (23 faces)" in text
    rows = json.loads((tmp_path / "table.json").read_text())["tests"]["test"]
    row = next(row for row in rows if row["cell"] == "cnn6 l2")
    kept = [i for i in range(24) if i != 3]
    first = {c["cell"]: np.array(c["tests"]["test"]["nme"])[kept] for c in changed if not c["seed"]}
    expected = np.mean(first["cnn6 l2"].astype(float) - first["cnn6 wing"].astype(float))
    assert row["difference"][0] == pytest.approx(expected)  # of the seed that both have


@pytest.mark.slow
def test_cells_of_different_faces_raise(cells, settings):
    changed = json.loads(json.dumps(cells))
    changed[0]["tests"]["test"]["keys_sha256"] = "0"
    with pytest.raises(ValueError, match="different faces"):
        write_table(settings.folder, "small", TABLE, changed)
    with pytest.raises(ValueError, match="No finished cell"):
        write_table(settings.folder, "small", TABLE, [])


def test_recipe_names_are_those_of_every_task():
    assert all(tuple(recipes) == RECIPE_NAMES for recipes in RECIPES.values())


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_has_a_valid_config(name):
    table = TABLES[name]
    names = [cell.name for cell in table.cells]
    assert len(set(names)) == len(names)
    assert table.baseline in names
    for i, cell in enumerate(table.cells):
        assert cell.first_stage is None or cell.first_stage in names[:i]
        for recipe in RECIPES[cell.task]:
            cell_config(cell, recipe=recipe, num_landmarks=68)


def test_wing_tables_golden():
    assert len(TABLES["wing_parameters"].cells) == 24
    assert len(TABLES["wing_pdb"].cells) == 16
    best = min(TABLES["wing_pdb"].cells, key=lambda cell: cell.published["aflw"])
    assert (best.name, best.published["aflw"]) == ("cnn6/7 wing pdb", 1.65)
    config = cell_config(TABLES["wing_losses"].cells[0], recipe="paper", num_landmarks=68)
    # L2: a tenth of 3e-5, for a sum over 136 coordinates.
    assert config.optimizer.learning_rate == pytest.approx(3e-6 * 136)
    assert config.optimizer.weight_decay * config.optimizer.learning_rate == pytest.approx(
        5e-4 * 3e-6
    )
