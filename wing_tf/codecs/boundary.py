"""Boundary maps: heatmaps of the curves through a face's landmarks."""

import numpy as np
from keras import ops

from wing_tf.landmarks.scheme import Indices

Curves = tuple[Indices, ...]

SAMPLES_PER_CURVE = 100  # As in the code of the paper.

_FAR_AWAY = 1e6


def sample_curves(
    landmarks_px: np.ndarray,
    visibility: np.ndarray,
    curves: Curves,
    *,
    num_samples: int = SAMPLES_PER_CURVE,
) -> np.ndarray:
    """Returns points on splines through the landmarks of each boundary curve.

    The curves are interpolating B-splines of degree min(4, n) - 1 over the chord length of n
    distinct points. SciPy computes them once per face on the host. Sampling commutes with
    similarity transforms, so they may be applied to the samples instead of the landmarks. An
    anisotropic map moves the curves between the landmarks: on a 64 px map of 300-W faces, a box
    jitter of 5 % moves them by .006 px on average and by .04 px at the worst point of a typical
    face (.16 px at the worst of 80 faces).

    Args:
        landmarks_px: Landmarks [K, 2] in pixels of any frame.
        visibility: Visibility [K], 0 where a landmark is not annotated.
        curves: Boundary curves of a `LandmarkScheme`.
        num_samples: Samples per curve, evenly spaced in the parameter of the spline. Defaults to
            100.

    Returns:
        Samples, float32 [len(curves) * num_samples, 2]; NaN for a curve with a landmark that is not
        annotated.
    """
    landmarks = np.asarray(landmarks_px, np.float64)
    annotated = (np.asarray(visibility) > 0) & np.isfinite(landmarks).all(axis=-1)
    samples = np.full((len(curves), num_samples, 2), np.nan, np.float32)
    for i, curve in enumerate(curves):
        if annotated[list(curve)].all():
            samples[i] = _spline(landmarks[list(curve)], num_samples)
    return samples.reshape(-1, 2)


def _spline(points: np.ndarray, num_samples: int) -> np.ndarray:
    from scipy.interpolate import splev, splprep  # Not needed for inference.

    # SciPy fails for repeated points, which have no chord length.
    moved = np.r_[True, (np.diff(points, axis=0) != 0).any(axis=1)]
    points = points[moved]
    if len(points) == 1:
        return np.repeat(points, num_samples, axis=0)
    spline, _ = splprep(points.T, s=0, k=min(4, len(points)) - 1)
    return np.stack(splev(np.linspace(0, 1, num_samples), spline), axis=-1)


def boundary_map(
    samples_heatmap_px, *, heatmap_size: int, sigma: float = 1.0, cpu_compiled: bool = False
):
    """Returns boundary maps of a batch: a Gaussian of the distance to the nearest curve sample.

    The map is 0 beyond a distance of 3 sigma. The code of the paper takes the maximum over the
    distance transforms of the curves, which is the same, except that its distances are between
    pixels. Samples are up to 1.4 px apart on the longest curve (the outline) of a 64 px map.

    Args:
        samples_heatmap_px: Samples [B, S, 2] of `sample_curves` in heatmap pixels.
        heatmap_size: Side of the map in pixels.
        sigma: Standard deviation of the Gaussian in heatmap pixels. Defaults to 1.
        cpu_compiled: See `squared_distances`. Defaults to False.

    Returns:
        Maps, float32 [B, h, w, 1] from 0 to 1, and weights, float32 [B, 1], which are 0 if a curve
        has a landmark that is not annotated, because the map would lack that curve.

    Reference:
        Wang, Bo and Li, Adaptive Wing Loss, ICCV 2019, section 5; Wu et al., Look at Boundary,
        CVPR 2018.
    """
    squared, weights = squared_distances(
        samples_heatmap_px, heatmap_size, cpu_compiled=cpu_compiled
    )
    near = squared < (3.0 * sigma) ** 2
    maps = ops.where(near, ops.exp(-0.5 * squared / sigma**2), 0.0)
    return maps[..., None], weights


def squared_distances(samples_heatmap_px, heatmap_size: int, *, cpu_compiled: bool = False):
    """Returns squared distances [B, h, w] of pixels to the nearest sample, and weights [B, 1].

    Samples are processed in chunks, because all at once would take hundreds of megabytes if the
    code is not compiled.

    Args:
        samples_heatmap_px: Samples [B, S, 2] in heatmap pixels, NaN for those of curves that are
            not known.
        heatmap_size: Side of the map in pixels.
        cpu_compiled: Whether XLA compiles this code for a CPU. The result is the same bit for bit.
            Defaults to False.
    """
    samples = ops.cast(samples_heatmap_px, "float32")
    known = ops.all(samples == samples, axis=-1)  # False for NaN.
    samples = ops.where(known[..., None], samples, _FAR_AWAY)
    pixels = ops.arange(heatmap_size, dtype="float32")
    squared = ops.square(samples[..., None] - pixels)  # [B, S, 2, side]
    if cpu_compiled:
        nearest = _nearest_in_loop(squared)
    else:
        nearest = None
        for first in range(0, samples.shape[1], SAMPLES_PER_CURVE):
            part = squared[:, first : first + SAMPLES_PER_CURVE]
            both = part[:, :, 1, :, None] + part[:, :, 0, None, :]  # [B, samples, h, w]
            closest = ops.min(both, axis=1)
            nearest = closest if nearest is None else ops.minimum(nearest, closest)
    return nearest, ops.cast(ops.all(known, axis=1), "float32")[:, None]


def _nearest_in_loop(squared):
    """Returns the minimum [B, h, w] over samples of squared distances in x and y [B, S, 2, side].

    XLA fuses the operations on a few samples into one pass over the maps, which stay in the cache.
    A minimum over an axis writes the distances to all samples, and takes six times as long.
    """
    squared = ops.transpose(squared, (2, 1, 0, 3))
    count = squared.shape[1]
    chunk = max(size for size in range(1, 11) if count % size == 0)  # 20 take twice as long as 10

    def distances(sample):
        x, y = squared[0, sample], squared[1, sample]
        return y[:, :, None] + x[:, None, :]

    def nearer(i, nearest):
        for k in range(chunk):
            nearest = ops.minimum(nearest, distances(chunk * i + k))
        return nearest

    return ops.fori_loop(0, count // chunk, nearer, distances(0))
