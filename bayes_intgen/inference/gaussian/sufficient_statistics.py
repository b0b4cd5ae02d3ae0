"""Sufficient statistics of Gaussian rows.

For outcomes y_i ~ N(x_i' beta, noise_sd^2 / w_i), the rows enter the posterior only through X'WX,
X'Wy, y'Wy, the number of rows, and the sum of log weights. Random effects are integrated out of
sums per group.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.factor import (
    ConditionalGaussian,
    FactorisedGaussian,
    GaussianFactor,
)
from bayes_intgen.models.terms import PseudoObservations

if TYPE_CHECKING:
    from jax.typing import ArrayLike

Precision = type[np.float32] | type[np.float64]
LOG_ROOT = 0.5 * np.log(2 * np.pi)
# Ridge of least squares for columns of unit length, beyond rounding in single precision.
RIDGE = 1e-5


class SufficientStatistics(NamedTuple):
    """Weighted sums over rows.

    Attributes
    ----------
    rows : float
        Number of rows N; an array of JAX in compiled programs.
    factor : GaussianFactor
        Likelihood of noise with standard deviation one, without its constant: the matrix is
        [X y]' W [X y], and the log scale half the sum of the logarithms of the weights.
    known : PseudoObservations, optional
        Rows in addition to the sums.
    """

    rows: Any
    factor: GaussianFactor
    known: PseudoObservations | None = None

    @classmethod
    def over(cls, matrix: Array, outcome: Array, weights: Array) -> Self:
        """Sum over rows with a matrix (n, P), outcomes (n,) and weights (n,), in float64."""
        root = np.sqrt(weights)
        # In the order of the matrix, which takes less time than to transpose it.
        order: Literal["F", "C"] = "F" if matrix.flags.f_contiguous else "C"
        columns = np.empty((len(outcome), matrix.shape[1] + 1), order=order)
        np.multiply(matrix, root[:, None], out=columns[:, :-1])
        columns[:, -1] = outcome * root
        return cls.of_columns(columns, weights)

    @classmethod
    def of_columns(cls, columns: Array, weights: Array, squares: float | None = None) -> Self:
        """Sum over rows with columns and outcome, (n, P + 1), times roots of their weights.

        ``squares`` are those of the outcome where the columns are rounded.
        """
        log_scale, matrix = float(np.log(weights).sum()) / 2, np.asarray(columns.T @ columns, float)
        if squares is not None:
            matrix[-1, -1] = squares
        return cls(float(len(columns)), GaussianFactor(matrix, log_scale))

    @property
    def xx(self) -> Array:
        """X'WX, shape (P, P)."""
        return np.asarray(self.factor.matrix)[:-1, :-1]

    @property
    def xy(self) -> Array:
        """X'Wy, shape (P,)."""
        return np.asarray(self.factor.matrix)[:-1, -1]

    @property
    def unexplained(self) -> float:
        """Share of the squares of the outcome that least squares leaves, up to some 1e-6.

        Over the mean square of the largest column, where that exceeds one.
        """
        diagonal = np.diag(self.xx)
        scale = np.sqrt(diagonal)
        scale[scale == 0] = 1.0
        matrix, information = self.xx / np.outer(scale, scale), self.xy / scale
        matrix[np.diag_indices_from(matrix)] += RIDGE
        try:
            solved = scipy.linalg.cho_solve((np.linalg.cholesky(matrix), True), information)
        except np.linalg.LinAlgError:
            # Rounding of sums in single precision left it indefinite.
            solved = scipy.linalg.solve(matrix, information, assume_a="sym")
        share = 1 - information @ solved / np.asarray(self.factor.matrix)[-1, -1]
        return float(share / max(1.0, diagonal.max(initial=0.0) / self.rows))

    def with_units(self, units: Array, within: Array, precision: Array) -> Self:
        """Replace rows that are means of several units by these units.

        Parameters
        ----------
        units : ndarray, shape (n,)
            Number of units of each row.
        within : ndarray, shape (n,)
            Sum of squares of the units' outcomes about their mean.
        precision : ndarray, shape (n,)
            Weight of a single unit about what the units of its row share.
        """
        log_weight = (units - 1) * np.log(precision) - np.log(units)
        matrix = np.array(self.factor.matrix)
        matrix[-1, -1] += within @ precision
        factor = GaussianFactor(matrix, self.factor.log_scale + float(log_weight.sum()) / 2)
        return self._replace(rows=self.rows + float((units - 1).sum()), factor=factor)

    def merge(self, other: Self) -> Self:
        """Merge with the statistics of other rows; pseudo-observations are those of these."""
        return self._replace(rows=self.rows + other.rows, factor=self.factor.times(other.factor))

    def power(self, exponent: float) -> Self:
        """Raise the likelihood of the rows to a power, as if there were so many times as many."""
        return self._replace(rows=exponent * self.rows, factor=self.factor.power(exponent))

    def combine(self, weights: csr_array) -> Self:
        """Statistics of linear combinations of the columns.

        ``weights``, shape (P + 1, Q + 1), are those of the columns and of the outcome, the last.
        """
        factor, known = self.factor.combine(weights), self.known
        if known is not None:
            columns = np.column_stack([*map(np.asarray, known[:2])]) @ weights
            known = known._replace(matrix=columns[:, :-1], outcome=columns[:, -1])
        return self._replace(factor=factor, known=known)

    def select(self, columns: NDArray[np.int_]) -> Self:
        """Restrict to a subset of the columns."""
        return self.combine(eye_array(len(self.xy) + 1, format="csr")[:, [*columns, -1]])

    def centred_at(self, mean: ArrayLike) -> Self:
        """Subtract the prediction of coefficients ``mean``, shape (P,), from the outcome."""
        if not np.any(mean):
            return self
        weights = eye_array(len(self.xy) + 1, format="lil")
        weights[:-1, -1] = -np.asarray(mean)[:, None]
        return self.combine(weights.tocsr())

    def padded(self, size: int) -> Self:
        """Append columns of zeros, up to ``size`` in all."""
        places = np.append(np.arange(len(self.xy)), size)
        return self.combine(eye_array(size + 1, format="csr")[places])

    def integrate(self, effects: ConditionalGaussian) -> Self:
        """Integrate random effects out, given their regression on the columns."""
        return self._replace(factor=self.factor.less(effects))

    def posterior(self, sd: Any, noise_sd: Any, xp: ModuleType = np) -> GaussianFactor:
        """Likelihood times prior of coefficients in units of their prior standard deviations.

        Parameters
        ----------
        sd : (..., P)
            Prior standard deviations. The prior mean is zero: see :meth:`centred_at`.
        noise_sd : (...)
        xp : module
            ``numpy`` or ``jax.numpy``.

        Returns
        -------
        GaussianFactor
            Its integral is the density of all outcomes.
        """
        noise_sd = xp.asarray(noise_sd)
        units = xp.concatenate([sd, xp.ones((*sd.shape[:-1], 1))], axis=-1)
        matrix = xp.asarray(self.factor.matrix)
        factor = self.factor._replace(matrix=matrix).rescale(units / noise_sd[..., None])
        matrix = factor.matrix
        log_scale = factor.log_scale - self.rows / 2 * xp.log(2 * np.pi * noise_sd**2)
        if self.known is not None:
            known = xp.column_stack([*map(xp.asarray, self.known[:2])]) * units[..., None, :]
            matrix += xp.swapaxes(known, -1, -2) @ known
            log_scale -= xp.sum(xp.asarray(self.known.log_sd)) + known.shape[-2] * LOG_ROOT
        # Also at the end of the diagonal, and out of the scale again: rounding of a fit without
        # residuals would leave the matrix without a Cholesky factor.
        if xp is np:
            # Without a pass over all elements.
            np.einsum("...pp->...p", matrix)[...] += 1
        else:
            matrix += xp.eye(matrix.shape[-1])
        return GaussianFactor(matrix, log_scale + 0.5)

    def evidence_and_slopes(
        self, log_sd: Any, noise_sd: Any, xp: ModuleType = np
    ) -> tuple[Any, Any, Any]:
        """Log density of all outcomes, coefficients integrated out, and its derivatives.

        log N(y; 0, X diag(s^2) X' + noise_sd^2 W^-1), plus the log density of pseudo-observations
        given y. Derivatives are those with respect to ``log_sd``, shape (P,), and the log noise.
        """
        sd = xp.exp(log_sd)
        posterior = self.posterior(sd, noise_sd, xp).factorise(xp)
        return posterior.log_integral, *self.slopes(sd, posterior)

    def slopes(self, sd: Any, posterior: FactorisedGaussian) -> tuple[Any, Any]:
        """Gradient of the log density of all outcomes.

        Parameters
        ----------
        sd : (P,)
        posterior : FactorisedGaussian
            Factorised :meth:`posterior`.

        Returns
        -------
        towards_log_sd : (P,)
        towards_log_noise : ()
        """
        step, variance = posterior.mean, posterior.variance
        towards_log_sd = step**2 + variance - 1
        # Posterior mean of the residual sum of squares, in units of the noise: that of the
        # posterior's quadratic function, minus those of the prior's and the pseudo-observations'.
        squares = posterior.minimum + len(step) - (1 + (step**2 + variance).sum())
        if self.known is not None:
            known = self.known.matrix * sd
            squares = squares - ((self.known.outcome - known @ step) ** 2).sum()
            squares = squares - ((posterior.inverse @ known.T) ** 2).sum()
        return towards_log_sd, squares - self.rows


