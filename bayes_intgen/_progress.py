"""Progress on standard error: bars on a terminal or in a notebook, one line per stage elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

# Format of a bar of an estimated share, whose count would mean nothing.
SHARE = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"


# Counts further steps, by default one.
Count = Callable[..., object]


@contextmanager
def stage(label: str, show: bool, unit: str = "") -> Iterator[Count]:
    """Report a stage: its label while it runs, with a count of units or, in a log, its duration.

    Examples
    --------
    >>> with stage("Reading", show=False, unit="rows") as count:
    ...     count(1000)
    """
    if not show or _interactive():
        with bar_of_steps(label, show, unit=unit) as count:
            yield count
        return
    sys.stderr.write(f"{label} ... ")
    sys.stderr.flush()
    began = time.monotonic()
    end = "stopped"
    try:
        yield _nowhere
        end = f"{time.monotonic() - began:.1f} s"
    finally:
        sys.stderr.write(f"{end}\n")
        sys.stderr.flush()


@contextmanager
def bar_of_steps(
    label: str, show: bool, total: int | None = None, unit: str = ""
) -> Iterator[Count]:
    """Bar within a stage, which counts steps; shown on a terminal or in a notebook only.

    Examples
    --------
    >>> with bar_of_steps("Sums over rows", show=False, total=10, unit="rows") as count:
    ...     count(10)
    """
    if not (show and _interactive()):
        yield _nowhere
        return
    # Imported where a bar is drawn.
    from tqdm.auto import tqdm

    form = None if unit else "{desc}"
    own = {"unit": f" {unit}", "unit_scale": True, "bar_format": form, "leave": False}
    with tqdm(desc=label, total=total, **own) as bar:
        yield bar.update


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
