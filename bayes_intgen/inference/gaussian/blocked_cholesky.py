"""Inverse Cholesky factors by recursive blocks, for compiled programs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

# Maximum size of a block factorised by LAPACK, and maximum number of halvings on the way: more
# blocks take longer to compile.
MAX_LEAF_SIZE, MAX_HALVINGS = 48, 3


def inverse_cholesky(
    matrix: jax.Array, halvings: int = MAX_HALVINGS
) -> tuple[jax.Array, jax.Array]:
    """Diagonal of the lower Cholesky factor of a matrix, and the inverse of the factor.

    Most of the work is matrix products. LAPACK's factorisation and triangular solve of a few
    hundred rows take twice as long.
    """
    size = len(matrix)
    if size <= MAX_LEAF_SIZE or not halvings:
        factor = jnp.linalg.cholesky(matrix, symmetrize_input=False)
        return jnp.diag(factor), solve_triangular(factor, jnp.eye(size), lower=True)
    half = size // 2
    first, upper = inverse_cholesky(matrix[:half, :half], halvings - 1)
    below = matrix[half:, :half] @ upper.T
    second, lower = inverse_cholesky(matrix[half:, half:] - below @ below.T, halvings - 1)
    inverse = jnp.block([[upper, jnp.zeros(below.T.shape)], [-lower @ below @ upper, lower]])
    return jnp.concatenate([first, second]), inverse
