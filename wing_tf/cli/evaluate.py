"""Evaluate landmark models on records.

  wing-evaluate --model=RUN --data='RECORDS/test_helen-*' --output=REPORT

Writes report.json, report.txt, nme.csv, ced.png and worst.png, for a network of heatmaps also
heatmaps.png, and prints the table. A protocol of the field chooses the faces, what errors are
divided by and the groups, and says which published numbers the scores can be set beside:

  wing-evaluate --model=RUN --data=RECORDS --protocol=300w_interocular --output=REPORT

Several models are evaluated one after another, each into its own folder, and compared: one plot,
one table, and the differences from the first model with paired bootstrap intervals:

  wing-evaluate --model=RUN,OTHER --data=RECORDS --protocol=wflw --output=BOTH

Records of another scheme than the model's are evaluated through a map: a built-in one or your own.

  wing-evaluate --model=RUN --data='AFLW/test-*' --output=CROSS --scheme_map=map.json
"""

import pathlib
import re

from absl import app, flags

from wing_tf.cli import common

_MODEL = flags.DEFINE_list(
    "model",
    None,
    "A .keras file or a run folder (its best model), or several with commas between them, maybe "
    "each as NAME=PATH.",
    required=True,
)
_DATA = flags.DEFINE_string(
    "data", None, "Record files: a glob, or a folder for all its splits.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The report's folder: new or empty.", required=True)
_PROTOCOL = flags.DEFINE_string(
    "protocol",
    None,
    "300w_interocular, 300w_interpupil, 300w_private, wflw, cofw_interpupil, cofw_interocular, "
    "cofw68, aflw_full, aflw_frontal, lsp_pck, menpo_diagonal or menpo_box.",
)
_NORMALIZER = flags.DEFINE_string(
    "normalizer",
    None,
    "What errors are divided by: inter_ocular, inter_pupil, box, box_width or diagonal; the "
    "protocol's, or the scheme's own, if not given.",
)
_BOX_NOISE = flags.DEFINE_float(
    "box_noise",
    None,
    "Repeat with boxes shifted and scaled by up to this share of their side, such as 0.1.",
    lower_bound=0.0,
    upper_bound=0.5,
)
_ROTATION = flags.DEFINE_float(
    "rotation",
    None,
    "Repeat with faces turned by up to this angle in degrees, such as 30; what a turned crop holds "
    "of beyond the records' squares is black.",
    lower_bound=0.0,
    upper_bound=180.0,
)
_DETECTOR = flags.DEFINE_enum(
    "detector", None, ["haar"], "Repeat with the boxes of a face detector; gives its recall too."
)
_SCHEME_MAP = flags.DEFINE_string(
    "scheme_map",
    None,
    "A JSON file with source, target (names of schemes) and groups: for each of the target's "
    "landmarks the source's indices whose mean stands for it, none where nothing does.",
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Faces at a time.", lower_bound=1)


def name_models(texts: list[str]) -> dict[str, str]:
    """Returns models by name; one that is given without a name is called by its path's last part.

    Raises:
        UsageError: if names clash or can't be folders' names.
    """
    if len(texts) == 1:
        return {"": texts[0]}
    models: dict[str, str] = {}
    for text in texts:
        name, given, path = text.partition("=")
        if not given or pathlib.Path(text).exists():
            name, path = pathlib.PurePath(text).name, text
        if name in models or not re.fullmatch(r"\w[\w.+-]*", name):
            raise app.UsageError(
                "--model: give each model a name of its own that can be a folder's, as NAME=PATH. "
                f"Received: {name!r} for {text}"
            )
        models[name] = path
    return models


def main() -> None:
    """Evaluates by the flags."""
    models = name_models(_MODEL.value)
    output = common.new_folder(_OUTPUT.value)

    from wing_tf.evaluation.comparison import compare_reports, format_comparison
    from wing_tf.evaluation.evaluator import Evaluator
    from wing_tf.evaluation.protocols import get_protocol
    from wing_tf.evaluation.report import format_report
    from wing_tf.inference import HaarDetector
    from wing_tf.landmarks import load_scheme_map
    from wing_tf.model_spec import read_model_spec

    scheme_map = load_scheme_map(_SCHEME_MAP.value) if _SCHEME_MAP.value else None
    protocol = get_protocol(_PROTOCOL.value) if _PROTOCOL.value else None
    evaluators = {}
    for name, path in models.items():  # all of them before the first is evaluated
        # Of several models the map is for those of its source.
        fits = len(models) == 1 or (
            scheme_map is not None and read_model_spec(path).scheme_name == scheme_map.source.name
        )
        evaluators[name] = Evaluator(
            path,
            _DATA.value,
            protocol=protocol,
            normalizer=_NORMALIZER.value,
            scheme_map=scheme_map if fits else None,
            batch_size=_BATCH_SIZE.value,
        )
    folders = {}
    for name, evaluator in evaluators.items():
        folders[name] = output / name
        folders[name].mkdir(exist_ok=True)
        report = evaluator.report(
            folders[name],
            box_noise=_BOX_NOISE.value,
            rotation_deg=_ROTATION.value,
            detectors={_DETECTOR.value: HaarDetector()} if _DETECTOR.value else None,
        )
        print(f"\n{format_report(report)}\nReport: {folders[name]}")
    if len(models) > 1:
        print(f"\n{format_comparison(compare_reports(folders, output))}\nComparison: {output}")


def entry() -> None:
    """The console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
