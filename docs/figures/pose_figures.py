"""Figures of the pose axis and of pose-based data balancing."""

import pathlib

import numpy as np
from crop_figures import save_sheet
from figure_faces import SCHEME, crop_face, rendered_set

from wing_tf.data import fit_balance
from wing_tf.visualization import contact_sheet, draw_landmarks
from wing_tf.visualization.plots import plot_balance


def _landmarks() -> tuple[np.ndarray, np.ndarray]:
    """Returns landmarks [N, K, 2] and visibility [N, K] of the rendered set."""
    landmarks = np.stack([face.landmarks_px for face in rendered_set()]).astype(np.float64)
    return landmarks, np.full(landmarks.shape[:2], 2)


def pose_extremes(path: pathlib.Path) -> None:
    """Draws the faces with the smallest, middle and largest coefficients; prints a correlation."""
    landmarks, visibility = _landmarks()
    pose = fit_balance(landmarks, visibility, SCHEME).coefficients(landmarks, visibility)
    yaw_deg = [face.angles_deg[0] for face in rendered_set()]
    print(f"correlation of the pose coefficient with yaw: {np.corrcoef(pose, yaw_deg)[0, 1]:.2f}")
    order = np.argsort(pose)
    middle = order[np.argsort(np.abs(pose[order]))[:5]]
    numbers = [*order[:5], *middle[np.argsort(pose[middle])], *order[-5:]]
    cells = []
    for number in numbers:
        image, points = crop_face(rendered_set()[number], margin=1.5, side=140)
        cells.append(draw_landmarks(image, points, SCHEME, radius_px=1.2))
    captions = [f"{pose[number]:+.2f}" for number in numbers]
    save_sheet(contact_sheet(cells, columns=5, captions=captions), path)


def pose_histogram(path: pathlib.Path) -> None:
    """Plots the histogram of the pose before and after balancing."""
    balance = fit_balance(*_landmarks(), SCHEME)
    weighted = balance.bin_counts * balance.bin_weights
    before, after = balance.bin_counts / balance.bin_counts.sum(), weighted / weighted.sum()
    plot_balance(path, balance.bin_edges, before, after)
