"""Three-dimensional landmarks of the average head."""

import numpy as np

from wing_tf.landmarks.schemes import IBUG_68

# Landmarks of the left half of the image and of the axis of symmetry, in millimeters. x and y are
# those of the mean shape of thousands of publicly annotated faces, rounded to half a millimeter.
# Depths are chosen so that rotated heads agree with annotated faces at yaws up to 50 degrees.
_HALF_MM = {
    **{0: (-73, 2.5, -71), 1: (-72.5, 21.5, -68.5), 2: (-70.5, 40.5, -66), 3: (-66.5, 59, -62)},
    **{4: (-59, 76.5, -54), 5: (-47.5, 91.5, -41), 6: (-33.5, 104.5, -29), 7: (-18, 114.5, -14.5)},
    **{8: (0, 117.5, -10), 17: (-60, -11.5, -27), 18: (-51, -19.5, -18)},
    **{19: (-38, -21.5, -10), 20: (-25, -20, -4), 21: (-12.5, -15.5, 0.5), 27: (0, 0, 0)},
    **{28: (0, 12.5, 6.5), 29: (0, 24.5, 13.5), 30: (0, 37.5, 20.5), 31: (-15, 45.5, 1.5)},
    **{32: (-7.5, 48, 5), 33: (0, 50.5, 7), 36: (-45, 2, -21), 37: (-37, -2.5, -16.5)},
    **{38: (-27.5, -2.5, -14.5), 39: (-19.5, 3.5, -15), 40: (-28, 5, -15), 41: (-37.5, 5, -16.5)},
    **{48: (-28.5, 68.5, -15), 49: (-18, 64.5, -4.5), 50: (-7.5, 62.5, 2), 51: (0, 64, 3)},
    **{57: (0, 84, 3), 58: (-8, 83, 2), 59: (-18.5, 78.5, -4), 60: (-24, 69.5, -13.5)},
    **{61: (-7.5, 68.5, 0), 62: (0, 69.5, 1), 66: (0, 74.5, 2), 67: (-7.5, 73.5, 1)},
}


def _mirror_half() -> np.ndarray:
    points = np.full((68, 3), np.nan)
    for index, point in _HALF_MM.items():
        points[index] = point
    other_half = np.isnan(points[:, 0])
    points[other_half] = points[list(IBUG_68.flip_permutation)][other_half] * [-1, 1, 1]
    points.setflags(write=False)
    return points


AVERAGE_HEAD_MM = _mirror_half()
"""The 68 landmarks of the average face, float64 [68, 3], in millimeters.

The origin is the nasion (landmark 27). For a frontal face x points to the image's right, y down
and z towards the viewer.
"""
