"""Folder of compiled programs: a new process loads those that an earlier one has compiled.

The key of a program is a hash of everything its machine code depends on: the program as JAX lowers
it, JAX's version and settings, and the processor. JAX has such a cache of its own, but for all
programs of a process, through settings that belong to the caller.

The environment variable ``BAYES_INTGEN_CACHE`` names another folder; ``off`` stands for none.
"""

import contextlib
import hashlib
import os
import pickle
import platform
import stat
from importlib.metadata import version
from pathlib import Path

import jax
from jax.experimental import serialize_executable
from platformdirs import user_cache_path

from bayes_intgen._atomic import atomic_write
from bayes_intgen._checksum import with_checksum, without_checksum
from bayes_intgen.inference.density.log_density import cpu_device

VARIABLE, OFF = "BAYES_INTGEN_CACHE", "off"
SUFFIX = ".program"
# Maximum number of programs, of about a megabyte each; the least recently used ones are deleted.
MAX_PROGRAMS = 64


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


def compiled(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Compile a lowered program, or load it from the folder if it is there.

    Only programs for the CPU are written to the folder: data of other devices are not common, and
    their programs depend on drivers.
    """
    folder, device = cache_folder(), cpu_device()
    if folder is None or device is None or jax.default_backend() != "cpu":
        return lowered.compile()
    path = folder / f"{_key(lowered)}{SUFFIX}"
    program = _loaded(path, lowered, device)
    if program is None:
        program = lowered.compile()
        _store(path, program)
    return program


def _key(lowered: jax.stages.Lowered) -> str:
    settings = sorted((name, str(value)) for name, value in jax.config.values.items())
    surroundings = settings, os.environ.get("XLA_FLAGS"), platform.machine(), _processor()
    versions = version("jax"), version("jaxlib")
    # The text lacks arguments that the program does not use.
    arguments = jax.tree.leaves(lowered.args_info)
    parts = lowered.as_text(), repr((arguments, surroundings, versions))
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _loaded(
    path: Path, lowered: jax.stages.Lowered, device: jax.Device
) -> jax.stages.Compiled | None:
    """Load a program; None if it is not there, or cannot be loaded."""
    # A program that cannot be loaded, for whatever reason, is compiled again.
    with contextlib.suppress(Exception):
        content = without_checksum(path.read_bytes())
        if content is not None:
            program: jax.stages.Compiled = serialize_executable.deserialize_and_load(
                content, lowered.in_tree, lowered.out_tree, "cpu", [device]
            )
            os.utime(path)
            return program
    return None


def _store(path: Path, program: jax.stages.Compiled) -> None:
    """Write a compiled program to its file, if that is possible."""
    # A full or read-only disk only costs time.
    with contextlib.suppress(OSError, ValueError, NotImplementedError, pickle.PicklingError):
        content, *_ = serialize_executable.serialize(program)
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
