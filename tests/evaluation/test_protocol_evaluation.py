"""Tests of the evaluation of records by a protocol."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from drawn import Drawn, new_folder, save_model, write_drawn_records

from wing_tf.data.records import open_records
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.evaluation.predict import crop_batches, predict_batches
from wing_tf.evaluation.protocol_report import compare_with_published, format_protocol
from wing_tf.evaluation.protocols import get_protocol
from wing_tf.model_spec import ModelSpec
from wing_tf.models.compiled import compile_network
from wing_tf.models.saving import load_network


def test_wflw_report_has_every_group(tmp_path):
    places = [("train",)] * 3 + [
        ("test",),
        ("test", "pose"),
        ("test", "pose", "blur"),
        ("test", "blur"),
    ]
    records = write_drawn_records(
        tmp_path / "records", Drawn("wflw", "wflw_98", places, box=(10, 10, 110, 110))
    )
    trained = {"trained_on": {"wflw": 6750}, "held_out": {"wflw": 750}}
    model = save_model(tmp_path / "m.keras", "wflw_98", **trained)
    (tmp_path / "out").mkdir()
    report = evaluate(model, str(records), tmp_path / "out", protocol=get_protocol("wflw"))
    groups = report["named_protocol"]["groups"]
    numbers = {title: part["num_faces"] for title, part in groups.items()}
    assert numbers == {
        "full": 4, "pose": 2, "expression": 0, "illumination": 0, "make_up": 0, "occlusion": 0,
        "blur": 2,
    }  # fmt: skip
    assert report["num_faces"] == 4  # not the training faces
    assert report["normalizer"] == "inter_ocular"
    table = (tmp_path / "out" / "report.txt").read_text().partition("published:")[0]
    rows = {row.split()[0]: row.split()[1:] for row in table.splitlines() if row}
    assert rows["full"][:3] == ["4", "of", "2500"]
    assert rows["full"][3] == f"{100 * groups['full']['nme']:.2f}"
    assert rows["expression"][3:5] == ["-", "-"]
    awing, true_boxes, *_ = report["named_protocol"]["published"]
    assert (awing["boxes_match"], true_boxes["boxes_match"]) == (True, False)
    assert awing["training_data_match"]  # all of WFLW's, some of them held out
    assert not awing["faces_match"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(
        json.dumps(report)
    )
    text = format_protocol(report["named_protocol"])
    assert "full          NME 4.36, FR10 2.84, AUC10 57.19" in text
    assert "faces NOT the same: theirs 2500 of wflw; here 4 of wflw" in text


def test_published_systems_report_differing_conditions(tmp_path):
    places = [("test_helen",), ("test_ibug",)]
    folder = write_drawn_records(tmp_path / "records", Drawn("ibug_300w", "ibug_68", places))
    records = open_records(str(folder))
    protocol = get_protocol("300w_interocular")
    spec = ModelSpec(scheme="ibug_68", input_size=32, margin=1.2, trained_on={"ibug_300w": 1816})

    def beside(changed=spec, number=689, landmarks=68, data=records):
        groups = {"full": {"num_faces": number}}
        return compare_with_published(protocol, groups, data, changed, landmarks)

    awing, smt, hrnet, *_ = beside()
    assert [e["boxes_match"] for e in (awing, smt, hrnet)] == [False, True, True]
    assert not any(e["training_data_match"] for e in (awing, smt, hrnet))
    assert awing["training_data"] == "theirs ibug_300w 3148; here ibug_300w 1816"
    assert awing["faces_match"]
    assert awing["landmarks_match"]
    assert not beside(number=688)[0]["faces_match"]
    assert not beside(landmarks=51)[0]["landmarks_match"]
    other = dataclasses.replace(records, sources={"synthetic": 689})
    assert not beside(data=other)[0]["faces_match"]
    whole = dataclasses.replace(spec, trained_on={"ibug_300w": 2833}, held_out={"ibug_300w": 315})
    awing, _, hrnet, *_ = beside(whole)
    assert awing["training_data_match"]
    assert not hrnet["training_data_match"]  # began with ImageNet's weights
    more = dataclasses.replace(whole, trained_on={"ibug_300w": 2833, "wflw": 7500})
    assert not beside(more)[0]["training_data_match"]


def test_aflw_normalizer_is_the_dataset_box_for_every_crop_rule(tmp_path):
    """The box is 100 px wide: the NME is the errors in pixels, in percent."""
    places = [("test",), ("test", "frontal")]
    source = Drawn("aflw", "aflw_19", places, box=(5, 5, 105, 105))
    model = save_model(tmp_path / "m.keras", "aflw_19")
    for crop in ("dataset_box", "hrnet"):
        folder = write_drawn_records(tmp_path / crop, source, crop=crop)
        out = new_folder(tmp_path / f"{crop}_out")
        report = evaluate(model, str(folder), out, protocol=get_protocol("aflw_frontal"))
        records = open_records(str(folder))
        network, spec = load_network(model)
        run = compile_network(network)
        predictions = predict_batches(run, crop_batches(records, spec))
        np.testing.assert_allclose(
            predictions.dataset_box_xyxy_px, [[5, 5, 105, 105]] * 2, atol=1e-3
        )
        frontal = [i for i, group in enumerate(predictions.groups) if "frontal" in group]
        assert len(frontal) == 1
        errors = np.linalg.norm(predictions.true_px - predictions.predicted_px, axis=-1)
        scores = report["named_protocol"]["groups"]["frontal"]
        assert scores["num_faces"] == 1
        assert scores["nme"] == pytest.approx(errors[frontal].mean() / 100, rel=1e-5)
    # By another rule, faces without a box of the data set's have no score.
    bare = write_drawn_records(tmp_path / "bare", Drawn("aflw", "aflw_19", places))
    with pytest.raises(ValueError, match="No face can be scored"):
        evaluate(model, str(bare), new_folder(tmp_path / "x"), protocol=get_protocol("aflw_full"))
    menpo = evaluate(
        model, str(folder), new_folder(tmp_path / "me"), protocol=get_protocol("menpo_box")
    )
    plain = evaluate(model, str(folder), new_folder(tmp_path / "plain"), normalizer="box")
    assert menpo["num_faces"] == plain["num_faces"] == 2
    assert menpo["nme"] > 1.1 * plain["nme"]  # the landmarks' box is the smaller one
    assert "box NME (the landmarks' box)" in menpo["protocol"]


def test_menpo_protocol_excludes_training_faces(tmp_path):
    places = [("train",)] * 3 + [("test",), ("test_more",)]
    folder = write_drawn_records(tmp_path / "records", Drawn("csv", "celeba_5", places))
    model = save_model(tmp_path / "m.keras", "celeba_5")
    report = evaluate(
        model, str(folder), new_folder(tmp_path / "out"), protocol=get_protocol("menpo_diagonal")
    )
    assert report["num_faces"] == 2
    with pytest.raises(ValueError, match="neither train nor validation"):
        evaluate(model, f"{folder}/train-*", tmp_path, protocol=get_protocol("menpo_diagonal"))


def test_records_without_crop_rules_use_their_box_as_normalizer(tmp_path):
    """Before crop rules were recorded there was one box: the data set's, or the landmarks'."""
    source = Drawn("csv", "aflw_19", [("test",)] * 3, box=(0, 0, 80, 80))
    folder = write_drawn_records(tmp_path / "new", source)
    old = new_folder(tmp_path / "old")
    kept = {"image/encoded", "image/side", "landmarks", "visibility", "box", "square_to_source",
            "key", "source_image", "split", "scheme"}  # fmt: skip
    for file in folder.glob("*.tfrecord"):
        with tf.io.TFRecordWriter(str(old / file.name)) as writer:
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                example = tf.train.Example.FromString(record)
                for name in set(example.features.feature) - kept:
                    del example.features.feature[name]
                writer.write(example.SerializeToString())
    model = save_model(tmp_path / "m.keras", "aflw_19")
    reports = [
        evaluate(model, str(part), new_folder(tmp_path / f"{part.name}_out"))
        for part in (folder, old)
    ]
    assert reports[1]["nme"] == pytest.approx(reports[0]["nme"], rel=1e-6)
    assert "not recorded" in reports[1]["protocol"]
    (batch,) = crop_batches(open_records(str(old)), ModelSpec(
        scheme="aflw_19", input_size=32, margin=1.2))  # fmt: skip
    np.testing.assert_allclose(batch.dataset_box_xyxy_px, [[0, 0, 80, 80]] * 3, atol=1e-3)


@pytest.mark.parametrize(
    ("trained", "evaluated", "warns"),
    [
        ({"lapa": 18176}, "ibug_300w", True),
        ({"wflw": 7500, "lapa": 18176}, "ibug_300w", True),  # also by way of init_from
        ({"ibug_300w": 3148}, "lapa", True),
        ({"ibug_300w": 3148}, "ibug_300w", False),
        ({"lapa": 18176}, "cofw68", False),
    ],
)
def test_report_says_that_lapa_holds_faces_of_300w(tmp_path, trained, evaluated, warns):
    scheme = "lapa_106" if evaluated == "lapa" else "ibug_68"
    drawn = Drawn(evaluated, scheme, [("test",)] * 2, box=(10, 10, 110, 110))
    records = write_drawn_records(tmp_path / "records", drawn)
    model = save_model(tmp_path / "m.keras", scheme, trained_on=trained)
    (tmp_path / "out").mkdir()
    warnings = evaluate(model, str(records), tmp_path / "out")["warnings"]
    found = [text for text in warnings if "LaPa holds warped copies of faces of AFW" in text]
    assert len(found) == warns
    assert all(text in (tmp_path / "out/report.txt").read_text() for text in found)


def test_model_trained_on_other_boxes_gives_a_warning(tmp_path):
    source = Drawn("wflw", "wflw_98", [("test",)] * 2, box=(20, 20, 100, 100))
    folder = write_drawn_records(tmp_path / "records", source, crop="hrnet")
    model = save_model(
        tmp_path / "m.keras", "wflw_98", trained_boxes=["dataset"], trained_crops=["wflw's"]
    )
    report = evaluate(model, str(folder), new_folder(tmp_path / "out"))
    assert report["warnings"] == [
        "WARNING: trained on crops around wflw's, evaluated on hrnet (landmark box x 1.25, square)"
    ]
    assert report["warnings"][0] in (tmp_path / "out" / "report.txt").read_text()


def test_crops_using_the_ground_truth_give_a_warning(tmp_path):
    source = Drawn("wflw", "wflw_98", [("test",)] * 2, box=(20, 20, 100, 100))
    write_drawn_records(tmp_path / "records", source, crop="awing_official_test")
    model = save_model(tmp_path / "m.keras", "wflw_98")
    report = evaluate(model, str(tmp_path / "records"), new_folder(tmp_path / "out"))
    assert report["crops_enlarged_by_true_landmarks"]
    assert "WIDENED WITH THE GROUND TRUTH" in (tmp_path / "out" / "report.txt").read_text()


def test_protocols_that_do_not_fit_raise(tmp_path):
    write_drawn_records(tmp_path / "records", Drawn("ibug_300w", "ibug_68", [("train",)] * 2))
    model = save_model(tmp_path / "m.keras", "ibug_68")
    records = str(tmp_path / "records")
    with pytest.raises(ValueError, match="reads the splits test_helen, test_lfpw, test_ibug"):
        evaluate(model, records, tmp_path, protocol=get_protocol("300w_interocular"))
    write_drawn_records(tmp_path / "test", Drawn("ibug_300w", "ibug_68", [("test",)] * 2))
    with pytest.raises(ValueError, match="wflw is for records of wflw_98. Received: ibug_68"):
        evaluate(model, str(tmp_path / "test"), tmp_path, protocol=get_protocol("wflw"))
    test, protocol = str(tmp_path / "test"), get_protocol("menpo_diagonal")
    with pytest.raises(ValueError, match="divides by diagonal. Received: normalizer='box'"):
        evaluate(model, test, tmp_path, protocol=protocol, normalizer="box")
