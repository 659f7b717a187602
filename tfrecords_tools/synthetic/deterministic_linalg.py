"""Matrix algebra whose results do not depend on BLAS and its number of threads, to the last bit."""

import numpy as np


def matmul(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns left [..., n] @ right [n, m], summed in a fixed order.

    BLAS distributes rows over threads and computes the last rows of a thread by other code, whose
    last bit differs. That changes a pixel of one face in some hundreds.
    """
    columns = np.ascontiguousarray(right.T)  # faster by it for a large n
    return np.stack([np.einsum("...n,n->...", left, column) for column in columns], axis=-1)


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Returns the inverse of a matrix [n, n] by Gauss-Jordan elimination with row pivoting.

    For the ill-conditioned matrix of a spline, LAPACK's result changes by 1e-9 with the number of
    threads.
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
