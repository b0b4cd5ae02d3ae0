"""Distance between values of one action, and to the nearest rows in several."""

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
    """Search for the nearest of some rows, shape (n, inputs).

    Examples
    --------
    >>> Neighbours(np.array([[0.0], [1.0], [5.0]])).distance(np.array([[2.0]]), 2)
    array([2.])
    """

    def __init__(self, rows: Array) -> None:
        # Sorted values need a fraction of the time of a tree.
        self._tree = KDTree(rows) if rows.shape[1] > 1 else None
        self._sorted = np.sort(rows[:, 0])

    def distance(self, points: Array, rank: int) -> Array:
        """Euclidean distance of points, shape (M, inputs), to the ``rank``-th nearest row."""
        if self._tree is not None:
            return np.asarray(self._tree.query(points, k=[rank])[0][:, 0])
        at, count = points[:, 0], len(self._sorted)
        # The nearest rows are within a window of that many on either side.
        first = np.searchsorted(self._sorted, at)[:, None] + np.arange(-rank, rank)
        gaps = np.abs(self._sorted[np.clip(first, 0, count - 1)] - at[:, None])
        gaps[(first < 0) | (first >= count)] = np.inf
        return np.asarray(np.partition(gaps, rank - 1, axis=1)[:, rank - 1])
