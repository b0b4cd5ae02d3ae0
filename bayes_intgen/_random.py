"""Random generators from seeds, one for each purpose.

A user gives one seed, often the one that made the data too. What is drawn from it for one
purpose must not repeat what was drawn for another.
"""

from typing import Literal, get_args

import numpy as np

Purpose = Literal[
    "starts", "condensed", "noise", "outcome", "rows", "causes", "points", "sample",
    "coefficients", "support", "prior", "check", "probes", "accepted",
    "momenta", "trajectories", "initial",
]  # fmt: skip


def generator(seed: int, purpose: Purpose, stream: int = 0) -> np.random.Generator:
    """A generator that depends on the seed, the purpose and the number of the stream.

    Examples
    --------
    >>> one, other = generator(0, "starts"), generator(0, "noise")
    >>> bool(one.random() == other.random())
    False
    """
    # A plain seed s and [s, 0] give the same numbers: purposes count from one.
    return np.random.default_rng([seed, get_args(Purpose).index(purpose) + 1, stream])
