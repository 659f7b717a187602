"""Locate landmarks in an image, a folder of images, a video or what a camera sees.

  wing-predict --image=face.jpg                         [--box=x0,y0,x1,y1]
  wing-predict --folder=images --output=OUT           stopped and called again, it goes on
  wing-predict --video=video.mp4 | --camera=0            [--show]
  wing-predict compare --model=A,B --folder=images    two models on the same faces
  wing-predict calibrate --detector=yunet --data=RECORDS --output=correction.json

Without --model, the model of 68 points that comes with the package is used. Without --box, faces
are found by --detector. OUT gets, of an image, NAME_landmarks.png and NAME_landmarks.json; of a
folder, landmarks.jsonl, skipped.csv (what can't be read, and why), run.json and drawn/; of a video,
landmarks.jsonl and output.mp4. Landmarks are in pixels of the image as shown (EXIF rotation
applied), pixel centers at integers from 0 (.pts: from 1). What is not known is null (.csv: empty,
.pts: nan). Angles are yaw, pitch and roll in degrees: positive yaw turns the nose to the image's
right, positive pitch up, positive roll leans the head clockwise. calibrate measures on the squares
that records keep, in which the face is in the middle: see docs/use.md.
"""

import os

from absl import app, flags

from wing_tf.cli import common

COMMANDS = ("compare", "calibrate")
_SOURCES = ("image", "folder", "video", "camera")

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A .tflite file or the folder of an export, a .keras file or a run folder (its best model); "
    "the model of 68 points that comes with the package if not given. compare: two, A,B.",
)
_IMAGE = flags.DEFINE_string("image", None, "An image.")
_FOLDER = flags.DEFINE_string("folder", None, "A folder of images, with those below it.")
_VIDEO = flags.DEFINE_string("video", None, "A video file.")
_CAMERA = flags.DEFINE_integer("camera", None, "A camera's number, from 0.", lower_bound=0)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The folder for the results: wing_predict if not given, or a folder in it that is called like "
    "the folder or video. calibrate: the file.",
)
_FORMAT = flags.DEFINE_enum(
    "format",
    None,
    ["json", "jsonl", "csv", "pts"],
    "How landmarks are written: json for an image, jsonl (a line an image or frame) for others "
    "if not given. pts: for an image, and for a folder besides jsonl; a file a face.",
)
_BOX = flags.DEFINE_list(
    "box",
    None,
    "With --image: a face box x0,y0,x1,y1 in pixels, like those that the model was trained on: by "
    "default tight round the landmarks (68 points: brows to chin).",
)
_DETECTOR = flags.DEFINE_enum(
    "detector",
    "haar",
    ["haar", "yunet", "boxes", "whole"],
    "What finds faces. yunet needs --detector_model, boxes --box_file; whole: the image is the "
    "face.",
)
_DETECTOR_MODEL = flags.DEFINE_string("detector_model", None, "YuNet's .onnx file.")
_BOX_FILE = flags.DEFINE_string(
    "box_file", None, "CSV with path,x0,y0,x1,y1, or JSON lines with path and boxes_xyxy_px."
)
_CORRECTION = flags.DEFINE_string(
    "correction", None, "The detector's correction, as `wing-predict calibrate` measures it."
)
_PASSES = flags.DEFINE_integer(
    "passes",
    None,
    "2: cut each face again round the landmarks found first. If not given: 2 for images whose "
    "faces a detector finds; 1 where boxes are given, for compare (both models see the same crops) "
    "and for videos, whose faces are cut round those of the frame before.",
    1,
    2,
)
_FLIP_AVERAGE = flags.DEFINE_bool("flip_average", False, "Average with the mirrored face.")
_SCHEME = flags.DEFINE_string(
    "scheme", None, "Give the landmarks of another scheme, through the built-in map to it."
)
_SCHEME_MAP = flags.DEFINE_string(
    "scheme_map", None, "The same through a map of your own: see wing-evaluate --help."
)
_THREADS = flags.DEFINE_integer("threads", 2, "Of the processor that are used.", 1)
_SMOOTH = flags.DEFINE_bool("smooth", True, "Smooth a video's landmarks over time.")
_DRAW = flags.DEFINE_bool("draw", True, "Write images, or a video, with what was found.")
_SHOW = flags.DEFINE_bool("show", False, "Open a window; q ends it.")
_LINES = flags.DEFINE_bool("lines", True, "Draw lines between landmarks.")
_BOXES = flags.DEFINE_bool("boxes", True, "Draw the face boxes.")
_NUMBERS = flags.DEFINE_bool("numbers", False, "Draw the landmarks' numbers, on larger images.")
_POSE_AXIS = flags.DEFINE_bool(
    "pose_axis", False, "Draw the head's axes: red to its side, green up, blue along the nose."
)
_DATA = flags.DEFINE_string(
    "data",
    None,
    "calibrate: records, DIR/SPLIT-*. Their faces are in the middle of "
    "squares, where a detector may find more than in whole images, and other boxes.",
)


