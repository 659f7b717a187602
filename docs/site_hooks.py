"""Hooks of mkdocs: reference pages made from the code, and links to files outside of docs/."""

import configparser
import pathlib
import posixpath
import re
import subprocess
import sys

from mkdocs.structure.files import File

_ROOT = pathlib.Path(__file__).parents[1]

# Module: what its page is for.
_API = {
    "losses": "Losses of landmarks and of heatmaps, for any Keras backend.",
    "models": "Networks as functional Keras models.",
    "codecs": "Landmarks to heatmaps and boundary maps, and back.",
    "layers": "Layers and batched image operations that Keras does not have.",
    "metrics": "Errors and scores of predictions, in NumPy.",
    "data": "Reading of records, augmentation and targets for your own tf.data pipelines.",
    "inference": "Landmarks of images and videos.",
    "detection": "Face detectors.",
    "landmarks": "Landmark schemes and the maps between them.",
    "geometry": "Pixel grid, boxes, affine matrices and shapes.",
    "geometry.pose": "Head pose of landmarks.",
    "model_spec": "The metadata that every model file contains.",
    "zoo": "Models by name.",
    "training.run": "The training that wing-train runs.",
    "models.saving": "Model files with their metadata.",
    "export.export_model": "The export that wing-export runs.",
    "visualization": "Drawing of landmarks.",
}


def _generated_pages():
    """Yields (path, Markdown) of the pages that are made from the code."""
    rows = [f"| [`wing_tf.{name}`]({name}.md) | {purpose} |" for name, purpose in _API.items()]
    table = ["| module | content |", "| --- | --- |", *rows]
    yield (
        "reference/api/index.md",
        "\n".join(["# API\n\nThe public modules, from their docstrings.\n", *table]) + "\n",
    )
    for name in _API:
        yield f"reference/api/{name}.md", f"# wing_tf.{name}\n\n::: wing_tf.{name}\n"

    parts = ["# Commands\n\nThe text that `--help` of each command prints.\n"]
    setup = configparser.ConfigParser()
    setup.read(_ROOT / "setup.cfg", encoding="utf-8")
    for line in setup["options.entry_points"]["console_scripts"].split("\n")[1:]:
        command, _, entry = line.partition(" = ")
        module = entry.partition(":")[0]
        text = subprocess.run(
            [sys.executable, "-m", module, "--help"],
            check=True, capture_output=True, text=True, cwd=_ROOT,
        ).stdout  # fmt: skip
        parts.append(f"## {command}\n\n```text\n{text.strip()}\n```\n")
    yield "reference/commands.md", "\n".join(parts)

    source = (_ROOT / "wing_tf/training/config.py").read_text(encoding="utf-8")
    defaults = source[source.index("_NO_AUGMENTATION") : source.index("def choose")].strip()
    yield (
        "reference/configs.md",
        "# Config keys\n\nEvery key of a training with its default, as a config file of `--config` "
        "or `--config.KEY=VALUE` of `wing-train` sets it. The augmentation is described in "
        "[`wing_tf.data.Augmentation`](api/data.md#wing_tf.data.Augmentation).\n\n"
        f"```python\n{defaults}\n```\n",
    )
    changes = (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    yield "changelog.md", changes.replace("](docs/", "](")


def on_config(config):
    """Lists the pages of the API in the navigation."""
    pages = [
        "reference/api/index.md",
        *({f"wing_tf.{name}": f"reference/api/{name}.md"} for name in _API),
    ]
    reference = next(item["Reference"] for item in config.nav if "Reference" in item)
    next(item for item in reference if "API" in item)["API"] = pages
    return config


def on_files(files, config):
    """Adds the generated pages."""
    for path, content in _generated_pages():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Makes links to files outside of docs/ links to the repository, or paths without one."""
    folder = posixpath.dirname(posixpath.join("docs", page.file.src_uri))

    def outside(match):
        target = posixpath.normpath(posixpath.join(folder, match[2].partition("#")[0]))
        if target.startswith("docs/"):
            return match[0]
        if config.repo_url:
            return f"[{match[1]}]({config.repo_url.rstrip('/')}/blob/main/{target})"
        # A path must be enough to find the file in a clone.
        return f"`{target}`" if match[1].strip("`") in target else f"{match[1]} (`{target}`)"

    return re.sub(r"(?<!!)\[([^]\n]+)\]\((\.\./[^)\s]+)\)", outside, markdown)
