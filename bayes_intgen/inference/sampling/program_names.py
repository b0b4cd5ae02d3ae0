"""Names of compiled programs: all that their machine code depends on."""

import hashlib
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import bayes_intgen
from bayes_intgen._jax import changed_settings


def environment() -> str:
    """Digest of all that every program depends on.

    These are versions, the processor, the package's source, and settings of XLA and JAX.
    """
    versions = [version(name) for name in ("jax", "jaxlib", "numpyro")]
    variables = sorted(item for item in os.environ.items() if item[0].startswith(("XLA_", "JAX_")))
    machine = platform.machine(), _processor()
    every = variables, changed_settings(), versions, machine, _digest_of_package()
    return _digest(repr(every))


def digest_of(name: str, arguments: Sequence[NDArray[Any]]) -> str:
    """Digest of a function's name, or its text, and the shapes and types of its arguments.

    The text of a function lacks arguments that it does not use.
    """
    return _digest(f"{name} {[(each.shape, each.dtype.name) for each in arguments]}")


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
    '(bayes_intgen.inference.sampling.program_names.name_of, 3)'
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


def _processor() -> str:
    """Features of the processor, for which a program is compiled; otherwise the machine's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith(("flags", "features")):
                return line
    return platform.node()
