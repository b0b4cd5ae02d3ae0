"""Batches of rows, parallel map and reduce over them, and random samples balanced over regimes."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from functools import reduce
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._progress import bar_of_steps
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories

# Maximum number of rows of a batch, and minimum number that makes up for the work of a thread.
ROWS_PER_BATCH, MIN_ROWS_PER_BATCH = 4096, 1024


class Batched[Batch: Sized](Protocol):
    """Protocol of rows that can be read in batches."""

    def batches(self, rows: int) -> Iterator[Batch]:
        """Yield all rows in consecutive batches of at most ``rows`` rows."""

    def __len__(self) -> int: ...


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


def map_batches[Batch: Sized, T](
    data: Batched[Batch], function: Callable[[Batch], T], label: str, progress: bool
) -> Iterator[T]:
    """Apply a function to each batch in threads and yield the results in order.

    A progress bar with this label counts rows. Threads suffice, since NumPy releases the global
    interpreter lock.
    """
    workers = os.cpu_count() or 1
    waiting: deque[tuple[int, Future[T]]] = deque()
    with (
        ThreadPoolExecutor(workers) as pool,
        bar_of_steps(label, progress, len(data), "rows") as bar,
    ):

        def first() -> T:
            rows, future = waiting.popleft()
            result = future.result()
            bar.update(rows)
            return result

        for batch in data.batches(rows_per_batch(len(data))):
            waiting.append((len(batch), pool.submit(function, batch)))
            if len(waiting) > workers:
                yield first()
        while waiting:
            yield first()


def map_reduce[Batch: Sized, T](
    data: Batched[Batch],
    function: Callable[[Batch], T],
    combine: Callable[[T, T], T],
    label: str,
    progress: bool,
) -> T:
    """Apply a function to each batch and combine the results in the order of the batches."""
    return reduce(combine, map_batches(data, function, label, progress))


def balanced_sample(
    columns: Array,
    regime: NDArray[np.intp],
    categories: Sequence[Categories | None],
    unit: NDArray[np.int_] | None,
    rows: int,
) -> NDArray[np.bool_]:
    """Whether each row is in a sample of about ``rows`` rows, shape (N,).

    The sample contains the rows at the extremes of each column and one row per level.

    Parameters
    ----------
    columns : ndarray, shape (N, K + C)
        Actions and covariates.
    regime : ndarray of int, shape (N,)
        Position of each row's mask.
    categories : sequence of Categories or None, length K + C
    unit : ndarray of int, shape (N,), optional
        Units whose rows are sampled together.
    rows : int

    Examples
    --------
    >>> regime = np.zeros(10, dtype=int)
    >>> balanced_sample(np.arange(10.0)[:, None], regime, [None], None, 4)[[0, 9]]
    array([ True,  True])
    """
    priority = priorities(0, len(columns)) if unit is None else priorities_of_units(unit)
    members = np.split(np.argsort(regime, kind="stable"), np.cumsum(np.bincount(regime))[:-1])
    sampled = np.zeros(len(columns), dtype=bool)
    for own, count in zip(members, even_shares([len(m) for m in members], rows), strict=True):
        sampled[own[np.argsort(priority[own], kind="stable")[:count]]] = True
    for column, levels in zip(columns.T, categories, strict=True):
        sampled[[column.argmin(), column.argmax()]] = True
        if levels is not None:
            codes, first = np.unique(column, return_index=True)
            sampled[first[levels.covers(codes)]] = True
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


def priorities(first_row: int, rows: int) -> Array:
    """Random priorities of consecutive rows, shape (rows,), the same in batches of any size."""
    rng = generator(0, "sample")
    # Each random number is one step of PCG64, NumPy's default.
    cast(np.random.PCG64, rng.bit_generator).advance(first_row)
    return rng.random(rows)


def priorities_of_units(unit: NDArray[np.int_]) -> Array:
    """Random priorities of units, the same for all rows of a unit, shape of ``unit``.

    Examples
    --------
    >>> one, other, same = priorities_of_units(np.array([3, 7, 3]))
    >>> bool(one == same != other)
    True
    """
    return priorities(0, int(unit.max()) + 1)[unit]


def even_shares(counts: Sequence[int], rows: int) -> list[int]:
    """Split a number of rows over regimes, as equally as their sizes ``counts`` allow.

    Examples
    --------
    >>> even_shares([2, 10], 8)
    [2, 6]
    """
    shares = [0] * len(counts)
    smallest_first = sorted(range(len(counts)), key=lambda i: counts[i])
    for remaining, i in zip(range(len(counts), 0, -1), smallest_first, strict=True):
        shares[i] = min(counts[i], rows // remaining)
        rows -= shares[i]
    return shares
