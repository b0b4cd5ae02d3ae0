"""Parallel work on consecutive pieces, a few at a time."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor


def in_threads[S, T](function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    """Apply a function to items in threads, and yield the results in order.

    Like ``map``, but the next items are read while the function runs, one more than there are
    processors at most. Threads suffice where the function releases the global interpreter lock, as
    NumPy and Arrow do. They have ended when the iterator is exhausted or closed.

    Examples
    --------
    >>> list(in_threads(abs, [-2, 1]))
    [2, 1]
    """
    workers = os.cpu_count() or 1
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
