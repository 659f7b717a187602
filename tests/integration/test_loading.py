"""``import wing_tf`` registers with Keras what saved models need, in any order of imports."""

import ast
import importlib
import inspect
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import wing_tf
from wing_tf import losses
from wing_tf.codecs import HeatmapCodec
from wing_tf.layers import gaussian_blur
from wing_tf.metrics.keras_metrics import HeatmapMeanSquaredError
from wing_tf.models import (
    cnn6,
    correction,
    heatmap_localizer,
    mobilenet,
    resnet50,
    smt_net,
    stacked_hourglass,
    two_stage,
)
from wing_tf.registration import MODULES
from wing_tf.training.warm_up import WarmUp

ROOT = pathlib.Path(wing_tf.__file__).parent
HOURGLASS = {"num_stacks": 2, "features": 8, "depth": 1, "input_size": 32}

# Loads the files of a folder without another import of wing_tf, and prints what they compute.
LOAD = """
import json, pathlib, sys
{imports}
load_model = {load_model}
import numpy as np
from keras import ops, tree

def value(model):
    shape = (2, *model.input_shape[1:])
    outputs = model(np.linspace(0, 255, np.prod(shape), dtype="float32").reshape(shape))
    if getattr(model, "optimizer", None) is None:
        return [float(ops.mean(output)) for output in tree.flatten(outputs)]
    targets = tree.map_structure(lambda output: np.full(output.shape, 0.25, "float32"), outputs)
    loss = model.compute_loss(None, targets, outputs)
    return [float(loss), float(model.optimizer.learning_rate)]
"""


PRINT = """
values = {path.name: value(load_model(path)) for path in pathlib.Path(sys.argv[1]).iterdir()}
import keras
registered = [name for name in keras.saving.get_custom_objects() if name.startswith("wing_tf>")]
print(json.dumps([values, registered]))
"""


def _cnn(name="cnn6", side=32):
    return cnn6(5, input_size=side, width=0.1, name=name)


def _compiled(model, loss, **options):
    model.compile(options.pop("optimizer", "sgd"), loss=loss, **options)
    return model


def _heatmap_network():
    """The smallest network with heatmaps [8, 8, 3]."""
    image = keras.Input((32, 32, 3))
    return keras.Model(image, keras.layers.Conv2D(3, 4, strides=4)(image))


def _localizer(network, landmarks=3):
    return heatmap_localizer(network, landmarks, HeatmapCodec(input_size=32, heatmap_size=8))


def _blurred():
    image = keras.Input((16, 16, 3))
    blur = keras.layers.Lambda(gaussian_blur, arguments={"sigma_px": [1.0, 2.0]})
    return keras.Model(image, blur(image))


def _two_stage(corrects):
    reference = np.array([[8.0, 8], [24, 8], [16, 16], [10, 24], [22, 24]])
    second = _cnn("second")
    second = correction(second, reference) if corrects else second
    margins = {"first_margin": 1.2, "second_margin": 1.3}
    return two_stage(_cnn(), second, reference, input_size=48, **margins)


def _compiled_models():
    """Models with each kind of loss, as other people's scripts save them."""
    cosine = keras.optimizers.schedules.CosineDecay(0.1, 10)
    warm_up = keras.optimizers.SGD(WarmUp(cosine, 5))
    weighted = losses.WeightedLossMap(losses.AdaptiveWingLoss(omega=10), weight=5)
    metrics = [HeatmapMeanSquaredError(foreground=0.5)]
    return {
        "wing": _compiled(_cnn(), losses.WingLoss(width=7), optimizer=warm_up),
        "wing_function": _compiled(_cnn(), losses.wing_loss),
        "adaptive_wing": _compiled(_heatmap_network(), weighted, metrics=metrics),
        "localizer": _localizer(_heatmap_network()),
    }


