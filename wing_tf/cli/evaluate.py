"""Evaluate landmark models on records.

  wing-evaluate --model=RUN --data='RECORDS/test_helen-*' --output=REPORT

Writes report.json, report.txt, nme.csv, ced.png, worst.png and, for heatmap networks, heatmaps.png,
for models with calibrated scores of faces also reliability.png, and prints the report. A protocol
of the literature selects the test faces, the normalizer and the groups, and lists the published
scores with their conditions:

  wing-evaluate --model=RUN --data=RECORDS --protocol=300w_interocular --output=REPORT

Several models are evaluated one after another, each into its own folder, and compared: one plot,
one table, and the differences from the first model with paired bootstrap intervals:

  wing-evaluate --model=RUN,OTHER --data=RECORDS --protocol=wflw --output=BOTH

A model of another scheme than the records' is evaluated through a scheme map, built-in or a file:

  wing-evaluate --model=RUN --data='AFLW/test-*' --output=CROSS --scheme_map=map.json
"""

import pathlib
import re

from absl import app, flags

from wing_tf.cli import common
from wing_tf.detection import DETECTORS
from wing_tf.evaluation.protocols import PROTOCOLS
from wing_tf.utils.output_folder import check_free, new_files

_MODEL = flags.DEFINE_list(
    "model",
    None,
    "A .keras file, a run folder (its best model) or the name of a model, or several separated by "
    "commas, each optionally as NAME=PATH.",
    required=True,
)
_DATA = flags.DEFINE_string(
    "data",
    None,
    "Record files: a glob, or a folder for all its splits, local or remote (gs://...); or several "
    "separated by commas.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "Report folder: new or empty.", required=True)
_PROTOCOL = flags.DEFINE_enum("protocol", None, list(PROTOCOLS), "Evaluation protocol.")
_NORMALIZER = flags.DEFINE_string(
    "normalizer",
    None,
    "Normalizer of the errors: one of the scheme's, such as inter_ocular or inter_pupil, or box, "
    "box_width or diagonal. Defaults to the protocol's, or else to the scheme's.",
)
_BOX_NOISE = flags.DEFINE_float(
    "box_noise",
    None,
    "Repeat with boxes shifted and scaled by up to this fraction of their side, such as 0.1.",
    lower_bound=0.0,
    upper_bound=0.5,
)
_ROTATION = flags.DEFINE_float(
    "rotation",
    None,
    "Repeat with faces rotated in the image plane by up to this angle in degrees, such as 30. "
    "Pixels outside of the records' squares are black.",
    lower_bound=0.0,
    upper_bound=180.0,
)
_DETECTOR = flags.DEFINE_enum(
    "detector",
    None,
    [name for name, file in DETECTORS.items() if file is None],
    "Repeat with the boxes of a face detector, and report its recall.",
)
_SCHEME_MAP = flags.DEFINE_string(
    "scheme_map",
    None,
    "JSON file with source and target (names of schemes) and groups: for each target landmark the "
    "source landmarks whose mean it is, or an empty list.",
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Faces per batch.", lower_bound=1)


def name_models(texts: list[str]) -> dict[str, str]:
    """Returns models by name; the default name is the last part of the path.

    Raises:
        UsageError: If two models have the same name, or a name can't be that of a folder.
    """
    if len(texts) == 1:
        _, given, path = texts[0].partition("=")
        return {"": path if given and not pathlib.Path(texts[0]).exists() else texts[0]}
    models: dict[str, str] = {}
    for text in texts:
        name, given, path = text.partition("=")
        if not given or pathlib.Path(text).exists():
            name, path = pathlib.PurePath(text).name, text
        if name in models or not re.fullmatch(r"\w[\w.+-]*", name):
            raise app.UsageError(
                "--model: give each model a unique name that is valid for a folder, as NAME=PATH. "
                f"Received: {name!r} for {text}"
            )
        models[name] = path
    return models


def main() -> None:
    """Evaluates by the flags."""
    models = name_models(_MODEL.value)
    output = pathlib.Path(_OUTPUT.value)
    check_free(output)  # before TensorFlow is imported

    from wing_tf.detection import make_detector
    from wing_tf.evaluation.comparison import compare_reports, format_comparison
    from wing_tf.evaluation.evaluator import Evaluator
    from wing_tf.evaluation.report import format_report
    from wing_tf.landmarks import load_scheme_map
    from wing_tf.model_spec import read_model_spec
    from wing_tf.models.saving import find_network

    scheme_map = load_scheme_map(_SCHEME_MAP.value) if _SCHEME_MAP.value else None
    detectors = {_DETECTOR.value: make_detector(_DETECTOR.value)} if _DETECTOR.value else None
    evaluators = {}
    for name, path in models.items():  # all models are checked before the first is evaluated
        # Of several models, the map applies to those of its source scheme.
        fits = len(models) == 1 or (
            scheme_map is not None
            and read_model_spec(find_network(path)).scheme_name == scheme_map.source.name
        )
        evaluators[name] = Evaluator(
            path,
            _DATA.value,
            protocol=PROTOCOLS[_PROTOCOL.value] if _PROTOCOL.value else None,
            normalizer=_NORMALIZER.value,
            scheme_map=scheme_map if fits else None,
            batch_size=_BATCH_SIZE.value,
        )
    with new_files(output) as folder:
        folders = {name: folder / name for name in models}
        for name, evaluator in evaluators.items():
            folders[name].mkdir(exist_ok=True)
            report = evaluator.report(
                folders[name],
                box_noise=_BOX_NOISE.value,
                rotation_deg=_ROTATION.value,
                detectors=detectors,
            )
            print(f"\n{format_report(report)}\nReport: {output / name}")
        if len(models) > 1:
            comparison = compare_reports(folders, folder)
            print(f"\n{format_comparison(comparison)}\nComparison: {output}")


def entry() -> None:
    """Console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
