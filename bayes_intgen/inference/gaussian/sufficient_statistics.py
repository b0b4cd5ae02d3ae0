"""Sufficient statistics: sums over rows.

With coefficients beta ~ N(m, diag(s^2)) and outcome y_i ~ N(x_i' beta, noise_sd^2 / w_i), the rows
enter the posterior only through X'WX, X'Wy and y'Wy (`evidence`).
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self, cast

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import DTypeLike, NDArray

from bayes_intgen._typing import Array


class PseudoObservations(NamedTuple):
    """Rows whose noise has a known standard deviation, in units of it.

    Unlike other rows they do not scale with ``noise_sd``: what is known of a difference between
    two means, with its standard error, is such a row.

    Attributes
    ----------
    matrix : (L, P), outcome : (L,)
        Divided by the noise's standard deviation.
    log_sd : (L,)
        The logarithm of that.
    """

    matrix: ArrayLike
    outcome: ArrayLike
    log_sd: ArrayLike


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
        Further rows that are not in the sums.
    """

    rows: ArrayLike
    xx: ArrayLike
    xy: ArrayLike
    yy: ArrayLike
    log_weight: ArrayLike
    known: PseudoObservations | None = None

    @classmethod
    def over(cls, batches: Iterable[tuple[Array, Array, Array]]) -> Self:
        """Sums over batches of (matrix (n, P), outcome (n,), weights (n,)), in float64."""
        rows, yy, log_weight = 0, 0.0, 0.0
        xx: Array | float = 0.0
        xy: Array | float = 0.0
        for matrix, outcome, weights in batches:
            root = np.sqrt(weights)
            x, y = matrix * root[:, None], outcome * root
            rows += len(y)
            xx = xx + x.T @ x
            xy = xy + x.T @ y
            yy = yy + float(y @ y)
            log_weight = log_weight + float(np.log(weights).sum())
        return cls(float(rows), np.asarray(xx), np.asarray(xy), yy, log_weight)

    def merge(self, other: Self) -> Self:
        """Sums over these rows and others, before known rows join them."""
        pairs = zip(self[:-1], other[:-1], strict=True)
        added: tuple[Any, ...] = tuple(np.add(one, more) for one, more in pairs)
        return type(self)(*added)

    def select(self, columns: NDArray[np.int_]) -> "SufficientStatistics":
        """Sums over some columns of the matrix alone."""
        xx, xy = np.asarray(self.xx), np.asarray(self.xy)
        known = self.known and self.known._replace(matrix=np.asarray(self.known.matrix)[:, columns])
        return self._replace(xx=xx[np.ix_(columns, columns)], xy=xy[columns], known=known)

    def centred_at(self, mean: ArrayLike) -> "SufficientStatistics":
        """Sums of what coefficients of a mean, shape (P,), leave of the outcome; of JAX as well."""
        xx, xy, known = cast(Any, self.xx), cast(Any, self.xy), self.known
        shift = xx @ mean
        if known is not None:
            known = known._replace(outcome=known.outcome - cast(Any, known.matrix) @ mean)
        squares = self.yy - 2 * mean @ xy + mean @ shift
        return self._replace(xy=xy - shift, yy=squares, known=known)

    def padded(self, size: int) -> "SufficientStatistics":
        """The same with columns of zeros, ``size`` in all."""
        more = (0, size - len(np.asarray(self.xy)))
        known = self.known and self.known._replace(matrix=np.pad(self.known.matrix, ((0, 0), more)))
        return self._replace(
            xx=np.pad(self.xx, (more, more)), xy=np.pad(self.xy, more), known=known
        )


class CandidateStatistics(NamedTuple):
    """Weighted sums over rows of further columns Z, those of candidates, beside a model's X.

    Of what candidates are multiplied with each other only each one's own part is there: all of it
    would take time and memory as the square of their number.

    Attributes
    ----------
    sums : SufficientStatistics
        Of X, y and the weights.
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
        """Which of the Q columns are each candidate's."""
        ends = np.cumsum([0, *(len(own) for own in self.own)])
        return [slice(begin, end) for begin, end in pairwise(ends)]

    @classmethod
    def over(
        cls,
        matrix: Array,
        outcome: Array,
        weights: Array,
        sizes: Sequence[int],
        dtype: DTypeLike = np.float32,
        whole: bool = True,
    ) -> Self:
        """Sums over rows of (n, P + Q) columns, of which candidates of ``sizes`` are the last.

        Those of X in float64, the others in ``dtype``. Those of X alone are left out, as nothing,
        unless the sums are to be ``whole``.
        """
        first = matrix.shape[1] - sum(sizes)
        root = np.sqrt(weights)[:, None]
        rounded = (matrix * root).astype(dtype)
        z, y = rounded[:, first:], outcome * root[:, 0]
        ends = np.cumsum(sizes)
        return cls(
            SufficientStatistics.over([(matrix[:, : first * whole], outcome, weights)]),
            (z.T @ rounded[:, :first]).astype(float),
            (z.T @ y.astype(dtype)).astype(float),
            tuple(
                (z[:, end - size : end].T @ z[:, end - size : end]).astype(float)
                for size, end in zip(sizes, ends, strict=True)
            ),
        )

    def of_candidates(self, chosen: Sequence[int]) -> "CandidateStatistics":
        """Sums of some of the candidates alone, in the given order."""
        ranges = [np.arange(len(self.xy))[self.columns[i]] for i in chosen]
        at = np.concatenate([np.zeros(0, dtype=int), *ranges])
        own = tuple(self.own[i] for i in chosen)
        return CandidateStatistics(self.sums, self.cross[at], self.xy[at], own)

    def merge(self, other: Self) -> Self:
        """Sums over these rows and others."""
        return type(self)(
            self.sums.merge(other.sums),
            self.cross + other.cross,
            self.xy + other.xy,
            tuple(np.add(one, more) for one, more in zip(self.own, other.own, strict=True)),
        )
