"""Exit codes, messages and warnings of the command line.

Results go to standard output, everything else to standard error.
"""

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

DONE, UNUSABLE, USAGE, DOUBTFUL, DEFECT, PIPE, INTERRUPTED = 0, 1, 2, 3, 70, 141, 130


class Verbosity(threading.local):
    """Verbosity of the current command, and the warnings that it has printed."""

    quiet = False
    debug = False
    warned: frozenset[str] = frozenset()

    def start(self, *, quiet: bool, debug: bool) -> None:
        """Set the verbosity of the next command."""
        self.quiet, self.debug, self.warned = quiet, debug, frozenset()


verbosity = Verbosity()


def show_progress() -> bool:
    """Whether to show progress bars."""
    return not verbosity.quiet


def log(text: str) -> None:
    """Print a message to standard error, unless the command is quiet."""
    if not verbosity.quiet:
        print(text, file=sys.stderr)


def write(text: str) -> None:
    """Print a result to standard output."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def fail(error: BaseException, code: int, *, prefix: str = "", hint: str = "") -> int:
    """Print an error as one line and return the exit code; with its traceback in debug mode."""
    if verbosity.debug:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"error: {prefix}{text}{hint}", file=sys.stderr)
    return code


def show_warning(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print a warning as one line, once; replaces ``warnings.showwarning``."""
    text = " ".join(str(message).split())
    if text not in verbosity.warned:
        verbosity.warned |= {text}
        print(f"warning: {text}", file=sys.stderr)


@contextlib.contextmanager
def recorded(kind: type[Warning]) -> Iterator[list[str]]:
    """Record warnings of a kind in addition to showing them."""
    messages: list[str] = []
    show = warnings.showwarning

    def record(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, kind):
            messages.append(str(message))
        show(message, category, *where, **more)

    warnings.showwarning = record
    try:
        yield messages
    finally:
        warnings.showwarning = show
