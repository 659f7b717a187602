"""Scores of tracked landmarks, for `video.py`."""

import itertools

import numpy as np
from video_clips import RATE

from wing_tf.geometry import crop_square, landmark_box
from wing_tf.inference import OneEuroFilter


def matched(faces, clip):
    """Assigns tracked faces to the ground truth faces.

    Args:
        faces: Tracked faces of each of the T frames.
        clip: Video of N faces with ground truth landmarks.

    Returns:
        Landmarks [T, N, K, 2], NaN where a face is not tracked, and a dict with the identities and
        the errors of the tracker.
    """
    found = np.full(clip.landmarks_px.shape, np.nan)
    names = [[] for _ in range(found.shape[1])]
    missed = wrong = visible = 0
    for index, frame_faces in enumerate(faces):
        ground_truth = clip.landmarks_px[index]
        occluded = clip.occluded_fraction(index)
        squares = crop_square(landmark_box(ground_truth), 1.0)
        taken = set()
        for number in range(len(ground_truth)):
            near = [
                (np.linalg.norm(f.landmarks_px - ground_truth[number], axis=1).mean(), k)
                for k, f in enumerate(frame_faces)
            ]
            side = squares[number, 2] - squares[number, 0]
            near = [(d, k) for d, k in near if d < 0.25 * side and k not in taken]
            visible += occluded[number] < 0.05
            if not near:
                missed += occluded[number] < 0.05
                continue
            _, k = min(near)
            if occluded[number] < 0.3:
                taken.add(k)
                found[index, number] = frame_faces[k].landmarks_px
                names[number].append(frame_faces[k].identity)
        wrong += occluded.max() < 0.05 and len(frame_faces) > len(taken)
    switches = sum(sum(a != b for a, b in itertools.pairwise(one)) for one in names)
    identities = [sorted(set(one)) for one in names]
    return found, {
        "identity_switches": switches,
        "identities": identities,
        "missed_fraction": missed / max(visible, 1),
        "frames_with_false_faces": int(wrong),
    }


def inter_ocular(landmarks):
    """Returns the mean distance of the outer eye corners in pixels."""
    left, right = ((36,), (45,))
    return np.linalg.norm(landmarks[..., left, :] - landmarks[..., right, :], axis=-1).mean()


def jitter(found, ground_truth):
    """Returns the mean change of the error per frame, in pixels and % of the eye distance."""
    residual = np.linalg.norm(np.diff(found, axis=0) - np.diff(ground_truth, axis=0), axis=-1)
    mean = float(np.nanmean(residual))
    return {"px": mean, "percent": 100 * mean / inter_ocular(ground_truth)}


def lag_frames(found, ground_truth):
    """Returns the delay in frames of landmarks [T, K, 2] that best fits the ground truth."""
    times = np.arange(len(ground_truth))
    known = np.isfinite(found).all(axis=(1, 2)) & (times >= 8) & (times < len(times) - 4)
    if not known.any():
        return float("nan")
    flat = ground_truth.reshape(len(ground_truth), -1)
    errors = {}
    for shift in np.arange(-2, 8.01, 0.05):
        low = np.floor(times[known] - shift).astype(int)
        fraction = (times[known] - shift - low)[:, None]
        late = (1 - fraction) * flat[low] + fraction * flat[low + 1]
        gap = found[known].reshape(known.sum(), -1) - late
        errors[float(shift)] = np.mean((gap - gap.mean(axis=0)) ** 2)
    return min(errors, key=errors.get)


def error_percent(found, ground_truth):
    """Returns the mean distance to the ground truth in % of the eye distance."""
    distance = np.linalg.norm(found - ground_truth, axis=-1)
    return 100 * float(np.nanmean(distance)) / inter_ocular(ground_truth)


def tracking_scores(found, ground_truth, timeline):
    """Returns jitter, lag and NME of tracked landmarks [T, N, K, 2]."""
    part, rest = timeline.part, timeline.part("rest")
    lags = {
        name: float(np.mean([lag_frames(found[part(name), n], ground_truth[part(name), n])
                             for n in range(ground_truth.shape[1])]))
        for name in ("sine", "constant")
    }  # fmt: skip
    moving = np.r_[part("sine"), part("constant")]
    return {
        "jitter": jitter(found[rest], ground_truth[rest]),
        "lag_frames": lags,
        "nme_percent": {
            "rest": error_percent(found[rest], ground_truth[rest]),
            "moving": error_percent(found[moving], ground_truth[moving]),
        },
    }


def filtered(found, **options):
    """Returns the landmarks [T, N, K, 2] of an unsmoothed run after `OneEuroFilter`."""
    result = np.full_like(found, np.nan)
    for number in range(found.shape[1]):
        smoother = OneEuroFilter(**options)
        for index, landmarks in enumerate(found[:, number]):
            if not np.isfinite(landmarks).all():
                smoother.reset()
                continue
            size = float(np.max(np.ptp(landmarks, axis=0)))
            result[index, number] = smoother(landmarks, index / RATE, size_px=size)
    return result
