"""Judge a landmark model on records.

  wing-evaluate --model=RUN --data='RECORDS/test_helen-*' --output=REPORT

Writes report.json, report.txt, nme.csv, ced.png and worst.png, for a network of heatmaps also
heatmaps.png, and prints the table. Records of another mark-up than the model's are judged through
a map: a built-in one (ibug_68 to aflw_19, cofw_29 and celeba_5, wflw_98 to ibug_68) or your own.

  wing-evaluate --model=RUN --data='AFLW/test-*' --output=CROSS --scheme_map=map.json
"""

from absl import flags

from wing_tf.cli import common

_MODEL = flags.DEFINE_string(
    "model", None, "A .keras file or a run folder (its best model).", required=True
)
_DATA = flags.DEFINE_string(
    "data", None, "Record files: a glob, or a folder for all its splits.", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "The report's folder: new or empty.", required=True)
_NORMALISER = flags.DEFINE_string(
    "normaliser",
    None,
    "What errors are divided by: inter_ocular, inter_pupil, box, box_width or diagonal; the "
    "mark-up's own if not given.",
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
    "A JSON file with source, target (names of mark-ups) and groups: for each of the target's "
    "landmarks the source's indices whose mean stands for it, none where nothing does.",
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Faces at a time.", lower_bound=1)


def main() -> None:
    """Evaluates by the flags."""
    output = common.new_folder(_OUTPUT.value)

    from wing_tf.evaluation.evaluate import evaluate
    from wing_tf.evaluation.report import format_report
    from wing_tf.inference import HaarDetector
    from wing_tf.landmarks import load_map

    report = evaluate(
        _MODEL.value,
        _DATA.value,
        output,
        normaliser=_NORMALISER.value,
        box_noise=_BOX_NOISE.value,
        rotation_deg=_ROTATION.value,
        detectors={_DETECTOR.value: HaarDetector()} if _DETECTOR.value else None,
        scheme_map=load_map(_SCHEME_MAP.value) if _SCHEME_MAP.value else None,
        batch_size=_BATCH_SIZE.value,
    )
    print(f"\n{format_report(report)}\nReport: {output}")


def entry() -> None:
    """The console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
