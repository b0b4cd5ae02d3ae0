"""Random generators derived from a seed, one per purpose.

A user passes one seed, often the one with which the data were simulated. Random numbers for
different purposes must be independent.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, get_args

import numpy as np

from bayes_intgen._arguments import seed_number

type Seed = int | np.random.Generator
# Exclusive upper end of seeds that are drawn from a generator.
MAX_SEED = 2**63

# The position of a purpose is part of its seed: append new purposes at the end.
Purpose = Literal[
    "starts", "condensed", "noise", "outcome", "rows", "causes", "points", "sample",
    "coefficients", "support", "prior", "check", "probes", "accepted",
    "momenta", "trajectories", "initial", "unit", "row weights", "experiments", "proposals",
    "selection", "population", "dependence", "correlation",
]  # fmt: skip


def takes_rng[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of a ``seed`` to take a NumPy Generator for it, also as ``rng``.

    The generator draws the seed, so that the next call differs. ``rng`` is the name in SPEC 7 of
    Scientific Python; type checkers see the function itself.

    Examples
    --------
    >>> seed_itself = takes_rng(lambda seed=0: seed)
    >>> rng = np.random.default_rng(0)
    >>> seed_itself(), seed_itself(rng=3), seed_itself(rng) == seed_itself(seed=rng)
    (0, 3, False)
    """

    def number(value: Any) -> Any:
        return int(value.integers(MAX_SEED)) if isinstance(value, np.random.Generator) else value

    @wraps(function)
    def with_rng(*args: P.args, **kwargs: P.kwargs) -> R:
        named: dict[str, Any] = {name: number(value) for name, value in kwargs.items()}
        if "rng" in named:
            if "seed" in named:
                raise TypeError(f"{function.__name__}() takes seed or rng, not both")
            named["seed"] = named.pop("rng")
        return function(*map(number, args), **named)

    return with_rng


def generator(seed: Seed, purpose: Purpose, stream: int = 0) -> np.random.Generator:
    """Create a generator that depends on seed, purpose and number of the stream.

    Raises
    ------
    ModelError
        If the seed is not a whole number of at least 0.

    Examples
    --------
    >>> one, other = generator(0, "starts"), generator(0, "noise")
    >>> bool(one.random() == other.random())
    False
    """
    # Purposes count from one, since the seeds s and [s, 0] give the same numbers.
    return np.random.default_rng([seed_number(seed), get_args(Purpose).index(purpose) + 1, stream])
