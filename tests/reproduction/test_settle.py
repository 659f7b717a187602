"""The cells that settle the papers' claims, with a tiny budget."""

import dataclasses
import json

import numpy as np
import pytest

from wing_tf.models import heatmap_network
from wing_tf.models.saving import load_network
from wing_tf.reproduction import SETTLE_TABLES, TABLES
from wing_tf.reproduction.cell_results import decode_otherwise
from wing_tf.reproduction.cells import CellRunner
from wing_tf.reproduction.claims import check_claims, format_claim
from wing_tf.reproduction.face_errors import FaceErrors
from wing_tf.reproduction.recipes import cell_config, set_epochs
from wing_tf.reproduction.settings import Settings
from wing_tf.reproduction.table import Cell, Claim, Table
from wing_tf.reproduction.write import write_table


@pytest.mark.parametrize("table", SETTLE_TABLES.values(), ids=SETTLE_TABLES)
def test_claims_compare_cells_of_the_table(table):
    names = [cell.name for cell in table.cells]
    for claim in table.claims:
        assert {claim.cell, claim.baseline} <= set(names)
    for i, cell in enumerate(table.cells):
        assert cell.network is None or cell.network in names[:i]
    assert len(table.seeds) == 3


def test_settling_cells_train_what_they_are_named_for():
    def config(table, name):
        cells = {cell.name: cell for cell in SETTLE_TABLES[table].cells}
        table = SETTLE_TABLES[table]
        config = cell_config(cells[name], recipe=table.recipe, num_landmarks=68)
        set_epochs(config, round(table.epochs * cells[name].length))
        return config

    assert config("settle_awing", "aw+wm+b").heatmap.boundary_sigma == 0.5
    zeroed, own = (config("settle_awing", f"aw+wm+b+c{end}") for end in (" zeroed", ""))
    assert zeroed.model.zero_coordinates
    own.model.zero_coordinates = True
    assert own.to_dict() == zeroed.to_dict()  # nothing else differs
    for name, decay in (("aw", 1e-5), ("mse without decay", 0.0)):
        optimizer = config("settle_awing_paper", name).optimizer
        assert (optimizer.name, optimizer.weight_decay) == ("rmsprop", decay)
    assert config("settle_smt", "bice").optimizer.epsilon == 1e-12
    for table in ("settle_awing", "settle_smt"):
        cells = {cell.name: cell for cell in SETTLE_TABLES[table].cells}
        for name, decoder in (("mse", "dark"), ("theta .5", "argmax"), ("dark theta .5", "dark")):
            if name in cells:
                paper = cell_config(cells[name], recipe="paper", num_landmarks=68)
                assert paper.heatmap.decoder == decoder
    lengths = {name: config("settle_smt", name).sigma_schedule.max_epochs_per_sigma
               for name in ("temporal", "temporal, most at sigma 1")}  # fmt: skip
    assert list(lengths.values()) == [3, 1]  # of 12 epochs and four sigmas
    assert config("settle_wing", "wing long").epochs == 136


TABLE = Table(
    title="Small",
    source="a test",
    cells=(
        Cell(name="a", published={"full": 6.0}),
        Cell(name="b", published={"full": 5.5}),
        Cell(name="c"),
    ),
    baseline="a",
    claims=(
        Claim("B helps", "b", "a"),
        Claim("C helps", "c", "a"),
        Claim("C hurts", "a", "c"),
        Claim("B hurts", "a", "b", in_paper=False),
    ),
)


def _finished(name, seed, errors):
    return {"cell": name, "seed": seed, "tests": {"t": {"keys_sha256": "0", "nme": list(errors)}}}


