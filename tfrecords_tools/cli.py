"""Write annotated pictures as TFRecords, or look at records.

wing-tfrecords write --source=ibug_300w --root=300W --output=RECORDS
wing-tfrecords write --source=csv --csv=faces.csv --scheme=wflw_98 --output=RECORDS
wing-tfrecords write --source=synthetic --count=4000 --num_test=500 --output=RECORDS
wing-tfrecords inspect --records=RECORDS [--output=sheet.png]
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
    return SyntheticSource(count=_COUNT.value, num_test=_NUM_TEST.value, seed=_SEED.value)


def write() -> None:
    """Writes records by the flags."""
    _require(source=_SOURCE.value, output=_OUTPUT.value)
    output = _OUTPUT.value or ""
    if _SOURCE.value == "ibug_300w":
        _require(root=_ROOT.value)
    if _SOURCE.value == "csv":
        _require(csv=_CSV.value, scheme=_SCHEME.value)
    from tfrecords_tools.writer import CropRule, write_records

    manifest = write_records(
        _make_source(),
        output,
        rule=CropRule(side=_SIDE.value, context=_CONTEXT.value, jpeg_quality=_QUALITY.value),
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


_COMMANDS = {"write": write, "inspect": inspect}


def main(command: str) -> None:
    """Runs a sub-command."""
    _COMMANDS[command]()


def entry() -> None:
    """The console command."""
    common.run(main, __name__, commands=tuple(_COMMANDS))


if __name__ == "__main__":
    entry()
