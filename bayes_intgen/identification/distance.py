"""Distance between values of one action, and to the nearest rows in several."""

from collections.abc import Sequence
from dataclasses import replace

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
        self._ranks = [min(rank, len(rows)) for rows in regimes]
        # The nearest of a row's neighbours is the row itself.
        own_ranks = [min(rank + 1, len(rows)) for rows in regimes]
        self._rows: list[Array] = []
        self._padded: list[tuple[NDArray[np.intp], Array]] = []
        if regimes[0].shape[1] > 1:
            self._rows = list(regimes)
            self.within = [
                np.sort(_distances_to(rows, rows, own))
                for rows, own in zip(regimes, own_ranks, strict=True)
            ]
            return
        # Sorted values need a fraction of the time of trees, and regimes of similar size share one
        # table: a loop over hundreds of regimes and actions takes longer than the arithmetic.
        values = [np.sort(rows[:, 0]) for rows in regimes]
        self.within = [np.empty(0)] * len(values)
        alike: dict[tuple[int, int], list[int]] = {}
        for i, (own, own_rank) in enumerate(zip(values, own_ranks, strict=True)):
            alike.setdefault((own_rank, len(own).bit_length()), []).append(i)
        for (own_rank, _), members in alike.items():
            size = max(len(values[i]) for i in members)
            padded = np.full((len(members), rank + size + rank), np.inf)
            padded[:, :rank] = -np.inf
            for row, i in zip(padded, members, strict=True):
                row[rank : rank + len(values[i])] = values[i]
            self._padded.append((np.array(members), padded))
            distances = _within(padded[:, rank : rank + size], own_rank)
            for own, i in zip(distances, members, strict=True):
                self.within[i] = own[: len(values[i])]

    def distance(self, points: Array) -> Array:
        """Euclidean distance of points, shape (M, inputs), to each regime, shape (M, regimes)."""
        if self._rows:
            pairs = zip(self._rows, self._ranks, strict=True)
            return np.stack([_distances_to(rows, points, rank) for rows, rank in pairs], axis=1)
        at = points[:, 0]
        out = np.empty((len(self._ranks), len(at)))
        for members, padded in self._padded:
            rank = self._ranks[members[0]]
            first = np.stack([np.searchsorted(row, at) for row in padded])
            # Positions in the table read as one line.
            first += padded.shape[1] * np.arange(len(members))[:, None]
            # The nearest rows are consecutive: some on the left, the rest on the right.
            nearest = np.minimum(padded.take(first + rank - 1) - at, at - padded.take(first - rank))
            for left in range(1, rank):
                before, after = padded.take(first - left), padded.take(first + rank - 1 - left)
                nearest = np.minimum(nearest, np.maximum(at - before, after - at))
            out[members] = nearest
        return out.T

    def radii(self, shares: Sequence[float]) -> Array:
        """Largest distance from each regime whose conformal p value exceeds a share, (regimes,).

        Examples
        --------
        >>> rows = np.arange(10.0)[:, None]
        >>> Neighbours([rows], 1).radii([0.2])
        array([1.])
        """
        out = np.full(len(self.within), np.inf)
        for i, (within, share) in enumerate(zip(self.within, shares, strict=True)):
            # Shares are multiples of 1 / (1 + rows), so the tolerance only allows for rounding.
            as_far = int((share + 1e-9) * (1 + len(within)))
            if as_far > 0:
                out[i] = within[-as_far]
        return out


def _distances_to(rows: Array, points: Array, rank: int) -> Array:
    """Euclidean distance of points, (M, d), to the ``rank``-th nearest of the rows, shape (M,)."""
    if len(points) * len(rows) > MAX_PAIRS:
        return np.asarray(scipy.spatial.KDTree(rows).query(points, k=[rank])[0][:, 0])
    squares = np.zeros((len(points), len(rows)))
    for own, other in zip(points.T, rows.T, strict=True):
        squares += (own[:, None] - other) ** 2
    return np.asarray(np.sqrt(np.partition(squares, rank - 1, axis=1)[:, rank - 1]))


def _within(values: Array, rank: int) -> Array:
    """Sorted distances of sorted values, shape (R, n), to the ``rank``-th nearest in their row.

    Values may be padded at the end with infinities, whose distances come last.
    """
    size = values.shape[1]
    nearest = np.full(values.shape, np.inf)
    for left in range(rank):
        right = rank - 1 - left
        own = slice(left, size - right)
        with np.errstate(invalid="ignore"):
            gaps = np.maximum(
                values[:, own] - values[:, : size - rank + 1],
                values[:, rank - 1 :] - values[:, own],
            )
        nearest[:, own] = np.minimum(nearest[:, own], gaps)
    return np.sort(nearest, axis=1)
