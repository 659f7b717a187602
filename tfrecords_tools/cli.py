"""Write annotated pictures as TFRecords, look at records, or balance their poses.

wing-tfrecords write --source=ibug_300w --root=300W --output=RECORDS
wing-tfrecords write --source=csv --csv=faces.csv --scheme=wflw_98 --output=RECORDS
wing-tfrecords write --source=synthetic --count=4000 --num_test=500 --output=RECORDS
wing-tfrecords inspect --records=RECORDS [--output=sheet.png]
wing-tfrecords balance --data='RECORDS/train-*' --output=BALANCE

balance writes balance.json (for --config.balance.path of wing-train), histogram.png (before and
after) and extremes.png (the faces at both ends and in the middle of the pose axis).
"""

import json
import pathlib

from absl import app, flags

from wing_tf.cli import common

_SOURCE = flags.DEFINE_enum(
    "source", None, ["ibug_300w", "csv", "synthetic"], "Where annotated faces come from."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "write: a new or empty folder. inspect: where the contact sheet goes."
)
_ROOT = flags.DEFINE_string(
    "root", None, "ibug_300w: the data set's folder. csv: what paths are relative to."
)
_CSV = flags.DEFINE_string("csv", None, "csv: the file.")
_SCHEME = flags.DEFINE_string("scheme", None, "csv: the mark-up, such as ibug_68 or wflw_98.")
_ORIGIN = flags.DEFINE_float(
    "origin",
    None,
    "The coordinate of the first pixel's centre in the annotations; by default 1 for .pts files "
    "and 0 for CSV.",
)
_COUNT = flags.DEFINE_integer("count", 4000, "synthetic: faces for training and validation.")
_NUM_TEST = flags.DEFINE_integer("num_test", 500, "synthetic: faces for the split test.")
_SEED = flags.DEFINE_integer("seed", 0, "synthetic: another seed, other faces.")
_WIDE_YAW = flags.DEFINE_float(
    "wide_yaw", 0.38, "synthetic: share of training faces with any yaw; the rest is near frontal."
)
_TEST_WIDE_YAW = flags.DEFINE_float("test_wide_yaw", 0.38, "synthetic: the same of test faces.")
_YAW = flags.DEFINE_float(
    "yaw_deg", 22.0, "synthetic: standard deviation of the nearly frontal faces' yaw."
)
_SIDE = flags.DEFINE_integer("side", 256, "The stored square's side in pixels, a multiple of 8.")
_CONTEXT = flags.DEFINE_float("context", 2.0, "The square's side over the face box's longer side.")
_QUALITY = flags.DEFINE_integer("jpeg_quality", 95, "Of the stored squares.")
_VALIDATION = flags.DEFINE_float(
    "validation_fraction", 0.1, "Share of training pictures held out, by a hash of their names."
)
_PER_SHARD = flags.DEFINE_integer("faces_per_shard", 512, "About how many faces a file holds.")
_PROCESSES = flags.DEFINE_integer("processes", None, "How many read and cut; default: one a core.")
_STRICT = flags.DEFINE_bool("strict", False, "Stop at the first bad face instead of skipping it.")
_RECORDS = flags.DEFINE_string("records", None, "inspect: a record folder.")
_NUM_PICTURES = flags.DEFINE_integer("num_pictures", 36, "inspect: faces on the contact sheet.")
_DATA = flags.DEFINE_string(
    "data", None, "balance: training records: a glob, or a folder (its split train)."
)
_BINS = flags.DEFINE_integer("bins", 9, "balance: of the histogram (paper: 300-W 9, AFLW 17).")
_CAP = flags.DEFINE_float("cap", 10.0, "balance: how often a rare face is shown at most.")
_SIGNED = flags.DEFINE_bool("signed", False, "balance: left and right in bins of their own.")
_COMPONENT = flags.DEFINE_integer(
    "component", None, "balance: the principal component that is the pose; by default the one that "
    "follows the shapes' asymmetry."
)  # fmt: skip


def _require(**values) -> None:
    for name, value in values.items():
        if value is None:
            raise app.UsageError(f"--{name} is needed here.")


def _make_source():
    origin = {} if _ORIGIN.value is None else {"origin": _ORIGIN.value}
    from tfrecords_tools.sources import CsvSource, Ibug300WSource, SyntheticSource

    if _SOURCE.value == "ibug_300w":
        return Ibug300WSource(_ROOT.value, **origin)
    if _SOURCE.value == "csv":
        return CsvSource(_CSV.value, scheme=_SCHEME.value, root=_ROOT.value, **origin)
    return SyntheticSource(
        count=_COUNT.value,
        num_test=_NUM_TEST.value,
        seed=_SEED.value,
        wide_yaw=_WIDE_YAW.value,
        test_wide_yaw=_TEST_WIDE_YAW.value,
        yaw_deg=_YAW.value,
    )