def test_a_claim_is_told_from_faces_and_seeds():
    faces = np.linspace(0.03, 0.05, 50)
    offsets = {"a": (0.0, 0.0, 0.0), "b": (-0.0018, -0.002, -0.0022), "c": (-0.004, 0.006, 0.004)}
    cells = [
        _finished(name, seed, faces + offset)
        for name, values in offsets.items()
        for seed, offset in enumerate(values)
    ]
    results = check_claims(TABLE, TABLE.cells, FaceErrors(cells, "t"))
    assert [result["verdict"] for result in results] == [
        "reproduces", "can't be told", "can't be told", "does not hold"
    ]  # fmt: skip
    assert format_claim(results[0]) == (
        "B helps: **reproduces**, -0.20 (-0.25 to -0.15), 3 seeds; the paper: -0.50 (full)."
    )
    assert format_claim(results[3]).startswith(
        "Not in the paper: B hurts: **does not hold**, +0.20"
    )
    # From one seed at a time, each would be told by the faces alone.
    one = [cell for cell in cells if cell["seed"] == 1]
    results = check_claims(TABLE, TABLE.cells, FaceErrors(one, "t"))
    assert {result["verdict"] for result in results} == {"can't be told"}
    assert results[0]["difference"][2] < 0 < results[1]["difference"][1]
    assert format_claim(results[0]).startswith("B helps: **can't be told from 1 seed**, -0.20 (")
    # Without a cell there is no verdict on it.
    assert len(check_claims(TABLE, TABLE.cells[:2], FaceErrors(cells, "t"))) == 2


@pytest.mark.slow
def test_smt_cells_store_margins_and_evaluate_the_network_of_another_one(
    synthetic_records, tmp_path
):
    table = SETTLE_TABLES["settle_smt"]
    settings = Settings(
        folder=tmp_path / "settle",
        data=str(synthetic_records),
        tests={"test": f"{synthetic_records}/test-*"},
        seeds=(0,),
        minutes=1.0,
        epochs=2,
        normalizer="box",
        overrides={
            "model.input_size": 64, "model.features": 8, "model.inner_features": 8,
            "model.num_stacks": 1, "model.depth": 1, "model.residual_features": 4,
            "jit_compile": "off",
        },
    )  # fmt: skip
    names = ("bice, argmax", "bice, wide", "theta .5, alone")
    found = CellRunner(settings).run(table, names)
    cells = {cell["cell"]: cell for cell in found}
    assert set(cells) == {"bice", "theta .5", *names}
    runs = settings.folder / "runs"
    assert {run.name for run in runs.iterdir()} == {"bice_seed0", "theta_.5_seed0"}
    errors = {name: tuple(cell["tests"]["test"]["nme"]) for name, cell in cells.items()}
    assert len(set(errors.values())) == len(errors)
    text = write_table(settings.folder, "settle_smt", table, found)
    assert "the same network is better with its residuals: **can't be told from 1 seed" in text
    assert f"theta .5 {cells['theta .5']['mean_residual']:.3f}" in text
    bice, other = (np.array(cells[name]["margins"]["predicted"]) for name in ("bice", "theta .5"))
    assert other.shape == (24, len(cells["bice"]["margins"]["distances"]))
    assert (np.diff(other, axis=1) >= 0).all()
    assert f"{other.mean(axis=0)[0]:.3f} ({(other - bice).mean(axis=0)[0]:+.3f}" in text
    assert (settings.folder / "margins.png").stat().st_size > 1000

    # A cell of another table with the same setup is a copy.
    reusing = dataclasses.replace(settings, folder=tmp_path / "more", reuse=(settings.folder,))
    (dark,) = CellRunner(reusing).run(TABLES["smt_residual"], ("dark",))
    assert not (reusing.folder / "runs").exists()
    assert (dark["cell"], dark["tests"]) == ("dark", cells["bice"]["tests"])
    assert (reusing.folder / "cells" / "dark_seed0.npz").is_file()

    network, _ = load_network(runs / "bice_seed0" / "checkpoints" / "last.keras")
    codec = heatmap_network(decode_otherwise(network, decoder="soft_argmax", sigma=4.0))[1]
    assert (codec.decoder, codec.sigma) == ("soft_argmax", 1.0)  # 16 px instead of 64
    # The same decoder gives the same result, and another decoding another setup.
    path = settings.folder / "cells" / "bice,_argmax_seed0.json"
    changed = json.loads(path.read_text())
    changed["setup"]["decoding"] = {"decoder": "dark"}
    path.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=r"another setup \(decoding\)"):
        CellRunner(settings).run(table, names)
