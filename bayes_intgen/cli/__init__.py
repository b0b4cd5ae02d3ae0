"""The command line ``bayes-intgen``: arguments, exit codes and interrupts of its process."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence

from cyclopts import CycloptsError, UnusedCliTokensError

from bayes_intgen.cli import console
from bayes_intgen.cli.commands import app
from bayes_intgen.errors import BayesIntgenError, BayesIntgenWarning
from bayes_intgen.text.messages import interface, quoted

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
    # A path is the same with the dot, and does not look like an option.
    words = ["./-" if word == "-" else word for word in words]
    token = interface.set("command line")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default" if debug else "ignore")
            warnings.simplefilter("always", BayesIntgenWarning)
            warnings.showwarning = console.show_warning
            return int(app(words, exit_on_error=False, print_error=False) or console.DONE)
    except UnusedCliTokensError as error:
        unused = quoted(error.unused_tokens or ())
        text = f"what is {unused}? Separate several values by commas, as red,green (see --help)"
        return console.fail(ValueError(text), console.USAGE)
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

    text = "interrupted"
    if any(word.partition("=")[0] == "--checkpoint" for word in sys.argv):
        text += "; the same command goes on from its checkpoint"

    def wait() -> None:
        os.read(read, 1)
        # On a terminal a progress bar may occupy the current line.
        start = "\n" if sys.stderr and sys.stderr.isatty() else ""
        os.write(2, f"{start}{text}\n".encode())
        os._exit(console.INTERRUPTED)

    threading.Thread(target=wait, daemon=True).start()
