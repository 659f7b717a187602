"""Tests of the evaluation protocols."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tfrecords_tools.sources import Face, Item, Source
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.records import find_shards, open_records
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.evaluation.predict import Predictions, crop_batches, predict_batches
from wing_tf.evaluation.protocol_report import compare_with_published, format_protocol, score_groups
from wing_tf.evaluation.protocols import PROTOCOLS, get_protocol
from wing_tf.evaluation.published import PUBLISHED
from wing_tf.evaluation.report import face_errors
from wing_tf.geometry import landmark_box
from wing_tf.landmarks import get_scheme
from wing_tf.model_spec import ModelSpec
from wing_tf.models import cnn6
from wing_tf.models.compiled import compile_network
from wing_tf.models.saving import load_network, save_network


class Drawn(Source):
    """Landmarks without faces: noise images, some splits, sub-sets and boxes."""

    def __init__(self, name, scheme, places, box=None):
        self.name, self.scheme, self.places, self.box = name, get_scheme(scheme), places, box
        self.skipped, self.default_crop = {}, "dataset_box" if box else "landmark_box"
        self.has_boxes = box is not None

    def items(self):
        return [
            Item(f"{split}/{i:03d}", f"{split}/{i:03d}", split, i, attributes)
            for i, (split, *attributes) in enumerate(map(tuple, self.places))
            for attributes in [tuple(attributes)]
        ]

    def load(self, item):
        generator = np.random.default_rng(item.source_data)
        image = generator.integers(0, 256, (120, 130, 3), np.uint8)
        landmarks = generator.uniform(20, 100, (self.scheme.num_landmarks, 2))
        box = None if self.box is None else np.array(self.box, float)
        return Face(image, landmarks, np.full(len(landmarks), 2), box)


def _write(folder, source, **options):
    options = {
        "square_format": SquareFormat(side=64),
        "validation_fraction": 0,
        "progress": False,
    } | options
    write_records(source, folder, num_processes=0, **options)
    return folder


def _save(path, scheme, **options):
    spec = ModelSpec(scheme=scheme, input_size=32, margin=1.2, **options)
    save_network(cnn6(get_scheme(scheme).num_landmarks, input_size=32, width=0.1), path, spec)
    return path


def _predictions(true, predicted, groups, boxes=None):
    boxes = np.full((len(true), 4), np.nan) if boxes is None else boxes
    keys = [f"face/{i}" for i in range(len(true))]
    number = np.arange(len(true))
    return Predictions(true, predicted, landmark_box(true), boxes, keys, groups, number)


def test_protocols_name_what_there_is():
    for name, protocol in PROTOCOLS.items():
        if protocol.scheme:
            scheme = get_scheme(protocol.scheme)
            known = {*scheme.normalizers, "box", "box_width", "diagonal"}
            assert protocol.normalizer in known
        assert set(protocol.official_counts) <= {*protocol.groups, "each"}
        for entry in PUBLISHED.get(name, ()):
            joints = {"head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "mean"}
            assert set(entry.values) <= (
                joints if protocol.score == "pck" else set(protocol.groups)
            )
    assert set(PUBLISHED) <= set(PROTOCOLS)
    with pytest.raises(ValueError, match="Did you mean '300w_interocular'"):
        get_protocol("300w_interoccular")


def test_published_tables_keep_their_columns():
    awing = PUBLISHED["wflw"][0].values
    assert awing["full"] == {"nme": 4.36, "fr_10": 2.84, "auc_10": 57.19}
    assert awing["blur"] == {"nme": 4.96, "fr_10": 3.75, "auc_10": 51.20}
    assert PUBLISHED["wflw"][2].values["make_up"] == {"nme": 4.26}  # HRNet
    assert PUBLISHED["lsp_pck"][0].values["mean"] == {"pck": 85.9}


def test_groups_against_values_worked_by_hand():
    """Four faces of 10 px between the eyes' corners: errors of .1, .3, .5 and 2 px everywhere."""
    scheme, protocol = get_scheme("ibug_68"), get_protocol("300w_interocular")
    true = np.zeros((4, 68, 2))
    true[:, 45, 0] = 10.0
    errors_px = np.array([0.1, 0.3, 0.5, 2.0])
    predicted = true + np.array([0.0, 1.0]) * errors_px[:, None, None]
    groups = [frozenset([name]) for name in ("test_helen", "test_lfpw", "test_ibug", "test_ibug")]
    predictions = _predictions(true, predicted, groups)
    scores = score_groups(predictions, *face_errors(predictions, scheme), scheme, protocol)
    full = scores["full"]
    assert full["num_faces"] == 4
    assert full["nme"] == pytest.approx((0.01 + 0.03 + 0.05 + 0.2) / 4)
    assert full["fr_08"] == 0.25
    assert full["auc_08"] == pytest.approx(0.46875)
    assert full["auc_10"] == pytest.approx(1 - (0.01 + 0.03 + 0.05 + 0.1) / 4 / 0.1)
    assert scores["common"]["nme"] == pytest.approx(0.02)
    assert scores["challenge"]["nme"] == pytest.approx(0.125)
    assert scores["challenge"]["nmde"] == pytest.approx(0.125)
    assert scores["challenge"]["fr_10"] == 0.5


