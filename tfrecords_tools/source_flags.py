"""Flags of the sources, named for their arguments."""

import inspect
import pathlib

from absl import app, flags

from tfrecords_tools.sources import SOURCES, Source
from tfrecords_tools.sources.folder import FolderSource
from tfrecords_tools.sources.lsp import OCCLUDED_CHOICES
from wing_tf.landmarks import SCHEMES, LandmarkScheme, load_scheme
from wing_tf.utils.did_you_mean import did_you_mean
from wing_tf.utils.image_files import EXIF_CHOICES
from wing_tf.utils.image_size import MAX_PIXELS

SOURCE = flags.DEFINE_enum("source", None, list(SOURCES), "write, scheme: the kind of data set.")
# The argument `path` is the flag --SOURCE.
PATH_SOURCES = [n for n, s in SOURCES.items() if "path" in inspect.signature(s).parameters]
for _name in PATH_SOURCES:
    flags.DEFINE_string(_name, None, f"{_name}: the annotation file (labelme, pts: the folder).")
flags.DEFINE_string("root", None, "Folder of the data set, or that image paths are relative to.")
flags.DEFINE_string("scheme", None, "Name of the landmark scheme, or a JSON file with your own.")
flags.DEFINE_string("category", None, "Name of the kind of object, if the file has several.")
flags.DEFINE_string("split", None, "Split of images for which the file names none; default train.")
flags.DEFINE_float(
    "origin", None, "Coordinate of the first pixel's center; default that of the data set or tool."
)
flags.DEFINE_enum(
    "exif",
    None,
    list(EXIF_CHOICES),
    "Images that are rotated by their EXIF data: annotated as displayed (apply), as stored "
    "(ignore), or skipped (refuse). Default: what the tool does; csv, coco, pts: refuse.",
)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    MAX_PIXELS,
    "write: maximum number of pixels of an image; larger ones are skipped before decoding.",
    1,
)
flags.DEFINE_string(
    "missing",
    None,
    "Your own data, ibug_300w: coordinates X,Y that mark points that are not annotated, such as "
    "-1,-1, or none. By default -1,-1 and 0,0 do, with a warning.",
)
flags.DEFINE_bool("aligned", None, "celeba: the aligned images instead of the images in the wild.")
flags.DEFINE_string("joints", None, "lsp: another file of joints than joints.mat.")
flags.DEFINE_enum(
    "occluded",
    None,
    list(OCCLUDED_CHOICES),
    "lsp: occluded joints count as not annotated (ignore) or as occluded (keep). Default: ignore "
    "in training, keep in the test.",
)
flags.DEFINE_string("cofw_root", None, "cofw68: folder of COFW_test_color.mat; default --root.")
flags.DEFINE_integer("num_train", 4000, "synthetic: number of training and validation faces.")
flags.DEFINE_integer("num_test", 500, "synthetic: number of faces in the split test.")
flags.DEFINE_integer("seed", 0, "synthetic: random seed.")
flags.DEFINE_float(
    "wide_yaw_fraction", 0.38, "synthetic: fraction of training faces that are not nearly frontal."
)
flags.DEFINE_float("test_wide_yaw_fraction", 0.38, "synthetic: the same fraction of test faces.")
flags.DEFINE_float(
    "yaw_std_deg", 22.0, "synthetic: standard deviation of the yaw of nearly frontal faces."
)
flags.DEFINE_integer("image_size", 192, "synthetic: side of the rendered images in pixels.")


def make_source() -> Source:
    """Creates the source from its flags. Flags of other sources are an error if given."""
    name = SOURCE.value or ""
    of_source = {source: inspect.signature(SOURCES[source]).parameters for source in SOURCES}
    arguments = {argument: argument for names in of_source.values() for argument in names}
    del arguments["path"]
    arguments |= dict.fromkeys(PATH_SOURCES, "path")
    options = {}
    for flag_name, argument in arguments.items():
        flag, parameter = flags.FLAGS[flag_name], of_source[name].get(argument)
        if parameter is None or (argument == "path" and flag_name != name):
            if flag.present:
                raise app.UsageError(f"--{flag_name} is not for --source={name}.")
        elif flag.value is not None:
            options[argument] = flag.value
        elif parameter.default is inspect.Parameter.empty:
            raise app.UsageError(f"--source={name} needs --{flag_name}.")
    if "scheme" in options:
        options["scheme"] = _find_scheme(options["scheme"])
    source = SOURCES[name](**options)
    if isinstance(source, FolderSource):
        source.max_pixels = _MAX_PIXELS.value
    return source


def _find_scheme(name: str) -> LandmarkScheme:
    """Returns a built-in scheme, or that of a JSON file."""
    if name in SCHEMES:
        return SCHEMES[name]
    if name.endswith(".json"):
        return load_scheme(name)
    own = pathlib.Path(f"{name}.json")
    hint = f" Did you mean {own}?" if own.is_file() else did_you_mean(name, SCHEMES, cutoff=0.6)
    raise ValueError(
        f"--scheme must be one of {', '.join(SCHEMES)}, or the JSON file of your own scheme, such "
        f"as --scheme={own}. Received: {name}.{hint}"
    )
