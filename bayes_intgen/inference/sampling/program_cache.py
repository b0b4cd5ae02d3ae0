"""Folder of compiled programs: a new process loads those that an earlier one has compiled.

The name of a program's file is a hash of everything its machine code depends on: its environment
(versions and settings of JAX, the processor, the package's source), shapes of arguments, and the
program as JAX lowers it. Tracing and lowering take longer than loading, so that functions of this
package are known by their names instead. JAX has such a cache of its own, but for all programs of a
process, through settings that belong to the caller.

The shapes of a fit are known after its pilot fit. Meanwhile a new process loads the program that
the last process needed first, which is probably the one that it needs, too.

The environment variable ``BAYES_INTGEN_CACHE`` names another folder; ``off`` stands for none.
"""

import contextlib
import hashlib
import os
import pickle
import platform
import stat
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import serialize_executable
from jax.typing import ArrayLike
from platformdirs import user_cache_path

import bayes_intgen
from bayes_intgen._atomic import atomic_write
from bayes_intgen._checksum import with_checksum, without_checksum
from bayes_intgen.inference.density.log_density import cpu_device

VARIABLE, OFF = "BAYES_INTGEN_CACHE", "off"
SUFFIX = ".program"
# Maximum number of programs, of about a megabyte each; the least recently used ones are deleted.
MAX_PROGRAMS = 64

# File with the name of the program that the last process needed first.
FIRST = "first"

# By folder: the program that a thread loads ahead, and the first one that this process has needed.
_AHEAD: dict[Path, Future[tuple[Path, jax.stages.Compiled | None] | None]] = {}
_FIRST: dict[Path, Path] = {}


def cache_folder() -> Path | None:
    """Folder of compiled programs; None if there is none that only this user can write to.

    Loading a program runs it, so that a folder which others can write to is never used.
    """
    setting = os.environ.get(VARIABLE, "")
    if setting.lower() == OFF:
        return None
    folder = Path(setting) if setting else user_cache_path("bayes-intgen", False) / "programs"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    if hasattr(os, "getuid"):
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid != os.getuid() or writable:
            return None
    return folder


def compiled(
    function: jax.stages.Wrapped, arguments: Sequence[ArrayLike], name: str | None = None
) -> jax.stages.Compiled:
    """Compile a function for arguments of these shapes, or load it from the folder.

    Only programs for the CPU are written to the folder: data of other devices are not common, and
    their programs depend on drivers.

    Parameters
    ----------
    function : jitted function
    arguments : sequence of arrays
    name : str, optional
        From :func:`name_of`; functions of the same name must be equal. Without a name JAX must
        trace the function to find its program, which takes longer than loading it.
    """
    folder = _usable_folder()
    if folder is None:
        return function.lower(*arguments).compile()
    lowered = function.lower(*arguments) if name is None else None
    # The text of a program lacks arguments that it does not use.
    shapes = [(np.shape(each), np.asarray(each).dtype.name) for each in arguments]
    identity = f"{name if lowered is None else lowered.as_text()} {shapes}"
    path = folder / f"{_environment()}-{_digest(identity)}{SUFFIX}"
    if _FIRST.setdefault(folder, path) == path:
        _remember(path)
    ahead = _AHEAD[folder].result() if folder in _AHEAD else None
    program = ahead[1] if ahead is not None and ahead[0] == path else _loaded(path)
    if program is None:
        program = (lowered or function.lower(*arguments)).compile()
        _store(path, program)
    return program


def load_ahead() -> None:
    """Begin to load the program that is probably needed, in a thread; once per process and folder.

    Call it in a 64-bit scope of JAX, as :func:`compiled`.
    """
    folder = _usable_folder()
    if folder is not None and folder not in _AHEAD:
        pool = ThreadPoolExecutor(1)
        _AHEAD[folder] = pool.submit(_load_first, folder)
        pool.shutdown(wait=False)


def _load_first(folder: Path) -> tuple[Path, jax.stages.Compiled | None] | None:
    """Load the program that the last process needed first; None if its environment was another."""
    # Settings of JAX are local to a thread.
    with jax.enable_x64(True), contextlib.suppress(OSError, ValueError):
        path = folder / Path((folder / FIRST).read_text()).name
        return (path, _loaded(path)) if path.name.startswith(_environment()) else None
    return None


def _remember(path: Path) -> None:
    """Write the name of the first program of a process to a file, if that is possible."""
    file = path.with_name(FIRST)
    with contextlib.suppress(OSError, ValueError):
        if not file.exists() or file.read_text() != path.name:
            atomic_write(file, path.name.encode())