def test_pck_against_values_worked_by_hand():
    """A torso of 100 px: 20 px and less are right. A person turned round has swapped sides."""
    scheme, protocol = get_scheme("lsp_14"), get_protocol("lsp_pck")
    true = np.zeros((2, 14, 2))
    true[..., 1] = np.arange(14) * 10.0
    right, left = [0, 1, 2, 6, 7, 8], [5, 4, 3, 11, 10, 9]
    true[:, right, 0], true[:, left, 0] = 30.0, 90.0  # faces the viewer
    true[:, 9], true[:, 2] = [90.0, 90.0], [30.0, 10.0]  # left shoulder, right hip: 60, 80 apart
    true[1, :, 0] = 120.0 - true[1, :, 0]  # seen from behind: sides change places
    predicted = true.copy()
    predicted[0, 0] += [20.0, 0.0]  # right, just
    predicted[0, 1] += [20.1, 0.0]  # wrong
    predicted[1, [2, 3]] = true[1, [3, 2]]  # hips confused: wrong, but for an observer right
    true[1, 13] = np.nan  # not annotated
    predictions = _predictions(true, predicted, [frozenset(["test"])] * 2)
    errors, distance = face_errors(predictions, scheme)
    np.testing.assert_allclose(distance, 100.0)
    scores = score_groups(predictions, errors, distance, scheme, protocol)
    assert scores["ankle"]["pck"] == 1.0
    assert scores["knee"]["pck"] == 0.75
    assert scores["hip"]["pck"] == 0.5
    assert scores["hip"]["pck_observer"] == 1.0
    assert scores["head"]["pck"] == 1.0
    assert scores["mean"]["pck"] == pytest.approx((5 + 0.75 + 0.5) / 7)
    assert scores["mean"]["num_faces"] == 2


def test_wflw_in_one_table(tmp_path):
    places = [("train",)] * 3 + [
        ("test",),
        ("test", "pose"),
        ("test", "pose", "blur"),
        ("test", "blur"),
    ]
    records = _write(tmp_path / "records", Drawn("wflw", "wflw_98", places, box=(10, 10, 110, 110)))
    trained = {"trained_on": {"wflw": 6750}, "held_out": {"wflw": 750}}
    model = _save(tmp_path / "m.keras", "wflw_98", **trained)
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
    awing, true_boxes, _ = report["named_protocol"]["published"]
    assert (awing["boxes_match"], true_boxes["boxes_match"]) == (True, False)
    assert awing["training_data_match"]  # all of WFLW's, some of them held out
    assert not awing["faces_match"]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(
        json.dumps(report)
    )
    text = format_protocol(report["named_protocol"])
    assert "full          NME 4.36, FR10 2.84, AUC10 57.19" in text
    assert "faces NOT the same: theirs 2500 of wflw; here 4 of wflw" in text


