"""The command line ``bayes-intgen``: arguments, exit codes and interrupts of its process."""

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence

from cyclopts import CycloptsError

from bayes_intgen.cli import console
from bayes_intgen.cli.commands import app
from bayes_intgen.errors import BayesIntgenError, BayesIntgenWarning
from bayes_intgen.text.messages import interface

__all__ = ["main", "run"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code, without ending the process.

    Examples
    --------
    >>> main(["effect", "no-such-file.nc", "--set", "tv=1"])
    1
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    console.verbosity.start(quiet=bool({"--quiet", "-q"} & {*words}), debug=debug)
    words = [word for word in words if word not in ("--debug", "--quiet", "-q")]
    token = interface.set("command line")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default" if debug else "ignore")
            warnings.simplefilter("always", BayesIntgenWarning)
            warnings.showwarning = console.show_warning
            return int(app(words, exit_on_error=False, print_error=False) or console.DONE)
    except CycloptsError as error:
        return console.fail(error, console.USAGE, hint=" (see --help)")
    except BrokenPipeError:
        # The reader has closed the pipe, so the final flush must go elsewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return console.PIPE
    except (BayesIntgenError, OSError, MemoryError) as error:
        return console.fail(error, console.UNUSABLE)
    except Exception as error:
        prefix = f"unexpected {type(error).__name__}: "
        hint = " (--debug shows where)"
        return console.fail(error, console.DEFECT, prefix=prefix, hint=hint)
    finally:
        interface.reset(token)


def run() -> None:
    """Run a command and end the process; Ctrl-C ends it at once."""
    _end_on_interrupt()
    code = main()
    if sys.stdout is not None:
        sys.stdout.flush()
    # Nothing that is left needs Python's last garbage collections, which take a quarter of a second
    # after a fit.
    gc.freeze()
    raise SystemExit(code)


def _end_on_interrupt() -> None:
    """End the process on Ctrl-C, even while other threads sample or compile.

    Python would tell the main thread, which may wait minutes for the others. Therefore another
    thread waits for the byte that the signal writes to a pipe, in whichever thread it arrives.
    """
    if sys.platform == "win32":
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.set_wakeup_fd(write)

    def wait() -> None:
        os.read(read, 1)
        # On a terminal a progress bar may occupy the current line.
        os.write(2, b"\ninterrupted\n" if sys.stderr and sys.stderr.isatty() else b"interrupted\n")
        os._exit(console.INTERRUPTED)

    threading.Thread(target=wait, daemon=True).start()
