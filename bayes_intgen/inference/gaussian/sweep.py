"""Inverses of positive definite matrices, in operations that compile into one loop.

XLA makes one function of a loop that calls no library, and a kernel for each operation of one that
does: of matrices as small as those of groups of coefficients, a library's factors are waited for
longer than they take.
"""

from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
from jax import lax

# An array that is computed as one of its own, and not anew wherever it is used.
_kept = cast(Callable[[jax.Array], jax.Array], lax.optimization_barrier)


def inverse_and_log_det(matrices: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Inverses of G symmetric positive definite matrices, and the sum of their log determinants.

    By the sweep operator (Goodnight, "A tutorial on the SWEEP operator", The American Statistician
    1979): swept by every row once, a matrix becomes minus its inverse, and the pivots' product is
    its determinant. Without a choice of pivots, which positive definite matrices do not need.

    Parameters
    ----------
    matrices : Array, shape (G, p, p)

    Returns
    -------
    inverses : Array, shape (G, p, p)
        In the precision of ``matrices``.
    log_det : Array, shape ()
        In double precision where that is on; not a number where rounding leaves a matrix that is
        not positive definite.
    """
    size = matrices.shape[1]

    def swept_by(k: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        matrix, log_det = state
        # Read in the loop over the matrix, it would not be read in order.
        row = _kept(lax.dynamic_index_in_dim(matrix, k, 1, keepdims=False))
        pivot = lax.dynamic_index_in_dim(row, k, 1)
        share = row / pivot
        matrix = _kept(matrix - share[:, :, None] * row[:, None, :])
        matrix = lax.dynamic_update_index_in_dim(matrix, share, k, 1)
        matrix = lax.dynamic_update_index_in_dim(matrix, share, k, 2)
        matrix = lax.dynamic_update_slice(matrix, -1 / pivot[:, None], (0, k, k, 0))
        return matrix, log_det + jnp.sum(jnp.log(pivot.astype(float)))

    # A last axis of length one keeps the compiler from unrolling the loop over a row, and so lets
    # it work on several numbers at once.
    swept, log_det = lax.fori_loop(0, size, swept_by, (matrices[..., None], jnp.zeros(())))
    return -swept[..., 0], log_det
