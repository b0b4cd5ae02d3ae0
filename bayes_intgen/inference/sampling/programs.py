"""Compiled programs, one for all arguments of the same shapes, kept for later processes.

JAX takes seconds to compile a program. With ``JAX_COMPILATION_CACHE_DIR``, executables are kept in
that folder. JAX's own cache there finds a program by its text, for which each process imports
NumPyro, traces and lowers: a second more than to load an executable by the names of its functions.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.serialize_executable import deserialize_and_load, serialize

import bayes_intgen
from bayes_intgen._atomic import atomic_write, with_checksum, without_checksum
from bayes_intgen._jax import cpu_device, double_precision
from bayes_intgen._progress import stage

SUFFIX = ".bayes-intgen"


class CompiledProgram:
    """Function that advances a state, compiled once for all arguments of the same shapes.

    Parameters
    ----------
    advance : callable
        From a state and other arguments, nested arrays, to the next state and an array.
        The classes of its arguments determine what it computes.
    """

    def __init__(self, advance: Callable[..., tuple[Any, jax.Array]]) -> None:
        self._advance = advance
        self._compiled: dict[Any, jax.stages.Compiled] = {}

    def compile(self, arguments: tuple[Any, ...], progress: bool) -> None:
        """Compile for arguments of these shapes, or load the program from its file."""
        if _shapes(arguments) in self._compiled:
            return
        with stage("Compilation", progress), _on_cpu() as device:
            file = None if device is None else _file(arguments)
            compiled = None if file is None else _kept(file, arguments, device)
            if compiled is None:

                def advance(*arguments: Any) -> tuple[Any, jax.Array]:
                    return self._advance(*arguments)

                if file is not None:
                    # JAX's cache, whose executables cannot be kept, knows functions by name, too.
                    advance.__name__ = f"advance_{file.stem}"
                compiled = jax.jit(advance, keep_unused=True).lower(*arguments).compile()
                if file is not None:
                    _keep(file, compiled, arguments, device)
        self._compiled[_shapes(arguments)] = compiled

    def __call__(self, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
        """Advance the state, the first argument; results are arrays of NumPy."""
        with _on_cpu():
            results = self._compiled[_shapes(arguments)](*arguments)
            advanced: tuple[Any, Any] = jax.tree.map(np.asarray, results)
        return advanced


@contextlib.contextmanager
def _on_cpu() -> Iterator[jax.Device | None]:
    """Compute in double precision on the CPU; on another device if JAX has no CPU.

    An accelerator would be idle between the steps most of the time.
    """
    with double_precision():
        device = cpu_device()
        with contextlib.nullcontext() if device is None else jax.default_device(device):
            yield device


def _shapes(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    leaves, structure = jax.tree.flatten(arguments)
    return structure, *((leaf.shape, leaf.dtype) for leaf in leaves)


def _file(arguments: tuple[Any, ...]) -> Path | None:
    """File of the program; None if it is not to be kept.

    Its name is a digest of everything that the machine code depends on.
    """
    folder = jax.config.jax_compilation_cache_dir
    if not folder or not jax.config.jax_enable_compilation_cache or "://" in folder:
        return None
    structure, *shapes = _shapes(arguments)
    described = repr((_environment(), str(structure), shapes))
    return Path(folder, hashlib.sha256(described.encode()).hexdigest() + SUFFIX)


def _load(content: bytes, arguments: tuple[Any, ...], device: jax.Device) -> jax.stages.Compiled:
    # JAX looks LAPACK up where it lowers a function that needs it; a loaded program that calls it
    # would crash otherwise.
    jax.jit(jax.lax.linalg.cholesky).lower(np.eye(1))
    trees = jax.tree.structure((arguments, {})), jax.tree.structure((arguments[0], 0))
    compiled: jax.stages.Compiled = deserialize_and_load(
        content, *trees, backend="cpu", execution_devices=[device]
    )
    return compiled


def _kept(file: Path, arguments: tuple[Any, ...], device: jax.Device) -> jax.stages.Compiled | None:
    """Load a program from its file; None if it is not there, or cannot be loaded."""
    # Whatever the reason is, the program can be compiled again.
    with contextlib.suppress(Exception):
        content = without_checksum(file.read_bytes())
        return None if content is None else _load(content, arguments, device)
    return None


def _keep(
    file: Path, compiled: jax.stages.Compiled, arguments: tuple[Any, ...], device: jax.Device
) -> None:
    """Write a program to its file, if that is possible."""
    # A full or read-only disk only costs time. An executable that JAX has loaded from its own cache
    # is incomplete when serialised again, so that it cannot run.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        content = serialize(compiled)[0]
        jax.tree.map(np.asarray, _load(content, arguments, device)(*arguments))
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_write(file, with_checksum(content))


@cache
def _environment() -> tuple[Any, ...]:
    """Versions, processor, flags of the compiler, and source of this package."""
    versions = [version(name) for name in ("jax", "jaxlib", "numpyro")]
    root, source = Path(bayes_intgen.__file__).parent, hashlib.sha256()
    # In a checkout the folder of models is a link, which `**` does not follow.
    for path in sorted({*root.rglob("*.py"), *root.glob("models/**/*.py")}):
        source.update(path.read_bytes())
    flags = os.environ.get("XLA_FLAGS")
    return versions, platform.machine(), _processor(), flags, source.hexdigest()


def _processor() -> str:
    """Features of the processor, for which a program is compiled; otherwise the machine's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("flags", "features")):
                return line
    return platform.node()