class CandidateStatistics(NamedTuple):
    """Sufficient statistics of a model with columns X, and of candidates with columns Z.

    Cross products between different candidates are missing: they would take time and memory
    proportional to the square of the number of candidates.

    Attributes
    ----------
    sums : SufficientStatistics
        Statistics of the model.
    cross : (Q, P + 1)
        Z'W[X y].
    own : tuple of (q, q)
        Z_i'WZ_i of each candidate.
    """

    sums: SufficientStatistics
    cross: Array
    own: tuple[Array, ...]

    @property
    def columns(self) -> list[slice]:
        """Columns of each candidate among all Q."""
        ends = np.cumsum([0, *map(len, self.own)])
        return [slice(begin, end) for begin, end in pairwise(ends)]

    @classmethod
    def over(
        cls,
        matrix: Array,
        outcome: Array,
        weights: Array,
        sizes: Sequence[int],
        dtype: Precision,
    ) -> Self:
        """Sum over rows of (n, P + Q) columns, the last of which are candidates of ``sizes``.

        Sums of X are in double precision, the others in that of ``dtype``.
        """
        first = matrix.shape[1] - sum(sizes)
        root = np.sqrt(weights)[:, None]
        # Rounds each product without a matrix of them in double precision.
        rounded: NDArray[np.floating] = np.empty_like(matrix, dtype=dtype)
        np.multiply(matrix, root, out=rounded, casting="same_kind")
        z, y = rounded[:, first:], outcome * root[:, 0]
        # By a power of two, so that large and small outcomes are within the range.
        exponent = np.frexp(np.abs(y).max(initial=0.0))[1]
        ends = np.cumsum(sizes)
        zx = (z.T @ rounded[:, :first]).astype(float)
        zy = np.ldexp((z.T @ np.ldexp(y, -exponent).astype(dtype)).astype(float), exponent)
        return cls(
            SufficientStatistics.over(matrix[:, :first], outcome, weights),
            np.column_stack([zx, zy]),
            tuple(
                (z[:, end - size : end].T @ z[:, end - size : end]).astype(float)
                for size, end in zip(sizes, ends, strict=True)
            ),
        )

    def merge(self, other: Self) -> Self:
        """Merge with the statistics of other rows."""
        return type(self)(
            self.sums.merge(other.sums),
            self.cross + other.cross,
            tuple(map(np.add, self.own, other.own)),
        )

    def with_units(self, units: Array, within: Array, precision: Array) -> Self:
        """Replace rows that are means of several units by these units."""
        return self._replace(sums=self.sums.with_units(units, within, precision))

    def integrate(self, effects: ConditionalGaussian) -> Self:
        """Integrate random effects out, given their regression on all columns."""
        half = effects.half.reshape(-1, effects.half.shape[-1])
        first = half.shape[1] - 1 - len(self.cross)
        z, others = half[:, first:-1], np.delete(half, np.s_[first:-1], axis=1)
        own = zip(self.own, self.columns, strict=True)
        return type(self)(
            self.sums.integrate(effects._replace(half=others)),
            self.cross - z.T @ others,
            tuple(block - z[:, at].T @ z[:, at] for block, at in own),
        )


