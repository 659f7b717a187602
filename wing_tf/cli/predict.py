"""Locate landmarks in an image, a folder of images, a video or the images of a camera.

  wing-predict --image=face.jpg                         [--box=x0,y0,x1,y1]
  wing-predict --folder=images --output=OUT           the same command resumes a stopped run
  wing-predict --video=video.mp4 | --video=rtsp://user:password@host/path | --camera=0   [--show]
  wing-predict calibrate --detector=yunet --data=RECORDS --output=correction.json

Without --model, the model of 68 landmarks that comes with the package is used. Without --box, faces
are found by --detector. The output of an image is NAME_landmarks.png and NAME_landmarks.json; of a
folder, landmarks.jsonl, skipped.csv (images that can't be read, with the reason), run.json and
drawn/; of a video, landmarks.jsonl and output.mp4. Landmarks are in pixels of the image as it is
displayed (EXIF rotation applied), pixel centers are integers from 0 (.pts: from 1). Unknown values
are null (.csv: empty, .pts: nan). Angles are yaw, pitch and roll in degrees: with positive yaw the
nose points to the right of the image, with positive pitch up, with positive roll the head leans
clockwise. calibrate measures a detector on the squares of records, which have a face in the center:
see docs/detectors.md.
"""

import os

from absl import app, flags

from wing_tf.cli import common
from wing_tf.detection import DETECTORS
from wing_tf.inference.output import FORMATS
from wing_tf.utils.image_size import MAX_PIXELS
from wing_tf.zoo import DEFAULT_MODEL

COMMANDS = ("calibrate",)

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "A .tflite file or an export folder, a .keras file or a run folder (its best model), or the "
    f"name of a model. Defaults to {DEFAULT_MODEL}, which comes with the package.",
)
_IMAGE = flags.DEFINE_string("image", None, "An image file.")
_FOLDER = flags.DEFINE_string("folder", None, "A folder of images, with its subfolders.")
_VIDEO = flags.DEFINE_string(
    "video",
    None,
    "A video file, or the URL of a stream: rtsp://, http://, rtmp://, udp:// and others.",
)
_CAMERA = flags.DEFINE_integer("camera", None, "Number of a camera, from 0.", lower_bound=0)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Output folder. Defaults to wing_predict for an image, and to a folder in it with the name of "
    "the folder or video. calibrate: output file.",
)
_FORMAT = flags.DEFINE_enum(
    "format",
    None,
    list(dict.fromkeys(name for names in FORMATS.values() for name in names)),
    "Format of the landmarks. Defaults to json for an image, and to jsonl (a line per image or "
    "frame) otherwise. pts (a file per face) and the formats of annotation tools (coco, "
    "cvat, labelme, labelstudio) are for images and folders; a folder also gets jsonl.",
)
_BOX = flags.DEFINE_list(
    "box",
    None,
    "With --image: face box x0,y0,x1,y1 in pixels, of the kind that the model was trained with. By "
    "default that is the tight box of the landmarks (68 landmarks: eyebrows to chin).",
)
_DETECTOR = flags.DEFINE_enum(
    "detector",
    "blazeface",
    list(DETECTORS),
    "Face detector. yunet requires --detector_model, boxes requires --box_file, whole takes the "
    "whole image as the face.",
)
_DETECTOR_MODEL = flags.DEFINE_string("detector_model", None, "The .onnx file of YuNet.")
_BOX_FILE = flags.DEFINE_string(
    "box_file", None, "CSV with path,x0,y0,x1,y1, or JSON lines with path and boxes_xyxy_px."
)
_CORRECTION = flags.DEFINE_string(
    "correction", None, "Correction file of the detector, written by `wing-predict calibrate`."
)
_LEVELS = flags.DEFINE_integer(
    "levels",
    None,
    "Resolutions at which --detector=blazeface searches: 1 finds faces from about a fifth of the "
    "longer side of the image on, 2 from a tenth, 3 from a twentieth, at four times the cost each. "
    "Defaults to 2 for images, and for videos to 1, or 2 where that seems to be needed.",
    1,
)
_PASSES = flags.DEFINE_integer(
    "passes",
    None,
    "2: crop each face a second time, in the kind of box that the model was trained with, around "
    "the landmarks of the first pass. Defaults to 2 for images whose faces are detected, and to 1 "
    "for given boxes, for videos, whose faces are cropped around the landmarks of the previous "
    "frame, and for models that do not say what their training boxes were.",
    1,
    2,
)
_FLIP_AVERAGE = flags.DEFINE_bool("flip_average", False, "Average with the mirrored face.")
_MIN_SCORE = flags.DEFINE_float(
    "min_score",
    None,
    "Drop detected faces with a score below this: the probability, 0 to 1, that the NME is below "
    "8 %, of a model with calibrated scores. Defaults to the model's own threshold (0.03, or less "
    "for an inaccurate model), which drops what is no face, and to 0 with --detector=boxes and "
    "whole. Faces in a --box are kept.",
    lower_bound=0.0,
    upper_bound=1.0,
)
_SCHEME = flags.DEFINE_string(
    "scheme", None, "Landmark scheme of the output, through the built-in map to it."
)
_SCHEME_MAP = flags.DEFINE_string(
    "scheme_map", None, "The same with a map file: see wing-evaluate --help."
)
_THREADS = flags.DEFINE_integer("threads", 2, "Number of CPU threads.", 1)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    MAX_PIXELS,
    "Maximum number of pixels of an image or a frame; larger ones are refused before decoding.",
    1,
)
_SMOOTH = flags.DEFINE_bool("smooth", True, "Smooth the landmarks of a video over time.")
_DRAW = flags.DEFINE_bool("draw", True, "Write images, or a video, with the landmarks drawn.")
_SHOW = flags.DEFINE_bool(
    "show", False, "Show the drawn images in a window: q or Escape ends, the space key pauses."
)
_LINES = flags.DEFINE_bool("lines", True, "Draw lines between landmarks.")
_BOXES = flags.DEFINE_bool("boxes", True, "Draw the face boxes.")
_NUMBERS = flags.DEFINE_bool("numbers", False, "Draw the landmarks' indices, on larger images.")
_POSE_AXIS = flags.DEFINE_bool(
    "pose_axis", False, "Draw the axes of the head: red sideways, green up, blue along the nose."
)
_DATA = flags.DEFINE_string(
    "data",
    None,
    "calibrate: record files, DIR/SPLIT-*. Their faces are in the center of squares, in which a "
    "detector may find more faces, and other boxes, than in whole images.",
)


