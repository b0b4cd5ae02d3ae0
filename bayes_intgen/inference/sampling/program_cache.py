"""Folder of compiled programs: a new process loads those that an earlier one has compiled.

The name of a program's file is a hash of everything its machine code depends on (`program_names`).
Tracing and lowering a function take longer than loading it, so that functions of this package are
known by their names instead of their text. JAX has such a cache of its own, but for all programs of
a process, through settings that belong to the caller.

The shapes of a fit are known after its pilot fit. Meanwhile a new process loads the program that
the last process needed first, which is probably the one that it needs, too.

The environment variable ``BAYES_INTGEN_CACHE`` names another folder; ``off`` stands for none.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from bayes_intgen._atomic import atomic_write
from bayes_intgen._checksum import with_checksum, without_checksum
from bayes_intgen._jax import cpu_device, double_precision
from bayes_intgen._lazy import jax
from bayes_intgen.inference.sampling.loaded_program import LoadedProgram, to_bytes
from bayes_intgen.inference.sampling.program_names import digest_of, environment

# From arrays to arrays.
type Program = Callable[[Sequence[NDArray[Any]]], list[NDArray[Any]]]

VARIABLE, OFF = "BAYES_INTGEN_CACHE", "off"
SUFFIX = ".program"
# Maximum number of programs, of about a megabyte each; the least recently used ones are deleted.
MAX_PROGRAMS = 64

# File with the name of the program that the last process needed first.
FIRST = "first"

# By folder: the program that a thread loads ahead, and the first one that this process has needed.
_AHEAD: dict[Path, Future[tuple[Path, LoadedProgram | None] | None]] = {}
_FIRST: dict[Path, Path] = {}


def cache_folder() -> Path | None:
    """Folder of compiled programs; None if there is none that only this user can write to.

    Loading a program runs it, so that a folder which others can write to is never used.
    """
    setting = os.environ.get(VARIABLE, "")
    if setting.lower() == OFF:
        return None
    try:
        folder = Path(setting) if setting else user_cache_path("bayes-intgen", False) / "programs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    # The latter for a user without a home.
    except (OSError, RuntimeError):
        return None
    if hasattr(os, "getuid"):
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid != os.getuid() or writable:
            return None
    return folder


@dataclass(frozen=True)
class _JAXProgram:
    """Program that JAX has compiled in this process."""

    compiled: jax.stages.Compiled
    on_cpu: bool

    def __call__(self, arguments: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        with double_precision(), _placement(self.on_cpu):
            return [np.asarray(each) for each in self.compiled(*arguments)]


def compiled(
    function: Callable[..., Sequence[jax.Array]],
    arguments: Sequence[NDArray[Any]],
    name: str | None = None,
    on_cpu: bool = False,
) -> Program:
    """Compile a function for arguments of these shapes, or load it from the folder.

    Only programs for the CPU are written to the folder: data of other devices are not common, and
    their programs depend on drivers.

    Parameters
    ----------
    function : callable
        From arrays of JAX to several such arrays.
    arguments : sequence of arrays
    name : str, optional
        From :func:`~bayes_intgen.inference.sampling.program_names.name_of`; functions of the same
        name must be equal. Without a name JAX must trace the function to find its program, which
        takes longer than loading it.
    on_cpu : bool
        Whether the program runs on the CPU, even if JAX uses another device by default.
    """
    folder = cache_folder()
    path = _path(folder, name if on_cpu else None, arguments)

    @cache
    def compiled_now() -> Program:
        with double_precision(), _placement(on_cpu):
            lowered = jax.jit(function, keep_unused=True).lower(*arguments)
            own = path
            if not _is_on_cpu(on_cpu):
                own = None
            elif path is None:
                own = _path(folder, lowered.as_text(), arguments)
                if own is not None and (loaded := _needed(own)) is not None:
                    return _with_remedy(loaded, lambda: _JAXProgram(lowered.compile(), on_cpu))
            executable = lowered.compile()
        if own is not None:
            _store(own, executable)
        return _JAXProgram(executable, on_cpu)

    loaded = None if path is None else _needed(path)
    return compiled_now() if loaded is None else _with_remedy(loaded, compiled_now)


def _with_remedy(loaded: LoadedProgram, compiled_now: Callable[[], Program]) -> Program:
    """Run a loaded program, or compile it if that fails, as with another interface of jaxlib."""

    def run(arguments: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            return loaded(arguments)
        except Exception:
            return compiled_now()(arguments)

    return run


def load_ahead() -> None:
    """Begin to load the program that is probably needed, in a thread, once per folder."""
    folder = cache_folder()
    if folder is not None and folder not in _AHEAD:
        pool = ThreadPoolExecutor(1)
        _AHEAD[folder] = pool.submit(_load_first, folder)
        pool.shutdown(wait=False)


def _wait_until_loaded() -> None:
    """Wait until all threads have loaded their programs.

    A forked child lacks these threads: it would wait for them, or for modules that they were
    importing, forever.
    """
    wait(list(_AHEAD.values()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_until_loaded)


def _load_first(folder: Path) -> tuple[Path, LoadedProgram | None] | None:
    """Load the program that the last process needed first; None if its environment was another."""
    with contextlib.suppress(OSError, ValueError):
        path = folder / Path((folder / FIRST).read_text()).name
        return (path, _loaded(path)) if path.name.startswith(environment()) else None
    return None


def _needed(path: Path) -> LoadedProgram | None:
    """Program of a file, loaded ahead or now; None if it is not there, or cannot be loaded."""
    folder = path.parent
    if _FIRST.setdefault(folder, path) == path:
        _remember(path)
    ahead = _AHEAD[folder].result() if folder in _AHEAD else None
    return ahead[1] if ahead is not None and ahead[0] == path else _loaded(path)


def _remember(path: Path) -> None:
    """Write the name of the first program of a process to a file, if that is possible."""
    file = path.with_name(FIRST)
    with contextlib.suppress(OSError, ValueError):
        if not file.exists() or file.read_text() != path.name:
            atomic_write(file, path.name.encode())


def _path(folder: Path | None, name: str | None, arguments: Sequence[NDArray[Any]]) -> Path | None:
    """File of a program; None without a folder or a name."""
    if folder is None or name is None:
        return None
    return folder / f"{environment()}-{digest_of(name, arguments)}{SUFFIX}"


def _is_on_cpu(on_cpu: bool) -> bool:
    """Whether JAX runs a program on the CPU, by default or because it is asked for."""
    return cpu_device() is not None and (on_cpu or jax.default_backend() == "cpu")


@contextlib.contextmanager
def _placement(on_cpu: bool) -> Iterator[None]:
    """Use the CPU if it is asked for, whatever device JAX uses by default."""
    if on_cpu and (device := cpu_device()) is not None:
        with jax.default_device(device):
            yield
    else:
        yield


def _loaded(path: Path) -> LoadedProgram | None:
    """Load a program; None if it is not there, or cannot be loaded."""
    # A program that cannot be loaded, for whatever reason, is compiled again.
    with contextlib.suppress(Exception):
        content = without_checksum(path.read_bytes())
        if content is not None:
            program = LoadedProgram.from_bytes(content)
            # A folder that is read-only keeps all its programs.
            with contextlib.suppress(OSError):
                os.utime(path)
            return program
    return None


def _store(path: Path, program: jax.stages.Compiled) -> None:
    """Write a compiled program to its file, if that is possible."""
    # A full or read-only disk only costs time, as does another interface of jaxlib.
    with contextlib.suppress(Exception):
        atomic_write(path, with_checksum(to_bytes(program)))
        _delete_least_recent(path.parent)


def _delete_least_recent(folder: Path) -> None:
    programs = [(path.stat().st_mtime, path) for path in folder.glob(f"*{SUFFIX}")]
    for _, path in sorted(programs)[:-MAX_PROGRAMS]:
        path.unlink(missing_ok=True)
