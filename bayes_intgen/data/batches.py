"""Sizes of batches of rows, and random samples of rows that are balanced over regimes."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.identification.regimes import Mask

# Maximum number of rows of a batch, and minimum number that makes up for the work of a thread.
ROWS_PER_BATCH, MIN_ROWS_PER_BATCH = 4096, 1024


def rows_per_batch(rows: int) -> int:
    """Size of batches such that an even number of them, nearly equal, make up all rows.

    The size does not depend on the number of processors, on which sums would depend too.

    Examples
    --------
    >>> [rows_per_batch(rows) for rows in (1_500, 3_000, 12_000, 1_000_000)]
    [1500, 1500, 3000, 4066]
    """
    if rows < 2 * MIN_ROWS_PER_BATCH:
        return max(rows, 1)
    return math.ceil(rows / (2 * math.ceil(rows / (2 * ROWS_PER_BATCH))))


def balanced_sample(
    columns: Array,
    regime: NDArray[np.intp],
    categories: Sequence[Categories | None],
    priority: Array,
    shares: Sequence[int],
) -> NDArray[np.bool_]:
    """Whether each row is in a sample with a share of each regime, shape (N,).

    The sample also contains the first rows at the extremes of each column and at each level.

    Parameters
    ----------
    columns : ndarray, shape (N, K + C)
        Actions and covariates.
    regime : ndarray of int, shape (N,)
        Position of each row's mask.
    categories : sequence of Categories or None, length K + C
    priority : ndarray, shape (N,)
        Rows of smallest priority are sampled; those of a unit, which share one, together.
    shares : sequence of int
        Number of rows of each regime.

    Examples
    --------
    >>> regime, priority = np.zeros(10, dtype=int), np.arange(10)[::-1]
    >>> np.flatnonzero(balanced_sample(np.arange(10.0)[:, None], regime, [None], priority, [2]))
    array([0, 8, 9])
    """
    members = np.split(np.argsort(regime, kind="stable"), np.cumsum(np.bincount(regime))[:-1])
    sampled = np.zeros(len(columns), dtype=bool)
    for rows, count in zip(members, shares, strict=True):
        sampled[rows[np.argsort(priority[rows], kind="stable")[:count]]] = True
    for column, levels in zip(columns.T, categories, strict=True):
        sampled[[column.argmin(), column.argmax()]] = True
        for code in () if levels is None else levels.codes:
            at_level = column == code
            # No change where the level does not occur, and the position is 0.
            sampled[at_level.argmax()] |= at_level.any()
    return sampled


def random_rows(count: int, most: int) -> slice | NDArray[np.intp]:
    """Positions of about ``most`` of ``count`` rows, in order; of all if there are no more.

    Takes time in proportion to ``most``, unlike a balanced sample.

    Examples
    --------
    >>> random_rows(10, 20), len(random_rows(10**9, 20))
    (slice(None, None, None), 20)
    """
    if count <= most:
        return slice(None)
    return np.unique(generator(0, "sample").integers(count, size=most))


def batch_ends(unit: NDArray[np.int_] | None, count: int, rows: int) -> list[int]:
    """Ends of consecutive batches of about ``rows`` rows that do not divide runs of a unit.

    Examples
    --------
    >>> batch_ends(None, 5, 2)
    [0, 2, 4, 5]
    >>> batch_ends(np.array([0, 0, 0, 1, 1]), 5, 2)
    [0, 3, 5]
    """
    ends = list(range(0, count, rows))
    if unit is not None:
        starts = np.concatenate([[0], np.flatnonzero(np.diff(unit)) + 1, [count]])
        ends = np.unique(starts[np.searchsorted(starts, ends)]).tolist()
    return [*ends, count] if ends[-1] < count else ends


def priorities(numbers: NDArray[np.int_]) -> Array:
    """Random priorities of rows or units by their numbers, shape of ``numbers``.

    Examples
    --------
    >>> one, other, same = priorities(np.array([3, 7, 3]))
    >>> bool(one == same != other)
    True
    """
    rng, first = generator(0, "sample"), int(numbers.min())
    # Each random number is one step of PCG64, NumPy's default.
    cast(np.random.PCG64, rng.bit_generator).advance(first)
    return rng.random(int(numbers.max()) - first + 1)[numbers - first]


def even_shares(counts: Mapping[Mask, int], rows: int) -> dict[Mask, int]:
    """Split a number of rows over regimes, as equally as their sizes ``counts`` allow.

    Examples
    --------
    >>> even_shares({(False,): 10, (True,): 2}, 8)
    {(True,): 2, (False,): 6}
    """
    shares = {}
    smallest_first = sorted(counts, key=lambda mask: (counts[mask], mask))
    for remaining, mask in zip(range(len(counts), 0, -1), smallest_first, strict=True):
        shares[mask] = min(counts[mask], rows // remaining)
        rows -= shares[mask]
    return shares
