import csv
import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from tfrecords_tools.sources import SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.records import open_records
from wing_tf.evaluation import conditions
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.evaluation.predict import crop_batches, predict_batches
from wing_tf.evaluation.report import format_report, make_report
from wing_tf.landmarks import SchemeMap, find_scheme_map
from wing_tf.metrics import summarize_errors
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6
from wing_tf.models.compiled import compile_network
from wing_tf.models.saving import save_network

MODEL_SPEC = ModelSpec(scheme="ibug_68", input_size=32, margin=1.2)


@pytest.fixture(scope="module")
def records(synthetic_records):
    return open_records(str(synthetic_records), split="test")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("model") / "cnn6.keras"
    save_network(cnn6(68, input_size=32), path, MODEL_SPEC)
    return path


def _perfect(records, spec=MODEL_SPEC, **options):
    """Returns predictions that equal the ground truth."""
    from wing_tf.geometry import apply_affine, invert

    batches = list(crop_batches(records, spec, **options))
    answers = iter([apply_affine(invert(b.crop_to_source), b.true_px) for b in batches])
    return predict_batches(lambda _: next(answers), batches)


def test_perfect_predictions_have_no_error(records):
    predictions = _perfect(records, batch_size=7)  # the last batch is smaller
    assert len(predictions.key) == records.num_faces == 24
    report = make_report(predictions, records.scheme, "box")
    assert report["nme"] < 1e-9
    assert (report["fr_08"], report["auc_08"]) == (0, pytest.approx(1))
    assert 0.05 < report["mean_shape_nme"] < 0.5


def test_report_has_the_reliability_of_calibrated_scores(records):
    predictions = _perfect(records)
    assert "reliability" not in make_report(predictions, records.scheme)
    scores = np.repeat([0.75, 0.95], [8, 16])
    report = make_report(dataclasses.replace(predictions, score=scores), records.scheme)
    assert [row["count"] for row in report["reliability"]["bins"]] == [8, 16]
    assert report["reliability"]["ece"] == pytest.approx((8 * 0.25 + 16 * 0.05) / 24)


def test_moved_boxes_change_the_crop_but_not_the_ground_truth(records):
    plain = _perfect(records)
    moved = _perfect(records, move_boxes=conditions.noisy_boxes(0.2))
    np.testing.assert_allclose(moved.true_px, plain.true_px, atol=1e-6)
    np.testing.assert_allclose(moved.predicted_px, plain.true_px, atol=1e-2)
    assert np.abs(moved.box_xyxy_px - plain.box_xyxy_px).mean() > 2


def test_predictions_do_not_depend_on_batch_size(records, model):
    network = keras.saving.load_model(model)
    run = compile_network(network)
    one = predict_batches(run, crop_batches(records, MODEL_SPEC, batch_size=24))
    other = predict_batches(run, crop_batches(records, MODEL_SPEC, batch_size=5))
    np.testing.assert_allclose(one.predicted_px, other.predicted_px, atol=1e-3)


