"""Integration of random effects out of sufficient statistics (Laird and Ware 1982).

With the effects of group g, b_g ~ N(0, noise_sd^2 D), and weights W, the outcomes have covariance
noise_sd^2 (W^-1 + Z D Z'). Its inverse is W - W Z (D^-1 + Z'WZ)^-1 Z'W, so that sums per group
suffice.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics


class GroupSums(NamedTuple):
    """Weighted sums over the rows of each group.

    Attributes
    ----------
    codes : ndarray of int, shape (G,)
        Groups, in ascending order.
    zz : ndarray, shape (G, q, q)
        Z'WZ of each group.
    zx : ndarray, shape (G, q, P)
        Z'WX of each group.
    zy : ndarray, shape (G, q)
        Z'Wy of each group.
    """

    codes: NDArray[np.int_]
    zz: Array
    zx: Array
    zy: Array

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
        return cls(distinct, sums[..., :count], sums[..., count:-1], sums[..., -1])

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

    def half(self, ratio: Array) -> tuple[Array, float]:
        """Whitened sums, (G, q, P + 1), and the log determinant of I + D Z'WZ over all groups.

        The products of the whitened sums are those that integration subtracts from [X y]'W[X y].
        """
        count = len(ratio)
        precision = self.zz + np.diag(1 / ratio)
        factor = np.linalg.cholesky(precision)
        sums = np.concatenate([self.zx, self.zy[..., None]], axis=-1)
        diagonal = np.diagonal(factor, axis1=1, axis2=2)
        log_det = 2 * float(np.log(diagonal).sum()) + len(self.codes) * float(np.log(ratio).sum())
        half = sums / factor if count == 1 else np.linalg.solve(factor, sums)
        return half, log_det

    def integrate(self, statistics: SufficientStatistics, ratio: Array) -> SufficientStatistics:
        """Integrate the effects of these groups out of the statistics of their rows.

        Parameters
        ----------
        statistics : SufficientStatistics
        ratio : ndarray, shape (q,)
            Variances of the effects, over that of the noise.
        """
        half, log_det = self.half(ratio)
        flat = half.reshape(-1, half.shape[-1])
        products = flat.T @ flat
        return statistics._replace(
            xx=np.asarray(statistics.xx) - products[:-1, :-1],
            xy=np.asarray(statistics.xy) - products[:-1, -1],
            yy=float(np.asarray(statistics.yy)) - float(products[-1, -1]),
            log_weight=float(np.asarray(statistics.log_weight)) - log_det,
        )
