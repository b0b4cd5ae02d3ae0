"""Coordinate of an action: robust standardisation with an arcsinh or logarithmic transform."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array

# Minimum gap, in transformed units, that separates outliers at one end from the other values.
FAR_GAP = 6.0
# Maximum number of outliers at one end. The range of a basis leaves them out.
MAX_FAR_CELLS = 3
# Maximum share of the values that outliers at one end are.
MAX_FAR_SHARE = 0.01
# Share of the spread that is added to an action that starts at zero before its logarithm is taken:
# curves such as dose responses rise steeply from zero and are smooth on that scale. A larger
# share biases changes from zero towards zero (rms z 1.27 and 1.20 at 0.15, over ten Emax and ten
# Hill worlds; 1.14 and 1.03 at 0.05).
EDGE = 0.05
# Minimum number of distinct values for a logarithmic scale; with fewer, equal steps stay equal.
MIN_DISTINCT = 7


@dataclass(frozen=True)
class Coordinate:
    """Transform of an action to the scale on which basis functions are evaluated.

    Attributes
    ----------
    centre, spread : float
        Median and normal-consistent interquartile range of the action over all rows, in its
        units; see :func:`balanced_quantiles`.
    low, high : float
        The observed range without outliers, in the action's units. Values outside are
        clipped to it.
    squash : float
        Distance from the centre, in spreads, at which the transform becomes logarithmic.
    edge : float
        For an action that starts at zero, the value, in its units, above which the transform
        becomes logarithmic; 0 for other actions.

    Notes
    -----
    Without an edge ``z = squash * arcsinh((a - centre) / (spread * squash))``, which is nearly
    linear within a few spreads and logarithmic beyond, so that a basis does not waste functions
    on a tail of twenty standard deviations. With an edge ``z = log(1 + (a - low) / edge)``,
    shifted to zero at ``centre`` and divided by its change over one spread around it.

    Examples
    --------
    >>> Coordinate.of(np.linspace(-1.0, 1.0, 201)).ends[1] < 1.5
    True
    """

    centre: float
    spread: float
    low: float
    high: float
    squash: float = 4.0
    edge: float = 0.0

    @classmethod
    def of(cls, values: Array) -> Self:
        """Estimate the coordinate of an action from its values, shape (n,)."""
        distinct, counts = np.unique(values, return_counts=True)
        lower, centre, upper = balanced_quantiles(distinct, counts, (0.25, 0.5, 0.75))
        # Rows that will join others may all have one value.
        spread = (upper - lower) / 1.349 or 1.0
        whole = cls(centre, spread, float(distinct[0]), float(distinct[-1]))
        z = whole.transform(distinct)
        low = float(distinct[_far_at_start(z, counts)])
        high = float(distinct[::-1][_far_at_start(z[::-1], counts[::-1])])
        starts_at_zero = 0 <= low < spread / 2 and len(distinct) >= MIN_DISTINCT
        return replace(whole, low=low, high=high, edge=EDGE * spread * starts_at_zero)

    def standardise(self, values: Array) -> Array:
        """Standardise values, without transform or clipping."""
        return (values - self.centre) / self.spread

    def beyond_gaps(self, values: Array) -> NDArray[np.bool_]:
        """Whether values are far from all others, though perhaps too many to be outliers.

        Examples
        --------
        >>> values = np.append(np.arange(98.0), [7e3, 8e3])
        >>> int(Coordinate.of(values).beyond_gaps(values).sum())
        2
        """
        distinct, counts = np.unique(values, return_counts=True)
        z = replace(self, edge=0.0).transform(distinct)
        first, last = _far_at_start(z, counts, 1.0), _far_at_start(z[::-1], counts[::-1], 1.0)
        return np.asarray((values < distinct[first]) | (values > distinct[::-1][last]))

    def __call__(self, values: Array) -> Array:
        """Transform values after clipping them to the observed range."""
        return self.transform(np.clip(values, self.low, self.high))

    def transform(self, values: Array) -> Array:
        """Transform values without clipping."""
        if self.edge:
            middle, unit = self._along_edge
            return np.asarray((self._log(values) - middle) / unit)
        return np.asarray(self.squash * np.arcsinh(self.standardise(values) / self.squash))

    def distance_outside(self, values: Array) -> Array:
        """Distance of values from the observed range, after the transform.

        Below an edge, where the logarithm is constant, distance grows with its slope at the edge.

        Examples
        --------
        >>> coordinate = Coordinate(centre=0.0, spread=1.0, low=-1.0, high=1.0)
        >>> coordinate.distance_outside(np.array([-1.5, 0.3])).round(2)
        array([0.48, 0.  ])
        """
        distance = np.abs(self.transform(values) - self(values))
        if self.edge:
            _, unit = self._along_edge
            distance += np.maximum(self.low - values, 0) / (self.edge * unit)
        return np.asarray(distance)

    def inverse_transform(self, z: Array) -> Array:
        """Invert :meth:`transform`."""
        if self.edge:
            middle, unit = self._along_edge
            return np.asarray(self.low + self.edge * np.expm1(middle + unit * z))
        return np.asarray(self.centre + self.spread * self.squash * np.sinh(z / self.squash))

    @property
    def ends(self) -> tuple[float, float]:
        """Transformed ends of the observed range."""
        low, high = self(np.array([self.low, self.high]))
        return float(low), float(high)

    def _log(self, values: Array) -> Array:
        return np.asarray(np.log1p(np.maximum(values - self.low, 0) / self.edge))

    @cached_property
    def _along_edge(self) -> tuple[float, float]:
        """Logarithm at the centre, and its change over one spread around it."""
        around = self.centre + self.spread * np.array([-0.5, 0.0, 0.5])
        before, middle, after = self._log(around)
        return float(middle), float(after - before)


def balanced_quantiles(
    distinct: Array, counts: NDArray[np.int_], shares: Sequence[float]
) -> tuple[float, ...]:
    """Compute quantiles in which the weight of each value is capped at that of all others together.

    With an atom, such as a budget that is mostly zero, the interquartile range neither vanishes
    nor jumps, since the quantiles are continuous in the counts.

    Examples
    --------
    >>> balanced_quantiles(np.array([0.0, 1.0]), np.array([990, 10]), [0.25, 0.75])
    (0.0, 1.0)
    """
    weights = np.minimum(counts, counts.sum() - counts) if len(counts) > 1 else counts
    middles = np.cumsum(weights) - weights / 2
    return tuple(np.interp(shares, middles / weights.sum(), distinct).tolist())


def interval_and_share(values: Array, points: Array) -> tuple[NDArray[np.intp], Array]:
    """Position of the point before each value, and its share of the way to the next one.

    Values beyond the rising points are those at their ends.

    Examples
    --------
    >>> interval_and_share(np.array([0.25, 3.0]), np.array([0.0, 1.0, 2.0]))
    (array([0, 1]), array([0.25, 1.  ]))
    """
    before = np.clip(np.searchsorted(points, values, "right") - 1, 0, len(points) - 2)
    share = (values - points[before]) / (points[before + 1] - points[before])
    return before, np.clip(share, 0, 1)


def _far_at_start(z: Array, counts: NDArray[np.int_], share: float = MAX_FAR_SHARE) -> int:
    """Number of outliers among distinct values, transformed and from one end to the other."""
    # No more values can be outliers.
    gaps = np.abs(np.diff(z[: MAX_FAR_CELLS + 1]))
    cells = np.cumsum(counts[: len(gaps)])
    far = np.flatnonzero((gaps > FAR_GAP) & (cells <= min(MAX_FAR_CELLS, share * counts.sum())))
    return int(far[-1]) + 1 if far.size else 0
