"""Write annotated images as TFRecords, inspect records, balance poses, measure scheme maps.

wing-tfrecords write --source=ibug_300w --root=300W --output=RECORDS
wing-tfrecords write --source=wflw --root=WFLW --crop=hrnet --output=RECORDS
wing-tfrecords write --source=csv --csv=faces.csv --scheme=wflw_98 --output=RECORDS
wing-tfrecords write --source=coco --coco=hands.json --scheme=hand.json --output=RECORDS
wing-tfrecords scheme --source=cvat --cvat=annotations.xml --output=face.json
wing-tfrecords write --source=synthetic --num_train=4000 --num_test=500 --output=RECORDS
wing-tfrecords inspect --data=RECORDS [--output=INSPECTION] [--other_data=RECORDS_2]
wing-tfrecords balance --data='RECORDS/train-*' --output=BALANCE
wing-tfrecords residual --data=RECORDS --other_data=RECORDS_IN_ANOTHER_SCHEME

balance writes balance.json (for --config.balance.path of wing-train), histogram.png (before and
after) and extremes.png (faces at both ends and in the middle of the pose axis).
"""

import dataclasses
import os
import re
import shlex
from typing import Any

from absl import app, flags

from tfrecords_tools import source_flags
from tfrecords_tools.source_flags import PATH_SOURCES, SOURCE, make_source
from tfrecords_tools.sources import SOURCES, Source
from tfrecords_tools.summary import format_summary
from wing_tf.cli import common
from wing_tf.data.crop_rules import CROP_RULES, CropRule, get_crop_rule
from wing_tf.landmarks import load_scheme_map
from wing_tf.utils.local_path import is_remote
from wing_tf.utils.output_folder import locked_folder, new_files

flags.adopt_module_key_flags(source_flags)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "A new or empty folder. inspect: any folder; default RECORDS_inspection, in the working folder "
    "if RECORDS is remote. scheme: a JSON file.",
)
_CROP = flags.DEFINE_enum(
    "crop", None, list(CROP_RULES), "write: crop rule; default the data set's own box, if any."
)
_CROP_MARGIN = flags.DEFINE_float(
    "crop_margin", None, "write: crop margin, from 1 to 4, instead of the crop rule's own."
)
_SQUARE = flags.DEFINE_bool("square", None, "write: square crops, instead of the rule's choice.")
_SIDE = flags.DEFINE_integer(
    "side", 256, "write: side of the stored square crops in pixels, a multiple of 8."
)
_CONTEXT = flags.DEFINE_float(
    "context", 2.0, "write: side of the stored square over the longer side of the face box."
)
_QUALITY = flags.DEFINE_integer("jpeg_quality", 95, "write: JPEG quality of the stored squares.")
_VALIDATION = flags.DEFINE_float(
    "validation_fraction",
    0.1,
    "write: fraction of training images that is held out for validation, copies together.",
)
_PER_SHARD = flags.DEFINE_integer(
    "faces_per_shard", 512, "write: approximate number of faces per file."
)
_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "write: number of worker processes; default one per core."
)
_STRICT = flags.DEFINE_bool(
    "strict", False, "write: stop at the first face that is not usable instead of skipping it."
)
_BEAM = flags.DEFINE_bool("beam", False, "write: use Apache Beam, for many machines.")
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options", "", "write: options of Beam, such as '--runner=FlinkRunner'."
)
_DATA = flags.DEFINE_string(
    "data",
    None,
    "A record folder, local or remote (gs://...). balance: or a glob pattern; of a folder, the "
    "split train.",
)
_OTHER = flags.DEFINE_string(
    "other_data",
    None,
    "inspect: other records of the same faces, to compare the origin of their coordinates. "
    "residual: records of the same faces in the scheme that the map leads to.",
)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 36, "inspect: faces on the contact sheet.")
_SCHEME_MAP = flags.DEFINE_string(
    "scheme_map", None, "residual: JSON file of a scheme map, instead of the built-in one."
)
_NORMALIZER = flags.DEFINE_string(
    "normalizer", None, "residual: normalizer of distances; default the scheme's own."
)
_BINS = flags.DEFINE_integer(
    "num_bins",
    9,
    "balance: bins of the pose histogram (in the paper, 9 for 300-W, 17 for AFLW: signed ones).",
)
_MAX_WEIGHT = flags.DEFINE_float("max_weight", 10.0, "balance: maximum weight of a face.")
_SIGNED = flags.DEFINE_bool("signed", False, "balance: separate bins for left and right poses.")
_COMPONENT = flags.DEFINE_integer(
    "component", None, "balance: principal component that is the pose; default by correlation."
)


def _require(**values: Any) -> None:
    for name, value in values.items():
        if value is None:
            raise app.UsageError(f"--{name} is needed here.")


def _scheme() -> None:
    """Writes a first scheme from the labels of annotations."""
    _require(source=SOURCE.value, output=_OUTPUT.value)
    from tfrecords_tools.first_scheme import write_first_scheme

    name = SOURCE.value or ""
    path = flags.FLAGS[name].value if name in PATH_SOURCES else ""
    _require(**{name: path})
    category = flags.FLAGS.category
    print(write_first_scheme(SOURCES[name], path or "", _OUTPUT.value or "", category=category))


