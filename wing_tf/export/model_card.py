"""``model_card.md``: where a model comes from and how it is used, for people."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from wing_tf.export.parity import Parity
from wing_tf.models.saving import Contract

_LICENCES = {
    "ibug_300w": "300-W: annotations for research, not for commercial use; LFPW's pictures may not "
    "be passed on.",
    "wflw": "WFLW: for research, not for commercial use.",
    "cofw": "COFW: see its owners' page; pictures of Caltech's collection.",
    "aflw": "AFLW: for research, not for commercial use.",
    "lapa": "LaPa: for research, not for commercial use.",
    "celeba": "CelebA: for research, not for commercial use.",
    "lsp": "LSP: pictures from Flickr, under their photographers' terms.",
    "imagenet": "ImageNet (weights that training began with): pictures for research, not for "
    "commercial use.",
    "synthetic": "Rendered faces: nobody's pictures.",
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
    contract: Contract, facts: Mapping[str, Any], origin: Origin, parity: Parity, faces: str
) -> str:
    """Returns the card as Markdown.

    Args:
        contract: what input and output mean.
        facts: as from `wing_tf.export.contract_file.contract_facts`.
        origin: of the training.
        parity: of the export.
        faces: what it was measured on.
    """
    side, scheme = contract.input_size, contract.scheme
    region = "square on the longer side" if contract.square else "box itself, stretched to a square"
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

The crop is the {region} round the face box,
centred on it, {contract.margin:g} times as large. Its edges (not the centres of its outer pixels)
are the input's edges; it is black outside of the picture and antialiased where it shrinks.
`contract.json` says the same for programs. Where a square crop spans x0 - 0.5 to x0 + s - 0.5 in
the picture, an output x lies at x0 + (x + 0.5) s / {side} - 0.5; y likewise.

Face boxes in training: {"; ".join(contract.trained_crops) or "not recorded"}.
Boxes of another kind cost accuracy.

## Scores

Compared on {faces}: {parity.num_faces} faces, the recorded boxes,
{parity.normaliser} NME: {_percent(parity.nme_before)} before the export,
{_percent(parity.nme_after)} as exported. Landmarks differ by {parity.mean_px:.4f} px on average,
{parity.max_px:.4f} px at most (pixels of the {side} px crop). {_best(origin)}

## Training

Faces: {_counts(contract.trained_on)}; held out for choosing: {_counts(contract.held_out)}.
{_recipe(origin)}

## Licence

The model inherits the terms of the data that it was trained on.

{_licences(contract)}
"""


_MEANING = {
    "landmarks": "pixels of the crop, (x, y), pixel centres at integers.",
    "scores": "0 to 1, how sure the network is of each landmark.",
}


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
    return (
        f"Recipe: {model['name']} at {model['input_size']} px, loss {loss['name']}, "
        f"{optimizer['name']} at {optimizer['learning_rate']:g}, {config['epochs']} epochs of "
        f"batches of {config['batch_size']}, seed {config['seed']}. The run's config.json holds "
        "the rest."
    )


def _licences(contract: Contract) -> str:
    notes = [
        f"- {_LICENCES.get(name, f'{name}: ask the owner of the pictures.')}"
        for name in contract.known_faces
    ]
    return "\n".join(notes) or "- The training data are not recorded: find out before you use it."
