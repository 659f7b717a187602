"""Locate landmarks in a picture.

  wing-predict --model=RUN --image=face.jpg --output=OUT [--box=x0,y0,x1,y1]

Without --box, OpenCV's Haar cascade finds the faces. OUT gets NAME_landmarks.png and
NAME_landmarks.json (or .pts), in pixels of the picture as shown (EXIF rotation applied), pixel
centres at integers from 0. A landmark that a map has nothing for is null (.pts: nan).
"""

import json
import pathlib
import sys

from absl import app, flags

from wing_tf.cli import common

_MODEL = flags.DEFINE_string(
    "model", None, "A .keras file or a run folder (its best model).", required=True
)
_IMAGE = flags.DEFINE_string("image", None, "The picture.", required=True)
_BOX = flags.DEFINE_list(
    "box",
    None,
    "A face box x0,y0,x1,y1 in pixels, like those that the model was trained on: by default tight "
    "round the landmarks (68 points: brows to chin).",
)
_SCHEME = flags.DEFINE_string(
    "scheme", None, "Give the landmarks of another mark-up, through the built-in map to it."
)
_SCHEME_MAP = flags.DEFINE_string(
    "scheme_map", None, "The same through a map of your own: see wing-evaluate --help."
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder for the results.", required=True)
_FORMAT = flags.DEFINE_enum(
    "format", "json", ["json", "pts"], "How landmarks are written; .pts counts pixels from 1."
)

_LIKE_DETECTED = {"landmark", "dataset_or_landmark", "detector"}


def parse_box(words: list[str]) -> list[float]:
    """Returns four numbers. Raises ValueError on anything else."""
    try:
        box = [float(word) for word in words]
    except ValueError:
        box = []
    if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"--box must be x0,y0,x1,y1 with x0 < x1 and y0 < y1. Received: {words}.")
    return box


def format_pts(landmarks_px) -> str:
    """Returns a ``.pts`` file's text; its first pixel is 1."""
    rows = "\n".join(f"{x + 1:.3f} {y + 1:.3f}" for x, y in landmarks_px)
    return f"version: 1\nn_points: {len(landmarks_px)}\n{{\n{rows}\n}}\n"


def main() -> None:
    """Predicts by the flags."""
    if _SCHEME.value and _SCHEME_MAP.value:
        raise app.UsageError("--scheme and --scheme_map: give one of them.")
    box = parse_box(_BOX.value) if _BOX.value else None
    image_path, output = pathlib.Path(_IMAGE.value), pathlib.Path(_OUTPUT.value)

    import numpy as np

    from wing_tf.inference import HaarDetector, Landmarker
    from wing_tf.landmarks import find_map, load_map
    from wing_tf.models.saving import load_network
    from wing_tf.visualization import draw_landmarks
    from wing_tf.visualization.files import load_picture, save_picture, write_text

    image = load_picture(image_path)
    network, contract = load_network(_MODEL.value)
    scheme_map = load_map(_SCHEME_MAP.value) if _SCHEME_MAP.value else None
    if _SCHEME.value and _SCHEME.value != contract.scheme_name:
        scheme_map = find_map(contract.scheme, _SCHEME.value)
    if box is None and not set(contract.trained_boxes) <= _LIKE_DETECTED:
        print(
            "note: the model was trained on crops round "
            f"{', '.join(contract.trained_crops)}; the detector's boxes are like landmark boxes. "
            "Its landmarks may be worse for it.",
            file=sys.stderr,
        )
    landmarker = Landmarker(
        network, contract=contract, detector=HaarDetector(), scheme_map=scheme_map
    )
    faces = landmarker(image, None if box is None else np.array([box]))
    scheme = landmarker.scheme
    if not faces:
        raise ValueError(f"No face found in {image_path}. Give one with --box=x0,y0,x1,y1.")

    drawn = image
    for face in faces:
        drawn = draw_landmarks(drawn, face.landmarks_px, scheme, box_xyxy_px=face.box_xyxy_px)
    files = {}
    if _FORMAT.value == "json":
        files[output / f"{image_path.stem}_landmarks.json"] = json.dumps(
            {
                "image": str(image_path),
                "size_hw": list(image.shape[:2]),
                "scheme": scheme.name,
                "faces": [
                    {
                        "landmarks_px": [
                            None if np.isnan(point).any() else np.round(point, 3).tolist()
                            for point in face.landmarks_px
                        ],
                        "box_xyxy_px": np.round(face.box_xyxy_px, 3).tolist(),
                    }
                    for face in faces
                ],
            },
            indent=1,
        )
    else:
        for number, face in enumerate(faces, start=1):
            name = f"{image_path.stem}_landmarks" + (f"_{number}" if len(faces) > 1 else "")
            files[output / f"{name}.pts"] = format_pts(face.landmarks_px)
    picture = output / f"{image_path.stem}_landmarks.png"
    if taken := [str(path) for path in (picture, *files) if path.exists()]:
        raise ValueError(f"{taken[0]} exists already. Name another --output.")
    output.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        write_text(path, text)
    save_picture(picture, drawn)
    print(f"{len(faces)} face(s): {', '.join(str(p) for p in [picture, *files])}")


def entry() -> None:
    """The console command."""
    common.run(main, __name__)


if __name__ == "__main__":
    entry()
