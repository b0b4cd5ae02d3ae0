"""Distance between values of one action, and to the nearest rows in several; values near rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import scipy
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.coordinate import Coordinate

# Onset of the logarithmic scale of an action that starts at zero, as a share of its spread. The
# onset in a fit is closer to zero, and would place large values too near to each other.
DISTANCE_EDGE = 0.15
# Maximum number of pairs of points and rows without a tree, whose library takes a tenth of a second
# to import.
MAX_PAIRS = 500_000
# Substitute for the infinite distance between unordered levels: differences of infinities are NaN.
INFINITE = 1e9


def placed(coordinate: Coordinate, levels: Categories | None, values: Array) -> Array:
    """Positions of an action's values on a line, whose differences define all distances.

    Unordered levels are so far apart that no two are near each other.
    """
    if levels is None or levels.ordered:
        if coordinate.edge:
            coordinate = replace(coordinate, edge=DISTANCE_EDGE * coordinate.spread)
        return coordinate.transform(values)
    return np.asarray(INFINITE * np.searchsorted(levels.codes, values))


class Neighbours:
    """Search for the nearest rows of each of several regimes.

    Parameters
    ----------
    regimes : sequence of ndarray, each of shape (n, inputs)
    rank : int
        Rank of the neighbour to which distances are measured; the last one if there are fewer rows.

    Attributes
    ----------
    within : list of ndarray, each of shape (n,)
        Sorted distances between the rows of each regime: from each row to its ``rank``-th other.

    Examples
    --------
    >>> neighbours = Neighbours([np.array([[0.0], [1.0], [5.0]])], 2)
    >>> neighbours.distance(np.array([[2.0]])), neighbours.within
    (array([[2.]]), [array([4., 5., 5.])])
    """

    def __init__(self, regimes: Sequence[Array], rank: int) -> None:
        # Sorted values need a fraction of the time of trees.
        self._regimes = [np.sort(rows, axis=0) if rows.shape[1] == 1 else rows for rows in regimes]
        self._rank = rank
        # The nearest of a row's neighbours is the row itself.
        self.within = [np.sort(_distances(rows, rows, rank + 1)) for rows in self._regimes]

    def reach(self, share: float, least: float) -> Array:
        """Distance up to which points are near each regime, shape (regimes,).

        At least ``least``; otherwise the largest with a conformal p value above ``share``, or above
        the smallest p value if the regime has too few rows for that.
        """
        out = []
        for within in self.within:
            size = 1 + len(within)
            # The tolerance only allows for rounding of multiples of 1 / size.
            as_far = int(max(share * size, 1.0) + 1e-9 * size)
            # No row at another unordered level is near.
            out.append(min(max(least, within[len(within) - as_far]), INFINITE / 2))
        return np.array(out)

    def stretches(self, reach: Array) -> "Stretches":
        """Positions of a single action within the reach of each regime."""
        ends = []
        for rows, most in zip((own[:, 0] for own in self._regimes), reach, strict=True):
            rank = min(self._rank, len(rows))
            first, last = rows[rank - 1 :] - most, rows[: len(rows) - rank + 1] + most
            near = first <= last
            ends.append((first[near], last[near]))
        return Stretches.of(ends)

    def distance(self, points: Array) -> Array:
        """Euclidean distance of points, shape (M, inputs), to each regime, shape (M, regimes)."""
        return np.stack([_distances(rows, points, self._rank) for rows in self._regimes], axis=1)


def _distances(rows: Array, points: Array, rank: int) -> Array:
    """Euclidean distance of points, (M, d), to the ``rank``-th nearest of the rows, shape (M,).

    To the farthest one if there are fewer rows. Rows with a single coordinate must be sorted.
    """
    rank = min(rank, len(rows))
    if rows.shape[1] == 1:
        return _distances_on_line(rows[:, 0], points[:, 0], rank)
    if len(points) * len(rows) > MAX_PAIRS:
        return np.asarray(scipy.spatial.KDTree(rows).query(points, k=[rank])[0][:, 0])
    squares = np.zeros((len(points), len(rows)))
    for own, other in zip(points.T, rows.T, strict=True):
        squares += (own[:, None] - other) ** 2
    return np.asarray(np.sqrt(np.partition(squares, rank - 1, axis=1)[:, rank - 1]))


def _distances_on_line(rows: Array, points: Array, rank: int) -> Array:
    # The nearest rows are consecutive, with the point between two of them or at one end.
    padded = np.pad(rows, rank, constant_values=(-np.inf, np.inf))
    first = np.searchsorted(rows, points)[:, None] + np.arange(rank + 1)
    before, after = points[:, None] - padded[first], padded[first + rank - 1] - points[:, None]
    return np.asarray(np.maximum(before, after).min(axis=1))


@dataclass(frozen=True, eq=False)
class Stretches:
    """Intervals of a line for each of several regimes, looked up for all regimes at once.

    Attributes
    ----------
    edges : ndarray, shape (n,)
        Ends of the intervals of all regimes, ascending.
    inside : ndarray of bool, shape (2 n + 1, regimes)
        Before the first edge, at it, between it and the second, at that, and so on.
    """

    edges: Array
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, ends: Sequence[tuple[Array, Array]]) -> Self:
        """From the first and the last values of the intervals of each regime, both ascending.

        Examples
        --------
        >>> Stretches.of([(np.array([0.0, 1.0]), np.array([2.0, 3.0]))]).edges
        array([0., 3.])
        """
        joined = []
        for first, last in ends:
            gap = first[1:] > last[:-1]
            begins = np.concatenate([first[:1], first[1:][gap]])
            joined.append((begins, np.concatenate([last[:-1][gap], last[-1:]])))
        edges = np.unique(np.concatenate([own for pair in joined for own in pair]))
        inside = np.zeros((2 * len(edges) + 1, len(ends)), dtype=bool)
        for regime, pair in enumerate(joined):
            for begin, end in zip(*(np.searchsorted(edges, own) for own in pair), strict=True):
                inside[2 * begin + 1 : 2 * end + 2, regime] = True
        return cls(edges, inside)

    def __call__(self, values: Array) -> NDArray[np.bool_]:
        """Whether values, shape (M,), are inside, shape (M, regimes)."""
        at = np.searchsorted(self.edges, values) + np.searchsorted(self.edges, values, "right")
        return np.asarray(self.inside[at])
