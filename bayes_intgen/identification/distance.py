"""Distance between values of one action, and from the nearest of rows that represent many."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.special

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.coordinate import Coordinate

# Onset of the logarithmic scale of an action that starts at zero, as a share of its spread. The
# onset in a fit is closer to zero, and would place large values too near to each other.
DISTANCE_EDGE = 0.15
# Distance up to which a row is near in a single action: a third of the shortest lengthscale that a
# basis resolves, so a gap between two levels of an experiment counts as covered.
NEAR = 0.25
# Share of a standard normal distribution beyond the points that determine what is near in several
# actions, and its share that is near to them. With half of it, 100 rows per experiment of ten
# actions may support no plan at all.
OUTSIDE_SHARE, NEAR_SHARE = 0.01, 0.004
# Number of rows of a regime with which points are compared at a time, and of pairs of both.
BLOCK_ROWS, PAIRS_AT_ONCE = 100, 30_000
# Substitute for the infinite distance between unordered levels: differences of infinities are NaN.
INFINITE = 1e9


def placed(coordinate: Coordinate, levels: Categories | None, values: Array) -> Array:
    """Positions of an action's values on a line, whose differences define all distances.

    Unordered levels are so far apart that none is near another in a single action.
    """
    if levels is None or levels.ordered:
        if coordinate.edge:
            coordinate = replace(coordinate, edge=DISTANCE_EDGE * coordinate.spread)
        return coordinate.transform(values)
    return np.asarray(INFINITE * np.searchsorted(levels.codes, values))


def apart(coordinate: Coordinate, levels: Categories | None, values: Array) -> Array:
    """As :func:`placed`, but each level is near itself only; values between levels near none.

    Examples
    --------
    >>> doses = Categories.of_numbers([0.0, 0.1, 5.0])
    >>> apart(Coordinate.of(np.arange(3.0)), doses, np.array([0.0, 0.1, 3.0]))
    array([0. , 1. , 1.5])
    """
    if levels is None:
        return placed(coordinate, None, values)
    sides = (np.searchsorted(levels.codes, values, side) for side in ("left", "right"))
    return np.asarray((sum(sides) - 1) / 2)


def radius(inputs: int) -> float:
    """Distance up to which a row is near a point, in that many actions.

    It depends on scales only, so that rows never take away what other rows are near to. Among 250
    standard normal rows about one is that near to a point at the edge of 99% of them.

    Examples
    --------
    >>> [round(radius(inputs), 2) for inputs in (1, 2, 10)]
    [0.25, 0.73, 3.3]
    """
    edge = scipy.special.chdtri(inputs, OUTSIDE_SHARE)
    return max(NEAR, float(np.sqrt(scipy.special.chndtrix(NEAR_SHARE, inputs, edge))))


def step_of_levels(count: int) -> float:
    """Distance between any two of some levels that as many rows share, with a variance of one.

    Examples
    --------
    >>> round(step_of_levels(2), 2), round(step_of_levels(3), 2)
    (2.0, 1.73)
    """
    return float(np.sqrt(2 * count / max(1, count - 1)))


def nearest(
    regimes: Sequence[Array],
    points: Array,
    within: float = 0.0,
    steps: Sequence[float | None] | None = None,
) -> Array:
    """Euclidean distance of points, shape (M, d), from the nearest row of each regime.

    Parameters
    ----------
    regimes : sequence of ndarray, each (n, d)
        Rows. NaN is a level of its own, as in the points.
    points : ndarray, shape (M, d)
    within : float
        A distance that is not improved upon.
    steps : sequence of float or None, length d, optional
        Distances between any two levels of a coordinate that has them.

    Returns
    -------
    ndarray, shape (M, number of regimes)

    Examples
    --------
    >>> nearest([np.array([[0.0], [1.0]]), np.array([[5.0]])], np.array([[2.0]]))
    array([[1., 3.]])
    """
    # With few points most of the time is that of calls.
    count = max(1, PAIRS_AT_ONCE // (BLOCK_ROWS * max(1, len(points))))
    if len(regimes) > count:
        parts = (regimes[i : i + count] for i in range(0, len(regimes), count))
        return np.concatenate([nearest(own, points, within, steps) for own in parts], axis=1)
    steps = [None] * points.shape[1] if steps is None else steps
    out, sizes = np.full((len(points), len(regimes)), np.inf), np.array([*map(len, regimes)])
    start = 0
    while (away := (out > within) & (sizes > start)).any():
        left, farther = np.flatnonzero(away.any(axis=1)), np.flatnonzero(away.any(axis=0))
        rows = [regimes[i][start : start + BLOCK_ROWS] for i in farther.tolist()]
        squares = np.zeros((len(left), sum(map(len, rows))))
        for own, other, step in zip(points[left].T, np.concatenate(rows).T, steps, strict=True):
            gaps = own[:, None] - other
            at, others = np.isnan(own), np.isnan(other)
            if at.any() or others.any():
                gaps = np.where(np.isnan(gaps), step_of_levels(2) * (at[:, None] != others), gaps)
            squares += gaps**2 if step is None else np.where(np.abs(gaps) <= NEAR, 0.0, step**2)
        first = np.cumsum([0, *map(len, rows[:-1])])
        found = np.sqrt(np.minimum.reduceat(squares, first, axis=1))
        out[np.ix_(left, farther)] = np.minimum(out[np.ix_(left, farther)], found)
        start += BLOCK_ROWS
    return out


def stretches(values: Array, positions: Array, gap: float) -> tuple[Array, Array]:
    """First and last of the values of each stretch without a wide gap.

    Parameters
    ----------
    values : ndarray, shape (n,)
        In increasing order.
    positions : ndarray, shape (n,)
        Those of the values on the line on which gaps are measured.
    gap : float

    Examples
    --------
    >>> values = np.array([1.0, 2.0, 7.0])
    >>> stretches(values, values, 3.0)
    (array([1., 7.]), array([2., 7.]))
    """
    wide = np.diff(positions) > gap
    return (
        np.concatenate([values[:1], values[1:][wide]]),
        np.concatenate([values[:-1][wide], values[-1:]]),
    )


def distinct_rows(values: Array) -> Array:
    """Rows without repetitions, in the order in which they occur first, shape (n, K).

    Examples
    --------
    >>> distinct_rows(np.array([[2.0], [1.0], [2.0]]))
    array([[2.],
           [1.]])
    """
    # Imported where there are rows: the help of the command line needs no tables.
    import pandas as pd

    # Hashing takes a fraction of the time of sorting rows, and does not round them as sums would.
    # Adding zero removes the sign of negative zeros.
    hashes = pd.util.hash_pandas_object(pd.DataFrame(values + 0.0), index=False)
    return np.asarray(values[~hashes.duplicated().to_numpy()])


def first_rows(rows: Array, size: int) -> Array:
    """Rows that represent many, among them all that represent the first ones of these.

    They are all rows that Algorithm R of Vitter (1985) ever takes into a reservoir: the i-th row
    with probability ``size / i``.

    Examples
    --------
    >>> rows = np.arange(10_000.0)[:, None]
    >>> first, longer = first_rows(rows[:1000], 50), first_rows(rows, 50)
    >>> len(first), len(longer), np.isin(first, longer).all()
    (208, 326, np.True_)
    """
    luck = generator(0, "support").random(len(rows))
    return np.asarray(rows[luck * np.arange(1, len(rows) + 1) <= size])