def test_conditions_that_differ_are_named(tmp_path):
    places = [("test_helen",), ("test_ibug",)]
    folder = _write(tmp_path / "records", Drawn("ibug_300w", "ibug_68", places))
    records = open_records(find_shards(str(folder)))
    protocol = get_protocol("300w_interocular")
    spec = ModelSpec(scheme="ibug_68", input_size=32, margin=1.2, trained_on={"ibug_300w": 1816})

    def beside(changed=spec, number=689, landmarks=68, data=records):
        groups = {"full": {"num_faces": number}}
        return compare_with_published(protocol, groups, data, changed, landmarks)

    awing, smt, hrnet = beside()
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
    awing, _, hrnet = beside(whole)
    assert awing["training_data_match"]
    assert not hrnet["training_data_match"]  # began with ImageNet's weights
    more = dataclasses.replace(whole, trained_on={"ibug_300w": 2833, "wflw": 7500})
    assert not beside(more)[0]["training_data_match"]


def test_aflw_divides_by_its_own_box_whatever_was_cropped(tmp_path):
    """The box is 100 px wide: the NME is the errors in pixels, in percent."""
    places = [("test",), ("test", "frontal")]
    source = Drawn("aflw", "aflw_19", places, box=(5, 5, 105, 105))
    model = _save(tmp_path / "m.keras", "aflw_19")
    for crop in ("dataset_box", "hrnet"):
        folder = _write(tmp_path / crop, source, crop=crop)
        out = _new(tmp_path / f"{crop}_out")
        report = evaluate(model, str(folder), out, protocol=get_protocol("aflw_frontal"))
        records = open_records(find_shards(str(folder)))
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
    bare = _write(tmp_path / "bare", Drawn("aflw", "aflw_19", places))
    with pytest.raises(ValueError, match="No face can be scored"):
        evaluate(model, str(bare), _new(tmp_path / "x"), protocol=get_protocol("aflw_full"))
    menpo = evaluate(model, str(folder), _new(tmp_path / "me"), protocol=get_protocol("menpo_box"))
    plain = evaluate(model, str(folder), _new(tmp_path / "plain"), normalizer="box")
    assert menpo["num_faces"] == plain["num_faces"] == 2
    assert menpo["nme"] > 1.1 * plain["nme"]  # the landmarks' box is the smaller one
    assert "box NME (the landmarks' box)" in menpo["protocol"]


def test_box_norms_judge_no_training_faces(tmp_path):
    places = [("train",)] * 3 + [("test",), ("test_more",)]
    folder = _write(tmp_path / "records", Drawn("csv", "celeba_5", places))
    model = _save(tmp_path / "m.keras", "celeba_5")
    report = evaluate(
        model, str(folder), _new(tmp_path / "out"), protocol=get_protocol("menpo_diagonal")
    )
    assert report["num_faces"] == 2
    with pytest.raises(ValueError, match="neither train nor validation"):
        evaluate(model, f"{folder}/train-*", tmp_path, protocol=get_protocol("menpo_diagonal"))


def test_a_missing_joint_leaves_its_pair_as_it_is():
    """A person from behind, one wrist without a truth: a perfect prediction stays perfect."""
    scheme, protocol = get_scheme("lsp_14"), get_protocol("lsp_pck")
    true = np.random.default_rng(0).uniform(0, 100, (5, 14, 2))
    for right, left in ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)):
        true[:, right, 0], true[:, left, 0] = 90.0, 10.0
    predicted = true.copy()
    true[:, 11] = np.nan
    predictions = _predictions(true, predicted, [frozenset(["test"])] * 5)
    errors, distance = face_errors(predictions, scheme)
    scores = score_groups(predictions, errors, distance, scheme, protocol)
    assert scores["wrist"] == {"num_faces": 5, "num_not_scored": 0, "pck": 1.0, "pck_observer": 1.0}
    predictions.true_px[:, [6, 11]] = np.nan
    scores = score_groups(predictions, errors, distance, scheme, protocol)
    assert scores["wrist"]["pck"] is None
    assert scores["mean"]["pck"] == 1.0


