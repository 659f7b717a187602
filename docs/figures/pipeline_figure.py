"""Drawing of the pipeline: what a training and a prediction do with an image."""

import pathlib
from typing import Any

import numpy as np
from crop_figures import augmented, landmarker
from figure_faces import FRONTAL, ROTATED, SCHEME, rendered, save_figure
from matplotlib.figure import Figure

from wing_tf.geometry import apply_affine, crop_square, landmark_box
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.visualization import draw_landmarks

_TRUE, _PREDICTED = (0, 255, 120), (255, 70, 50)
_WIDTH, _HEIGHT = 11.2, 4.9  # Inches
_SIDE, _STEP = 1.6, 2.3  # Of the panels, inches.

_TRAINING = (
    "annotated image",
    "record: a square with\ncontext and the face box",
    "network input",
    "prediction (red),\nground truth (green)",
    "run folder",
)
_TRAINING_STEPS = ("write", "crop and\naugment:\none matrix", "network", "loss,\nmetrics")
_USE = (
    "image",
    "face box",
    "network input",
    "landmarks in\ncrop pixels",
    "landmarks in\nthe image",
)
_USE_STEPS = ("detector", "crop by\nthe model's\nrule", "network", "inverse\nmatrix")


def pipeline(path: pathlib.Path) -> None:
    """Draws the steps of a training, and those of a prediction."""
    figure = Figure(figsize=(_WIDTH, _HEIGHT))
    heading: dict[str, Any] = {"fontsize": 10, "weight": "bold", "family": "monospace"}
    figure.text(0.01, 0.955, "wing-tfrecords write, wing-train", **heading)
    _row(figure, 2.9, _TRAINING, _TRAINING_STEPS, _training_images())
    figure.text(0.01, 0.46, "wing-predict, Landmarker", **heading)
    _row(figure, 0.4, _USE, _USE_STEPS, _prediction_images())
    text = "config.json\nmetrics.csv\ncheckpoints/\n  best.keras\n\nwing-evaluate: scores\n"
    text += "wing-export: LiteRT,\n  ONNX, SavedModel"
    place = (4 * _STEP + 0.18) / _WIDTH, (2.9 + 0.8) / _HEIGHT
    figure.text(*place, text, fontsize=8, va="center", family="monospace")
    save_figure(figure, path)


def _row(figure: Figure, bottom: float, titles, steps, images) -> None:
    """Draws images above their titles, joined by arrows with the names of the steps."""
    for column, title in enumerate(titles):
        left = 0.12 + column * _STEP
        axes = figure.add_axes(
            (left / _WIDTH, bottom / _HEIGHT, _SIDE / _WIDTH, _SIDE / _HEIGHT),
            xticks=[], yticks=[],
        )  # fmt: skip
        axes.set_xlabel(title, fontsize=8)
        if column < len(images):
            axes.imshow(images[column])
        if column < len(steps):
            axes.annotate(
                "",
                xy=(1.42, 0.5),
                xytext=(1.02, 0.5),
                xycoords="axes fraction",
                arrowprops={"arrowstyle": "-|>", "color": "tab:blue", "linewidth": 2},
            )
            axes.text(1.22, 0.58, steps[column], transform=axes.transAxes, fontsize=8,
                      ha="center", va="bottom", color="tab:blue")  # fmt: skip


def _training_images() -> list[np.ndarray]:
    face = rendered(FRONTAL)
    annotated = draw_landmarks(face.image, face.landmarks_px, SCHEME, color=_TRUE)
    region = crop_square(landmark_box(face.landmarks_px), 2.0)
    square, to_square = crop_and_resize(face.image, region, (256, 256))
    in_square = apply_affine(to_square, face.landmarks_px)
    record = draw_landmarks(
        square, in_square, SCHEME, color=_TRUE, box_xyxy_px=landmark_box(in_square)
    )
    options = {"rotation_deg": 40.0, "flip": 1.0, "brightness": 0.1}
    image, landmarks = augmented(face, options, np.full(25, 0.85), size=128)
    (located,) = landmarker()(image, landmark_box(landmarks)[None])
    both = draw_landmarks(image, landmarks, SCHEME, color=_TRUE, radius_px=1.0)
    both = draw_landmarks(both, located.landmarks_px, SCHEME, color=_PREDICTED, radius_px=1.0)
    return [annotated, record, image, both]


def _prediction_images() -> list[np.ndarray]:
    face = rendered(ROTATED)
    (located,) = landmarker()(face.image)
    box = located.box_xyxy_px
    with_box = draw_landmarks(
        face.image, np.full_like(located.landmarks_px, np.nan), SCHEME, box_xyxy_px=box,
        radius_px=4.0,
    )  # fmt: skip
    spec = landmarker().spec
    size = (spec.input_size, spec.input_size)
    crop, to_crop = crop_and_resize(face.image, crop_square(box, spec.margin), size)
    in_crop = apply_affine(to_crop, located.landmarks_px)
    found = draw_landmarks(crop, in_crop, SCHEME, color=_PREDICTED, radius_px=1.0)
    drawn = draw_landmarks(face.image, located.landmarks_px, SCHEME, color=_PREDICTED)
    return [face.image, with_box, crop, found, drawn]
