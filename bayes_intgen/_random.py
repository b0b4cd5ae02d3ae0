"""Random generators derived from a seed, one per purpose.

A user passes one seed, often the one with which the data were simulated. Random numbers for
different purposes must be independent.
"""

from typing import Literal, get_args

import numpy as np

from bayes_intgen._arguments import seed_number

# The position of a purpose is part of its seed: append new purposes at the end.
Purpose = Literal[
    "starts", "condensed", "noise", "outcome", "rows", "causes", "points", "sample",
    "coefficients", "support", "prior", "check", "probes", "accepted",
    "momenta", "trajectories", "initial", "unit", "row weights", "experiments", "proposals",
    "selection", "population", "dependence", "correlation",
]  # fmt: skip


def generator(seed: int, purpose: Purpose, stream: int = 0) -> np.random.Generator:
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
