"""Laws of outcomes of each kind: numbers on a continuous scale, zero or one, and counts.

The mean of every kind adds up over the actions. The kinds differ in what a single outcome can be.
Given the mean, a binary outcome has one law. A count is Poisson where its identified variance
equals its mean, negative binomial where it is larger, and binomial where it is smaller.
"""

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from bayes_intgen._typing import Array

# Smallest mean of a count, and smallest relative difference of its variance from its mean: Poisson
# numbers are the limit of zero.
MIN_MEAN, MIN_DISPERSION = 1e-9, 1e-6


def draw_binary(probability: Array, rng: np.random.Generator) -> Array:
    """Draw zeros and ones; probabilities outside [0, 1] are clipped."""
    return np.asarray(rng.random(probability.shape) < probability, dtype=np.float64)


def draw_counts(mean: Array, variance: Array, rng: np.random.Generator) -> Array:
    """Draw counts with a mean and a variance, shape (..., n)."""
    mean, variance = np.broadcast_arrays(np.maximum(mean, MIN_MEAN), variance)
    shape, below = _parameters(mean, variance)
    # A negative binomial number is Poisson with a mean from a gamma law.
    out = rng.poisson(rng.gamma(shape) * mean / shape).astype(np.float64)
    # Binomial numbers need a whole number of trials: of both neighbours, at random.
    trials = np.maximum(np.floor(shape[below] + rng.random(int(below.sum()))), 1)
    trials = np.maximum(trials, np.ceil(mean[below]))
    out[below] = rng.binomial(trials.astype(np.int64), np.minimum(mean[below] / trials, 1))
    return out


def count_cdf(mean: Array, variance: Array, counts: Array) -> Array:
    """Probability of at most ``counts``, elementwise.

    Examples
    --------
    >>> from scipy.stats import poisson
    >>> two = np.array([2.0])
    >>> bool(abs(count_cdf(two, two, two) - poisson.cdf(2, 2)) < 1e-5)
    True
    """
    mean, variance, counts = np.broadcast_arrays(np.maximum(mean, MIN_MEAN), variance, counts)
    shape, below = _parameters(mean, variance)
    share = np.where(below, mean / np.maximum(shape, mean), shape / (shape + mean))
    # Parameters of the incomplete beta function; without trials left, the count is at most this.
    left = shape - counts
    certain = below & (left <= 0)
    first = np.where(below, np.where(certain, 1.0, left), shape)
    at = np.where(below, 1 - share, share)
    out = scipy.special.betainc(first, np.maximum(counts + 1, 1e-9), at)
    return np.where(counts < 0, 0.0, np.where(certain, 1.0, out))


def count_quantiles(mean: Array, variance: Array, probabilities: Sequence[float]) -> Array:
    """Quantiles of mixtures of counts over draws: least counts with at least these probabilities.

    Parameters
    ----------
    mean, variance : ndarray, shape (draws, n)
    probabilities : sequence of float

    Returns
    -------
    ndarray, shape (len(probabilities), n)
    """
    p = np.asarray(probabilities)[:, None]
    low = np.full((len(p), mean.shape[1]), -1.0)
    high = np.full(low.shape, 1.0)
    while (short := _mixture(mean, variance, high) < p).any():
        low, high = np.where(short, high, low), np.where(short, 2 * high + 1, high)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        short = _mixture(mean, variance, middle) < p
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return high


def _mixture(mean: Array, variance: Array, counts: Array) -> Array:
    """Distribution function of mixtures over draws, at counts (P, n)."""
    return np.array([count_cdf(mean, variance, row).mean(axis=0) for row in counts])


def _parameters(mean: Array, variance: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Size of the negative binomial law or number of trials, and where it is the latter."""
    excess = variance - mean
    least = MIN_DISPERSION * mean
    below = excess < -least
    shape = mean**2 / np.maximum(np.abs(excess), least)
    return np.where(below, np.maximum(shape, mean), shape), below
