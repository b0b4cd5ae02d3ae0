"""Linear Gaussian algebra: products, marginals and integrals of Gaussian factors.

The likelihood of Gaussian rows, the prior of coefficients, and their product are all of the form
exp(log_scale - q(b) / 2) with a quadratic function q. Evidence, conditional moments, draws,
elimination of coefficients and random effects are operations on such factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtri, dtrtrs

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.matrices import cholesky, inverse_of_triangle

if TYPE_CHECKING:
    from scipy.sparse import csr_array


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
