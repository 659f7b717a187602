"""Matrix algebra whose bytes don't depend on BLAS and on how many threads it has."""

import numpy as np


def matmul(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns left [..., n] @ right [n, m], summed in one fixed order.

    BLAS deals rows out to threads, and the rows at a share's edge go through other code, whose last
    bit differs: enough to tip a pixel of one face in some hundreds.
    """
    return np.einsum("...n,nm->...m", left, right)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Returns the inverse of [n, n], by Gauss and Jordan's elimination with row pivoting.

    For the ill-conditioned matrix of a spline, LAPACK's result moves by 1e-9 with its threads.
    """
    size = len(matrix)
    rows = np.concatenate([np.asarray(matrix, np.float64), np.eye(size)], axis=1)
    for column in range(size):
        pivot = column + int(np.argmax(np.abs(rows[column:, column])))
        rows[[column, pivot]] = rows[[pivot, column]]
        rows[column] /= rows[column, column]
        others = rows[:, column].copy()
        others[column] = 0
        rows -= others[:, None] * rows[column]
    return rows[:, size:]
