"""Projection on the span of columns."""

import numpy as np

from bayes_intgen._typing import Array


def orthonormal_basis(columns: Array, tolerance: float) -> Array:
    """Orthonormal basis of the columns' span, shape (n, rank).

    Parameters
    ----------
    columns : ndarray, shape (n, p)
    tolerance : float
        Singular value, relative to the largest and with columns of unit length, below which a
        direction is rounding.

    Examples
    --------
    >>> orthonormal_basis(np.array([[1.0, 2.0], [1.0, 2.0]]), 1e-6).shape
    (2, 1)
    """
    length = np.sqrt((columns**2).sum(axis=0))
    left, values, _ = np.linalg.svd(columns / np.maximum(length, 1e-300), full_matrices=False)
    return np.asarray(left[:, values > tolerance * values[0]])
