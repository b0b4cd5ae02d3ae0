"""Self-normalised importance sampling, for conditional means given observed actions."""

from typing import NamedTuple

import numpy as np

from bayes_intgen._typing import Array

# Minimum effective draws for a nearly normal ratio of means with a reliable standard error.
MIN_EFFECTIVE_DRAWS = 10


class Estimate(NamedTuple):
    """Monte Carlo estimates with their standard errors.

    Attributes
    ----------
    value : ndarray, shape (M,)
        NaN at points that the model cannot produce.
    error : ndarray, shape (M,)
        Standard error; infinite with fewer than ten effective draws. Points that are evaluated
        together share their draws, so that their errors are correlated.
    """

    value: Array
    error: Array


def weighted_means(weights: Array, values: Array) -> Estimate:
    """Weighted mean of each row of ``values``, with the delta method's standard error."""
    total = weights.sum(axis=1)
    # Weights are infinite only on a set of measure zero, where the result is NaN.
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = weights / total[:, None]
        mean = (shares * values).sum(axis=1)
        error = np.sqrt((shares**2 * (values - mean[:, None]) ** 2).sum(axis=1))
        effective = 1 / (shares**2).sum(axis=1)
    # A single draw with all the weight would have an error of zero.
    return Estimate(mean, np.where(effective >= MIN_EFFECTIVE_DRAWS, error, np.inf))
