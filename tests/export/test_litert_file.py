"""What leaves as a LiteRT file: the same landmarks from a uint8 crop, and what they are."""

import json

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from wing_tf.export import export_litert
from wing_tf.landmarks import SCHEMES, register_scheme, scheme_from_dict
from wing_tf.models import cnn6
from wing_tf.models.saving import Contract, load_network, save_network

FINGERS = {"name": "fingers_4", "points": 4, "pairs": [[0, 3], [1, 2]], "normaliser": [0, 3]}


@pytest.fixture
def fingers():
    yield register_scheme(scheme_from_dict(FINGERS))
    SCHEMES.pop("fingers_4", None)


def test_a_mark_up_of_ones_own_goes_with_the_model(fingers, tmp_path):
    keras.utils.set_random_seed(0)
    contract = Contract(
        scheme_name="fingers_4", input_size=64, margin=1.2, trained_on={"csv": 7},
        trained_crops=["landmark_box"],
    )  # fmt: skip
    network = cnn6(4, input_size=64, width=0.25)
    save_network(network, tmp_path / "m.keras", contract)
    del SCHEMES["fingers_4"]  # as in another process
    loaded, read = load_network(tmp_path / "m.keras")
    assert read == contract
    assert read.scheme == fingers
    facts = export_litert(loaded, read, tmp_path)
    assert facts == json.loads((tmp_path / "contract.json").read_text())
    assert scheme_from_dict(facts["scheme"]) == fingers
    assert facts["outputs"] == {"landmarks": [1, 4, 2]}
    crop = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    run = Interpreter(str(tmp_path / "model.tflite")).get_signature_runner()
    found = run(args_0=crop)["landmarks"]
    np.testing.assert_allclose(found, network(crop.astype(np.float32)), atol=1e-3)
