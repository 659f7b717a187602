"""The results in docs/results: what wing-reproduce would reuse and write today."""

import json
import pathlib
import shutil

import pytest

from wing_tf.reproduction import TABLES
from wing_tf.reproduction.cell_setup import plain_config, setup_differences
from wing_tf.reproduction.recipes import cell_config
from wing_tf.reproduction.write import regenerate

RESULTS = sorted((pathlib.Path(__file__).parents[2] / "docs" / "results").glob("*/table.json"))


def _read(file):
    table = json.loads(file.read_text())
    cells = [json.loads(path.read_text()) for path in (file.parent / "cells").glob("*.json")]
    order = [cell.name for cell in TABLES[table["table"]].cells]
    return table, sorted(cells, key=lambda cell: (cell["seed"], order.index(cell["cell"])))


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.parent.name)
def test_recorded_cells_have_the_setup_of_the_recipe(file):
    """Otherwise --reuse would train them again."""
    table, recorded = _read(file)
    by_name = {cell.name: cell for cell in TABLES[table["table"]].cells}
    for found in recorded:
        overrides = {"seed": found["seed"]}
        if not table["table"].startswith("settle"):
            # --set, see docs/results: what has been changed since.
            overrides |= {"optimizer.epsilon": 0.0}
        if found["recipe"] == "paper":
            overrides |= {"output_init": 0.02, "augment.box_jitter": 0.05}
        config = cell_config(
            by_name[found["cell"]], recipe=found["recipe"], num_landmarks=68, overrides=overrides
        )
        assert setup_differences(found, found["setup"] | {"config": plain_config(config)}) == []


@pytest.mark.parametrize(
    "names",
    [
        ("wing_losses", "settle_wing", "wing_pdb_300w"),
        pytest.param(tuple(file.parent.name for file in RESULTS), marks=pytest.mark.slow),
    ],
    ids=["three", "all"],
)
def test_recorded_tables_follow_from_their_cells(names, tmp_path):
    """By `wing-reproduce --regenerate=docs/results`."""
    results = RESULTS[0].parents[1]
    for name in names:
        (tmp_path / name).mkdir()
        shutil.copytree(results / name / "cells", tmp_path / name / "cells")
        recorded = json.loads((results / name / "table.json").read_text())
        (tmp_path / name / "table.json").write_text(json.dumps({"table": recorded["table"]}))
    recorded = (results / "README.md").read_text()
    head, title, claims = recorded.partition("\n## The papers' claims\n")
    readme = tmp_path / "README.md"
    readme.write_text(f"{head}{title}outdated\n\n## Next\n")
    assert {folder.name for folder in regenerate(tmp_path)} == set(names)
    lines = [line for line in claims.splitlines() if any(f"({name}/" in line for name in names)]
    assert lines
    assert readme.read_text() == "\n".join([head + title, *lines, "", "## Next", ""])
    for name in names:
        for file in ("table.json", "table.md"):
            assert (tmp_path / name / file).read_text() == (results / name / file).read_text()
