"""Figures and peak margins of predicted heatmaps, beside the ground truth heatmaps."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import cv2
import keras
import numpy as np

from wing_tf.codecs import HeatmapCodec
from wing_tf.evaluation.predict import CropBatch
from wing_tf.geometry import apply_affine, invert
from wing_tf.landmarks import LandmarkScheme
from wing_tf.models import heatmap_network
from wing_tf.visualization import contact_sheet, draw_landmarks

_SIDE_PX, _SMALL_SIDE_PX = 256, 128


@dataclasses.dataclass(frozen=True)
class FaceHeatmaps:
    """The heatmaps of one face.

    Attributes:
        crop: uint8 RGB [side, side, 3], the network's input.
        true_crop_px: Ground truth landmarks [K, 2] in its pixels, NaN where not annotated.
        true: Ground truth heatmaps [h, w, K] as in training; 0 where a landmark is not annotated or
            outside of the crop.
        predicted: Predicted heatmaps [h, w, K]. A softmax is scaled to a peak of 1.
    """

    crop: np.ndarray
    true_crop_px: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


def face_heatmaps(
    localizer: keras.Model, batches: Iterable[CropBatch], faces: Sequence[int]
) -> list[FaceHeatmaps]:
    """Returns the heatmaps of some faces.

    Args:
        localizer: A network of `wing_tf.models.heatmap_localizer`.
        batches: Batches of `wing_tf.evaluation.predict.crop_batches`.
        faces: Indices of the faces in the order of the batches.

    Raises:
        ValueError: If the network does not decode heatmaps, or a face does not exist.
    """
    network, codec = _open(localizer)
    found: dict[int, FaceHeatmaps] = {}
    first = 0
    for batch in batches:
        count = len(batch.key)
        for face in set(faces) & set(range(first, first + count)):
            found[face] = _heatmaps_of(network, codec, batch, face - first)
        first += count
        if len(found) == len(set(faces)):
            return [found[face] for face in faces]
    raise ValueError(f"There are {first} faces. Received: faces={list(faces)}.")


def _open(localizer: keras.Model) -> tuple[keras.Model, HeatmapCodec]:
    opened = heatmap_network(localizer)
    if opened is None:
        raise ValueError(f"The network {localizer.name} does not decode heatmaps.")
    return opened


def _heatmaps_of(
    network: keras.Model, codec: HeatmapCodec, batch: CropBatch, index: int
) -> FaceHeatmaps:
    image, to_source = batch.image[index], batch.crop_to_source[index]
    true_crop_px = apply_affine(invert(to_source), batch.true_px[index])
    weights = np.isfinite(true_crop_px).all(axis=-1).astype(np.float32)
    true, _ = codec.encode(true_crop_px[None].astype(np.float32), weights[None])
    predicted = np.asarray(codec.activate(network(image[None], training=False)))[0]
    if codec.activation == "softmax":
        predicted = predicted / predicted.max(axis=(0, 1))
    return FaceHeatmaps(
        np.clip(np.round(image), 0, 255).astype(np.uint8),
        true_crop_px,
        np.asarray(true)[0],
        predicted[..., : len(weights)],
    )


def peak_margins(
    localizer: keras.Model, batches: Iterable[CropBatch], distances: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Measures how much the peaks of heatmaps exceed the pixels far from them.

    The margin at a distance is the difference between a heatmap's maximum and the maximum of all
    pixels at that distance or farther, as a fraction of the former: 1 for a single bright pixel, 0
    for a second peak of the same height, 1 if no pixel is so far. The heatmaps are those after the
    codec's activation.

    Args:
        localizer: A network of `wing_tf.models.heatmap_localizer`.
        batches: Batches of `wing_tf.evaluation.predict.crop_batches`.
        distances: R distances in heatmap pixels.

    Returns:
        Means over each face's landmarks, of the ground truth heatmaps and of the predicted ones,
        [N, R] each; NaN for a face without annotated landmarks.

    Raises:
        ValueError: If the network does not decode heatmaps.
    """
    network, codec = _open(localizer)
    found: dict[str, list[np.ndarray]] = {"true": [], "predicted": []}
    for batch in batches:
        true_crop_px = apply_affine(invert(batch.crop_to_source), batch.true_px)
        weights = np.isfinite(true_crop_px).all(axis=-1).astype(np.float32)
        true, weights = map(np.asarray, codec.encode(true_crop_px.astype(np.float32), weights))
        predicted = np.asarray(codec.activate(network(batch.image, training=False)))
        for name, maps in (("true", true), ("predicted", predicted[..., : true.shape[-1]])):
            margins = np.where(weights[..., None] > 0, _margins(maps, distances), np.nan)
            counts = np.sum(weights > 0, axis=1)[:, None]
            means = np.nansum(margins, axis=1) / np.maximum(counts, 1)
            found[name].append(np.where(counts > 0, means, np.nan))
    return np.concatenate(found["true"]), np.concatenate(found["predicted"])


