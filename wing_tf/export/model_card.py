"""``model_card.md``: where a model comes from and how it is used, for people."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from wing_tf.export.parity import Parity
from wing_tf.models.saving import ModelSpec

LICENSES = {
    "ibug_300w": "300-W: annotations for research, not for commercial use; LFPW's images may not "
    "be passed on.",
    "wflw": "WFLW: for research, not for commercial use.",
    "cofw": "COFW: its owners state no terms; ask them.",
    "cofw68": "COFW-68: its owners state no terms; ask them.",
    "aflw": "AFLW: for research, not for commercial use.",
    "lapa": "LaPa: for research, not for commercial use.",
    "celeba": "CelebA: for research, not for commercial use.",
    "lsp": "LSP: images from Flickr, under their photographers' terms.",
    "lsp_extended": "LSP-extended: images from Flickr, under their photographers' terms.",
    "imagenet": "ImageNet (weights that training began with): images for research, not for "
    "commercial use.",
    "synthetic": "Rendered faces: nobody's images.",
}


@dataclasses.dataclass(frozen=True)
class Origin:
    """What is known of a model's training.

    Attributes:
        name: of the file or the run folder.
        config: the training's config; None if the model is not in a run folder.
        best: the best validation NME, a fraction; None if there is none.
    """

    name: str
    config: Mapping[str, Any] | None
    best: float | None


def find_origin(file: pathlib.Path) -> Origin:
    """Reads what the run folder round a model file says; little is known of a file alone."""
    file = file.resolve()
    run = file.parent.parent
    config, metrics = run / "config.json", run / "metrics.csv"
    if file.parent.name != "checkpoints" or not config.is_file():
        return Origin(file.name, None, None)
    scores = []
    if metrics.is_file():
        with metrics.open() as rows:
            scores = [float(row.get("val_nme") or "nan") for row in csv.DictReader(rows)]
    judged = [score for score in scores if score == score]  # NaN in epochs without validation
    return Origin(run.name, json.loads(config.read_text()), min(judged, default=None))


def model_card(
    spec: ModelSpec, facts: Mapping[str, Any], origin: Origin, parity: Parity, faces: str
) -> str:
    """Returns the card as Markdown.

    Args:
        spec: what input and output mean.
        facts: as from `wing_tf.export.model_spec_file.export_model_spec`.
        origin: of the training.
        parity: of the export.
        faces: what it was measured on.
    """
    side, scheme = spec.input_size, spec.scheme
    margin = f"{spec.margin:g}"
    region = (
        f"The crop is a square round the center of the face box, {margin} times its longer side."
        if spec.square
        else f"The crop is the face box, each side {margin} times as long, stretched to a square."
    )
    outputs = "\n".join(
        f"- `{name}` float32 {_shape(output['shape'])}: {_MEANING[name]}"
        for name, output in facts["outputs"].items()
    )
    return f"""# {origin.name}

Locates {scheme.num_landmarks} landmarks ({scheme.name}) in a face crop.
Made with wing_tf: {facts["format"]}, {facts["precision"]}.

## Input and output

- `image` uint8 RGB {_shape(facts["input"]["shape"])}: the face crop.
{outputs}

{region}
Its edges (not the centers of its outer pixels) are the input's edges; it is black outside of the
image and antialiased where it shrinks. `model_spec.json` says the same for programs. Where its
edges are x0, y0, x1, y1 in the image (pixel centers at integers), an output (u, v) lies at
x = x0 + (u + 0.5) (x1 - x0) / {side}, y = y0 + (v + 0.5) (y1 - y0) / {side}.{_images(facts)}

Face boxes in training: {"; ".join(spec.trained_crops) or "not recorded"}.
Boxes of another kind cost accuracy.

## Scores

Compared on {parity.num_faces} {faces}, the recorded boxes,
{parity.normalizer} NME: {_percent(parity.nme_before)} before the export,
{_percent(parity.nme_after)} as exported. Landmarks differ by {parity.mean_px:.4f} px on average,
{parity.max_px:.4f} px at most (pixels of the {side} px crop). {_best(origin)}

## Training

Faces: {_counts(spec.trained_on)}; held out for choosing: {_counts(spec.held_out)}.
{_recipe(origin)}

## License

The model inherits the terms of the data that it was trained on.

{_licenses(spec)}
"""


_MEANING = {
    "landmarks": "pixels of the crop, (x, y), pixel centers at integers.",
    "scores": "0 to 1, how sure the network is of each landmark.",
}


def _images(facts: Mapping[str, Any]) -> str:
    if "images" not in facts:
        return ""
    return """

The signature `images` takes JPEG bytes `jpeg` [B] and `boxes_xyxy_px` float32 [B, 4] instead and
gives `landmarks_px` in the pixels of the images as they are stored (no EXIF rotation)."""


def _shape(shape: list) -> str:
    return "[" + ", ".join("B" if n is None else str(n) for n in shape) + "]"


def _percent(value: float | None) -> str:
    return "not known (no truth)" if value is None else f"{100 * value:.2f} %"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in counts.items()) or "not recorded"


def _best(origin: Origin) -> str:
    if origin.best is None:
        return ""
    return f"Best validation NME in training: {100 * origin.best:.2f} %."


def _recipe(origin: Origin) -> str:
    config = origin.config
    if config is None:
        return "Recipe: not recorded (the model was not exported from a run folder)."
    loss, optimizer, model = config["loss"], config["optimizer"], config["model"]
    first = config.get("two_stage", {}).get("first")
    return (
        f"Recipe: {f'after the first stage {pathlib.Path(first).name}, ' if first else ''}"
        f"{model['name']} at {model['input_size']} px, loss {loss['name']}, "
        f"{optimizer['name']} at {optimizer['learning_rate']:g}, {config['epochs']} epochs of "
        f"batches of {config['batch_size']}, seed {config['seed']}. The run's config.json holds "
        "the rest."
    )


def _licenses(spec: ModelSpec) -> str:
    notes = [
        f"- {LICENSES.get(name, f'{name}: ask the owner of the images.')}"
        for name in spec.known_faces
    ]
    return "\n".join(notes) or "- The training data are not recorded: find out before you use it."
