"""What a model says of its training: data, boxes, crops, and the models that it began with."""

import dataclasses

import numpy as np
import pytest
from altered_faces import AlteredSource
from experiments import smoke_config

from tfrecords_tools.sources import SyntheticSource
from tfrecords_tools.square_crops import SquareFormat
from tfrecords_tools.writer import write_records
from wing_tf.data.records import open_records
from wing_tf.evaluation.evaluator import evaluate
from wing_tf.geometry import landmark_box
from wing_tf.model_spec import ModelSpec, read_model_spec
from wing_tf.models import cnn6
from wing_tf.models.saving import save_network
from wing_tf.training.resolve import complete_config
from wing_tf.training.run import train
from wing_tf.training.tasks import make_task


@pytest.fixture(scope="module")
def stretched(tmp_path_factory):
    """Records of crops that are not square."""
    folder = tmp_path_factory.mktemp("stretched") / "records"
    write_records(
        SyntheticSource(num_train=80, num_test=8, seed=4),
        folder,
        square_format=SquareFormat(side=96),
        crop="pipnet",
        validation_fraction=0.2,
        progress=False,
        num_processes=0,
    )
    return folder


def test_model_spec_holds_crop_rule_and_training_faces(stretched, tmp_path):
    config = smoke_config(stretched, epochs=1, batch_size=16, crop_margin=0.0)
    run = train(config, tmp_path / "run")
    spec = read_model_spec(run)
    assert (spec.margin, spec.square) == (1.1, False)
    assert spec.trained_boxes == ("landmark",)
    assert spec.trained_crops == ("pipnet (landmark box x 1.1, not square)",)
    counts = {
        split: open_records(str(stretched), split=split).num_faces
        for split in ("train", "validation")
    }
    assert spec.trained_on == {"synthetic": counts["train"]}
    assert spec.held_out == {"synthetic": counts["validation"]}
    assert spec.known_faces == {"synthetic": 80}
    (tmp_path / "out").mkdir()
    report = evaluate(
        run, f"{stretched}/test-*", tmp_path / "out", normalizer="box", box_noise=0.1,
        rotation_deg=30.0,
    )  # fmt: skip
    assert report["warnings"] == []
    assert report["nme"] < 0.5
    # The same command resumes: here the training is finished.
    assert train(config, tmp_path / "run") == run
    both = complete_config(smoke_config(stretched, **{"two_stage.first": str(run)}))
    with pytest.raises(ValueError, match="A two-stage model needs square crops"):
        make_task(both, open_records(str(stretched), split="train"))


def test_model_spec_holds_the_median_box_around_landmarks(tmp_path):
    def widen(item, face):
        x0, y0, x1, y1 = landmark_box(face.landmarks_px)
        side = max(x1 - x0, y1 - y0)
        tail = 5 if item.source_data % 4 == 0 else 0  # Few boxes are elsewhere.
        around = np.array([-0.7, -1.1 - tail, 0.5, 0.6])
        return dataclasses.replace(
            face, box_xyxy_px=np.tile([(x0 + x1) / 2, (y0 + y1) / 2], 2) + side * around
        )

    spec = {}
    for crop in ("dataset_box", "landmark_box"):
        write_records(
            AlteredSource(widen), tmp_path / crop, square_format=SquareFormat(side=96), crop=crop,
            progress=False, num_processes=0,
        )  # fmt: skip
        config = complete_config(smoke_config(tmp_path / crop))
        task = make_task(config, open_records(str(tmp_path / crop), split="train"))
        spec[crop] = ModelSpec.from_dict(task.spec.to_dict())
    found = spec["dataset_box"].box_around_landmarks
    np.testing.assert_allclose(found, [-0.7, -1.1, 0.5, 0.6], atol=1e-3)
    assert spec["dataset_box"].finds_next_box
    assert spec["landmark_box"].box_around_landmarks is None
    assert spec["landmark_box"].finds_next_box
    assert not dataclasses.replace(spec["dataset_box"], box_around_landmarks=None).finds_next_box


def test_model_spec_holds_faces_of_initial_models(synthetic_records, tmp_path):
    records = open_records(str(synthetic_records), split="train")
    before = ModelSpec(
        scheme="ibug_68", input_size=32, margin=1.2,
        trained_on={"wflw": 6750, "synthetic": 3}, held_out={"wflw": 750},
    )  # fmt: skip
    save_network(cnn6(68, input_size=32, width=0.1), tmp_path / "before.keras", before)

    def faces(**changes):
        config = complete_config(smoke_config(synthetic_records, **changes))
        return make_task(config, records).spec.trained_on

    own = {"synthetic": records.num_faces}
    assert faces() == own
    assert faces(init_from=str(tmp_path / "before.keras")) == own | {"wflw": 7500}
    unknown = {"not known (weights from a file)": 0}
    assert faces(init_from=str(tmp_path / "gone.keras")) == own | unknown
    resnet = {"model.name": "resnet50", "model.input_size": 64}
    assert faces(**resnet, **{"model.weights": "imagenet"}) == own | {"imagenet": 1281167}
    assert faces(**resnet, **{"model.weights": "own.weights.h5"}) == own | unknown
