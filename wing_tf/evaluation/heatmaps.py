"""Images of heatmaps: what a network has found beside what it should have found."""

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
class FaceMaps:
    """The maps of one face.

    Attributes:
        crop: uint8 RGB [side, side, 3], what the network saw.
        true_crop_px: [K, 2] in its pixels, NaN where missing.
        true: [h, w, K], as drawn for training, 0 where a landmark is missing or outside.
        predicted: [h, w, K]; of a softmax, with a peak of 1, as the true ones have.
    """

    crop: np.ndarray
    true_crop_px: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


def face_maps(
    localizer: keras.Model, batches: Iterable[CropBatch], faces: Sequence[int]
) -> list[FaceMaps]:
    """Returns the maps of some faces by number, in the order asked for.

    Args:
        localizer: as from `wing_tf.models.heatmap_localizer`.
        batches: as from `wing_tf.evaluation.predict.crop_batches`.
        faces: numbers in the batches' order.

    Raises:
        ValueError: if the network decodes no heatmaps, or there is no such face.
    """
    opened = heatmap_network(localizer)
    if opened is None:
        raise ValueError(f"The network {localizer.name} decodes no heatmaps.")
    network, codec = opened
    found: dict[int, FaceMaps] = {}
    first = 0
    for batch in batches:
        number = len(batch.key)
        for face in set(faces) & set(range(first, first + number)):
            found[face] = _maps_of(network, codec, batch, face - first)
        first += number
        if len(found) == len(set(faces)):
            return [found[face] for face in faces]
    raise ValueError(f"There are {first} faces. Received: faces={list(faces)}.")


def _maps_of(network: keras.Model, codec: HeatmapCodec, batch: CropBatch, index: int) -> FaceMaps:
    image, to_source = batch.image[index], batch.crop_to_source[index]
    true_crop_px = apply_affine(invert(to_source), batch.true_px[index])
    weights = np.isfinite(true_crop_px).all(axis=-1).astype(np.float32)
    true, _ = codec.encode(true_crop_px[None].astype(np.float32), weights[None])
    predicted = np.asarray(codec.activate(network(image[None], training=False)))[0]
    if codec.activation == "softmax":
        predicted = predicted / predicted.max(axis=(0, 1))
    return FaceMaps(
        np.clip(np.round(image), 0, 255).astype(np.uint8),
        true_crop_px,
        np.asarray(true)[0],
        predicted[..., : len(weights)],
    )


def peak_margins(
    localizer: keras.Model, batches: Iterable[CropBatch], distances: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Measures how far the peaks of maps stand out.

    The margin at a distance is what all pixels that far or farther from a map's highest one are
    lower by, in shares of it: 1 for a single bright pixel, 0 for a second peak as high, 1 where no
    pixel is so far. It is of the maps after the codec's activation.

    Args:
        localizer: as from `wing_tf.models.heatmap_localizer`.
        batches: as from `wing_tf.evaluation.predict.crop_batches`.
        distances: R of them, in heatmap pixels.

    Returns:
        Means over each face's landmarks, of the true maps and of the predicted ones, [N, R] each;
        NaN for a face without landmarks.

    Raises:
        ValueError: if the network decodes no heatmaps.
    """
    opened = heatmap_network(localizer)
    if opened is None:
        raise ValueError(f"The network {localizer.name} decodes no heatmaps.")
    network, codec = opened
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
    """Returns the margins [B, K, R] of maps [B, h, w, K]; 0 of an empty one."""
    maps = np.maximum(maps, 0)  # those of squared errors also have values below
    number, height, width, num_maps = maps.shape
    flat = maps.transpose(0, 3, 1, 2).reshape(number, num_maps, -1)
    at = flat.argmax(axis=-1)[..., None]
    peak = np.take_along_axis(flat, at, axis=-1)[..., 0]
    row, column = np.divmod(np.arange(height * width), width)
    squared = (row - at // width) ** 2 + (column - at % width) ** 2
    rest = np.stack([np.where(squared >= r * r, flat, -np.inf).max(-1) for r in distances], axis=-1)
    rest = np.where(np.isfinite(rest), rest, 0.0)
    return (peak[..., None] - rest) / np.maximum(peak, 1e-12)[..., None]


def draw_maps(faces: Sequence[FaceMaps], scheme: LandmarkScheme, captions: Sequence[str]):
    """Draws a row a face: the crop with its truth, the true maps, and the predicted ones.

    Of each pixel the highest landmark's value is shown, cut to 0..1.

    Args:
        faces: some.
        scheme: of their landmarks.
        captions: a short text for each face.

    Returns:
        uint8 RGB.
    """
    cells, texts = [], []
    for face, caption in zip(faces, captions, strict=True):
        factor = _SIDE_PX / len(face.crop)
        crop = cv2.resize(face.crop, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_LINEAR)
        landmarks = (face.true_crop_px + 0.5) * factor - 0.5
        cells.append(draw_landmarks(crop, landmarks, scheme, lines=False))
        cells += [_paint(maps.max(axis=-1), _SIDE_PX) for maps in (face.true, face.predicted)]
        texts += [caption, "true", "predicted"]
    return contact_sheet(cells, columns=3, captions=texts)


def compare_maps(
    true: np.ndarray, predicted: Mapping[str, np.ndarray], scheme: LandmarkScheme
) -> np.ndarray:
    """Draws one face's maps as several networks predict them, a row each, below the truth.

    The first column has all landmarks, the others the first landmark of each of some regions.

    Args:
        true: [h, w, K].
        predicted: the same, by the network's name.
        scheme: of the landmarks.

    Returns:
        uint8 RGB.
    """
    regions = list(scheme.regions.items())[:6]
    cells, texts = [], []
    for name, maps in {"true": true, **predicted}.items():
        shown = [maps.max(axis=-1), *(maps[..., region[0]] for _, region in regions)]
        cells += [_paint(values, _SMALL_SIDE_PX) for values in shown]
        texts += [name, *(f"{region} {indices[0]}" for region, indices in regions)]
    return contact_sheet(cells, columns=1 + len(regions), captions=texts)


def _paint(values: np.ndarray, side_px: int) -> np.ndarray:
    """Returns a map [h, w] in false colors, its pixels as squares."""
    gray = np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)
    large = cv2.resize(gray, (side_px, side_px), interpolation=cv2.INTER_NEAREST)
    return cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def draw_worst_to_best(
    network: keras.Model,
    errors: np.ndarray,
    numbers: np.ndarray,
    batches: Iterable[CropBatch],
    scheme: LandmarkScheme,
) -> np.ndarray:
    """Draws the maps of the worst, the median and the best face.

    Args:
        network: a localizer of heatmaps.
        errors: [N], of the faces that are evaluated; NaN of those without a score.
        numbers: [N], their places in the batches' order.
        batches: all faces.
        scheme: the scheme.
    """
    order = np.argsort(np.where(np.isfinite(errors), -errors, np.inf))[: np.isfinite(errors).sum()]
    chosen = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]}
    faces = face_maps(network, batches, [int(numbers[i]) for i in chosen.values()])
    captions = [f"{name}: {100 * errors[i]:.1f} %" for name, i in chosen.items()]
    return draw_maps(faces, scheme, captions)
