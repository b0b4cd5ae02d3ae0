"""The standard normal distribution function."""

import math

import numpy as np

from bayes_intgen._lazy import scipy
from bayes_intgen._typing import Array

# Number of values that the standard library computes faster than SciPy is imported.
FEW = 20_000
_erfc = np.frompyfunc(math.erfc, 1, 1)


def normal_cdf(values: Array) -> Array:
    """Probability that a standard normal variable is at most these values.

    Examples
    --------
    >>> normal_cdf(np.array([0.0, 1.96])).round(3)
    array([0.5  , 0.975])
    """
    if np.size(values) > FEW:
        return np.asarray(scipy.special.ndtr(values))
    return np.asarray(_erfc(-np.asarray(values) / math.sqrt(2)) / 2, dtype=np.float64)
