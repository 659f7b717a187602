"""Figures of crop rules, normalizers, augmentation and two-stage crops."""

import functools
import pathlib

import numpy as np
from figure_faces import (
    FRONTAL,
    ROTATED,
    SCHEME,
    TILTED,
    crop_face,
    rendered,
    rendered_set,
    save_figure,
)
from matplotlib.figure import Figure

from tfrecords_tools.synthetic import SyntheticFace
from wing_tf.data import Augmentation, Augmenter
from wing_tf.data.crop_rules import CROP_RULES
from wing_tf.geometry import (
    align_to,
    apply_affine,
    crop_matrix,
    crop_region,
    crop_square,
    invert,
    landmark_box,
    procrustes,
)
from wing_tf.geometry.resample import crop_and_resize
from wing_tf.inference import Landmarker
from wing_tf.layers import warp_affine
from wing_tf.metrics.errors import nme, normalizing_distance
from wing_tf.models.two_stage import reference_in_crop
from wing_tf.visualization import contact_sheet, draw_landmarks
from wing_tf.visualization.plots import plot_ced

_NORMALIZERS = ("inter_pupil", "inter_ocular", "box", "box_width", "diagonal")
_COLORS = ("magenta", "cyan", "yellow", "orange", "red", "lime")


@functools.cache
def landmarker() -> Landmarker:
    """Returns the pretrained model of the package."""
    return Landmarker()


def _draw_box(axes, box_xyxy_px: np.ndarray, **style) -> None:
    x0, y0, x1, y1 = box_xyxy_px
    axes.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], **style)


