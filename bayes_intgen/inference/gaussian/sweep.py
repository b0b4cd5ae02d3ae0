"""Batched inverses of positive definite matrices by the SWEEP operator.

XLA fuses a loop into one function only if the loop calls no library. For matrices as small as
blocks of coefficients, the call overhead of LAPACK exceeds its run time.
"""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
from jax import lax

# Compute an array once, instead of recomputing it at each use.
_materialise = cast(Callable[[jax.Array], jax.Array], lax.optimization_barrier)


def inverse_and_log_det(matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Invert G symmetric positive definite matrices, and sum their log determinants.

    Parameters
    ----------
    matrices : Array, shape (G, p, p)

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
    size = matrices.shape[1]

    def sweep(k: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        matrix, log_det = state
        # Inside the loop over the matrix, the row would be read out of order.
        row = _materialise(lax.dynamic_index_in_dim(matrix, k, 1, keepdims=False))
        pivot = lax.dynamic_index_in_dim(row, k, 1)
        share = row / pivot
        matrix = _materialise(matrix - share[:, :, None] * row[:, None, :])
        matrix = lax.dynamic_update_index_in_dim(matrix, share, k, 1)
        matrix = lax.dynamic_update_index_in_dim(matrix, share, k, 2)
        matrix = lax.dynamic_update_slice(matrix, -1 / pivot[:, None], (0, k, k, 0))
        return matrix, log_det + jnp.sum(jnp.log(pivot.astype(float)))

    # A last axis of length one keeps the compiler from unrolling the loop over a row, which then
    # vectorises.
    matrix, log_det = lax.fori_loop(0, size, sweep, (matrices[..., None], jnp.zeros(())))
    return -matrix[..., 0], log_det
