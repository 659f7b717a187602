"""``import wing_tf``: lazy names, and the registration with Keras in any order of imports."""

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
from wing_tf.metrics.heatmap_error import HeatmapMeanSquaredError
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


def _python(script, *arguments, options=(), cwd=None):
    command = [sys.executable, *options, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_import_loads_no_other_package():
    imported = _python(
        "import sys; before = set(sys.modules)\n"
        "import wing_tf; dir(wing_tf)\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    ).split()
    assert set(imported) <= {"wing_tf"} | set(sys.stdlib_module_names), imported


def test_import_hook_stays_until_keras_has_been_imported():
    """Keras is looked for, its import fails, it is imported, all before its own first import."""
    _python(
        "import importlib.util, os, sys\n"
        "import wing_tf\n"
        "hooks = lambda: [f for f in sys.meta_path if type(f).__name__ == '_KerasFinder']\n"
        "assert importlib.util.find_spec('keras').origin.endswith('__init__.py')\n"
        "os.environ['KERAS_BACKEND'] = 'unknown'\n"
        "try: import keras\n"
        "except Exception as error: print(error)\n"
        "else: sys.exit('keras has an unknown backend')\n"
        "for name in [name for name in sys.modules if name.partition('.')[0] == 'keras']:\n"
        "    del sys.modules[name]\n"
        "importlib.reload(wing_tf)\n"
        "assert len(hooks()) == 1, sys.meta_path\n"
        "os.environ['KERAS_BACKEND'] = 'tensorflow'\n"
        "import wing_tf.codecs, keras\n"  # which imports Keras in the middle of a needed module
        "assert not hooks(), sys.meta_path\n"
        "assert 'wing_tf>WingLoss' in keras.saving.get_custom_objects()\n"
        "assert not {'wing_tf.data', 'wing_tf.models', 'ml_collections'} & set(sys.modules)\n"
        "assert 'Keras' not in type(keras.__spec__.loader).__name__\n"
        "assert keras.__loader__ is keras.__spec__.loader\n"
    )


# Modules that import Keras, and in the middle of whose import the others are registered.
FIRST = ("codecs.heatmap", "layers.warp", "losses.wing", "metrics.heatmap_error", "models.saving")


@pytest.mark.slow
@pytest.mark.parametrize("modules", [*((name,) for name in FIRST), ("", *FIRST)])
def test_any_module_can_be_the_first_to_import_keras(modules):
    """One module in one thread, or all of them and Keras in threads of their own."""
    names = [f"wing_tf.{name}" if name else "keras" for name in modules]
    _python(
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import wing_tf\n"
        "with ThreadPoolExecutor(len(sys.argv)) as pool:\n"
        "    list(pool.map(__import__, sys.argv[1:]))\n"
        "import keras\n"
        "names = ('WingLoss', 'DecodeHeatmaps', 'HeatmapMeanSquaredError', 'WarmUp')\n"
        "assert {f'wing_tf>{name}' for name in names} <= set(keras.saving.get_custom_objects())\n",
        *names,
    )


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
def other_saved_models(tmp_path_factory, synthetic_records):
    """A folder of files, one of them of the trainer, and what their models compute."""
    from experiments import smoke_config

    from wing_tf.models.saving import find_network
    from wing_tf.training.run import train

    keras.utils.set_random_seed(0)
    run = tmp_path_factory.mktemp("run")
    train(smoke_config(synthetic_records, epochs=1), run)
    trained = keras.saving.load_model(find_network(run))
    folder = tmp_path_factory.mktemp("others")
    return folder, _save(_other_models() | {"trained": trained}, folder)


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
    values, registered = json.loads(_python(script, folder).splitlines()[-1])
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
@pytest.mark.parametrize(("imports", "load_model"), ORDERS)
def test_import_is_enough_to_load_all_models(other_saved_models, imports, load_model):
    _check_loading(other_saved_models, imports, load_model)


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


def test_lazy_names_are_those_that_type_checkers_see():
    tree = ast.parse((ROOT / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "a re-export for type checkers has an alias"
            seen[alias.name] = node.module
    lazy = {part: "wing_tf" for part in wing_tf._PARTS}
    lazy |= {name: f"wing_tf.{part}" for part, names in wing_tf._PARTS.items() for name in names}
    assert seen == lazy
    assert wing_tf.__all__ == [
        name for part, names in wing_tf._PARTS.items() for name in (part, *names)
    ]
    assert [name for name in dir(wing_tf) if not name.startswith("__")] == sorted(wing_tf.__all__)


@pytest.mark.parametrize("name", wing_tf.__all__)
def test_lazy_name_is_that_of_its_part(name):
    part = wing_tf._PART_OF.get(name, name)
    module = importlib.import_module(f"wing_tf.{part}")
    assert getattr(wing_tf, name) is (module if name == part else getattr(module, name))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'wing_tf' has no attribute 'WingLos'"):
        _ = wing_tf.WingLos
    assert not hasattr(wing_tf, "wing_loss")


@pytest.mark.parametrize("first", ["", pytest.param("keras, ", marks=pytest.mark.slow)])
def test_part_that_is_not_installed_is_named(first, tmp_path):
    """The distribution wing-tf-runtime, without and beside Keras."""
    (tmp_path / "wing_tf").mkdir()
    for file in ("__init__.py", "registration.py"):
        (tmp_path / "wing_tf" / file).write_text((ROOT / file).read_text())
    (tmp_path / "wing_tf" / "zoo").symlink_to(ROOT / "zoo")
    # Without `site`, which would find the rest of an editable installation.
    said = _python(
        f"import sys; sys.path[:0] = sys.argv[1:]\n"
        f"import {first}wing_tf\n"
        "print(wing_tf.__all__)\n"
        "try: from wing_tf import WingLoss\n"
        "except ImportError as error: print(error)\n",
        tmp_path, *sys.path, options=["-S"], cwd=tmp_path,
    )  # fmt: skip
    assert said.splitlines() == [
        "['zoo']",
        "`wing_tf.WingLoss` is not in this installation: wing-tf-runtime has the parts that run "
        "exported models. Install wing-tf instead.",
    ]


@pytest.mark.slow
def test_type_checker_sees_the_lazy_names(tmp_path):
    script = tmp_path / "script.py"
    names = "\n".join(f"reveal_type(wing_tf.{name})" for name in wing_tf.__all__)
    script.write_text(f"import wing_tf\n{names}\nwing_tf.WingLos\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "", "--ignore-missing-imports", script],
        capture_output=True, text=True, cwd=ROOT.parent,
    )  # fmt: skip
    revealed = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    assert len(revealed) == len(wing_tf.__all__), done.stdout
    assert not [line for line in revealed if line.endswith(('"Any"', '"object"'))], done.stdout
    assert 'has no attribute "WingLos"' in done.stdout, done.stdout
    assert "Found 1 error" in done.stdout
