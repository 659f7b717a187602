import pytest

from wing_tf.reproduction import TABLES
from wing_tf.reproduction.cell_setup import setup_differences
from wing_tf.reproduction.cells import CellRunner
from wing_tf.reproduction.recipes import cell_config, set_epochs
from wing_tf.reproduction.settings import Settings


def _configs(table, recipe="tuned"):
    return {
        cell.name: cell_config(cell, recipe=recipe, num_landmarks=68)
        for cell in TABLES[table].cells
    }


def test_smt_tables_golden():
    published = {
        table: [c.published["challenge"] for c in TABLES[table].cells if c.published]
        for table in ("smt_radius", "smt_residual")
    }
    assert published == {
        "smt_radius": [6.23, 6.15, 6.31, 6.17, 6.12],
        "smt_residual": [6.22, 6.33, 6.16],
    }


@pytest.mark.parametrize(("input_size", "depth"), [(128, 3), (256, 4)])
def test_cells_fit_the_size_of_the_network(input_size, depth):
    cells = {cell.name: cell for cell in TABLES["smt_radius"].cells}
    overrides = {"model.input_size": input_size}
    for name, sigma in (("sigma 4", 4.0), ("temporal 1", 4.0), ("sigma 2", 2.0)):
        config = cell_config(cells[name], recipe="tuned", num_landmarks=68, overrides=overrides)
        assert config.heatmap.sigma == sigma * input_size / 256
        assert config.model.depth == depth
        assert input_size / 4 / 2**config.model.depth == 4  # the center, as in the paper
        assert config.model.inner_features == 2 * config.model.features


def test_sigmas_are_scaled_to_the_heatmap_size():
    configs = _configs("smt_radius")
    sigmas = {name: config.heatmap.sigma for name, config in configs.items()}
    assert (sigmas["sigma 4"], sigmas["sigma 2"], sigmas["sigma 1"]) == (2.0, 1.0, 0.5)
    assert sigmas["temporal 1"] == sigmas["spatial .5"] == 2.0
    assert configs["spatial .5"].sigma_schedule.spatial_step == 0.25
    assert (
        configs["temporal 1"].sigma_schedule.temporal_step
        == configs["temporal 1"].sigma_schedule.final_sigma
    )
    assert all(c.heatmap.sigma == 1.0 for c in _configs("smt_losses").values())
    # The paper's sigma in its recipe.
    assert all(c.heatmap.sigma == 2.0 for c in _configs("smt_losses", "paper").values())


@pytest.mark.parametrize(("name", "length"), [("temporal 1", 3), ("temporal .5", 1)])
def test_sigmas_have_equal_numbers_of_epochs(name, length):
    config = _configs("smt_radius")[name]
    set_epochs(config, 12)  # of 4 or 7 stages
    assert config.sigma_schedule.max_epochs_per_sigma == length
    assert config.sigma_schedule.patience >= config.epochs == 12
    assert config.validation_epochs == config.checkpoint_epochs == 1
    with pytest.raises(ValueError, match="3 epochs are too few"):
        set_epochs(_configs("smt_radius")[name], 3)


def test_paper_recipe():
    config = _configs("smt_residual", "paper")["argmax theta .5"]
    set_epochs(config, 24)
    assert config.optimizer.name == "adam"
    assert config.schedule.boundaries == (12, 20)
    assert (config.residual.theta, config.loss.name) == (0.5, "bice")


@pytest.mark.parametrize("table", TABLES)
def test_paper_recipe_has_nothing_of_this_packages_own(table):
    for name, config in _configs(table, "paper").items():
        assert config.precision == "float32", name
        assert config.output_init == 0, name
        assert config.optimizer.ema == 0, name
        assert config.optimizer.name != "adamw", name  # whose decay is not the papers'


def test_invalid_reuse_raises(synthetic_records, tmp_path):
    common = {
        "folder": tmp_path, "data": str(synthetic_records), "seeds": (0,), "minutes": 1.0,
        "tests": {"test": f"{synthetic_records}/test-*"},
    }  # fmt: skip
    with pytest.raises(ValueError, match="has no cells to reuse"):
        CellRunner(Settings(**common, epochs=2, reuse=(tmp_path / "typo",)))
    (tmp_path / "cells").mkdir()
    with pytest.raises(ValueError, match="at equal epochs only"):
        CellRunner(Settings(**common, reuse=(tmp_path,)))


def test_setups_with_and_without_balance_differ():
    plain, balanced = {"config": {}}, {"config": {}, "balance": "abc"}
    assert setup_differences({"setup": balanced}, plain) == ["balance", "config"]
    assert setup_differences({"setup": plain}, balanced) == ["balance", "config"]
