"""Distance between values of one action, and to the nearest rows in several."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.coordinate import Coordinate

# Onset of the logarithmic scale of an action that starts at zero, as a share of its spread. The
# onset in a fit is closer to zero, and would place large values too near to each other.
DISTANCE_EDGE = 0.15
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
        self._ranks = [min(rank, len(rows)) for rows in regimes]
        # The nearest of a row's neighbours is the row itself.
        own_ranks = [min(rank + 1, len(rows)) for rows in regimes]
        self._trees: list[KDTree] = []
        self._padded: list[Array] = []
        if regimes[0].shape[1] > 1:
            self._trees = [KDTree(rows) for rows in regimes]
            self.within = [
                np.sort(tree.query(tree.data, k=[own])[0][:, 0])
                for tree, own in zip(self._trees, own_ranks, strict=True)
            ]
            return
        # Sorted values need a fraction of the time of trees.
        beyond = np.full(rank, np.inf)
        values = [np.sort(rows[:, 0]) for rows in regimes]
        self._padded = [np.concatenate([-beyond, own, beyond]) for own in values]
        self.within = [np.empty(0)] * len(values)
        for size in {len(own) for own in values}:
            alike = [i for i, own in enumerate(values) if len(own) == size]
            distances = _within(np.stack([values[i] for i in alike]), min(rank + 1, size))
            for i, own in zip(alike, distances, strict=True):
                self.within[i] = own

    def distance(self, points: Array) -> Array:
        """Euclidean distance of points, shape (M, inputs), to each regime, shape (M, regimes)."""
        if self._trees:
            pairs = zip(self._trees, self._ranks, strict=True)
            return np.stack([tree.query(points, k=[rank])[0][:, 0] for tree, rank in pairs], 1)
        at = points[:, 0]
        out = np.empty((len(self._padded), len(at)))
        for i, (padded, rank) in enumerate(zip(self._padded, self._ranks, strict=True)):
            first = np.searchsorted(padded, at)
            # The nearest rows are consecutive: some on the left, the rest on the right.
            nearest = np.minimum(padded[first + rank - 1] - at, at - padded[first - rank])
            for left in range(1, rank):
                ends = (at - padded[first - left], padded[first + rank - 1 - left] - at)
                nearest = np.minimum(nearest, np.maximum(*ends))
            out[i] = nearest
        return out.T


def _within(values: Array, rank: int) -> Array:
    """Sorted distances of sorted values, shape (R, n), to the ``rank``-th nearest in their row."""
    size = values.shape[1]
    nearest = np.full(values.shape, np.inf)
    for left in range(rank):
        right = rank - 1 - left
        own = slice(left, size - right)
        gaps = np.maximum(
            values[:, own] - values[:, : size - rank + 1], values[:, rank - 1 :] - values[:, own]
        )
        nearest[:, own] = np.minimum(nearest[:, own], gaps)
    return np.sort(nearest, axis=1)
