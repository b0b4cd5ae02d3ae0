"""Factors, inverses and bases of matrices, in the way that is fastest for their kind."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray

from bayes_intgen._typing import Array

# Maximum size of a triangle inverted by LAPACK, and maximum number of halvings on the way: more
# blocks take longer to compile.
MAX_LEAF_SIZE, MAX_HALVINGS = 48, 3
# Maximum size of a matrix that is swept: a larger one leaves the processor's nearest cache, and is
# inverted by halves.
MAX_SWEPT = 64
# Sizes of leading parts of a matrix that are inverted alone if they suffice: loops over all rows of
# a matrix take time for those of the identity too.
PARTS = (32, 48, 64)
# Eigenvalue of a Gram matrix, relative to the largest, below which rounding would leave columns of
# a basis less than orthogonal.
MIN_EIGENVALUE = 1e-8


def cholesky(matrix: Array) -> Array:
    """Lower Cholesky factor, with jitter if needed, and NaN if that fails too.

    Rounding breaks the factorisation only where scales are far too large. With a jitter slightly
    above rounding, a mode search that strays there obtains a low density and returns. NumPy's
    factorisation releases the GIL, SciPy's does not.
    """
    jitter = 10 * len(matrix) * np.finfo(matrix.dtype).eps
    for size in (0.0, jitter):
        with contextlib.suppress(np.linalg.LinAlgError):
            return np.linalg.cholesky(matrix + np.diag(size * np.diag(matrix)))
    return np.full_like(matrix, np.nan)


def inverse_of_triangle(factor: jax.Array, halvings: int = MAX_HALVINGS) -> jax.Array:
    """Inverse of a lower triangular matrix by recursive halves, for compiled programs.

    Most of the work is matrix products: LAPACK takes twice as long for a few hundred rows.
    """
    size = len(factor)
    if size <= MAX_LEAF_SIZE or not halvings:
        return solve_triangular(factor, jnp.eye(size, dtype=factor.dtype), lower=True)
    half = size // 2
    first = inverse_of_triangle(factor[:half, :half], halvings - 1)
    last = inverse_of_triangle(factor[half:, half:], halvings - 1)
    below = -last @ factor[half:, :half] @ first
    return jnp.block([[first, jnp.zeros(below.T.shape, factor.dtype)], [below, last]])


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


def inverse_and_log_det(matrices: Array, sizes: NDArray[np.int_]) -> tuple[Array, float]:
    """:func:`swept_inverse_and_log_det` by LAPACK, without compilation; it needs no sizes.

    Both results are NaN if rounding leaves a matrix that is not positive definite, as in compiled
    programs.
    """
    try:
        factor = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return np.full_like(matrices, np.nan), np.nan
    root = np.linalg.inv(factor)
    diagonal = np.diagonal(factor, axis1=1, axis2=2).astype(float)
    return root.swapaxes(1, 2) @ root, 2 * float(np.sum(np.log(diagonal)))


def swept_inverse_and_log_det(matrices: jax.Array, sizes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Invert G symmetric positive definite matrices, and sum their log determinants.

    XLA fuses a loop into one function only if the loop calls no library. For matrices as small as
    blocks of coefficients, the call overhead of LAPACK exceeds its run time. Matrices are inverted
    one after the other: together they would leave the nearest cache, which takes twice as long from
    eight matrices of 64 rows on.

    Parameters
    ----------
    matrices : Array, shape (G, p, p)
    sizes : Array of int, shape (G,)
        Rows of each matrix that differ from those of the identity; others take no time.

    Returns
    -------
    inverses : Array, shape (G, p, p)
        In the precision of ``matrices``.
    log_det : Array, shape ()
        In double precision if enabled; NaN if rounding leaves a matrix not positive definite.

    Notes
    -----
    SWEEP operator (Goodnight, "A tutorial on the SWEEP operator", The American Statistician 1979):
    after sweeping every row, a matrix becomes minus its inverse, and the product of the pivots is
    its determinant. Positive definite matrices need no pivoting.
    """
    parts = (*(part for part in PARTS if part < matrices.shape[1]), matrices.shape[1])

    def invert(k: jax.Array, part: int, state: tuple[jax.Array, jax.Array]) -> Any:
        """Invert the leading part of one matrix in place; the rest is that of the identity."""
        matrices, log_det = state
        at = k, 0, 0
        matrix = lax.dynamic_slice(matrices, at, (1, part, part))[0]
        inverse, of_matrix = _inverse(matrix, sizes[k])
        return lax.dynamic_update_slice(matrices, inverse[None], at), log_det + of_matrix

    def invert_smallest_part(k: jax.Array, state: tuple[jax.Array, jax.Array]) -> Any:
        smallest = sum((sizes[k] > part).astype(int) for part in parts[:-1])
        branches = [partial(invert, k, part) for part in parts]
        return lax.switch(smallest, branches, state) if len(branches) > 1 else branches[0](state)

    sizes = jnp.asarray(sizes)
    count = jnp.max(jnp.where(sizes > 0, jnp.arange(1, len(sizes) + 1), 0))
    inverses, log_det = lax.fori_loop(0, count, invert_smallest_part, (matrices, jnp.zeros(())))
    return inverses, log_det


def _inverse(matrix: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Invert a matrix (p, p): its first half, and the Schur complement of that."""
    if len(matrix) <= MAX_SWEPT:
        return _swept(matrix, size)
    half = len(matrix) // 2
    below = matrix[half:, :half]
    first, log_det = _inverse(matrix[:half, :half], jnp.minimum(size, half))
    weights = below @ first
    complement = matrix[half:, half:] - weights @ below.T
    last, log_det_of_complement = _inverse(complement, jnp.maximum(size - half, 0))
    between = -last @ weights
    inverse = jnp.block([[first - weights.T @ between, between.T], [between, last]])
    return inverse, log_det + log_det_of_complement


def _swept(matrix: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Invert a matrix by sweeping its first ``size`` rows."""

    def sweep(k: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        matrix, pivots = state
        # Inside the loop over the matrix, the row would be read out of order.
        row = _materialise(lax.dynamic_index_in_dim(matrix, k, 0, keepdims=False))
        pivot = lax.dynamic_index_in_dim(row, k, 0)
        share = row / pivot
        matrix = _materialise(matrix - share[:, None] * row[None, :])
        matrix = lax.dynamic_update_index_in_dim(matrix, share, k, 0)
        matrix = lax.dynamic_update_index_in_dim(matrix, share, k, 1)
        matrix = lax.dynamic_update_slice(matrix, -1 / pivot[None], (k, k, 0))
        return matrix, lax.dynamic_update_index_in_dim(pivots, pivot, k, 0)

    # A last axis of length one keeps the compiler from unrolling the loop over a row, which then
    # vectorises.
    start = matrix[..., None], jnp.ones((len(matrix), 1), matrix.dtype)
    swept, pivots = lax.fori_loop(0, size, sweep, start)
    is_swept = jnp.arange(len(matrix))[:, None] < size
    inverse = jnp.where(is_swept, -swept[..., 0], swept[..., 0])
    return inverse, jnp.sum(jnp.log(pivots.astype(float)))


def _materialise(array: jax.Array) -> jax.Array:
    """Compute an array once, instead of recomputing it at each use."""
    return cast(jax.Array, lax.optimization_barrier(array))  # type: ignore[no-untyped-call]