def write() -> None:
    """Writes records by the flags."""
    _require(source=_SOURCE.value, output=_OUTPUT.value)
    output = _OUTPUT.value or ""
    if _SOURCE.value == "ibug_300w":
        _require(root=_ROOT.value)
    if _SOURCE.value == "csv":
        _require(csv=_CSV.value, scheme=_SCHEME.value)
    from tfrecords_tools.squares import StoredSquare
    from tfrecords_tools.writer import write_records

    manifest = write_records(
        _make_source(),
        output,
        stored=StoredSquare(side=_SIDE.value, context=_CONTEXT.value, jpeg_quality=_QUALITY.value),
        validation_fraction=_VALIDATION.value,
        faces_per_shard=_PER_SHARD.value,
        num_processes=_PROCESSES.value,
        strict=_STRICT.value,
    )
    print_manifest(manifest)


def print_manifest(manifest: dict, most_skipped: int = 20) -> None:
    """Prints a manifest; of many skipped faces, the first ones."""
    skipped = manifest["skipped"]
    shown = {k: v for k, v in manifest.items() if k != "skipped"} | {"num_skipped": len(skipped)}
    print(json.dumps(shown, indent=1))
    for key, reason in list(skipped.items())[:most_skipped]:
        print(f"skipped {key}: {reason}")
    if len(skipped) > most_skipped:
        print(f"... and {len(skipped) - most_skipped} more: see manifest.json")


def inspect() -> None:
    """Prints the manifest and draws a contact sheet."""
    _require(records=_RECORDS.value)
    folder = pathlib.Path(_RECORDS.value or "")
    path = folder / "manifest.json"
    if not path.is_file():
        raise ValueError(f"No manifest at {path}: {folder} was not written by `wing-tfrecords`.")
    print_manifest(json.loads(path.read_text()))

    from tfrecords_tools.sheet import draw_sheet
    from wing_tf.visualization.files import save_picture

    sheet = pathlib.Path(_OUTPUT.value or folder / "contact_sheet.png")
    save_picture(sheet, draw_sheet(folder, _NUM_PICTURES.value))
    print(f"contact sheet: {sheet}")


def balance() -> None:
    """Writes the pose balance of records."""
    _require(data=_DATA.value, output=_OUTPUT.value)
    folder = common.new_folder(_OUTPUT.value or "")
    from tfrecords_tools.sheet import draw_numbers
    from wing_tf.data.balance import fit_balance
    from wing_tf.data.read import read_landmarks
    from wing_tf.data.records import find_shards, open_records
    from wing_tf.visualization.files import save_picture
    from wing_tf.visualization.plots import plot_balance

    records = open_records(find_shards(_DATA.value or "", "train"))
    landmarks, visibility, _ = read_landmarks(records)
    model = fit_balance(
        landmarks,
        visibility,
        records.scheme,
        num_bins=_BINS.value,
        absolute=not _SIGNED.value,
        component=_COMPONENT.value,
        cap=_CAP.value,
    )
    shown = model.counts * model.weights
    before, after = model.counts / model.counts.sum(), shown / shown.sum()
    plot_balance(folder / "histogram.png", model.edges, before, after)
    pose = model.coefficients(landmarks, visibility)
    order = pose.argsort()
    middle = abs(pose).argsort()[:8]
    numbers = [*order[:8], *middle, *order[-8:]]
    sheet = draw_numbers(records, numbers, [f"{pose[number]:+.2f}" for number in numbers])
    save_picture(folder / "extremes.png", sheet)
    # Last: where it is, all the rest is there too.
    model.save(folder / "balance.json", data=_DATA.value, num_faces=records.num_faces)
    print(
        f"{records.num_faces} faces of {records.scheme.name}. Component {model.component}, "
        f"correlation with the shapes' asymmetry {model.correlations[model.component]:+.3f}.\n"
        f"{'bin':>16}{'faces':>8}{'weight':>9}{'before':>9}{'after':>9}"
    )
    for i, (count, weight) in enumerate(zip(model.counts, model.weights, strict=True)):
        name = f"{model.edges[i]:.2f} to {model.edges[i + 1]:.2f}"
        print(f"{name:>16}{count:>8}{weight:>9.2f}{before[i]:>9.1%}{after[i]:>9.1%}")
    print(f"Balance: {folder}")


_COMMANDS = {"write": write, "inspect": inspect, "balance": balance}


def main(command: str) -> None:
    """Runs a sub-command."""
    _COMMANDS[command]()


def entry() -> None:
    """The console command."""
    common.run(main, __name__, commands=tuple(_COMMANDS))


if __name__ == "__main__":
    entry()