def test_report_folder_has_scores_tables_and_figures(records, model, synthetic_records, tmp_path):
    report = evaluate(
        model,
        f"{synthetic_records}/test-*",
        tmp_path,
        normalizer="box",
        box_noise=0.1,
        detectors={"whole": lambda image: np.array([[23.5, 23.5, 71.5, 71.5]])},
    )
    assert {p.name for p in tmp_path.iterdir()} == {
        "report.json", "report.txt", "nme.csv", "ced.png", "worst.png",
    }  # fmt: skip
    read = json.loads((tmp_path / "report.json").read_text())
    for key in (
        "protocol",
        "num_faces",
        "nme",
        "nmde",
        "fr_08",
        "fr_10",
        "auc_08",
        "auc_10",
    ):
        assert key in read
    with (tmp_path / "nme.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == read["num_faces"] == 24
    errors = np.array([float(row["nme"]) for row in rows])
    assert read["nme"] == pytest.approx(errors.mean())
    assert read["fr_10"] == pytest.approx((errors > 0.1).mean())
    assert set(read["conditions"]) == {"box noise 0.1", "whole boxes"}
    assert read["conditions"]["whole boxes"]["recall"] > 0.5
    assert list(read["by_prefix"]) == ["synthetic/1"]
    assert set(read["nme_by_subset"]) == {"inner_49", "inner_51"}
    low, high = read["nme_interval"]
    assert low < read["nme"] < high
    table = (tmp_path / "report.txt").read_text()
    assert f"{100 * report['nme']:.2f}" in table
    assert table == format_report(report)
    assert "not scored: 3 face(s)" in format_report({**report, "num_not_scored": 3})
    assert "synthetic/1" not in table  # All faces have this prefix.
    halves = {name: report["by_prefix"]["synthetic/1"] for name in ("first", "second")}
    assert "\nsecond " in format_report({**report, "by_prefix": halves})


def test_evaluation_on_training_faces_is_a_warning(synthetic_records, tmp_path):
    keras.utils.set_random_seed(0)
    network = cnn6(68, input_size=32, width=0.1)
    for name, data, noted in (
        ("synthetic", "", 184), ("synthetic", "/test-*", 0), ("ibug_300w", "", 0)
    ):  # fmt: skip
        path = tmp_path / f"{name}{noted}.keras"
        spec = dataclasses.replace(MODEL_SPEC, trained_on={name: 100})
        save_network(network, path, spec)
        output = tmp_path / f"{path.stem}_{data[1:5]}"
        output.mkdir()
        report = evaluate(path, f"{synthetic_records}{data}", output, normalizer="box")
        text = f"160 of the {noted} faces are of its splits train and validation"
        assert [text in note for note in report["warnings"]].count(True) == bool(noted)


def test_faces_are_evaluated_once(synthetic_records, model, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(synthetic_records, copy)
    with pytest.raises(ValueError, match="is 2 times in the records"):
        evaluate(model, f"{synthetic_records}/test-*,{copy}/test-*", tmp_path, normalizer="box")


def test_unknown_normalizer_is_refused_before_the_evaluation(synthetic_records, model, tmp_path):
    for name in ("inter_eye", "given"):
        with pytest.raises(ValueError, match="The normalizer must be one of inter_ocular"):
            evaluate(model, f"{synthetic_records}/test-*", tmp_path, normalizer=name)


def test_crops_must_fit_the_squares_of_all_files(model, tmp_path):
    for seed, context in ((1, 2.0), (2, 1.1)):
        source = SyntheticSource(num_train=0, num_test=4, seed=seed)
        square = SquareFormat(side=64, context=context)
        write_records(source, tmp_path / str(seed), square_format=square, num_processes=0,
                      progress=False)  # fmt: skip
    both = f"{tmp_path / '1'},{tmp_path / '2'}"
    assert open_records(both).context == pytest.approx(2.0)
    assert open_records(both).min_context == pytest.approx(1.1)
    with pytest.raises(ValueError, match=r"does not fit in the records' squares, 1\.10 times"):
        evaluate(model, both, tmp_path / "out", normalizer="box")


def test_model_of_another_scheme_raises(synthetic_records, tmp_path):
    path = tmp_path / "celeba.keras"
    spec = ModelSpec(scheme="celeba_5", input_size=32, margin=1.2)
    save_network(cnn6(5, input_size=32), path, spec)
    with pytest.raises(ValueError, match="no map from celeba_5 to ibug_68"):
        evaluate(path, str(synthetic_records), tmp_path)
    wrong = find_scheme_map("ibug_68", "aflw_19")
    with pytest.raises(ValueError, match="is from ibug_68 to aflw_19, the model predicts celeba_5"):
        evaluate(path, str(synthetic_records), tmp_path, scheme_map=wrong)


def test_model_is_evaluated_through_a_scheme_map(synthetic_records, tmp_path):
    path = tmp_path / "wflw.keras"
    spec = ModelSpec(scheme="wflw_98", input_size=32, margin=1.2)
    network = cnn6(98, input_size=32)
    save_network(network, path, spec)
    (tmp_path / "out").mkdir()
    report = evaluate(path, str(synthetic_records), tmp_path / "out", normalizer="box")
    assert report["protocol"].startswith("wflw_98 as ibug_68 (68 landmarks), box NME")
    assert "whose own error has not been measured" in report["warnings"][0]
    records = open_records(str(synthetic_records))
    mapping = find_scheme_map("wflw_98", "ibug_68")
    plain = predict_batches(
        compile_network(network), crop_batches(records, spec), mapping
    ).predicted_px
    true = _perfect(records).true_px
    corners = true.min(axis=1), true.max(axis=1)
    side = np.sqrt(np.prod(corners[1] - corners[0], axis=1))
    expected = np.linalg.norm(plain - true, axis=-1).mean(axis=1) / side
    assert report["nme"] == pytest.approx(expected.mean(), rel=1e-5)


def test_landmarks_without_a_mapping_are_not_evaluated(records, model, synthetic_records, tmp_path):
    scheme = records.scheme
    groups = tuple(() if i in scheme.regions["outline"] else (i,) for i in range(68))
    inner = SchemeMap(source=scheme, target=scheme, groups=groups)
    data = str(synthetic_records / "test-*")
    reports = []
    for name, scheme_map in (("all", None), ("inner", inner)):
        (tmp_path / name).mkdir()
        options = {"normalizer": "inter_ocular", "scheme_map": scheme_map}
        reports.append(evaluate(model, data, tmp_path / name, **options))
    assert reports[1]["nme"] == pytest.approx(reports[0]["nme_by_subset"]["inner_51"])
    assert reports[1]["nme_by_region"]["outline"] is None
    assert "(51 landmarks)" in reports[1]["protocol"]
    # The normalizer's landmarks count also where they are not evaluated.
    groups = tuple((i,) if i in scheme.regions["mouth"] else () for i in range(68))
    mouth = SchemeMap(source=scheme, target=scheme, groups=groups)
    (tmp_path / "mouth").mkdir()
    report = evaluate(model, data, tmp_path / "mouth", normalizer="inter_ocular", scheme_map=mouth)
    assert report["nme"] == pytest.approx(reports[0]["nme_by_region"]["mouth"])
    assert report["num_not_scored"] == 0
    gap = reports[0]["nmde"] - reports[0]["nmde_by_subset"]["inner_49"]
    assert reports[0]["nmde_gap_by_subset"]["inner_49"] == pytest.approx(gap)
    word = "larger" if gap < 0 else "smaller"
    assert f"{word} by {100 * abs(gap):.2f}" in (tmp_path / "all" / "report.txt").read_text()


def test_detected_boxes_are_matched_to_faces(records):
    boxes_px = np.concatenate([b.box_xyxy_px for b in crop_batches(records, MODEL_SPEC)])
    calls = []

    def detector(image):
        calls.append(image.shape)
        far = np.array([[0.0, 0, 9, 9]])
        near = np.array([[25.0, 25, 70, 70]])
        return far if len(calls) == 1 else np.concatenate([far, near])

    boxes, found = conditions.detect_in_squares(records, detector)
    assert found.tolist() == [False] + [True] * (len(boxes_px) - 1)
    np.testing.assert_array_equal(boxes[1], [25, 25, 70, 70])
    kept = conditions.select_faces(_perfect(records), found)
    assert len(kept.key) == len(kept.true_px) == found.sum()
    # Full-size boxes go into the shrunk frame that the network's crop is read at.
    spec = ModelSpec(scheme="ibug_68", input_size=8, margin=1.2)
    move = conditions.detected_boxes(records, spec, boxes)
    ratio = 4
    np.testing.assert_allclose(move(np.zeros((2, 4)))[1], (boxes[1] + 0.5) / ratio - 0.5)


def test_scores_of_landmarks_never_annotated_are_null(records):
    predictions = _perfect(records)
    predictions.true_px[:, list(records.scheme.regions["nose"])] = np.nan
    report = make_report(predictions, records.scheme, "box")
    assert report["nme_by_region"]["nose"] is None
    assert report["nme_by_region"]["mouth"] < 1e-9
    assert np.isfinite(report["mean_shape_nme"])
    report |= {"protocol": "test"}
    assert "NaN" not in json.dumps(report)
    assert f"NME region {'nose':<26}{'-':>8}\n" in format_report(report)
    predictions.true_px[0] = np.nan
    assert make_report(predictions, records.scheme, "box")["num_not_scored"] == 1
    predictions.true_px[:] = np.nan
    with pytest.raises(ValueError, match="No face can be scored"):
        make_report(predictions, records.scheme, "box")


def test_summary_golden():
    summary = summarize_errors(np.array([0.01, 0.03, 0.05, 0.2]))
    assert summary["auc_08"] == pytest.approx(0.46875)
    assert summary["fr_08"] == 0.25
    assert summary["nmde"] == pytest.approx(0.04)
