"""Linear Gaussian algebra: products, marginals and integrals of Gaussian factors.

The likelihood of Gaussian rows, the prior of coefficients, and their product are all of the form
exp(log_scale - q(b) / 2) with a quadratic function q. Evidence, conditional moments, draws,
elimination of coefficients and random effects are operations on such factors.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import lax
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtri, dtrtrs

from bayes_intgen._typing import Array

if TYPE_CHECKING:
    from scipy.sparse import csr_array

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


class GaussianFactor(NamedTuple):
    """Function exp(log_scale - q(b) / 2) of P coefficients b, proportional to a normal density.

    It may be improper. Integrals are over (2 pi)^(-P/2) db: the standard normal density has unit
    precision and a log scale of zero.

    Attributes
    ----------
    matrix : (..., P + 1, P + 1)
        Matrix of q(b) = b' L b - 2 h' b + s: the precision L, bordered by the information h and
        s. For rows with columns X and outcomes y it is [X y]' W [X y].
    log_scale : (...)

    Notes
    -----
    Arrays are of NumPy or JAX; leading dimensions are for NumPy alone.
    """

    matrix: Any
    log_scale: Any

    @classmethod
    def of(cls, precision: Array, information: Array, squares: Any, log_scale: float) -> Self:
        """Border the precision, shape (P, P), by information, shape (P,), and squares."""
        border = information[:, None]
        return cls(np.block([[precision, border], [border.T, squares]]), log_scale)

    def times(self, other: Self) -> Self:
        """Multiply by another factor, for example the likelihood of other rows."""
        return type(self)(self.matrix + other.matrix, self.log_scale + other.log_scale)

    def power(self, exponent: float) -> Self:
        """The factor to a power."""
        return type(self)(exponent * self.matrix, exponent * self.log_scale)

    def rescale(self, units: Any) -> Self:
        """Express coefficients, and the outcome, in units of shape (..., P + 1)."""
        matrix = self.matrix * units[..., None, :]
        # In place in NumPy.
        matrix *= units[..., None]
        return self._replace(matrix=matrix)

    def select(self, columns: NDArray[np.int_]) -> Self:
        """Restrict to a subset of the coefficients; the others are zero."""
        bordered = np.append(columns, len(self.matrix) - 1)
        return self._replace(matrix=np.asarray(self.matrix)[np.ix_(bordered, bordered)])

    def combine(self, weights: Array | csr_array) -> Self:
        """Factor of coefficients c with [b -1] = weights [c -1], shape (P + 1, Q + 1)."""
        return self._replace(matrix=weights.T @ (np.asarray(self.matrix) @ weights))

    def less(self, regression: ConditionalGaussian) -> Self:
        """Integrate coefficients out whose regression on these is given."""
        half = regression.half.reshape(-1, regression.half.shape[-1])
        matrix = np.asarray(self.matrix) - half.T @ half
        return type(self)(matrix, self.log_scale - regression.log_det / 2)

    def eliminate(self, columns: NDArray[np.int_]) -> tuple[Self, ConditionalGaussian]:
        """Integrate some coefficients out; their regression on the others completes draws."""
        matrix = np.asarray(self.matrix)
        others = np.setdiff1d(np.arange(len(matrix)), columns)
        regression = ConditionalGaussian.of(
            matrix[np.ix_(columns, columns)], matrix[np.ix_(columns, others)]
        )
        return self.select(others[:-1]).less(regression), regression

    def factorise(self, xp: ModuleType = np) -> FactorisedGaussian:
        """Factorise the matrix; ``xp`` is ``numpy`` or ``jax.numpy``."""
        if xp is jnp:
            factor = jnp.linalg.cholesky(self.matrix, symmetrize_input=False)
            return FactorisedGaussian(factor, self.log_scale)
        try:
            factor = np.linalg.cholesky(self.matrix)
        except np.linalg.LinAlgError:
            matrices = self.matrix.reshape(-1, *self.matrix.shape[-2:])
            factor = np.stack([_factor_despite_rounding(matrix) for matrix in matrices])
        return FactorisedGaussian(factor.reshape(self.matrix.shape), self.log_scale)


def _factor_despite_rounding(matrix: Array) -> Array:
    """Cholesky factor of a bordered matrix, where rounding leaves no positive pivots."""
    factor = np.zeros_like(matrix)
    factor[:-1, :-1] = cholesky(matrix[:-1, :-1])
    factor[-1, :-1] = dtrtrs(factor[:-1, :-1].T, matrix[:-1, -1], trans=1)[0]
    squares, half = matrix[-1, -1], factor[-1, :-1]
    rounding = np.finfo(matrix.dtype).eps * squares
    factor[-1, -1] = np.sqrt(np.maximum(squares - half @ half, rounding))
    return factor


class ConditionalGaussian(NamedTuple):
    """Conditional distribution of q coefficients given r others, in a factor or in several.

    Attributes
    ----------
    factor : ndarray, shape (..., q, q)
        Lower Cholesky factor F of the precision of the q coefficients.
    half : ndarray, shape (..., q, r + 1)
        F^-1 times the rows of the factor's matrix. ``half.T @ half`` is what integration over the
        q coefficients subtracts from the matrix of the others.
    """

    factor: Array
    half: Array

    @classmethod
    def of(cls, precision: Array, cross: Array) -> Self:
        """Factorise the precision (..., q, q), given the other columns (..., q, r + 1)."""
        factor = np.linalg.cholesky(precision)
        if precision.shape[-1] == 1:
            return cls(factor, cross / factor)
        solve = np.linalg.solve if factor.ndim > 2 else _solve_lower
        return cls(factor, solve(factor, cross))

    @property
    def log_det(self) -> float:
        """Log determinant of the precision, summed over all factors."""
        diagonal = np.diagonal(self.factor, axis1=-2, axis2=-1)
        return 2 * float(np.log(diagonal).sum())

    def draw(self, others: Array, normal: Array) -> Array:
        """Draw the coefficients (q, n) given others (r, n), from standard normal numbers."""
        half = self.half[:, -1:] - self.half[:, :-1] @ others + normal
        return np.asarray(scipy.linalg.solve_triangular(self.factor, half, lower=True, trans="T"))


_solve_lower = partial(scipy.linalg.solve_triangular, lower=True)


@dataclass(frozen=True, eq=False)
class FactorisedGaussian:
    """A Gaussian factor, or several, with the Cholesky factor of the matrix.

    Attributes
    ----------
    factor : (..., P + 1, P + 1)
        Lower triangular: the Cholesky factor F of the precision, bordered by F^-1 h and the root
        of the minimum of q.
    log_scale : (...)
    """

    factor: Any
    log_scale: Any

    @cached_property
    def log_integral(self) -> Any:
        """Log of the integral over all coefficients, shape (...)."""
        diagonal = self.factor.diagonal(axis1=-2, axis2=-1)[..., :-1]
        return self.log_scale - 0.5 * self.minimum - self._xp.log(diagonal).sum(-1)

    @property
    def minimum(self) -> Any:
        """Minimum of q, shape (...)."""
        return self.factor[..., -1, -1] ** 2

    @cached_property
    def mean(self) -> Any:
        """Mean of the coefficients, shape (P,)."""
        return self._solve(self.factor[-1, :-1])

    def draw(self, normal: Any) -> Any:
        """Draw coefficients from standard normal numbers, shape (..., P) or (..., draw, P)."""
        half = self.factor[..., -1, :-1]
        return self._solve((half if normal.ndim == half.ndim else half[..., None, :]) + normal)

    @cached_property
    def inverse(self) -> Any:
        """F^-1, shape (P, P): the covariance is its transpose times itself."""
        if self._xp is jnp:
            return inverse_of_triangle(self.factor[:-1, :-1])
        return dtrtri(self.factor.T)[0].T[:-1, :-1]

    @cached_property
    def variance(self) -> Any:
        """Variances of the coefficients, shape (P,)."""
        return self._xp.einsum("pq,pq->q", self.inverse, self.inverse)

    @property
    def _xp(self) -> ModuleType:
        return jnp if isinstance(self.factor, jax.Array) else np

    def _solve(self, values: Any) -> Any:
        """F'^-1 times values, shape (..., P) or (..., draw, P)."""
        if self._xp is jnp:
            return solve_triangular(self.factor[:-1, :-1], values.T, lower=True, trans="T").T
        size = self.factor.shape[-1]
        # With a zero in its last row the bordered system is that of F.
        solutions = np.zeros((*values.shape[:-1], size))
        solutions[..., :-1] = values
        factors = self.factor.reshape(-1, size, size)
        each = solutions.reshape(len(factors), -1, size)
        for factor, rows in zip(factors, each, strict=True):
            # In place: the arrays are in Fortran order.
            dtrtrs(factor.T, rows.T, overwrite_b=1)
        return solutions[..., :-1]


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
