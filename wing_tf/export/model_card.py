"""``model_card.md``: description of an exported model for people."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

from wing_tf.evaluation.overlaps import overlaps_of
from wing_tf.export.parity import Parity
from wing_tf.model_spec import MODEL_SPEC_FILE, ModelSpec
from wing_tf.utils.json_values import parse_number, read_json_object
from wing_tf.utils.printable import markdown
from wing_tf.utils.text_files import read_csv
from wing_tf.zoo.registry import all_models

LICENSES = {
    "ibug_300w": "300-W: annotations for non-commercial research; the images of LFPW may not be "
    "redistributed.",
    "wflw": "WFLW: non-commercial research only.",
    "cofw": "COFW: the owners state no terms; ask them.",
    "cofw68": "COFW-68: the owners state no terms; ask them.",
    "aflw": "AFLW: non-commercial research only.",
    "lapa": "LaPa: non-commercial research only.",
    "celeba": "CelebA: non-commercial research only.",
    "lsp": "LSP: images from Flickr, under their photographers' terms.",
    "lsp_extended": "LSP-extended: images from Flickr, under their photographers' terms.",
    "imagenet": "ImageNet (pretrained weights): images for non-commercial research only.",
    "synthetic": "Synthetic faces: rendered images; no photographs of people.",
}
"""License terms by data set."""


_CONFIG: dict[str, type] = {
    **dict.fromkeys(("loss", "optimizer", "model"), dict),
    **dict.fromkeys(("epochs", "batch_size", "seed"), int),
}


@dataclasses.dataclass(frozen=True)
class Origin:
    """Facts about a model's training.

    Attributes:
        name: Name of the file or the run folder.
        config: The training config; None if the model is not in a run folder.
        best: Best validation NME, a fraction; None if there is none.
        license: License of the weights, of a pretrained model; empty for others.
    """

    name: str
    config: Mapping[str, Any] | None = None
    best: float | None = None
    license: str = ""


def find_origin(file: pathlib.Path) -> Origin:
    """Reads the facts about a model's training from the run folder that contains the file."""
    file = file.resolve()
    run = file.parent.parent
    config, metrics = run / "config.json", run / "metrics.csv"
    if file.parent.name != "checkpoints" or not config.is_file():
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
        pretrained = [model for model in all_models().values() if digest in model.sha256.values()]
        return Origin(file.name, license=pretrained[0].license if pretrained else "")
    scores = []
    if metrics.is_file():
        rows = read_csv(metrics, ["val_nme"])
        scores = [parse_number(row["val_nme"] or "nan", f"{metrics}: val_nme") for row in rows]
    known = [score for score in scores if score == score]  # NaN in epochs without validation
    return Origin(run.name, read_json_object(config, _CONFIG), min(known, default=None))


