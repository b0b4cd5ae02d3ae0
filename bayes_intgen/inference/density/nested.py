"""Nested tuples and dataclasses of arrays, as lists of the arrays.

JAX does the same for what it calls pytrees. Processes that load their compiled programs do without
JAX.
"""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np

# Stands for an array.
ARRAY = "array"


class Structure(NamedTuple):
    """Structure of a tuple or dataclass: its type, and the structures of its elements.

    The structure of an array is :data:`ARRAY`, that of None or a text a :class:`Constant`.
    """

    kind: type
    parts: tuple[Any, ...]


class Constant(NamedTuple):
    """None or a text, which is part of the structure."""

    value: str | None


def flatten(value: Any) -> tuple[list[Any], Any]:
    """List the arrays of a nested tuple, and describe its structure.

    Parameters
    ----------
    value
        Array, number, text, None, or tuple or dataclass of such values.

    Returns
    -------
    arrays : list
        Numbers become arrays; arrays of other libraries stay.
    structure
        Hashable. Values with equal structures are combined from their arrays in the same way.

    Examples
    --------
    >>> arrays, structure = flatten((1.0, (None, 2.0)))
    >>> len(arrays)
    2
    >>> rebuild(structure, ["one", "two"])
    ('one', (None, 'two'))
    """
    arrays: list[Any] = []

    def structure_of(value: Any) -> Any:
        if value is None or isinstance(value, str):
            return Constant(value)
        if isinstance(value, tuple):
            return Structure(type(value), tuple(map(structure_of, value)))
        if is_dataclass(value):
            every = (getattr(value, field.name) for field in fields(value))
            return Structure(type(value), tuple(map(structure_of, every)))
        arrays.append(value if hasattr(value, "dtype") else np.asarray(value))
        return ARRAY

    structure = structure_of(value)
    return arrays, structure


def rebuild(structure: Any, arrays: Iterable[Any]) -> Any:
    """Combine arrays as a structure of :func:`flatten` says."""
    return _rebuilt(structure, iter(arrays))


def _rebuilt(structure: Any, arrays: Iterator[Any]) -> Any:
    if structure is ARRAY:
        return next(arrays)
    if isinstance(structure, Constant):
        return structure.value
    parts = [_rebuilt(part, arrays) for part in structure.parts]
    return tuple(parts) if structure.kind is tuple else structure.kind(*parts)
