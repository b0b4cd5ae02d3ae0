"""Projection on the span of columns."""

import numpy as np

from bayes_intgen._typing import Array

# Eigenvalue of the Gram matrix, relative to the largest, below which rounding would leave columns
# of the basis less than orthogonal.
MIN_EIGENVALUE = 1e-8


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
    unit = columns / np.maximum(length, 1e-300)
    squares, vectors = np.linalg.eigh(unit.T @ unit)
    within = squares > tolerance**2 * squares[-1]
    if (squares[within] > MIN_EIGENVALUE * squares[-1]).all():
        # A third of the time of a singular value decomposition.
        return np.asarray(unit @ (vectors[:, within] / np.sqrt(squares[within])))
    left, values, _ = np.linalg.svd(unit, full_matrices=False)
    return np.asarray(left[:, values > tolerance * values[0]])