def parse_box(words: list[str]) -> list[float]:
    """Returns the four numbers of --box.

    Raises:
        ValueError: If they are not a valid box.
    """
    try:
        box = [float(word) for word in words]
    except ValueError:
        box = []
    if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"--box must be x0,y0,x1,y1 with x0 < x1 and y0 < y1. Received: {words}.")
    return box


def _check_flags(command: str | None) -> str | None:
    """Returns the kind of source; raises UsageError for flags that contradict each other."""
    given = [name for name in FORMATS if flags.FLAGS[name].value not in (None, "")]
    if len(given) != (0 if command else 1):
        expected = ", ".join(f"--{name}" for name in FORMATS)
        raise app.UsageError(
            f"{command or 'wing-predict'} takes {'none' if command else 'one'} of {expected}. "
            f"Received: {', '.join(f'--{name}' for name in given) or 'none'}."
        )
    if _SCHEME.value and _SCHEME_MAP.value:
        raise app.UsageError("--scheme and --scheme_map: give one of them.")
    if _BOX.value and given != ["image"]:
        raise app.UsageError("--box goes with --image only; for several images use --box_file.")
    for name in ("detector", "detector_model", "box_file", "correction", "levels", "min_score"):
        if _BOX.value and flags.FLAGS[name].present:
            raise app.UsageError(f"--box takes the place of the detector, so --{name} has no use.")
    for name, file in (("yunet", "detector_model"), ("boxes", "box_file")):
        if _DETECTOR.value == name and not flags.FLAGS[file].value:
            raise app.UsageError(f"--detector={name} needs --{file}.")
    if _LEVELS.value and _DETECTOR.value != "blazeface":
        raise app.UsageError(f"--levels goes with --detector=blazeface, not {_DETECTOR.value}.")
    if command:
        if not (_DATA.value and _OUTPUT.value):
            raise app.UsageError("calibrate needs --data and --output.")
        return None
    if _DATA.value:
        raise app.UsageError("--data goes with calibrate.")
    if _FORMAT.value not in (None, *FORMATS[given[0]]):
        raise app.UsageError(
            f"--format of a {given[0]} is one of {', '.join(FORMATS[given[0]])}: "
            f"not {_FORMAT.value}."
        )
    if _SHOW.value and given == ["folder"]:
        raise app.UsageError("--show goes with --image, --video and --camera.")
    return given[0]


def main(command: str | None = None) -> None:
    """Runs the command that the flags describe."""
    kind = _check_flags(command)
    box = parse_box(_BOX.value) if _BOX.value else None
    # Errors are reported in one line of this command instead.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")

    from wing_tf.cli import predict_runs as runs

    is_detected = box is None and _DETECTOR.value != "boxes" and kind in ("image", "folder")
    default_levels = 2 if is_detected and _DETECTOR.value == "blazeface" else None
    options = runs.LandmarkerOptions(
        detector=_DETECTOR.value,
        detector_model=_DETECTOR_MODEL.value,
        box_file=_BOX_FILE.value,
        correction=_CORRECTION.value,
        levels=_LEVELS.value or default_levels,
        passes=_PASSES.value or (None if is_detected else 1),
        flip=_FLIP_AVERAGE.value,
        min_score=_MIN_SCORE.value,
        scheme=_SCHEME.value,
        scheme_map=_SCHEME_MAP.value,
        threads=_THREADS.value,
        max_pixels=_MAX_PIXELS.value,
    )
    drawing = runs.DrawOptions(
        draw=_DRAW.value,
        show=_SHOW.value,
        lines=_LINES.value,
        boxes=_BOXES.value,
        numbers=_NUMBERS.value,
        pose_axis=_POSE_AXIS.value,
    )
    if kind is None:
        runs.calibrate_detector(options, data=_DATA.value or "", output=_OUTPUT.value or "")
        return
    model, output, format = _MODEL.value, _OUTPUT.value, _FORMAT.value or FORMATS[kind][0]
    if kind == "image":
        runs.predict_image(options, drawing, model, _IMAGE.value or "", output, box, format)
    elif kind == "folder":
        runs.predict_folder(options, drawing, model, _FOLDER.value or "", output, format)
    else:
        source = _CAMERA.value if _CAMERA.value is not None else _VIDEO.value or ""
        runs.predict_video(options, drawing, model, source, output, format, _SMOOTH.value)


def entry() -> None:
    """The console command."""
    common.run(main, __name__, commands=COMMANDS, needs_command=False)


if __name__ == "__main__":
    entry()