def parse_box(words: list[str]) -> list[float]:
    """Returns four numbers. Raises ValueError on anything else."""
    try:
        box = [float(word) for word in words]
    except ValueError:
        box = []
    if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"--box must be x0,y0,x1,y1 with x0 < x1 and y0 < y1. Received: {words}.")
    return box


def _check_flags(command: str | None) -> None:
    """Raises UsageError for flags that don't go together, before anything slow is imported."""
    values = {name: flags.FLAGS[name].value for name in _SOURCES}
    given = [name for name, value in values.items() if value not in (None, "")]
    allowed = {None: _SOURCES, "compare": ("image", "folder"), "calibrate": ()}[command]
    wanted = f"one of {', '.join(f'--{name}' for name in allowed)}" if allowed else "none of them"
    if not set(given) <= set(allowed) or len(given) != min(1, len(allowed)):
        raise app.UsageError(
            f"{command or 'wing-predict'} takes {wanted}. "
            f"Received: {', '.join(f'--{name}' for name in given) or 'none'}."
        )
    if _SCHEME.value and _SCHEME_MAP.value:
        raise app.UsageError("--scheme and --scheme_map: give one of them.")
    if _BOX.value and given != ["image"]:
        raise app.UsageError("--box goes with --image only; for several images use --box_file.")
    for name, file in (("yunet", "detector_model"), ("boxes", "box_file")):
        if _DETECTOR.value == name and not flags.FLAGS[file].value:
            raise app.UsageError(f"--detector={name} needs --{file}.")
    if command == "calibrate" and not (_DATA.value and _OUTPUT.value):
        raise app.UsageError("calibrate needs --data and --output.")
    if command == "compare" and len((_MODEL.value or "").split(",")) != 2:
        raise app.UsageError(f"compare needs two models, --model=A,B. Received: {_MODEL.value}.")
    forms = {"image": ("json", "jsonl", "csv", "pts"), "folder": ("jsonl", "csv", "pts")}
    if given and _FORMAT.value not in (None, *forms.get(given[0], ("jsonl", "csv"))):
        good = ", ".join(forms.get(given[0], ("jsonl", "csv")))
        raise app.UsageError(f"--format of a {given[0]} is one of {good}: not {_FORMAT.value}.")
    if _SHOW.value and given == ["folder"]:
        raise app.UsageError("--show goes with --image, --video and --camera.")


def _default_passes(command: str | None) -> int:
    own_boxes = bool(_BOX.value) or _DETECTOR.value == "boxes" or command == "compare"
    return 1 if own_boxes or not (_IMAGE.value or _FOLDER.value) else 2


def main(command: str | None = None) -> None:
    """Predicts by the flags."""
    _check_flags(command)
    box = parse_box(_BOX.value) if _BOX.value else None
    # What can't be read gets one line of ours.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

    from wing_tf.cli import predict_commands as commands
    from wing_tf.cli import predict_runs as runs

    find = runs.Finder(
        detector=_DETECTOR.value,
        detector_model=_DETECTOR_MODEL.value,
        box_file=_BOX_FILE.value,
        correction=_CORRECTION.value,
        passes=_PASSES.value or _default_passes(command),
        flip=_FLIP_AVERAGE.value,
        scheme=_SCHEME.value,
        scheme_map=_SCHEME_MAP.value,
        threads=_THREADS.value,
    )
    look = runs.Look(
        draw=_DRAW.value,
        show=_SHOW.value,
        lines=_LINES.value,
        boxes=_BOXES.value,
        numbers=_NUMBERS.value,
        pose_axis=_POSE_AXIS.value,
    )
    if command == "calibrate":
        commands.calibrate_detector(find, data=_DATA.value or "", output=_OUTPUT.value or "")
    elif command == "compare":
        models = (_MODEL.value or "").split(",")
        commands.compare(
            find, models, image=_IMAGE.value, folder=_FOLDER.value, output=_OUTPUT.value
        )
    elif _IMAGE.value:
        form = _FORMAT.value or "json"
        runs.predict_image(find, look, _MODEL.value, _IMAGE.value, _OUTPUT.value, box, form)
    elif _FOLDER.value:
        form = _FORMAT.value or "jsonl"
        runs.predict_folder(find, look, _MODEL.value, _FOLDER.value, _OUTPUT.value, form)
    else:
        source = _CAMERA.value if _CAMERA.value is not None else _VIDEO.value or ""
        form, smooth = _FORMAT.value or "jsonl", _SMOOTH.value
        runs.predict_video(find, look, _MODEL.value, source, _OUTPUT.value, form, smooth)


def entry() -> None:
    """The console command."""
    common.run(main, __name__, commands=COMMANDS, needs_command=False)


if __name__ == "__main__":
    entry()
