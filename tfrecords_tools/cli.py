"""Write annotated images as TFRecords, look at records, balance poses, measure maps.

wing-tfrecords write --source=ibug_300w --root=300W --output=RECORDS
wing-tfrecords write --source=wflw --root=WFLW --crop=hrnet --output=RECORDS
wing-tfrecords write --source=csv --csv=faces.csv --scheme=wflw_98 --output=RECORDS
wing-tfrecords write --source=coco --coco=hands.json --scheme=hand.json --output=RECORDS
wing-tfrecords write --source=synthetic --num_train=4000 --num_test=500 --output=RECORDS
wing-tfrecords inspect --data=RECORDS [--output=INSPECTION] [--other_data=RECORDS_2]
wing-tfrecords balance --data='RECORDS/train-*' --output=BALANCE
wing-tfrecords residual --data=RECORDS --other_data=RECORDS_IN_ANOTHER_SCHEME

balance writes balance.json (for --config.balance.path of wing-train), histogram.png (before and
after) and extremes.png (the faces at both ends and in the middle of the pose axis).
"""

import dataclasses
import inspect as inspect_module
import json
import pathlib
import shlex
from typing import Any

from absl import app, flags

from wing_tf.cli import common
from wing_tf.data.crop_rules import get_crop_rule
from wing_tf.landmarks import load_scheme, load_scheme_map

