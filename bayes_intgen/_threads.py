"""Threads: parallel work on consecutive pieces, and a single one for BLAS meanwhile."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Lock

from threadpoolctl import ThreadpoolController


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


class _SingleThread(AbstractContextManager[None]):
    """One thread for BLAS while any of several overlapping computations runs.

    The limit holds for the whole process: overlapping limits would restore each other's.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                # Looking for the libraries takes milliseconds: once suffices.
                self._libraries = ThreadpoolController()
                self._release_control()
                self._limits = self._libraries.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._release_control()
                self._limits.restore_original_limits()
                self._release_control()

    def _release_control(self) -> None:
        """Let this thread set the limit, which threadpoolctl reserves to the first that did."""
        for library in self._libraries.lib_controllers:
            if clear := getattr(library, "clear_controlling_thread", None):
                clear(force=True)


_SINGLE_THREAD = _SingleThread()


def single_blas_thread() -> AbstractContextManager[None]:
    """Limit BLAS to one thread, in all threads of the process, until the last user has finished.

    Examples
    --------
    >>> with single_blas_thread():
    ...     product = np.ones((2, 2)) @ np.ones((2, 2))
    """
    return _SINGLE_THREAD
