"""Sufficient statistics of Gaussian rows.

For outcomes y_i ~ N(x_i' beta, noise_sd^2 / w_i), the rows enter the posterior only through X'WX,
X'Wy, y'Wy, the number of rows, and the sum of log weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bayes_intgen._typing import Array
from bayes_intgen.models.terms import PseudoObservations

if TYPE_CHECKING:
    from jax.typing import ArrayLike


class SufficientStatistics(NamedTuple):
    """Weighted sums over rows.

    Attributes
    ----------
    rows : float
        Number of rows N.
    xx : (P, P), xy : (P,), yy : ()
        X'WX, X'Wy and y'Wy.
    log_weight : float
        Sum of the logarithms of the weights.
    known : PseudoObservations, optional
        Rows in addition to the sums.
    """

    rows: ArrayLike
    xx: ArrayLike
    xy: ArrayLike
    yy: ArrayLike
    log_weight: ArrayLike
    known: PseudoObservations | None = None

    @classmethod
    def over(cls, matrix: Array, outcome: Array, weights: Array) -> Self:
        """Sum over rows with a matrix (n, P), outcomes (n,) and weights (n,), in float64."""
        root = np.sqrt(weights)
        x, y = matrix * root[:, None], outcome * root
        return cls(float(len(y)), x.T @ x, x.T @ y, float(y @ y), float(np.log(weights).sum()))

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
        return self._replace(
            rows=float(np.asarray(self.rows)) + float((units - 1).sum()),
            yy=float(np.asarray(self.yy)) + float(within @ precision),
            log_weight=float(np.asarray(self.log_weight)) + float(log_weight.sum()),
        )

    def merge(self, other: Self) -> Self:
        """Merge with the statistics of other rows; neither may have pseudo-observations."""
        totals: tuple[Any, ...] = tuple(map(np.add, self[:-1], other[:-1]))
        return type(self)(*totals)

    def select(self, columns: NDArray[np.int_]) -> SufficientStatistics:
        """Restrict to a subset of the columns."""
        xx, xy = np.asarray(self.xx), np.asarray(self.xy)
        known = self.known and self.known._replace(matrix=np.asarray(self.known.matrix)[:, columns])
        return self._replace(xx=xx[np.ix_(columns, columns)], xy=xy[columns], known=known)

    def combined(self, weights: Array | csr_array) -> SufficientStatistics:
        """Statistics of linear combinations of the columns, with ``weights`` of shape (P, Q)."""
        xx = weights.T @ (np.asarray(self.xx) @ weights)
        known = self.known and self.known._replace(matrix=np.asarray(self.known.matrix) @ weights)
        return self._replace(xx=xx, xy=weights.T @ np.asarray(self.xy), known=known)

    def centred_at(self, mean: ArrayLike) -> SufficientStatistics:
        """Subtract the prediction of coefficients ``mean``, shape (P,), from the outcome."""
        xx, xy, known = cast(Any, self.xx), cast(Any, self.xy), self.known
        shift = xx @ mean
        if known is not None:
            known = known._replace(outcome=known.outcome - cast(Any, known.matrix) @ mean)
        squares = self.yy - 2 * mean @ xy + mean @ shift
        return self._replace(xy=xy - shift, yy=squares, known=known)

    def with_outcome_as_column(self) -> SufficientStatistics:
        """Append the outcome to the columns."""
        xx, xy = np.asarray(self.xx), np.append(self.xy, self.yy)
        known = self.known and self.known._replace(
            matrix=np.column_stack([self.known.matrix, self.known.outcome])
        )
        return self._replace(xx=np.block([[xx, xy[:-1, None]], [xy]]), xy=xy, known=known)

    def padded(self, size: int) -> SufficientStatistics:
        """Append columns of zeros, up to ``size`` in all."""
        padding = (0, size - len(np.asarray(self.xy)))
        known = self.known and self.known._replace(
            matrix=np.pad(self.known.matrix, ((0, 0), padding))
        )
        return self._replace(
            xx=np.pad(self.xx, (padding, padding)), xy=np.pad(self.xy, padding), known=known
        )


class CandidateStatistics(NamedTuple):
    """Sufficient statistics of a model with columns X, and of candidates with columns Z.

    Cross products between different candidates are missing: they would take time and memory
    proportional to the square of the number of candidates.

    Attributes
    ----------
    sums : SufficientStatistics
        Statistics of the model.
    cross : (Q, P), xy : (Q,)
        Z'WX and Z'Wy.
    own : tuple of (q, q)
        Z_i'WZ_i of each candidate.
    """

    sums: SufficientStatistics
    cross: Array
    xy: Array
    own: tuple[Array, ...]

    @property
    def columns(self) -> list[slice]:
        """Columns of each candidate among all Q."""
        ends = np.cumsum([0, *(len(own) for own in self.own)])
        return [slice(begin, end) for begin, end in pairwise(ends)]

    @classmethod
    def over(
        cls,
        matrix: Array,
        outcome: Array,
        weights: Array,
        sizes: Sequence[int],
    ) -> Self:
        """Sum over rows of (n, P + Q) columns, the last of which are candidates of ``sizes``.

        Sums of X are in double precision, the others in single precision.
        """
        first = matrix.shape[1] - sum(sizes)
        root = np.sqrt(weights)[:, None]
        # Rounds each product without a matrix of them in double precision.
        rounded = np.empty_like(matrix, dtype=np.float32)
        np.multiply(matrix, root, out=rounded, casting="same_kind")
        z, y = rounded[:, first:], outcome * root[:, 0]
        # By a power of two, so that large and small outcomes are within the range.
        exponent = np.frexp(np.abs(y).max(initial=0.0))[1]
        ends = np.cumsum(sizes)
        return cls(
            SufficientStatistics.over(matrix[:, :first], outcome, weights),
            (z.T @ rounded[:, :first]).astype(float),
            np.ldexp((z.T @ np.ldexp(y, -exponent).astype(np.float32)).astype(float), exponent),
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
            self.xy + other.xy,
            tuple(map(np.add, self.own, other.own)),
        )
