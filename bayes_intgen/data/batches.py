"""Parallel map and reduce over batches of rows."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from functools import reduce
from typing import Protocol

from bayes_intgen._progress import bar_of_steps

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
