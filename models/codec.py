"""Tagged JSON codec of frozen dataclasses. Decoding executes no code from the file.

Only known dataclasses are constructed, from numbers, strings and each other, and every field must
have its declared type: those of the package, and the priors and bases that its user has defined.
Floats survive the round trip to the last bit.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import (
    Atom,
    Basis,
    CentredBasis,
    Constant,
    FourierBasis,
    GroupIndicators,
    HSGPBasis,
    Line,
    LinearBasis,
    MonomialBasis,
    Parabola,
    PenalisedSpline,
    PiecewiseLinear,
)
from bayes_intgen.basis.categories import Categories
from bayes_intgen.basis.combined import (
    ConcatenatedBasis,
    KarhunenLoeveBasis,
    PastActions,
    RateError,
    SumBasis,
    TensorProductBasis,
)
from bayes_intgen.basis.control import (
    ControlBasis,
    ControlError,
    ControlVariable,
    NormalScores,
    ResidualBasis,
)
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.covariates import CovariateColumns
from bayes_intgen.errors import ModelError, SavedFitError
from bayes_intgen.models import AdditiveModel, RegressionModel
from bayes_intgen.models.carryover import Adstock
from bayes_intgen.models.mechanisms.mechanism import Component, LogNormal, Mechanism
from bayes_intgen.models.mechanisms.parametric import Levels, Linear, Polynomial
from bayes_intgen.models.mechanisms.smooth import GP, Seasonal, Spline, Trend
from bayes_intgen.models.terms import (
    Decomposition,
    InRegime,
    RandomEffects,
    Term,
    Where,
)
from bayes_intgen.models.variance_function import VarianceFunction

_BASES: tuple[type[Any], ...] = (
    Constant, MonomialBasis, LinearBasis, HSGPBasis, Line, Parabola, Atom, PiecewiseLinear,
    PenalisedSpline, KarhunenLoeveBasis, ConcatenatedBasis, TensorProductBasis, CentredBasis,
    GroupIndicators, FourierBasis, ControlVariable, ControlBasis, ControlError,
    RateError, PastActions, SumBasis, ResidualBasis,
)  # fmt: skip
# Classes in saved fits, by name.
TAGS: dict[str, type[Any]] = {kind.__name__: kind for kind in (
    *_BASES, Coordinate, Categories, CovariateColumns, RandomEffects, NormalScores, Trend, Seasonal,
    LogNormal, Component, GP, Spline, Polynomial, Linear, Levels, Term, Decomposition,
    VarianceFunction, Adstock, Where, InRegime, AdditiveModel,
    RegressionModel,
)}  # fmt: skip
# Integers below this are exact as floats.
MAX_INTEGER = 2**53


def dumps(value: Any) -> str:
    """Encode a frozen value as a JSON string.

    Examples
    --------
    >>> dumps(LogNormal(0.4, 1.5))
    '{"kind": "LogNormal", "median": 0.4, "sigma": 1.5}'
    """
    return json.dumps(_encode(value, kinds()))


def loads(text: str, kind: Any = object) -> Any:
    """Decode a value written by :func:`dumps`.

    Parameters
    ----------
    text : str
    kind : type or union of types
        Required type of the value.

    Raises
    ------
    SavedFitError
        If the text is anything else.

    Examples
    --------
    >>> loads('{"kind": "LogNormal", "median": 0.4, "sigma": 1.5}')
    LogNormal(median=0.4, sigma=1.5)
    """
    try:
        value = _decode(json.loads(text), kinds())
    except SavedFitError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise SavedFitError(f"the saved model cannot be read ({error})") from error
    except RecursionError as error:
        raise SavedFitError("the saved model is nested too deeply") from error
    if not isinstance(value, kind):
        raise SavedFitError(f"the saved model contains {type(value).__name__} in a wrong place")
    return value


def refuse_unsaved(model: Any) -> None:
    """Raise ModelError if a model could not be read from a file, before it is fitted."""
    try:
        loads(dumps(model))
    except (TypeError, SavedFitError) as error:
        raise ModelError(
            f"a prior cannot be saved with a fit ({error}); define its class once, under a name of "
            "its own, as a frozen dataclass of numbers, text and tuples"
        ) from error


def _encode(value: Any, known: Mapping[str, Any]) -> Any:
    """Encode a value of the classes that are known, by name."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        return {"kind": "array", "shape": list(value.shape), "values": value.ravel().tolist()}
    if isinstance(value, Mapping):
        return {
            "kind": "mapping",
            "items": {key: _encode(item, known) for key, item in value.items()},
        }
    if isinstance(value, tuple | list):
        return [_encode(item, known) for item in value]
    tag = type(value).__name__
    if known.get(tag) is type(value):
        members = {own.name: _encode(getattr(value, own.name), known) for own in fields(value)}
        return {"kind": tag, **members}
    raise TypeError(f"{type(value).__name__} cannot be saved")


def _decode(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, known) for item in value)
    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    if kind == "array":
        return np.array(value["values"], dtype=np.float64).reshape(value["shape"])
    if kind == "mapping":
        return {key: _decode(item, known) for key, item in value["items"].items()}
    cls = known.get(kind)
    if cls is None:
        raise SavedFitError(f"the saved model contains unknown kind {kind!r}")
    arguments = {key: _decode(item, known) for key, item in value.items() if key != "kind"}
    for name, hint in _field_types(cls).items():
        if name in arguments and not _has_type(arguments[name], hint):
            raise SavedFitError(f"the saved model has a {kind} with an invalid {name}")
    return cls(**arguments)


@cache
def _field_types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def kinds() -> dict[str, Any]:
    """Classes in saved fits, by name: those of the package, and priors and bases of its users.

    A fit with classes of its users can be read where these are defined.
    """
    extensions = (*_descendants(Mechanism), *_descendants(Basis))
    return {kind.__name__: kind for kind in extensions} | TAGS


def _descendants(kind: type[Any]) -> Iterator[type[Any]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _descendants(subclass)


def _has_type(value: Any, hint: Any) -> bool:
    """Whether a decoded value has the declared type of a field; numbers must be finite."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is float:
        # NumPy takes larger integers for objects.
        limit = MAX_INTEGER if type(value) is int else np.inf
        return isinstance(value, float | int) and type(value) is not bool and abs(value) < limit
    if hint is int:
        return type(value) is int
    if hint is Basis:
        return isinstance(value, (*_BASES, *_descendants(Basis)))
    if origin in (Union, UnionType):
        return any(_has_type(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple and isinstance(value, tuple):
        types = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(types) and all(map(_has_type, value, types))
    if hint == Array:
        return isinstance(value, np.ndarray) and bool(np.isfinite(value).all())
    if origin is Mapping:
        return isinstance(value, dict) and all(_has_type(item, inner[1]) for item in value.values())
    return origin is None and isinstance(value, hint)
