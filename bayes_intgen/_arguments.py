"""Validation of arguments of public functions: one function per kind."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import wraps
from math import isfinite
from numbers import Integral, Real
from typing import Any

from bayes_intgen.errors import BayesIntgenError, ModelError
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import option

Error = type[BayesIntgenError]
# Maximum length of a value in a message.
MAX_CHARACTERS = 60
# Maximum magnitude of numbers, and of the inverse of positive ones, so that sums of their squares
# are finite in float64.
MAX_MAGNITUDE = 1e100
# Maximum number of rows that are planned: beyond, rounding would determine their best split.
MAX_PLANNED_ROWS = 10**12


def whole_number(value: Any, name: str, minimum: int, error: Error = ModelError) -> int:
    """Validate a count or a seed, of at least ``minimum``.

    Examples
    --------
    >>> whole_number(np.int64(4), "chains", 1)
    4
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise error(f"{name} must be a whole number of at least {minimum}, not {_shown(value)}")
    return int(value)


def row_count(value: Any) -> int:
    """Validate a number of planned rows.

    Examples
    --------
    >>> row_count(500)
    500
    """
    count = whole_number(value, "rows", 1)
    if count > MAX_PLANNED_ROWS:
        raise ModelError(f"rows must be at most {MAX_PLANNED_ROWS:,}, not {_shown(value)}")
    return count


def seed_number(value: Any) -> int:
    """Validate a seed; the functions that take one turn a generator into a number before."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        kinds = option(
            "seed must be a whole number of at least 0, or a NumPy Generator",
            command="--seed must be a whole number of at least 0",
        )
        raise ModelError(f"{kinds}, not {_shown(value)}")
    return int(value)


def probability(
    value: Any, name: str, error: Error = ModelError, *, or_zero: bool = False
) -> float:
    """Validate a probability between 0 and 1, both excluded unless ``or_zero`` allows 0.

    Examples
    --------
    >>> probability(0.9, "level")
    0.9
    """
    number = _number(value)
    if number is not None and (0 < number < 1 or (or_zero and number == 0)):
        return number
    ends = "be 0 or lie between 0 and 1" if or_zero else "lie between 0 and 1"
    raise error(f"{name} must {ends}, not {_shown(value)}")


def probabilities(
    values: Any, name: str, error: Error = ModelError, *, or_zero: bool = False
) -> tuple[float, ...]:
    """Validate a sequence of one or more probabilities, as :func:`probability`.

    Examples
    --------
    >>> probabilities([0.5, 0.9], "levels")
    (0.5, 0.9)
    """
    numbers = items(values, name, "probabilities", error)
    if not numbers:
        raise error(f"{name} must have at least one probability")
    return tuple(probability(number, name, error, or_zero=or_zero) for number in numbers)


def real_number(value: Any, name: str, error: Error = ModelError) -> float:
    """Validate a number of at most ``MAX_MAGNITUDE``.

    Examples
    --------
    >>> real_number(np.float32(0.5), "sd")
    0.5
    """
    number = _number(value)
    if number is None or not isfinite(number):
        raise error(f"{name} must be a finite number, not {_shown(value)}")
    if abs(number) > MAX_MAGNITUDE:
        raise error(
            f"{name} must be at most {format_number(MAX_MAGNITUDE)}, not "
            f"{format_number(number)}; use larger units"
        )
    return number


def positive_number(value: Any, name: str) -> float:
    """Validate a positive number, with bounds on its magnitude as of :func:`real_number`.

    Examples
    --------
    >>> positive_number(0.5, "noise")
    0.5
    """
    number = real_number(value, name)
    if number <= 0:
        raise ModelError(f"{name} must be positive, not {format_number(number)}")
    if number < 1 / MAX_MAGNITUDE:
        least = 1 / MAX_MAGNITUDE
        raise ModelError(
            f"{name} must be at least {format_number(least)}, not {format_number(number)}; use "
            "smaller units"
        )
    return number


def _shown(value: Any) -> str:
    """A value in a message; the name of its class if it is long, such as a table."""
    text = repr(value)
    return text if len(text) <= MAX_CHARACTERS and text.isprintable() else type(value).__name__


def _number(value: Any) -> float | None:
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    return None


def one_of[T](value: T, name: str, choices: Iterable[T], error: Error = ModelError) -> T:
    """Validate a name of an option.

    Examples
    --------
    >>> one_of("gaussian", "noise", ["gaussian", "student_t"])
    'gaussian'
    """
    options = list(choices)
    if not isinstance(value, str) or value not in options:
        raise error(f"unknown {name} {_shown(value)}; choose {' or '.join(map(repr, options))}")
    return value


def items(values: Any, name: str, of: str, error: Error = ModelError) -> tuple[Any, ...]:
    """Read an iterable once; text and single values are refused.

    Examples
    --------
    >>> items((name for name in ["red"]), "intervened", "actions")
    ('red',)
    """
    if isinstance(values, str | bytes):
        raise error(f"{name} must be a list of {of}; write [{values!r}]")
    if not isinstance(values, Iterable):
        raise error(f"{name} must be a list of {of}, not {type(values).__name__}")
    return tuple(values)


def mapping(value: Any, name: str, of: str, error: Error = ModelError) -> dict[Any, Any]:
    """Validate a mapping, such as a dict; None counts as empty.

    Examples
    --------
    >>> mapping(None, "at", "actions to values")
    {}
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise error(f"{name} must map {of}, not {type(value).__name__}")
    return dict(value)


def instance[T](value: Any, kind: type[T], name: str, remedy: str, error: Error) -> T:
    """Validate the class of an argument; the remedy says how to make one.

    Examples
    --------
    >>> instance(data, bi.RegimeData, "data", "RegimeData.from_frame", bi.DataError) is data
    True
    """
    if not isinstance(value, kind):
        raise error(
            f"{name} must be a {kind.__name__}, not {type(value).__name__}; make one with {remedy}"
        )
    return value


def hints_for_names[**P, R](hints: Mapping[str, str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function to answer names of other libraries' arguments with a remedy.

    Type checkers see the signature of the function itself.

    Examples
    --------
    >>> @hints_for_names({"tune": "use warmup"})
    ... def sample(warmup: int = 75) -> None: ...
    >>> sample(tune=100)
    Traceback (most recent call last):
        ...
    TypeError: sample() got an unexpected keyword argument 'tune': use warmup
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def with_hints(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name in hints:
                    raise TypeError(
                        f"{function.__name__}() got an unexpected keyword argument {name!r}: "
                        f"{hints[name]}"
                    )
            return function(*args, **kwargs)

        return with_hints

    return decorate
