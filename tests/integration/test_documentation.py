"""The commands, imports and links of README.md, CONTRIBUTING.md and docs/."""

import ast
import importlib
import importlib.util
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from wing_tf.training.config import default_config

ROOT = pathlib.Path(__file__).parents[2]
README = ROOT / "README.md"
GET_STARTED = ROOT / "docs/get_started.md"
PAGES = [
    README,
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("packaging/*/README.md")),
]
PAGES = [page for page in dict.fromkeys(PAGES) if "node_modules" not in page.parts]
MODULES = {
    f"wing-{name}": f"wing_tf.cli.{name}"
    for name in ("train", "evaluate", "predict", "demo", "reproduce", "export")
} | {"wing-tfrecords": "tfrecords_tools.cli"}

# Parses command lines as the command would; flags of one line are forgotten before the next.
_PARSE = """
import importlib, json, sys
from absl import flags
from absl.testing import flagsaver
module = importlib.import_module(sys.argv[1])
for line in json.load(sys.stdin):
    sys.argv = line  # where ml_collections looks for --config.KEY
    try:
        with flagsaver.flagsaver():
            words = flags.FLAGS(line)[1:]
        unknown = [word for word in words if word not in module.__doc__]
        if unknown:
            raise ValueError(f"{unknown} is not in the command's help")
    except Exception as error:
        print(f"{' '.join(line)}: {error}")
"""


def _blocks(page: pathlib.Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)


def _commands(page: pathlib.Path) -> list[list[str]]:
    """Returns the words of each command in a page's bash blocks."""
    commands = []
    for block in _blocks(page, "bash") + _blocks(page, "sh"):
        variables = {}
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(
                r"\$(\w+)", lambda match, known=variables: known.get(match[1], match[0]), line
            )
            words = shlex.split(line, comments=True)
            if words and re.fullmatch(r"\w+=.*", words[0]):
                name, _, value = words.pop(0).partition("=")
                variables[name] = value
            while "&&" in words:
                commands.append(words[: words.index("&&")])
                words = words[words.index("&&") + 1 :]
            if words:
                commands.append(words)
    return commands


@pytest.mark.parametrize("name", MODULES)
def test_flags_of_documented_commands_are_valid(name):
    lines = [words for page in PAGES for words in _commands(page) if words[0] == name]
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, MODULES[name]],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout, done.stdout
    assert lines or name == "wing-demo"


def test_scripts_of_documented_commands_exist_and_have_their_flags():
    for page in PAGES:
        for words in _commands(page):
            if words[0] != "python" or words[1].startswith("-"):
                continue
            source = (ROOT / words[1]).read_text()
            for word in words[2:]:
                flag = re.match(r"--(\w+)", word)
                if flag and flag[1] != "config":
                    assert re.search(rf'"(--)?{flag[1]}"', source), (page.name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documented_python_compiles_and_its_imports_exist(page):
    for block in _blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(("wing_tf", "tfr")):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


def _exists(name: str) -> bool:
    """Returns whether a dotted name is a module or an attribute of one."""
    module, _, attribute = name.rpartition(".")
    try:
        if hasattr(importlib.import_module(module or name), attribute or "__name__"):
            return True
        return importlib.util.find_spec(name) is not None  # a module that is not imported yet
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documented_names_files_and_config_keys_exist(page):
    if page.name == "CHANGELOG.md":  # has former names
        return
    text = page.read_text(encoding="utf-8")
    keys = set(default_config().to_dict()) | {
        f"{group}.{key}"
        for group, values in default_config().to_dict().items()
        if isinstance(values, dict)
        for key in values
    }
    assert {key.rstrip(".") for key in re.findall(r"--config\.([a-z_.]+)", text)} <= keys
    for name in set(re.findall(r"`((?:wing_tf|tfrecords_tools)(?:\.\w+)+)[`(]", text)):
        assert _exists(name), name
    folders = "wing_tf|tfrecords_tools|configs|tests|benchmarks|docs|examples|packaging"
    for path in set(re.findall(rf"`((?:{folders})/[\w./*]+)`", text)):
        path = path.replace("NAME", "*")
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_pages_are_short_and_have_no_conflict_markers():
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 250 or page.name == "CHANGELOG.md", page
        assert not [line for line in lines if line.startswith(("<<<<<<<", ">>>>>>>"))], page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page):
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{page.name}: {target}"


def test_both_distributions_have_the_same_license():
    assert (ROOT / "packaging/runtime/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_commands_of_the_readme_are_those_of_get_started():
    (block,) = [block for block in _blocks(README, "bash") if "wing-export" in block]
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(commands) == 5
    assert [words for words in _commands(GET_STARTED) if words in commands] == commands


@pytest.mark.slow
def test_get_started_runs_in_order(tmp_path):
    """All code of the page but the installation, with fewer faces and epochs."""
    for folder in ("configs", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    smaller = {"num_train": "120", "num_test": "16", "config.epochs": "1"}
    text, used = GET_STARTED.read_text(encoding="utf-8"), set()
    for language, block in re.findall(
        r"^```(bash|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE
    ):
        if language == "python":
            commands = [["python", "-c", block]]
        else:
            lines = block.replace("\\\n", " ").splitlines()
            commands = [shlex.split(line, comments=True) for line in lines]
        for words in commands:
            if words[0] in ("python3", ".", "pip"):  # The installation.
                continue
            start = words[1:] if words[0] == "python" else ["-m", MODULES[words[0]], *words[1:]]
            for i, word in enumerate(start):
                flag = word.removeprefix("--").partition("=")[0]
                if flag in smaller:
                    start[i] = f"--{flag}={smaller[flag]}"
                    used.add(flag)
            done = subprocess.run(
                [sys.executable, *start],
                capture_output=True,
                text=True,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert used == set(smaller)
    assert list((tmp_path / "faces/export").glob("model.tflite"))
    assert list((tmp_path / "started/own_prediction").glob("*.json"))