class GroupSums(NamedTuple):
    """Weighted sums over the rows of each group.

    With the effects of group g, b_g ~ N(0, noise_sd^2 D), and weights W, the outcomes have
    covariance noise_sd^2 (W^-1 + Z D Z'). Its inverse is W - W Z (D^-1 + Z'WZ)^-1 Z'W (Laird and
    Ware 1982).

    Attributes
    ----------
    codes : ndarray of int, shape (G,)
        Groups, in ascending order.
    zz : ndarray, shape (G, q, q)
        Z'WZ of each group.
    cross : ndarray, shape (G, q, P + 1)
        Z'W[X y] of each group.
    """

    codes: NDArray[np.int_]
    zz: Array
    cross: Array

    @classmethod
    def over(
        cls, codes: NDArray[np.int_], effects: Array, matrix: Array, outcome: Array, weights: Array
    ) -> Self:
        """Sum over rows with groups (n,), effects Z (n, q), matrix X (n, P) and outcome (n,)."""
        distinct, which = np.unique(codes, return_inverse=True)
        rows, count = len(codes), effects.shape[1]
        every = np.concatenate([effects, matrix, outcome[:, None]], axis=1)
        sums = np.empty((len(distinct), count, every.shape[1]))
        pointers = np.arange(rows + 1)
        for i in range(count):
            values = weights * effects[:, i]
            indicator = csr_array((values, which, pointers), shape=(rows, len(distinct)))
            sums[:, i] = indicator.T @ every
        return cls(distinct, sums[..., :count], sums[..., count:])

    def merge(self, other: Self) -> Self:
        """Combine with the sums over other rows, some of the same groups."""
        codes = np.union1d(self.codes, other.codes)
        own, others = (np.searchsorted(codes, part.codes) for part in (self, other))
        merged = []
        for mine, theirs in zip(self[1:], other[1:], strict=True):
            total = np.zeros((len(codes), *mine.shape[1:]))
            total[own] = mine
            total[others] += theirs
            merged.append(total)
        return type(self)(codes, *merged)

    def regression(self, ratio: Array) -> ConditionalGaussian:
        """Regression of the effects, in units of their standard deviations, on the columns.

        Parameters
        ----------
        ratio : ndarray, shape (q,)
            Variances of the effects, over that of the noise.
        """
        sd = np.sqrt(ratio)
        precision = np.eye(len(sd)) + sd[:, None] * self.zz * sd
        return ConditionalGaussian.of(precision, sd[:, None] * self.cross)
