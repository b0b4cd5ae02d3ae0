"""Work that takes long: in threads, with a single one for BLAS meanwhile, and its progress.

Progress goes to standard error: bars on a terminal or in a notebook, one line per stage elsewhere.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

# Format of a bar of an estimated share, whose count would mean nothing.
SHARE = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"

# Counts further steps, by default one.
Count = Callable[..., object]


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
            # Messages are in the words of the interface in use.
            waiting.append(pool.submit(copy_context().run, function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _SingleThread:
    """Limit of BLAS to one thread, which the first of its users sets and the last one lifts.

    It holds for the whole process: limits that overlap would restore each other's.
    """

    def __init__(self) -> None:
        self._lock, self._users = Lock(), 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Limit BLAS to one thread in all threads of the process.

        Examples
        --------
        >>> with single_blas_thread():
        ...     product = np.ones((2, 2)) @ np.ones((2, 2))
        """
        with self._lock:
            if not self._users:
                # Looking for the libraries takes milliseconds: once suffices.
                self._libraries = ThreadpoolController()
                self._release_control()
                self._limits = self._libraries.limit(limits=1, user_api="blas")
            self._users += 1
        try:
            yield
        finally:
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


single_blas_thread = _SingleThread()


@contextmanager
def stage(
    label: str, show: bool, unit: str = "", total: int | None = None, logged: bool = True
) -> Iterator[Count]:
    """Report a stage: its label while it runs, with a count of units or, in a log, its duration.

    What is not ``logged`` is a part of another stage, and shown on a terminal or in a notebook
    only.

    Examples
    --------
    >>> with stage("Reading", show=False, unit="rows") as count:
    ...     count(1000)
    """
    if show and _interactive():
        # Imported where a bar is drawn.
        from tqdm.auto import tqdm

        form = None if unit else "{desc}"
        own = {"unit": f" {unit}", "unit_scale": True, "bar_format": form, "leave": False}
        with tqdm(desc=label, total=total, **own) as bar:
            yield bar.update
    elif show and logged:
        # One write, which a message of another thread cannot split.
        print(f"{label} ... ", end="", file=sys.stderr, flush=True)
        began, end = time.monotonic(), "stopped"
        try:
            yield _nowhere
            end = f"{time.monotonic() - began:.1f} s"
        finally:
            print(end, file=sys.stderr, flush=True)
    else:
        yield _nowhere


def _nowhere(steps: int = 1) -> None:
    """Count steps that no bar shows."""


class Share:
    """Bar of the share of a stage that is done, if the number of its steps is an estimate.

    If the estimate grows, the bar waits instead of running backwards.

    Parameters
    ----------
    expected : float
        First estimate of the number of steps.
    bar : tqdm, optional
        Shown as a percentage; None for none.

    Examples
    --------
    >>> share = Share(expected=100)
    >>> share.update(50)
    >>> share.expect(400)
    >>> share.update(50)
    >>> share.value
    0.5
    >>> share.update(440)
    >>> share.value
    1.0
    """

    def __init__(self, expected: float, bar: Any = None) -> None:
        self.expected, self.steps, self.value = expected, 0, 0.0
        self._bar, self._lock = bar, Lock()

    def expect(self, steps: float, note: str = "") -> None:
        """Change the estimate of the number of steps, and the note after the bar."""
        self.expected = steps
        if self._bar is not None and note:
            self._bar.set_postfix_str(note)

    def update(self, steps: int) -> None:
        """Count more steps; chains do so from their own threads."""
        with self._lock:
            self.steps += steps
            self.value = max(self.value, min(self.steps / self.expected, 1.0))
            if self._bar is not None:
                self._bar.update(100 * self.value - self._bar.n)


@contextmanager
def share_of_stage(label: str, show: bool, expected: float, leave: bool = False) -> Iterator[Share]:
    """Report a stage with a bar of the share that is done, which stays at the end if asked to."""
    if show and _interactive():
        from tqdm.auto import tqdm

        with tqdm(desc=label, total=100, bar_format=SHARE, leave=leave) as bar:
            yield Share(expected, bar)
            bar.update(100 - bar.n)
    else:
        with stage(label, show):
            yield Share(expected)


def _interactive() -> bool:
    """Whether a bar can be drawn: on a terminal, or by the widgets of a notebook."""
    from tqdm.asyncio import tqdm_asyncio
    from tqdm.auto import tqdm

    in_notebook = tqdm is not tqdm_asyncio
    return in_notebook or (sys.stderr is not None and sys.stderr.isatty())