def model_card(
    spec: ModelSpec, facts: Mapping[str, Any], origin: Origin, parity: Parity, faces: str
) -> str:
    """Returns the card as Markdown.

    Args:
        spec: What input and output mean.
        facts: As from `wing_tf.export.exported_spec.exported_spec`.
        origin: Facts about the training.
        parity: Comparison of the export with the network.
        faces: Name of the faces that they were compared on.
    """
    side, scheme = spec.input_size, spec.scheme
    margin = f"{spec.margin:g}"
    region = (
        f"The crop is a square around the center of the face box, {margin} times its longer side."
        if spec.square
        else f"The crop is the face box, each side {margin} times as long, stretched to a square."
    )
    outputs = "\n".join(
        f"- `{name}` float32 {_shape(output['shape'])}: {_OUTPUTS[name]}"
        for name, output in facts["outputs"].items()
    )
    images = _IMAGES if "images" in facts else ""
    best = ""
    if origin.best is not None:
        best = f"Best validation NME in training: {100 * origin.best:.2f} %."
    return f"""# {markdown(origin.name)}

Locates {scheme.num_landmarks} landmarks ({markdown(scheme.name)}) in a face crop.
Exported with wing_tf: {facts["format"]}, {facts["precision"]}.

## Input and output

- `image` uint8 RGB {_shape(facts["input"]["shape"])}: {_crops(facts["input"]["shape"][0])}
{outputs}

{region}
Its edges (not the centers of its outer pixels) are the input's edges. It is black outside of the
image and antialiased where it is reduced. `{MODEL_SPEC_FILE}` holds the same facts for programs.
For a crop with the edges x0, y0, x1, y1 in the image (pixel centers at integers), an output (u, v)
is the image point
x = x0 + (u + 0.5) (x1 - x0) / {side}, y = y0 + (v + 0.5) (y1 - y0) / {side}.{images}

Face boxes in training: {markdown("; ".join(spec.trained_crops)) or "not recorded"}.
Other kinds of face boxes reduce the accuracy.

## Scores

{parity.normalizer} NME on {parity.num_faces} {markdown(faces)} (recorded boxes):
{_percent(parity.nme_before)} before the export, {_percent(parity.nme_after)} after.
The landmarks differ by {parity.mean_px:.4f} px on average and by at most {parity.max_px:.4f} px
(pixels of the {side} px crop). {best}

## Training

Training faces: {_counts(spec.trained_on)}; validation faces: {_counts(spec.held_out)}.
{_recipe(origin)}{_overlaps(spec)}

## License

{_licenses(spec, origin)}
"""


_OUTPUTS = {
    "landmarks": "(x, y) in pixels of the crop, pixel centers at integers.",
    "scores": "confidence of each landmark, 0 to 1.",
    "visibility": "probability that each landmark is visible, not occluded.",
}


_IMAGES = """

The signature `images` takes JPEG bytes `jpeg` [B] and `boxes_xyxy_px` float32 [B, 4] instead and
returns `landmarks_px` in pixels of the images as stored (without EXIF rotation)."""


def _shape(shape: list) -> str:
    return "[" + ", ".join("B" if n is None else str(n) for n in shape) + "]"


def _crops(batch_size: int | None) -> str:
    if batch_size == 1:
        return "the face crop."
    if batch_size is None:
        return "face crops, any number."
    return f"{batch_size} face crops. Fill a smaller batch with any others, such as black ones."


def _percent(value: float | None) -> str:
    return "not known (no ground truth)" if value is None else f"{100 * value:.2f} %"


def _counts(counts: Mapping[str, int]) -> str:
    listing = ", ".join(f"{count} of {name}" for name, count in counts.items())
    return markdown(listing) or "not recorded"


def _recipe(origin: Origin) -> str:
    config = origin.config
    if config is None:
        return "Recipe: not recorded (the model was not exported from a run folder)."
    loss, optimizer, model = config["loss"], config["optimizer"], config["model"]
    first = config.get("two_stage", {}).get("first")
    return markdown(
        f"Recipe: {f'after the first stage {pathlib.Path(first).name}, ' if first else ''}"
        f"{model['name']} at {model['input_size']} px, loss {loss['name']}, "
        f"{optimizer['name']} with learning rate {optimizer['learning_rate']:g}, "
        f"{config['epochs']} epochs with batch size {config['batch_size']}, seed {config['seed']}. "
        "The run's config.json holds the rest."
    )


def _overlaps(spec: ModelSpec) -> str:
    notes = overlaps_of(spec.known_faces)
    return "".join(
        f"\n\n{markdown(note)}. The model may have seen the faces of a test on either."
        for note in notes
    )


def _licenses(spec: ModelSpec, origin: Origin) -> str:
    own = f"License of the weights: {markdown(origin.license)}.\n\n" if origin.license else ""
    head = f"{own}The model inherits the terms of the data that it was trained on.\n\n"
    notes = [
        f"- {LICENSES.get(name, f'{markdown(name)}: ask the owner of the images.')}"
        for name in spec.known_faces
    ]
    unknown = "- The training data are not recorded: find out before you use it."
    return head + ("\n".join(notes) or unknown)
