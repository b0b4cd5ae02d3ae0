"""Projection of draws on linear inequalities, in the metric of a covariance.

The draws that violate an inequality move to the nearest coefficients that obey all of them
(projected posteriors: Lin and Dunson, Biometrika 2014; Patra and Dunson 2018). What no inequality
concerns moves along by regression.
"""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.factor import cholesky

# Maximum number of steps of an active set, per coefficient.
MAX_STEPS = 30
# Relative size of what is rounding.
ROUNDING = 1e-9


def projected(draws: Array, covariance: Array, matrix: Array) -> Array:
    """Project draws, shape (n, P), on the coefficients b with ``matrix @ b >= 0``.

    Parameters
    ----------
    draws : ndarray, shape (n, P)
    covariance : ndarray, shape (P, P)
    matrix : ndarray, shape (C, P)

    Notes
    -----
    In units of a root of the covariance, the nearest point to v is v + G'm with m >= 0, and G'm the
    non-negative least squares fit of -v (Lawson and Hanson 1974, chapter 23).

    Examples
    --------
    >>> projected(np.array([[1.0, -1.0]]), np.eye(2), np.array([[0.0, 1.0]]))
    array([[1., 0.]])
    """
    root = cholesky(covariance)
    of_root = matrix @ root
    length = np.sqrt((of_root**2).sum(axis=1))
    informed = length > ROUNDING * length.max(initial=0.0)
    of_root = of_root[informed] / length[informed, None]
    steps = solve_triangular(root, draws.T, lower=True).T
    heights = steps @ of_root.T
    lowest = -ROUNDING * np.abs(steps).max(axis=1, initial=0.0)
    out = draws.copy()
    for i in np.flatnonzero((heights < lowest[:, None]).any(axis=1)):
        move, active = np.zeros(len(root)), np.zeros(len(of_root), dtype=bool)
        # Few inequalities matter for a draw: those that are violated join one after the other.
        while (violated := (heights[i] + of_root @ move < lowest[i]) & ~active).any():
            active |= violated
            normals = of_root[active].T
            move = normals @ nnls(normals, -steps[i], maxiter=MAX_STEPS * len(root))[0]
        out[i] += root @ move
    return out