def test_old_records_are_divided_by_the_box_that_they_hold(tmp_path):
    """Before crop rules were recorded there was one box: the data set's, or the landmarks'."""
    source = Drawn("csv", "aflw_19", [("test",)] * 3, box=(0, 0, 80, 80))
    folder = _write(tmp_path / "new", source)
    old = _new(tmp_path / "old")
    kept = {"image/encoded", "image/side", "landmarks", "visibility", "box", "square_to_source",
            "key", "source_image", "split", "scheme"}  # fmt: skip
    for file in folder.glob("*.tfrecord"):
        with tf.io.TFRecordWriter(str(old / file.name)) as writer:
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                example = tf.train.Example.FromString(record)
                for name in set(example.features.feature) - kept:
                    del example.features.feature[name]
                writer.write(example.SerializeToString())
    model = _save(tmp_path / "m.keras", "aflw_19")
    reports = [
        evaluate(model, str(part), _new(tmp_path / f"{part.name}_out")) for part in (folder, old)
    ]
    assert reports[1]["nme"] == pytest.approx(reports[0]["nme"], rel=1e-6)
    assert "not recorded" in reports[1]["protocol"]
    (batch,) = crop_batches(open_records(find_shards(str(old))), ModelSpec(
        scheme="aflw_19", input_size=32, margin=1.2))  # fmt: skip
    np.testing.assert_allclose(batch.dataset_box_xyxy_px, [[0, 0, 80, 80]] * 3, atol=1e-3)


def test_a_model_trained_on_other_boxes_is_marked(tmp_path):
    source = Drawn("wflw", "wflw_98", [("test",)] * 2, box=(20, 20, 100, 100))
    folder = _write(tmp_path / "records", source, crop="hrnet")
    model = _save(
        tmp_path / "m.keras", "wflw_98", trained_boxes=["dataset"], trained_crops=["wflw's"]
    )
    report = evaluate(model, str(folder), _new(tmp_path / "out"))
    assert report["warnings"] == [
        "WARNING: trained on crops around wflw's, evaluated on hrnet (landmark box x 1.25, square)"
    ]
    assert report["warnings"][0] in (tmp_path / "out" / "report.txt").read_text()


def _new(folder):
    folder.mkdir()
    return folder


def test_crops_that_know_the_truth_mark_the_report(tmp_path):
    source = Drawn("wflw", "wflw_98", [("test",)] * 2, box=(20, 20, 100, 100))
    _write(tmp_path / "records", source, crop="awing_official_test")
    model = _save(tmp_path / "m.keras", "wflw_98")
    report = evaluate(model, str(tmp_path / "records"), _new(tmp_path / "out"))
    assert report["uses_true_landmarks"]
    assert "WIDENED WITH THE GROUND TRUTH" in (tmp_path / "out" / "report.txt").read_text()


def test_what_does_not_fit_is_refused(tmp_path):
    _write(tmp_path / "records", Drawn("ibug_300w", "ibug_68", [("train",)] * 2))
    model = _save(tmp_path / "m.keras", "ibug_68")
    records = str(tmp_path / "records")
    with pytest.raises(ValueError, match="reads the splits test_helen, test_lfpw, test_ibug"):
        evaluate(model, records, tmp_path, protocol=get_protocol("300w_interocular"))
    _write(tmp_path / "test", Drawn("ibug_300w", "ibug_68", [("test",)] * 2))
    with pytest.raises(ValueError, match="wflw is for records of wflw_98. Received: ibug_68"):
        evaluate(model, str(tmp_path / "test"), tmp_path, protocol=get_protocol("wflw"))
    test, protocol = str(tmp_path / "test"), get_protocol("menpo_diagonal")
    with pytest.raises(ValueError, match="divides by diagonal. Received: normalizer='box'"):
        evaluate(model, test, tmp_path, protocol=protocol, normalizer="box")


def test_pupils_are_nearer_than_corners_on_real_faces(real_faces, tmp_path):
    """Inter-pupil NME is about 1.4 times the inter-ocular one, face by face."""
    from tfrecords_tools.sources import Ibug300WSource

    source = Ibug300WSource(real_faces)
    true = np.stack([
        source.load(item).landmarks_px for item in source.items() if item.split == "test_helen"
    ])  # fmt: skip
    errors = np.random.default_rng(0).normal(size=true.shape)
    groups = [frozenset(["test_helen"])] * len(true)
    predictions = _predictions(true, true + errors, groups)
    scheme = get_scheme("ibug_68")
    pupil, ocular = (
        face_errors(predictions, scheme, name)[0] for name in ("inter_pupil", "inter_ocular")
    )
    assert pupil.mean() / ocular.mean() == pytest.approx(1.404, abs=0.03)
