import csv
import json

import numpy as np
import pytest

from wing_tf.evaluation.compare import compare_reports, format_comparison


def _report(folder, errors, normaliser="box"):
    folder.mkdir()
    with (folder / "nme.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("key", "nme"), *errors.items()])
    text = json.dumps({"normaliser": normaliser, "protocol": f"protocol of {folder.name}"})
    (folder / "report.json").write_text(text)
    return folder


def test_models_are_compared_on_the_faces_they_share(tmp_path):
    generator = np.random.default_rng(0)
    easy = generator.uniform(0.02, 0.09, 200)
    first = {f"f{i}": value for i, value in enumerate(easy)}
    better = {key: value - 0.002 for key, value in first.items()} | {"f0": float("nan")}
    folders = {
        "plain": _report(tmp_path / "a", first), "better": _report(tmp_path / "b", better),
    }  # fmt: skip
    result = compare_reports(folders, tmp_path)
    assert result["num_faces"] == 199
    assert result["systems"]["plain"]["nme_mean"] == pytest.approx(easy[1:].mean())
    assert result["systems"]["plain"]["num_faces_of_its_own"] == 1
    system = result["systems"]["better"]
    # Face by face the difference is always the same: its interval has no width, though the faces
    # differ by far more than it.
    assert system["difference"] == pytest.approx(-0.002)
    np.testing.assert_allclose(system["difference_interval"], [-0.002, -0.002], atol=1e-9)
    text = format_comparison(result)
    assert "-0.20 (-0.20 to -0.20)" in text
    assert text == (tmp_path / "comparison.txt").read_text()
    assert json.loads((tmp_path / "comparison.json").read_text())["compared_with"] == "plain"
    assert (tmp_path / "ced.png").stat().st_size > 10_000


def test_what_can_not_be_compared_is_refused(tmp_path):
    one = _report(tmp_path / "a", {"f0": 0.1})
    with pytest.raises(ValueError, match="two reports or more"):
        compare_reports({"a": one}, tmp_path)
    other = _report(tmp_path / "b", {"f1": 0.1})
    with pytest.raises(ValueError, match="share no face"):
        compare_reports({"a": one, "b": other}, tmp_path)
    eyes = _report(tmp_path / "c", {"f0": 0.1}, "inter_ocular")
    with pytest.raises(ValueError, match="different distances: \\['box', 'inter_ocular'\\]"):
        compare_reports({"a": one, "c": eyes}, tmp_path)