def _other_models():
    """The other networks and losses."""
    smt = smt_net(3, **HOURGLASS, inner_features=8, residual_features=8)
    cross_entropies = [
        {
            "maps": losses.BilateralInhibitionCrossEntropy(),
            "residuals": losses.SubpixelResidualLoss(),
        },
        {"maps": losses.UnilateralCrossEntropy(), "residuals": losses.half_squared_error},
    ]
    both = [losses.adaptive_wing_loss, losses.HeatmapSquaredError()]
    return {
        "l2": _compiled(_cnn(), [losses.HalfSquaredError()]),
        "l2_function": _compiled(_cnn(), losses.half_squared_error),
        "l1": _compiled(_cnn(), losses.AbsoluteError()),
        "smooth_l1": _compiled(_cnn(), losses.SmoothL1Error()),
        "hourglasses": _compiled(stacked_hourglass(3, **HOURGLASS), both),
        "cross_entropies": _compiled(smt, cross_entropies),
        "hourglass": _localizer(stacked_hourglass(3, **HOURGLASS | {"num_stacks": 1})),
        "smt_net": _localizer(smt_net(3, **HOURGLASS, inner_features=8, residual_features=8)),
        "two_stage": _compiled(_two_stage(False), losses.WingLoss()),
        "correction": _compiled(_two_stage(True), losses.WingLoss()),
        "mobilenet": _compiled(mobilenet(3, input_size=32, width=0.35), losses.WingLoss()),
        "resnet50": _compiled(resnet50(3, input_size=32), losses.WingLoss()),
        "blur": _blurred(),
    }


def _save(models, folder):
    """Saves models as ``.keras`` and ``.h5`` files; returns what they compute."""
    tools: dict = {}
    exec(LOAD.format(imports="", load_model="None"), tools)
    values = {}
    for name, model in models.items():
        for file in (f"{name}.keras", f"{name}.h5"):
            model.save(folder / file)
            values[file] = tools["value"](model)
    return values


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory):
    """A folder of files, and what their models compute."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("saved")
    return folder, _save(_compiled_models(), folder)


@pytest.fixture(scope="module")
def other_saved_models(tmp_path_factory):
    """A folder of files, and what their models compute."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("others")
    return folder, _save(_other_models(), folder)


def _registered_in_sources():
    """The names of all classes and functions that the sources register with Keras."""
    names = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and any(
                "register_keras_serializable" in ast.unparse(item) for item in node.decorator_list
            ):
                names.add(f"wing_tf>{node.name}")
    return names


def _check_loading(saved, imports, load_model):
    folder, expected = saved
    script = LOAD.format(imports=imports, load_model=load_model) + PRINT
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    values, registered = json.loads(done.stdout.splitlines()[-1])
    assert set(values) == set(expected)
    for name, value in values.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, err_msg=name)
    assert set(registered) == _registered_in_sources()


ORDERS = [
    ("import wing_tf; import keras", "keras.models.load_model"),
    ("import tensorflow as tf; import wing_tf", "tf.keras.models.load_model"),
    ("import keras; import wing_tf", "keras.saving.load_model"),
    ("import wing_tf; import tensorflow as tf", "tf.keras.models.load_model"),
]


@pytest.mark.parametrize(
    ("imports", "load_model"),
    [ORDERS[0], *(pytest.param(*order, marks=pytest.mark.slow) for order in ORDERS[1:])],
)
def test_import_is_enough_to_load_compiled_models(saved_models, imports, load_model):
    _check_loading(saved_models, imports, load_model)


@pytest.mark.slow
def test_import_is_enough_to_load_all_models(other_saved_models):
    """In one order of imports: all orders register the same classes."""
    _check_loading(other_saved_models, *ORDERS[-1])


def test_every_public_loss_and_layer_is_registered():
    names = set()
    for module in map(importlib.import_module, ("wing_tf.losses", "wing_tf.layers")):
        assert module.__name__ in MODULES
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type):
                used = "call" in dir(value) and not inspect.isabstract(value)
            else:  # Functions that can be a loss.
                used = callable(value) and list(inspect.signature(value).parameters)[:2] == [
                    "y_true", "y_pred",
                ]  # fmt: skip
            if used:
                names.add(f"wing_tf>{name}")
    assert {"wing_tf>WingLoss", "wing_tf>wing_loss", "wing_tf>AffineCrop"} <= names
    assert names <= set(keras.saving.get_custom_objects())
