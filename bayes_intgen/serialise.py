"""Frozen values as JSON and back, without executing anything that a file says.

Only the dataclasses with a tag are ever built, from numbers, strings and each other.
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

# The tag of each class in saved fits. A tag never changes, whatever happens to the class: files
# that bear it must keep loading.
TAGS: dict[str, type[Any]] = {
    "Coordinate": coordinate.Coordinate,
    "Constant": bases.Constant,
    "Powers": bases.Powers,
    "Slope": bases.Slope,
    "Sines": bases.Sines,
    "Line": bases.Line,
    "Atom": bases.Atom,
    "PiecewiseLinear": piecewise.PiecewiseLinear,
    "PenalisedSpline": bases.PenalisedSpline,
    "Principal": bases.Principal,
    "Joined": bases.Joined,
    "Products": bases.Products,
    "Categories": categories.Categories,
    "LogNormal": mechanisms.LogNormal,
    "Part": mechanisms.Part,
    "GP": mechanisms.GP,
    "Spline": mechanisms.Spline,
    "Polynomial": mechanisms.Polynomial,
    "Linear": mechanisms.Linear,
    "Levels": mechanisms.Levels,
    "Term": decomposition.Term,
    "Decomposition": decomposition.Decomposition,
    "Spread": noise.Spread,
    "ConstantSpread": noise.ConstantSpread,
    "Always": gates.Always,
    "WhereNotSet": gates.WhereNotSet,
    "InRegime": gates.InRegime,
    "AdditiveModel": AdditiveModel,
    "PooledModel": PooledModel,
    "SaturatedModel": SaturatedModel,
}
_TAG_OF = {kind: tag for tag, kind in TAGS.items()}


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
    if type(value) in _TAG_OF:
        own = {field.name: _encode(getattr(value, field.name)) for field in fields(value)}
        return {"kind": _TAG_OF[type(value)], **own}
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
    if kind not in TAGS:
        raise SavedFitError(f"the saved model holds a {kind!r}, which this version does not know")
    return TAGS[kind](**{key: _decode(item) for key, item in value.items() if key != "kind"})