_SOURCE = flags.DEFINE_enum(
    "source",
    None,
    [
        "ibug_300w", "wflw", "cofw", "cofw68", "aflw", "lapa", "celeba", "lsp", "lsp_extended",
        "coco", "csv", "synthetic",
    ],
    "Where annotated faces come from.",
)  # fmt: skip
_OUTPUT = flags.DEFINE_string(
    "output", None, "write: a new or empty folder. inspect: a folder [RECORDS_inspection]."
)
_ROOT = flags.DEFINE_string(
    "root", None, "The data set's folder. csv, coco: what the images' paths are relative to."
)
_CSV = flags.DEFINE_string("csv", None, "csv: the file.")
_COCO = flags.DEFINE_string("coco", None, "coco: the JSON file.")
_SCHEME = flags.DEFINE_string(
    "scheme",
    None,
    "csv, coco: the scheme: a name such as ibug_68 or wflw_98, or a JSON file with one of your "
    "own (docs/your_own_data.md).",
)
_CATEGORY = flags.DEFINE_string("category", None, "coco: which one, where several have key points.")
_SPLIT = flags.DEFINE_string("split", None, "coco: of images that name none; default train.")
_ORIGIN = flags.DEFINE_float(
    "origin",
    None,
    "The coordinate of the first pixel's center in the annotations; by default what the data set "
    "has: 1 for ibug_300w, cofw, cofw68, lsp and lsp_extended, 0 for the others.",
)
_EXIF = flags.DEFINE_enum(
    "exif",
    None,
    ["refuse", "apply", "ignore"],
    "csv, coco: images that their EXIF data turns: were they annotated as shown (apply) or as "
    "stored (ignore)? By default they are not taken.",
)
_ALIGNED = flags.DEFINE_bool("aligned", None, "celeba: the aligned images instead of the wild.")
_JOINTS = flags.DEFINE_string("joints", None, "lsp: another file than joints.mat in the folder.")
_OCCLUDED = flags.DEFINE_enum(
    "occluded",
    None,
    ["ignore", "keep"],
    "lsp: occluded joints as not annotated, or kept; by default ignored in training, kept in test.",
)
_COFW_ROOT = flags.DEFINE_string(
    "cofw_root", None, "cofw68: the folder of COFW_test_color.mat, if it is another one."
)
_CROP = flags.DEFINE_string(
    "crop",
    None,
    "Which box a face's crop is cut round: landmark_box, dataset_box, dataset_or_landmark_box, "
    "detector_box, or as others do: wing, awing, awing_wflw, awing_landmarks, awing_official, "
    "awing_official_test, smt, hrnet, pipnet, spiga, insightface. By default the data set's own "
    "box where it has some.",
)
_CROP_MARGIN = flags.DEFINE_float(
    "crop_margin",
    None,
    "Instead of the crop rule's own, from 1 to 4.",
    lower_bound=1.0,
    upper_bound=4.0,
)
_SQUARE = flags.DEFINE_bool("square", None, "Instead of the crop rule's own: square crops or not.")
_BEAM = flags.DEFINE_bool("beam", False, "Write with Apache Beam: the same files, many workers.")
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options", "", "Beam's own, such as '--runner=DirectRunner --direct_num_workers=2'."
)
_NUM_TRAIN = flags.DEFINE_integer(
    "num_train", 4000, "synthetic: faces for training and validation."
)
_NUM_TEST = flags.DEFINE_integer("num_test", 500, "synthetic: faces for the split test.")
_SEED = flags.DEFINE_integer("seed", 0, "synthetic: another seed, other faces.")
_WIDE_YAW = flags.DEFINE_float(
    "wide_yaw_fraction",
    0.38,
    "synthetic: share of training faces with any yaw; the rest is near frontal.",
)
_TEST_WIDE_YAW = flags.DEFINE_float(
    "test_wide_yaw_fraction", 0.38, "synthetic: the same of test faces."
)
_YAW = flags.DEFINE_float(
    "yaw_std_deg", 22.0, "synthetic: standard deviation of the nearly frontal faces' yaw."
)
_SIZE = flags.DEFINE_integer(
    "image_size",
    192,
    "synthetic: side of the rendered image in pixels, of which the face takes half.",
)
_SIDE = flags.DEFINE_integer("side", 256, "The stored square's side in pixels, a multiple of 8.")
_CONTEXT = flags.DEFINE_float("context", 2.0, "The square's side over the face box's longer side.")
_QUALITY = flags.DEFINE_integer("jpeg_quality", 95, "Of the stored squares.")
_VALIDATION = flags.DEFINE_float(
    "validation_fraction", 0.1, "Share of training images held out, by a hash of their names."
)
_PER_SHARD = flags.DEFINE_integer("faces_per_shard", 512, "About how many faces a file holds.")
_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many read and cut; default: one a core."
)
_STRICT = flags.DEFINE_bool("strict", False, "Stop at the first bad face instead of skipping it.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 36, "inspect: faces on the contact sheet.")
_OTHER = flags.DEFINE_string(
    "other_data",
    None,
    "inspect: other records of the same faces: are pixels counted alike? residual: records of the "
    "same faces in the scheme that the map leads to.",
)
_SCHEME_MAP = flags.DEFINE_string(
    "scheme_map", None, "residual: a map of your own (wing-evaluate --help) for the built-in one."
)
_NORMALIZER = flags.DEFINE_string(
    "normalizer", None, "residual: what distances are divided by, if not the scheme's own."
)
_DATA = flags.DEFINE_string(
    "data",
    None,
    "inspect, residual: a record folder. balance: training records: a glob, or a folder (its split "
    "train).",
)
_BINS = flags.DEFINE_integer("num_bins", 9, "balance: of the histogram (paper: 300-W 9, AFLW 17).")
_MAX_WEIGHT = flags.DEFINE_float(
    "max_weight", 10.0, "balance: how often a rare face is shown at most."
)
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
    """Makes the source from the flags that it takes; others that are given are refused."""
    from tfrecords_tools.sources import SOURCES

    name = _SOURCE.value
    for source, path in (("csv", _CSV), ("coco", _COCO)):
        if path.present and source != name:
            raise app.UsageError(f"--{path.name} is not for --source={name}.")
    flags_of = {"path": _COCO if name == "coco" else _CSV} | {
        flag.name: flag
        for flag in (
            _ROOT, _SCHEME, _CATEGORY, _SPLIT, _ORIGIN, _EXIF, _ALIGNED, _JOINTS, _OCCLUDED,
            _COFW_ROOT, _NUM_TRAIN, _NUM_TEST, _SEED, _WIDE_YAW, _TEST_WIDE_YAW, _YAW,
            _SIZE,
        )
    }  # fmt: skip
    parameters = inspect_module.signature(SOURCES[name]).parameters
    options = {}
    for key, flag in flags_of.items():
        if key in parameters and flag.value is not None:
            options[key] = flag.value
        elif key in parameters and parameters[key].default is inspect_module.Parameter.empty:
            raise app.UsageError(f"--source={name} needs --{flag.name}.")
        elif key not in parameters and flag.present:
            raise app.UsageError(f"--{flag.name} is not for --source={name}.")
    if str(options.get("scheme", "")).endswith(".json"):
        options["scheme"] = load_scheme(options["scheme"])
    return SOURCES[name](**options)


def _crop_rule(source: Any) -> Any:
    """Returns the rule of the flags; one that is changed has that in its name."""
    rule = get_crop_rule(_CROP.value or source.default_crop)
    changes: dict[str, Any] = {}
    if _CROP_MARGIN.value is not None and _CROP_MARGIN.value != rule.margin:
        changes["margin"] = _CROP_MARGIN.value
    if _SQUARE.value is not None and _SQUARE.value != rule.square:
        changes["square"] = _SQUARE.value
    return dataclasses.replace(rule, name=f"{rule.name}, changed", **changes) if changes else rule


def write() -> None:
    """Writes records by the flags."""
    _require(source=_SOURCE.value, output=_OUTPUT.value)
    output = _OUTPUT.value or ""
    from tfrecords_tools.square_crops import SquareFormat

    if _BEAM_OPTIONS.value and not _BEAM.value:
        raise app.UsageError("--beam_options needs --beam.")
    if _BEAM.value and _PROCESSES.value is not None:
        raise app.UsageError("--num_processes is not for --beam: see --beam_options.")
    source = _make_source()
    options: dict[str, Any] = {
        "square_format": SquareFormat(
            side=_SIDE.value, context=_CONTEXT.value, jpeg_quality=_QUALITY.value
        ),
        "crop": _crop_rule(source),
        "validation_fraction": _VALIDATION.value,
        "faces_per_shard": _PER_SHARD.value,
        "strict": _STRICT.value,
    }
    if _BEAM.value:
        from tfrecords_tools.beam import write_records_with_beam

        beam_options = shlex.split(_BEAM_OPTIONS.value)
        manifest = write_records_with_beam(source, output, pipeline_options=beam_options, **options)
    else:
        from tfrecords_tools.writer import write_records

        manifest = write_records(source, output, num_processes=_PROCESSES.value, **options)
    print_manifest(manifest)


def print_manifest(manifest: dict, most_skipped: int = 20) -> None:
    """Prints a manifest; of many skipped faces, the first ones."""
    skipped = manifest["skipped"]
    left_out = ("skipped", "shards", "scheme_definition")
    shown = {k: v for k, v in manifest.items() if k not in left_out}
    shown |= {"num_shards": len(manifest.get("shards", ())), "num_skipped": len(skipped)}
    print(json.dumps(shown, indent=1))
    for key, reason in list(skipped.items())[:most_skipped]:
        print(f"skipped {key}: {reason}")
    if len(skipped) > most_skipped:
        print(f"... and {len(skipped) - most_skipped} more: see manifest.json")


def inspect() -> None:
    """Prints the manifest, and images, figures and warnings of what the records hold."""
    _require(data=_DATA.value)
    folder = pathlib.Path(_DATA.value or "")
    path = folder / "manifest.json"
    if not path.is_file():
        raise ValueError(f"No manifest at {path}: {folder} was not written by `wing-tfrecords`.")
    print_manifest(json.loads(path.read_text()))

    from tfrecords_tools.inspection.report import format_report, inspect_records

    beside = folder.with_name(f"{folder.resolve().name}_inspection")
    output = pathlib.Path(_OUTPUT.value or beside)
    report = inspect_records(folder, output, num_images=_NUM_IMAGES.value, other=_OTHER.value)
    print(f"\n{format_report(report)}\n\nImages and inspection.json: {output}")


def balance() -> None:
    """Writes the pose balance of records."""
    _require(data=_DATA.value, output=_OUTPUT.value)
    folder = common.new_folder(_OUTPUT.value or "")
    from tfrecords_tools.balancing import write_balance

    text = write_balance(
        _DATA.value or "",
        folder,
        num_bins=_BINS.value,
        absolute=not _SIGNED.value,
        component=_COMPONENT.value,
        max_weight=_MAX_WEIGHT.value,
    )
    print(f"{text}\nBalance: {folder}")


def residual() -> None:
    """Prints how far a map between two schemes is off."""
    _require(data=_DATA.value, other_data=_OTHER.value)
    from tfrecords_tools.inspection.map_residual import format_residual, map_residual

    scheme_map = load_scheme_map(_SCHEME_MAP.value) if _SCHEME_MAP.value else None
    result = map_residual(
        _DATA.value or "",
        _OTHER.value or "",
        scheme_map=scheme_map,
        normalizer=_NORMALIZER.value,
    )
    print(format_residual(result))


_COMMANDS = {"write": write, "inspect": inspect, "balance": balance, "residual": residual}


def main(command: str) -> None:
    """Runs a sub-command."""
    _COMMANDS[command]()


def entry() -> None:
    """The console command."""
    common.run(main, __name__, commands=tuple(_COMMANDS))


if __name__ == "__main__":
    entry()