def crop_rules(path: pathlib.Path) -> None:
    """Draws the crops that several rules make of one face."""
    face = rendered(FRONTAL)
    tight = landmark_box(face.landmarks_px)
    regions = {}
    for name in ("landmark_box", "pipnet", "hrnet", "insightface", "spiga"):
        rule = CROP_RULES[name]
        regions[f"{name} x {rule.margin:g}"] = crop_region(tight, rule.margin, rule.square)
    (found,) = landmarker()(face.image)
    margin = landmarker().spec.margin
    regions[f"BlazeFace x {margin:g}"] = crop_square(found.box_xyxy_px, margin)
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    grid = figure.add_gridspec(2, 5)
    whole = figure.add_subplot(grid[:, :2])
    whole.imshow(face.image)
    whole.set_axis_off()
    for index, (name, region) in enumerate(regions.items()):
        axes = figure.add_subplot(grid[index // 3, 2 + index % 3])
        axes.imshow(crop_and_resize(face.image, region, (128, 128))[0])
        axes.set_title(name, fontsize=8)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=_COLORS[index], linewidth=2)
        _draw_box(whole, region, color=_COLORS[index])
    whole.set(xlim=(-0.5, face.image.shape[1] - 0.5), ylim=(face.image.shape[0] - 0.5, -0.5))
    save_figure(figure, path)


def normalizers(path: pathlib.Path) -> None:
    """Draws the normalizing distances on a frontal face and on one seen from the side."""
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    side = next(f for f in rendered_set() if abs(f.angles_deg[0]) > 60)
    for axes, face in zip(figure.subplots(1, 2), (rendered(FRONTAL), side), strict=True):
        image, landmarks = crop_face(face, margin=1.3, side=256)
        axes.imshow(image)
        axes.set_axis_off()
        box = landmark_box(landmarks)
        label = functools.partial(_label, landmarks)
        for name, color in (("inter_pupil", "cyan"), ("inter_ocular", "yellow")):
            ends = [landmarks[list(group)].mean(axis=0) for group in SCHEME.normalizers[name]]
            axes.plot(*np.transpose(ends), "o-", color=color, markersize=3, label=label(name))
        _draw_box(axes, box, color="white", label=label("box"))
        axes.plot(box[[0, 2]], [box[3] + 4] * 2, color="orange", label=label("box_width"))
        axes.plot(box[[0, 2]], box[[1, 3]], color="red", label=label("diagonal"))
        axes.set_title(f"yaw {face.angles_deg[0]:.0f} degrees", fontsize=9)
        axes.legend(fontsize=7, loc="upper left", framealpha=0.5)
    save_figure(figure, path)


def _label(landmarks: np.ndarray, name: str) -> str:
    return f"{name}: {normalizing_distance(landmarks[None], SCHEME, name)[0]:.0f} px"


def ced_by_normalizer(path: pathlib.Path) -> None:
    """Plots the error distribution of the same predictions by normalizer, and prints means."""
    faces = rendered_set()
    true = np.stack([face.landmarks_px for face in faces]).astype(np.float64)
    boxes = landmark_box(true)[:, None]
    found = landmarker()([face.image for face in faces], list(boxes))
    predicted = np.stack([located.landmarks_px for (located,) in found])
    errors = {
        name: nme(true, predicted, normalizing_distance(true, SCHEME, name))
        for name in _NORMALIZERS
    }
    title = f"The same predictions of {len(faces)} rendered faces, by normalizer"
    plot_ced(path, errors, title=title, threshold=0.08)
    yaw_deg = np.abs([face.angles_deg[0] for face in faces])
    groups = {"all": yaw_deg >= 0, "yaw > 60": yaw_deg > 60, "yaw < 30": yaw_deg < 30}
    for group, chosen in groups.items():
        means = ", ".join(f"{name} {100 * e[chosen].mean():.2f} %" for name, e in errors.items())
        print(f"{group}: {np.count_nonzero(chosen)} faces, {means}")


def augmentations(path: pathlib.Path) -> None:
    """Draws one face with each augmentation alone, and with all of them."""
    face = rendered(FRONTAL)
    single = {
        "none": {},
        "flip=1": {"flip": 1.0},
        "rotation_deg=30": {"rotation_deg": 30.0},
        "scale=.2": {"scale": 0.2},
        "translation=.1": {"translation": 0.1},
        "box_jitter=.15": {"box_jitter": 0.15},
        "blur=1, sigma 2": {"blur": 1.0, "blur_sigma_px": 2.0},
        "brightness=.25": {"brightness": 0.25},
        "contrast=.5": {"contrast": 0.5},
        "color=.4": {"color": 0.4},
        "noise=.12": {"noise": 0.12},
        "occlusion=1": {"occlusion": 1.0},
    }
    every = {name: value for options in single.values() for name, value in options.items()}
    every |= {"flip": 0.5, "blur": 0.3, "blur_sigma_px": 1.0, "occlusion": 0.5}
    settings = list(single.items()) + [("all", every)] * 6
    draws = np.random.default_rng(5).random((len(settings), Augmenter.num_draws))
    cells = []
    for (_, options), numbers in zip(settings, draws, strict=True):
        image, landmarks = augmented(face, options, numbers, size=128)
        cells.append(draw_landmarks(image, landmarks, SCHEME, radius_px=1.0))
    sheet = contact_sheet(cells, columns=6, captions=[name for name, _ in settings], cell_px=150)
    save_sheet(sheet, path)


def augmented(
    face: SyntheticFace, options: dict[str, float], draws: np.ndarray, *, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns an augmented crop of a face, and the landmarks [K, 2] in its pixels."""
    augmentation = Augmentation(**options)
    augmenter = Augmenter(SCHEME, input_size=size, margin=1.3, augmentation=augmentation)
    image, landmarks, _ = augmenter(
        {
            "image": face.image[None],
            "landmarks_square_px": face.landmarks_px[None],
            "visibility": np.full((1, SCHEME.num_landmarks), 2),
            "box_square_px": face.box_xyxy_px[None],
            "draws": draws[None].astype(np.float32),
        }
    )
    return np.asarray(image)[0].astype(np.uint8), np.asarray(landmarks)[0]


def two_stage_crops(path: pathlib.Path) -> None:
    """Draws the crop of an inexact box, and the crop that its landmarks align."""
    shapes = np.stack([face.landmarks_px for face in rendered_set()]).astype(np.float64)
    mean, _ = procrustes(shapes, list(SCHEME.flip_permutation))
    size, margin = 128, 1.3
    reference = reference_in_crop(mean, size, margin)
    cells, captions = [], []
    for index, shift in ((FRONTAL, (0.1, 0.0)), (ROTATED, (-0.1, 0.08)), (TILTED, (0.08, -0.1))):
        face = rendered(index)
        box = landmark_box(face.landmarks_px)
        box = box + np.tile(np.array(shift) * np.max(box[2:] - box[:2]), 2)
        (located,) = landmarker()(face.image, box[None])
        region = crop_square(box, 1.15)
        plain = crop_matrix(crop_square(box, margin), (size, size))
        matrix, _ = align_to(located.landmarks_px, reference, plain)
        image = face.image[None].astype(np.float32)
        second = warp_affine(image, invert(matrix)[None].astype(np.float32), (size, size))
        first, to_first = crop_and_resize(face.image, region, (size, size))
        for crop, to_crop in ((first, to_first), (np.asarray(second)[0], matrix)):
            landmarks = apply_affine(to_crop, located.landmarks_px)
            cells.append(draw_landmarks(crop.astype(np.uint8), landmarks, SCHEME, radius_px=1.2))
        captions += ["crop by the box", "aligned crop"]
    save_sheet(contact_sheet(cells, columns=6, captions=captions, cell_px=170), path)


def save_sheet(sheet: np.ndarray, path: pathlib.Path) -> None:
    """Writes a contact sheet."""
    figure = Figure(figsize=(sheet.shape[1] / 100, sheet.shape[0] / 100))
    figure.figimage(sheet)
    save_figure(figure, path)
