"""Exit codes, messages and warnings of the command line.

Results go to standard output, everything else to standard error.
"""

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TextIO

from bayes_intgen.text.messages import printable

Style = Literal["table", "csv", "json"]
# Standard output as a file to write.
PIPES = (Path("-"), Path("/dev/stdout"))
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
    return not verbosity.quiet and sys.stderr is not None


def _print(text: str) -> None:
    """Print a message to standard error, if it is open."""
    # Python would print to standard output instead.
    if sys.stderr is not None:
        print(printable(text, sys.stderr.encoding), file=sys.stderr)


def log(text: str) -> None:
    """Print a message to standard error, unless the command is quiet."""
    if not verbosity.quiet:
        _print(text)


def write(text: str) -> None:
    """Print a result to standard output."""
    stdout = _stdout()
    text = printable(text, stdout.encoding)
    print(text.removesuffix("\n"), file=stdout, flush=True)


def _stdout() -> TextIO:
    if sys.stdout is None:
        raise OSError("standard output is closed; redirect it to a file or to /dev/null")
    return sys.stdout


def answer(style: Style, text: str, json: str, records: Any) -> None:
    """Print an answer as text, as JSON, or as the CSV of a frame or of its records."""
    if style == "csv":
        import pandas as pd

        text = pd.DataFrame(records).to_csv(index=False, lineterminator="\n")
    write(json if style == "json" else text)


@contextlib.contextmanager
def written(output: Path) -> Iterator[Path]:
    """Path to write a file to, whose content goes to standard output if that is meant."""
    if output not in PIPES:
        yield output
        log(f"written to {output}")
        return
    with TemporaryDirectory() as folder:
        path = Path(folder, "output")
        yield path
        pipe = _stdout().buffer
        pipe.write(path.read_bytes())
        pipe.flush()


def fail(error: BaseException, code: int, *, prefix: str = "", hint: str = "") -> int:
    """Print an error as one line and return the exit code; with its traceback in debug mode."""
    if verbosity.debug and sys.stderr is not None:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    text = " ".join(str(error).split()) or type(error).__name__
    _print(f"error: {prefix}{text}{hint}")
    return code


def show_warning(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
    """Print a warning as one line, once; replaces ``warnings.showwarning``."""
    text = " ".join(str(message).split())
    if text not in verbosity.warned:
        verbosity.warned |= {text}
        _print(f"warning: {text}")


@contextlib.contextmanager
def recorded() -> Iterator[list[warnings.WarningMessage]]:
    """Record warnings instead of showing them, unless the command fails."""
    with warnings.catch_warnings(record=True) as found:
        try:
            yield found
        except BaseException:
            show_all(found)
            raise


def show_all(found: Iterable[warnings.WarningMessage], except_for: Iterable[str] = ()) -> None:
    """Show recorded warnings, except for some texts."""
    for warning in found:
        if str(warning.message) not in except_for:
            show_warning(warning.message, warning.category)
