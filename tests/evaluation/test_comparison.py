import csv
import json

import numpy as np
import pytest

from wing_tf.evaluation.comparison import compare_reports, format_comparison


def _report(folder, values, *, groups=None, protocol=None, warnings=(), **facts):
    """Writes what `wing_tf.evaluation.report` does, as far as a comparison reads it."""
    folder.mkdir()
    score = (protocol or {}).get("score", "nme")
    with (folder / "nme.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "nme", "groups", "pck"][: 4 if score == "pck" else 3])
        for key, value in values.items():
            row = [key, value, (groups or {}).get(key, "test")]
            writer.writerow([*row, value] if score == "pck" else row)
    report = {
        "normalizer": "box", "scheme": "ibug_68", "num_evaluated_landmarks": 68,
        "protocol": f"protocol of {folder.name}", "warnings": list(warnings), **facts,
    }  # fmt: skip
    if protocol:
        report["named_protocol"] = protocol
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def test_models_are_compared_on_their_common_faces(tmp_path):
    easy = np.random.default_rng(0).uniform(0.02, 0.09, 200)
    first = {f"f{i}": value for i, value in enumerate(easy)}
    better = {key: value - 0.002 for key, value in first.items()} | {"f0": float("nan")}
    folders = {
        "plain": _report(tmp_path / "a", first),
        "better": _report(tmp_path / "b", better, warnings=["WARNING: of the boxes"]),
    }
    result = compare_reports(folders, tmp_path)
    assert result["num_faces"] == 199
    assert result["num_left_out"] == {"plain": 1, "better": 0}
    table = result["groups"]["all"]
    assert table["systems"]["plain"]["nme"] == pytest.approx(easy[1:].mean())
    # Face by face the difference is always the same: its interval has no width, though the faces
    # differ by far more than it.
    system = table["systems"]["better"]
    np.testing.assert_allclose(system["difference"], [-0.002] * 3, atol=1e-9)
    text = format_comparison(result)
    assert "-0.20 (-0.20 to -0.20)" in text
    assert "WARNING: of the boxes" in text
    assert text == (tmp_path / "comparison.txt").read_text()
    assert json.loads((tmp_path / "comparison.json").read_text())["baseline"] == "plain"
    assert (tmp_path / "ced.png").stat().st_size > 10_000


def test_comparison_uses_groups_and_thresholds_of_the_protocol(tmp_path):
    protocol = {
        "name": "wflw", "score": "nme", "thresholds": [0.10],
        "members": {"full": ["test"], "pose": ["pose"], "blur": ["blur"]},
    }  # fmt: skip
    values = {f"f{i}": v for i, v in enumerate([0.02, 0.04, 0.12, 0.20])}
    groups = {"f2": "pose test", "f3": "pose test"}
    worse = {key: value + 0.01 for key, value in values.items()}
    folders = {
        "a": _report(tmp_path / "a", values, groups=groups, protocol=protocol),
        "b": _report(tmp_path / "b", worse, groups=groups, protocol=protocol),
    }
    tables = compare_reports(folders, tmp_path)["groups"]
    assert list(tables) == ["full", "pose"]  # nobody is blurred
    assert tables["pose"]["num_faces"] == 2
    assert tables["pose"]["systems"]["a"]["nme"] == pytest.approx(0.16)
    assert tables["full"]["systems"]["a"]["fr_10"] == 0.5
    assert "fr_08" not in tables["full"]["systems"]["a"]
    assert tables["full"]["systems"]["b"]["difference"][0] == pytest.approx(0.01)


def test_pck_reports_are_compared_by_pck(tmp_path):
    protocol = {
        "name": "lsp_pck", "score": "pck", "thresholds": [0.2], "members": {"test": ["test"]},
    }  # fmt: skip
    values = {"p0": 0.5, "p1": 1.0}
    folders = {
        "a": _report(tmp_path / "a", values, protocol=protocol),
        "b": _report(tmp_path / "b", {"p0": 0.75, "p1": 1.0}, protocol=protocol),
    }
    result = compare_reports(folders, tmp_path)
    assert result["groups"]["test"]["systems"]["b"]["pck"] == 0.875
    assert result["groups"]["test"]["systems"]["b"]["difference"][0] == 0.125
    assert "+12.50" in (tmp_path / "comparison.txt").read_text()
    assert not (tmp_path / "ced.png").exists()


def test_incomparable_reports_raise(tmp_path):
    one = _report(tmp_path / "a", {"f0": 0.1})
    with pytest.raises(ValueError, match="at least two reports"):
        compare_reports({"a": one}, tmp_path)
    other = _report(tmp_path / "b", {"f1": 0.1})
    with pytest.raises(ValueError, match="There is no face"):
        compare_reports({"a": one, "b": other}, tmp_path)
    for i, changed in enumerate(
        ({"normalizer": "inter_ocular"}, {"scheme": "wflw_98"}, {"num_evaluated_landmarks": 51})
    ):
        eyes = _report(tmp_path / f"c{i}", {"f0": 0.1}, **changed)
        with pytest.raises(ValueError, match=f"differ in {next(iter(changed))}"):
            compare_reports({"a": one, "c": eyes}, tmp_path)
    named = _report(tmp_path / "d", {"f0": 0.1}, protocol={"name": "wflw", "score": "nme"})
    with pytest.raises(ValueError, match="differ in protocol: none, wflw"):
        compare_reports({"a": one, "d": named}, tmp_path)
    with (one / "nme.csv").open("a") as file:
        file.write("f0,0.2,test\n")
    with pytest.raises(ValueError, match="have the same key"):
        compare_reports({"a": one, "b": other}, tmp_path)