def name_of(value: Any) -> str | None:
    """Name a function by all that determines it besides this package.

    Parameters
    ----------
    value
        Function of a module of this package, dataclass of such functions, or tuple of them.

    Returns
    -------
    str or None
        None if the value, or a part of it, is something else, for example a closure.

    Examples
    --------
    >>> name_of((name_of, 3))
    '(bayes_intgen.inference.sampling.program_cache.name_of, 3)'
    >>> name_of(lambda x: x) is None
    True
    """
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    own: str | None = ""
    parts = value
    if is_dataclass(value):
        own = _qualified_name(type(value))
        parts = tuple(getattr(value, field.name) for field in fields(value))
    elif not isinstance(value, tuple):
        return _qualified_name(value)
    names = [name_of(part) for part in parts]
    return None if own is None or None in names else f"{own}({', '.join(map(str, names))})"


def _qualified_name(definition: Any) -> str | None:
    """Name of a function or class at the top of a module of this package; None for others."""
    module, name = (getattr(definition, each, "") for each in ("__module__", "__qualname__"))
    is_own = module.startswith("bayes_intgen.") and name and "<" not in name
    return f"{module}.{name}" if is_own else None


def _usable_folder() -> Path | None:
    """Folder of compiled programs; None if there is none, or programs are not for the CPU."""
    folder = cache_folder()
    if folder is None or cpu_device() is None or jax.default_backend() != "cpu":
        return None
    return folder


def _environment() -> str:
    """Digest of all that every program depends on."""
    settings = sorted((name, str(value)) for name, value in jax.config.values.items())
    versions = [version(name) for name in ("jax", "jaxlib", "numpyro")]
    machine = os.environ.get("XLA_FLAGS"), platform.machine(), _processor()
    return _digest(repr((settings, versions, machine, _digest_of_package())))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _digest_of_package() -> str:
    """Digest of the source files of this package."""
    root, digest = os.path.dirname(bayes_intgen.__file__), hashlib.sha256()
    # In a checkout the folder of models is a link, which a walk does not follow.
    for folder, _, names in sorted((*os.walk(root), *os.walk(os.path.join(root, "models")))):
        for name in sorted(names):
            if name.endswith(".py"):
                digest.update(os.path.join(folder.removeprefix(root), name).encode())
                with open(os.path.join(folder, name), "rb") as file:
                    digest.update(file.read())
    return digest.hexdigest()


def _loaded(path: Path) -> jax.stages.Compiled | None:
    """Load a program; None if it is not there, or cannot be loaded."""
    # A program that cannot be loaded, for whatever reason, is compiled again.
    with contextlib.suppress(Exception):
        content = without_checksum(path.read_bytes())
        if content is not None:
            _initialise_lapack()
            executable, in_tree, out_tree = pickle.loads(content)
            program: jax.stages.Compiled = serialize_executable.deserialize_and_load(
                executable, in_tree, out_tree, "cpu", [cpu_device()]
            )
            os.utime(path)
            return program
    return None


@cache
def _initialise_lapack() -> None:
    """Have JAX look up LAPACK's functions, which it does when it first lowers a call of them.

    A loaded program that calls them would end the process without this.
    """
    try:
        # Part of such a lowering, which takes a tenth of a second otherwise.
        from jaxlib.lapack import prepare_lapack_call

        prepare_lapack_call("potrf_ffi", np.float64)  # type: ignore[no-untyped-call]
    except (ImportError, AttributeError, TypeError):
        jax.jit(jax.lax.linalg.cholesky).lower(np.eye(1))


def _store(path: Path, program: jax.stages.Compiled) -> None:
    """Write a compiled program to its file, if that is possible."""
    # A full or read-only disk only costs time.
    with contextlib.suppress(OSError, ValueError, NotImplementedError, pickle.PicklingError):
        content = pickle.dumps(serialize_executable.serialize(program))
        atomic_write(path, with_checksum(content))
        _delete_least_recent(path.parent)


def _delete_least_recent(folder: Path) -> None:
    programs = [(path.stat().st_mtime, path) for path in folder.glob(f"*{SUFFIX}")]
    for _, path in sorted(programs)[:-MAX_PROGRAMS]:
        path.unlink(missing_ok=True)


def _processor() -> str:
    """Features of the processor, for which a program is compiled; otherwise the machine's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("flags", "features")):
                return line
    return platform.node()