def _margins(maps: np.ndarray, distances: Sequence[float]) -> np.ndarray:
    """Returns the margins [B, K, R] of heatmaps [B, h, w, K]; 0 for an empty heatmap."""
    maps = np.maximum(maps, 0)  # heatmaps trained with squared errors have negative values
    count, height, width, num_maps = maps.shape
    flat = maps.transpose(0, 3, 1, 2).reshape(count, num_maps, -1)
    at = flat.argmax(axis=-1)[..., None]
    peak = np.take_along_axis(flat, at, axis=-1)[..., 0]
    row, column = np.divmod(np.arange(height * width), width)
    squared = (row - at // width) ** 2 + (column - at % width) ** 2
    rest = np.stack([np.where(squared >= r * r, flat, -np.inf).max(-1) for r in distances], axis=-1)
    rest = np.where(np.isfinite(rest), rest, 0.0)
    return (peak[..., None] - rest) / np.maximum(peak, 1e-12)[..., None]


def draw_heatmaps(
    faces: Sequence[FaceHeatmaps], scheme: LandmarkScheme, captions: Sequence[str]
) -> np.ndarray:
    """Draws one row per face: the crop with its ground truth, true and predicted heatmaps.

    The maximum over all landmarks is shown at each pixel, clipped to [0, 1].

    Args:
        faces: The heatmaps of some faces.
        scheme: Their landmark scheme.
        captions: One caption per face.

    Returns:
        uint8 RGB.
    """
    cells, texts = [], []
    for face, caption in zip(faces, captions, strict=True):
        factor = _SIDE_PX / len(face.crop)
        crop = cv2.resize(face.crop, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_LINEAR)
        landmarks = (face.true_crop_px + 0.5) * factor - 0.5
        cells.append(draw_landmarks(crop, landmarks, scheme, lines=False))
        cells += [_colorize(maps.max(axis=-1), _SIDE_PX) for maps in (face.true, face.predicted)]
        texts += [caption, "true", "predicted"]
    return contact_sheet(cells, columns=3, captions=texts)


def draw_heatmaps_by_network(
    true: np.ndarray, predicted: Mapping[str, np.ndarray], scheme: LandmarkScheme
) -> np.ndarray:
    """Draws the heatmaps that several networks predict for one face, below the ground truth.

    The first column shows all landmarks, the others the first landmark of up to six regions.

    Args:
        true: Ground truth heatmaps [h, w, K].
        predicted: Predicted heatmaps [h, w, K] by the network's name.
        scheme: Their landmark scheme.

    Returns:
        uint8 RGB.
    """
    regions = list(scheme.regions.items())[:6]
    cells, texts = [], []
    for name, maps in {"true": true, **predicted}.items():
        shown = [maps.max(axis=-1), *(maps[..., region[0]] for _, region in regions)]
        cells += [_colorize(values, _SMALL_SIDE_PX) for values in shown]
        texts += [name, *(f"{region} {indices[0]}" for region, indices in regions)]
    return contact_sheet(cells, columns=1 + len(regions), captions=texts)


def _colorize(values: np.ndarray, side_px: int) -> np.ndarray:
    """Returns a heatmap [h, w] in false colors, enlarged without interpolation."""
    gray = np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)
    large = cv2.resize(gray, (side_px, side_px), interpolation=cv2.INTER_NEAREST)
    return cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def draw_worst_to_best(
    localizer: keras.Model,
    errors: np.ndarray,
    indices: np.ndarray,
    batches: Iterable[CropBatch],
    scheme: LandmarkScheme,
) -> np.ndarray:
    """Draws the heatmaps of the worst, the median and the best of the evaluated faces.

    Args:
        localizer: A network of `wing_tf.models.heatmap_localizer`.
        errors: NME [N] of the evaluated faces, NaN for a face without a score.
        indices: Indices [N] of the evaluated faces in the order of the batches.
        batches: Batches of all faces.
        scheme: Their landmark scheme.
    """
    order = np.argsort(np.where(np.isfinite(errors), -errors, np.inf))[: np.isfinite(errors).sum()]
    chosen = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]}
    faces = face_heatmaps(localizer, batches, [int(indices[i]) for i in chosen.values()])
    captions = [f"{name}: {100 * errors[i]:.1f} %" for name, i in chosen.items()]
    return draw_heatmaps(faces, scheme, captions)
