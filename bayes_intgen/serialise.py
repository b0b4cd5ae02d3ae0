"""Frozen values as JSON and back, without executing anything that a file says.

Only the dataclasses listed here are ever built, from numbers, strings and each other.
Python writes floats so that they read back to the last bit.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from bayes_intgen import (
    bases,
    categories,
    coordinate,
    decomposition,
    gates,
    mechanisms,
    noise,
    piecewise,
)
from bayes_intgen.errors import SavedFitError
from bayes_intgen.models import AdditiveModel, PooledModel, SaturatedModel

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        coordinate.Coordinate,
        bases.Constant,
        bases.Powers,
        bases.Slope,
        bases.Sines,
        bases.Line,
        bases.Atom,
        piecewise.PiecewiseLinear,
        bases.PenalisedSpline,
        bases.Principal,
        bases.Joined,
        bases.Products,
        categories.Categories,
        mechanisms.LogNormal,
        mechanisms.Part,
        mechanisms.GP,
        mechanisms.Spline,
        mechanisms.Polynomial,
        mechanisms.Linear,
        mechanisms.Levels,
        decomposition.Term,
        decomposition.Decomposition,
        noise.Spread,
        noise.ConstantSpread,
        gates.Always,
        gates.WhereNotSet,
        gates.InRegime,
        AdditiveModel,
        PooledModel,
        SaturatedModel,
    )
}


def dumps(value: Any) -> str:
    """A frozen value as a JSON string.

    Examples
    --------
    >>> dumps(mechanisms.LogNormal(0.4, 1.5))
    '{"kind": "LogNormal", "median": 0.4, "sigma": 1.5}'
    """
    return json.dumps(_encode(value))


def loads(text: str) -> Any:
    """The value that :func:`dumps` wrote; raises SavedFitError on anything else.

    Examples
    --------
    >>> loads('{"kind": "LogNormal", "median": 0.4, "sigma": 1.5}')
    LogNormal(median=0.4, sigma=1.5)
    """
    try:
        return _decode(json.loads(text))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, SavedFitError):
            raise
        raise SavedFitError(f"the saved model cannot be read ({error})") from error


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"kind": "array", "shape": list(value.shape), "values": value.ravel().tolist()}
    if isinstance(value, Mapping):
        return {"kind": "mapping", "items": {key: _encode(item) for key, item in value.items()}}
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    if type(value).__name__ in _KINDS:
        own = {field.name: _encode(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__, **own}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} cannot be saved")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    if kind == "array":
        return np.array(value["values"], dtype=np.float64).reshape(value["shape"])
    if kind == "mapping":
        return {key: _decode(item) for key, item in value["items"].items()}
    if kind not in _KINDS:
        raise SavedFitError(f"the saved model holds a {kind!r}, which this version does not know")
    return _KINDS[kind](**{key: _decode(item) for key, item in value.items() if key != "kind"})
