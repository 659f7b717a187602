"""``import wing_tf``: lazy names, and its import beside that of Keras."""

import ast
import importlib
import pathlib
import subprocess
import sys

import pytest

import wing_tf

ROOT = pathlib.Path(wing_tf.__file__).parent


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
FIRST = ("codecs.heatmap", "layers.warp", "losses.wing", "metrics.keras_metrics", "models.saving")


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
