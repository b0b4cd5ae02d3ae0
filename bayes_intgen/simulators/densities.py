"""Densities of the laws from which several simulators draw."""

import numpy as np

from bayes_intgen._typing import Array


def normal_density(values: Array) -> Array:
    """Density of a standard normal."""
    return np.asarray(np.exp(-0.5 * values**2) / np.sqrt(2 * np.pi))


def lognormal_density(values: Array, log_median: Array | float, log_sd: float) -> Array:
    """Density of exp(log_median + log_sd Z), Z standard normal; zero up to zero."""
    positive = values > 0
    values = np.where(positive, values, 1.0)
    z = (np.log(values) - log_median) / log_sd
    return np.where(positive, normal_density(z) / (log_sd * values), 0.0)
