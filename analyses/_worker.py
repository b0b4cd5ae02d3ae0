"""Processes that run tasks one by one, so that a crash or a hang is an outcome like any other."""

import json
import os
import select
import subprocess
import sys
import warnings
from importlib import import_module
from typing import Any, Self

PROGRAM = "import sys, _worker; _worker.serve(sys.argv[1])"


class Worker:
    """A process that calls functions of a module.

    Parameters
    ----------
    module : str
        Module of this folder.
    seconds : float
        Time limit of a call.
    """

    def __init__(self, module: str, seconds: float = 60.0) -> None:
        self.module, self.seconds = module, seconds
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, function: str, *arguments: Any) -> int:
        """Begin a call, and return the process id."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", PROGRAM, self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            # Not part of the time of the call.
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == "ready\n", "the process does not start"
        assert self._process.stdin is not None
        print(json.dumps([function, *arguments]), file=self._process.stdin, flush=True)
        return self._process.pid

    def ends(self, seconds: float) -> bool:
        """Whether the call ends within some time."""
        assert self._process is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def result(self) -> str:
        """Result of the call: what the function returns, or "FAILURE" with the reason."""
        assert self._process is not None
        assert self._process.stdout is not None
        if not self.ends(self.seconds):
            self.kill()
            return f"FAILURE hang of {self.seconds:g} s"
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self.kill()
            return f"FAILURE crash with exit status {code}"
        return str(json.loads(line))

    def call(self, function: str, *arguments: Any) -> str:
        """Call a function and wait for its result."""
        self.start(function, *arguments)
        return self.result()

    def kill(self) -> None:
        """End the process at once; the next call starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def serve(module: str) -> None:
    """Call functions named on standard input, and print their results."""
    warnings.simplefilter("ignore")
    functions = import_module(module)
    output, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=output, flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            result = getattr(functions, name)(*arguments)
        except Exception as error:  # the failures that the studies are for
            result = f"FAILURE {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        print(json.dumps(result), file=output, flush=True)
