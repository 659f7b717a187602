import csv
import json

import pytest

from wing_tf.reproduction import TABLES
from wing_tf.reproduction.cell_setup import sha256
from wing_tf.reproduction.peers import add_peer, peer_errors
from wing_tf.reproduction.score_sections import score_sections
from wing_tf.reproduction.write import _format_published


def _cell(name, seed, **values):
    return {"cell": name, "seed": seed, **values}


def test_medians_of_all_and_of_inner_landmarks_and_their_gap(tmp_path):
    table = TABLES["smt_medians"]
    tests = {"nme": [0.05, 0.06, 0.09], "nme_by_subset": {"inner_49": [0.03, None, 0.05]}}
    cells = [_cell("smt-net", 0, tests={"challenge": tests})]
    text = "\n".join(score_sections(tmp_path, table, list(table.cells), cells))
    assert "| smt-net | 6.00 | 4.00 | 2.00 |" in text


def test_pck_by_joint_and_speed_are_means_over_seeds(tmp_path):
    table = TABLES["awing_pose"]
    cells = [
        _cell(
            "mse",
            seed,
            tests={"test": {"pck": {"head": 0.9 + 0.02 * seed, "mean": 0.8}}},
            images_per_second={"CPU, 1 core": 10.0 + seed},
        )
        for seed in (0, 1)
    ]
    text = "\n".join(score_sections(tmp_path, table, list(table.cells[:1]), cells))
    assert "| cell | head | mean |" in text
    assert "| mse | 91.00 | 80.00 |" in text
    assert "| mse | 10.5 |" in text


def test_published_scores_say_their_test_set_and_normalizer():
    stacks = TABLES["awing_stacks"]
    text = _format_published(dict(stacks.cells[0].published), stacks)
    assert "4.46 (300-W full, inter-pupil); 2.81 (300-W common, inter-ocular)" in text
    assert "5.18 (COFW, inter-pupil)" in text
    for table in TABLES.values():
        published = {key for cell in table.cells for key in cell.published}
        assert published <= set(table.published_as), table.title


def test_peers_are_compared_on_the_same_faces_with_the_same_normalizer(tmp_path):
    report, folder = tmp_path / "report", tmp_path / "table"
    report.mkdir()
    (report / "report.json").write_text(json.dumps({"normalizer": "inter_ocular"}))
    rows = [("key", "nme", "groups"), ("b/1", 0.05, ""), ("a/2", 0.07, "")]

    def write(rows):
        with (report / "nme.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)

    write(rows)
    add_peer(folder, "dlib", report)
    test = {"keys_sha256": sha256(b"b/1\na/2")}
    cell = {"normalizer": "inter_ocular", "tests": {"helen": test}}
    assert peer_errors(folder, cell, "helen")["dlib"].tolist() == [0.05, 0.07]
    assert peer_errors(folder, cell | {"normalizer": "box"}, "helen") == {}
    other = {"tests": {"helen": {"keys_sha256": sha256(b"a/2\nb/1")}}}
    assert peer_errors(folder, cell | other, "helen") == {}
    write([*rows, ("c/3", "nan", "")])
    with pytest.raises(ValueError, match="NME of every face"):
        add_peer(folder, "dlib", report)
