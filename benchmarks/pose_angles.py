"""Errors of head pose angles estimated from ground truth landmarks of rendered faces.

    python benchmarks/pose_angles.py [--faces=300] [--seed=3] [--quick]

Prints the mean absolute error of yaw, pitch and roll by the absolute yaw, and percentiles of the
residual of `wing_tf.geometry.pose.HeadPose`. Needs no network. ``--quick`` renders 40 faces.
"""

import argparse
import sys

import numpy as np

from tfrecords_tools.synthetic import render_face
from wing_tf.geometry.pose import head_pose
from wing_tf.landmarks import get_scheme


def main() -> None:
    """Prints one line per range of yaw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=300)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.faces = 40
    scheme = get_scheme("ibug_68")
    errors, residuals, yaws = [], [], []
    for number in range(options.faces):
        print(f"face {number + 1} of {options.faces}", end="\r", file=sys.stderr, flush=True)
        face = render_face(
            options.seed, number, size=64
        )  # the landmarks do not depend on the pixels
        pose = head_pose(face.landmarks_px, scheme)
        errors.append(np.abs(pose.angles_deg - face.angles_deg))
        residuals.append(pose.residual)
        yaws.append(abs(face.angles_deg[0]))
    print(file=sys.stderr)
    errors, residuals, yaws = np.array(errors), np.array(residuals), np.array(yaws)
    print("yaw       faces  yaw, pitch, roll error (deg)  residual 5, 50, 95 %")
    for low, high in ((0, 30), (30, 60), (60, 90.1)):
        chosen = (yaws >= low) & (yaws < high)
        error = ", ".join(f"{value:.1f}" for value in errors[chosen].mean(axis=0))
        percentiles = ", ".join(f"{v:.3f}" for v in np.percentile(residuals[chosen], [5, 50, 95]))
        print(f"{low:2.0f} to {high:2.0f}  {chosen.sum():5d}  {error:28s}  {percentiles}")


if __name__ == "__main__":
    main()
