import json

import pytest

from wing_tf.reproduction import TABLES
from wing_tf.reproduction.cells import CellRunner
from wing_tf.reproduction.figures import draw_figure
from wing_tf.reproduction.recipes import cell_config, parse_overrides, set_epochs
from wing_tf.reproduction.settings import Settings
from wing_tf.reproduction.write import write_table


def test_adaptive_wing_tables_golden():
    published = {c.name: c.published["wflw"] for c in TABLES["awing_modules"].cells}
    assert list(published.values()) == [5.39, 5.04, 4.65, 4.49, 4.30, 4.28, 4.26, 4.21]
    assert len(TABLES["awing_parameters"].cells) == 19
    last = cell_config(TABLES["awing_modules"].cells[-1], recipe="paper", num_landmarks=98)
    assert (last.loss.name, last.loss.map) == ("adaptive_wing", "dilated")
    assert last.model.boundary_coordinates
    assert last.optimizer.name == "rmsprop"


def test_schedule_boundaries_scale_with_the_epochs():
    config = cell_config(TABLES["awing_modules"].cells[0], recipe="paper", num_landmarks=98)
    set_epochs(config, 24)
    assert (config.epochs, config.schedule.boundaries) == (24, (8, 16))
    set_epochs(config, 1)
    assert config.schedule.boundaries == ()


def test_overrides_are_parsed_by_the_types_of_the_defaults():
    texts = ["model.features=32", "model.boundary=False", "loss.omega=12", "loss.map=heatmap"]
    changes = parse_overrides(texts)
    assert changes == {
        "model.features": 32, "model.boundary": False, "loss.omega": 12.0, "loss.map": "heatmap"
    }  # fmt: skip
    for text, message in (
        ("model.size=3", "no config key"),
        ("model.features=many", "must be of type int"),
        ("model.boundary=no", "must be of type bool"),
        ("schedule.boundaries=3", "does not have a single value"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_overrides([text])


@pytest.mark.slow
def test_heatmap_cells_store_heatmaps_and_errors(synthetic_records, tmp_path):
    settings = Settings(
        folder=tmp_path,
        data=str(synthetic_records),
        tests={"test": f"{synthetic_records}/test-*"},
        seeds=(0,),
        minutes=0.02,
        epochs=4,
        normalizer="box",
        overrides={
            "model.input_size": 64, "model.num_stacks": 1, "model.features": 8, "model.depth": 1,
            "jit_compile": "off",
        },
    )  # fmt: skip
    table = TABLES["awing_convergence"]
    cells = CellRunner(settings).run(table)
    for cell in cells:
        assert {len(values) for values in cell["heatmap_errors"].values()} == {4}
        assert min(cell["heatmap_errors"]["heatmap_mse_foreground"]) > 0
    text = write_table(tmp_path, "awing_convergence", table, cells)
    last = 1e3 * cells[1]["heatmap_errors"]["heatmap_mse"][-1]
    assert f"{last:.3f} |" in text
    for name in ("heatmaps.png", "heatmap_errors.png"):
        assert (tmp_path / name).stat().st_size > 1000
        assert name in text
    assert json.loads((tmp_path / "cells" / "aw_seed0.json").read_text())["scheme"] == "ibug_68"
    assert list(cells[0]["validation_nme"]) == ["1", "2", "3", "4"]
    for name in ("nme_by_epoch", "heatmap_errors"):
        assert draw_figure(name, tmp_path).stat().st_size > 1000