def _crop_rule(source: Source) -> CropRule:
    """Returns the crop rule of the flags. The name of a changed rule says so."""
    rule = get_crop_rule(_CROP.value or source.default_crop)
    margin = rule.margin if _CROP_MARGIN.value is None else _CROP_MARGIN.value
    square = rule.square if _SQUARE.value is None else _SQUARE.value
    if (margin, square) == (rule.margin, rule.square):
        return rule
    return dataclasses.replace(rule, name=f"{rule.name}, changed", margin=margin, square=square)


def _write() -> None:
    """Writes records."""
    _require(source=SOURCE.value, output=_OUTPUT.value)
    if _BEAM_OPTIONS.value and not _BEAM.value:
        raise app.UsageError("--beam_options needs --beam.")
    if _BEAM.value and _PROCESSES.value is not None:
        raise app.UsageError("--num_processes is not for --beam: see --beam_options.")
    from tfrecords_tools.square_crops import SquareFormat

    source = make_source()
    options: dict[str, Any] = {
        "square_format": SquareFormat(
            side=_SIDE.value, context=_CONTEXT.value, jpeg_quality=_QUALITY.value
        ),
        "crop": _crop_rule(source),
        "validation_fraction": _VALIDATION.value,
        "faces_per_shard": _PER_SHARD.value,
        "strict": _STRICT.value,
    }
    output = _OUTPUT.value or ""
    if _BEAM.value:
        from tfrecords_tools.beam import write_records_with_beam

        beam_options = shlex.split(_BEAM_OPTIONS.value)
        manifest = write_records_with_beam(source, output, pipeline_options=beam_options, **options)
    else:
        from tfrecords_tools.writer import write_records

        manifest = write_records(source, output, num_processes=_PROCESSES.value, **options)
    print(format_summary(manifest, output))


def _inspect() -> None:
    """Prints the summary and writes images, statistics and warnings about the records."""
    _require(data=_DATA.value)
    from tfrecords_tools.summary import read_manifest
    from wing_tf.data.record_files import record_path

    folder = record_path(_DATA.value or "")
    print(format_summary(read_manifest(folder), folder).rpartition("\n")[0])

    from tfrecords_tools.inspection.report import format_report, inspect_records

    beside = "" if is_remote(folder) else os.path.dirname(folder)
    name = os.path.basename(folder if is_remote(folder) else os.path.realpath(folder))
    output = _OUTPUT.value or os.path.join(beside, f"{name}_inspection")
    with locked_folder(output):
        report = inspect_records(folder, output, num_images=_NUM_IMAGES.value, other=_OTHER.value)
    print(f"\n{format_report(report)}\n\nImages and inspection.json: {output}")


def _balance() -> None:
    """Writes the pose balance of records."""
    _require(data=_DATA.value, output=_OUTPUT.value)
    with new_files(_OUTPUT.value or "") as folder:
        from tfrecords_tools.balancing import write_balance

        text = write_balance(
            _DATA.value or "",
            folder,
            num_bins=_BINS.value,
            absolute=not _SIGNED.value,
            component=_COMPONENT.value,
            max_weight=_MAX_WEIGHT.value,
        )
    print(f"{text}\nBalance: {_OUTPUT.value}")


def _residual() -> None:
    """Prints the error of a map between two schemes."""
    _require(data=_DATA.value, other_data=_OTHER.value)
    from tfrecords_tools.inspection.map_residual import format_residual, map_residual

    scheme_map = load_scheme_map(_SCHEME_MAP.value) if _SCHEME_MAP.value else None
    data, other = _DATA.value or "", _OTHER.value or ""
    result = map_residual(data, other, scheme_map=scheme_map, normalizer=_NORMALIZER.value)
    print(format_residual(result))


_COMMANDS = {
    "write": _write,
    "scheme": _scheme,
    "inspect": _inspect,
    "balance": _balance,
    "residual": _residual,
}


def _check_flags(command: str) -> None:
    """Refuses flags of other subcommands: those that the help text begins with."""
    of_sources = flags.FLAGS.flags_by_module_dict()[source_flags.__name__]
    both = {SOURCE.name, "category", *PATH_SOURCES}
    commands = {
        flag.name: {"write", "scheme"} if flag.name in both else {"write"} for flag in of_sources
    }
    for holder in [value for value in globals().values() if isinstance(value, flags.FlagHolder)]:
        text = flags.FLAGS[holder.name].help or ""
        if text.partition(":")[0] in _COMMANDS:
            commands[holder.name] = set(re.findall(r"(\w+): ", text)) & set(_COMMANDS)
    for name, known in commands.items():
        if flags.FLAGS[name].present and command not in known:
            raise app.UsageError(f"--{name} is for {' and '.join(sorted(known))}, not {command}.")


def main(command: str) -> None:
    """Runs a subcommand."""
    _check_flags(command)
    _COMMANDS[command]()


def entry() -> None:
    """Entry point of the console command."""
    common.run(main, __name__, commands=tuple(_COMMANDS))


if __name__ == "__main__":
    entry()
