"""The notebooks in examples/, executed with smaller sizes."""

import os
import pathlib
import re
import sys

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
MAX_BYTES = 1_000_000  # of all notebooks, with their outputs
# Values of the cell that is tagged "parameters".
PARAMETERS = {
    "landmarks_on_images_and_video": {"NUM_FACES": 3, "SECONDS": 1},
    "losses_compared": {"NUM_TRAIN": 32, "NUM_TEST": 8, "EPOCHS": 2, "SEEDS": 1},
    "own_scheme_from_50_images": {"NUM_TEST": 12, "EPOCHS": 1},
}


def _read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def _code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_is_executed_here():
    paths = list(EXAMPLES.glob("*.ipynb"))
    assert {path.stem for path in paths} == set(PARAMETERS)
    assert sum(path.stat().st_size for path in paths) < MAX_BYTES


@pytest.mark.parametrize("name", PARAMETERS)
def test_notebooks_hold_the_outputs_of_one_run_from_top_to_bottom_or_none(name):
    cells = _code_cells(_read(name))
    counts = [cell.execution_count for cell in cells]
    assert counts in (list(range(1, len(cells) + 1)), [None] * len(cells))
    outputs = [output for cell in cells for output in cell.outputs]
    assert bool(outputs) == (counts[0] == 1)
    for output in outputs:
        assert output.output_type != "error"
        assert not re.search(r"Traceback|(?m:^error:)", output.get("text", ""))


@pytest.mark.parametrize("name", PARAMETERS)
def test_links_of_notebooks_resolve(name):
    text = "\n".join(cell.source for cell in _read(name).cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)\s#]+)", text)
    assert targets
    for target in targets:
        assert (EXAMPLES / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_notebooks_run_from_top_to_bottom(name, tmp_path, monkeypatch):
    notebook = _read(name)
    (parameters,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    for key, value in PARAMETERS[name].items():
        parameters.source, count = re.subn(
            rf"^{key} = \d+", f"{key} = {value}", parameters.source, flags=re.MULTILINE
        )
        assert count == 1, key
    for cell in _code_cells(notebook):
        if cell.source.startswith("!"):  # IPython ignores that a command fails.
            cell.source += "\nassert _exit_code == 0"
    bin_folder = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", bin_folder, prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=None, kernel_name="python3", resources=resources).execute()
    assert _code_cells(notebook)[-1].outputs
