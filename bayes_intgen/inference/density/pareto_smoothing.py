"""Pareto smoothing of importance weights, with Pareto k as its diagnostic.

The largest weights are replaced by quantiles of a generalised Pareto distribution (Vehtari,
Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling", Journal of Machine Learning
Research 2024). ArviZ's function takes 1.2 s to import, three times as long as such a fit.
"""

import numpy as np

from bayes_intgen._typing import Array

# Log weight below the largest one at which a draw has none, and below which `exp` underflows.
LOWEST_LOG_WEIGHT = -700.0
# Prior of Pareto k: as that many exceedances of shape one half.
PRIOR_COUNT, PRIOR_SHAPE = 10, 0.5


def smoothed_weights(log_ratio: Array) -> tuple[Array, float]:
    """Pareto-smooth importance weights; return them, with sum one, and Pareto k.

    Parameters
    ----------
    log_ratio : ndarray, shape (n,)
        Log of the posterior density over that of the proposal, up to a constant; minus infinity
        where the posterior has no density. At least 25 draws.

    Notes
    -----
    Pareto k is NaN, and the weights are not smoothed, if more than a quarter of the largest ones
    are equal.

    Examples
    --------
    >>> weights, pareto_k = smoothed_weights(np.random.default_rng(0).normal(size=500))
    >>> round(float(weights.sum()), 6), pareto_k < 0.7
    (1.0, True)
    """
    log_weights = np.maximum(log_ratio - np.max(log_ratio), LOWEST_LOG_WEIGHT)
    count = len(log_weights)
    in_tail = int(3 * np.sqrt(count)) if count > 225 else count // 5
    order = np.argsort(log_weights)
    weights = np.exp(log_weights)
    threshold, largest = weights[order[-in_tail - 1]], order[-in_tail:]
    shape, scale = generalised_pareto(weights[largest] - threshold)
    if np.isfinite(shape):
        upper = -np.log1p(-(np.arange(in_tail) + 0.5) / in_tail)
        quantiles = scale * (np.expm1(shape * upper) / shape if shape else upper)
        # No weight exceeds the largest one.
        weights[largest] = np.minimum(threshold + quantiles, 1.0)
    return weights / weights.sum(), shape


def generalised_pareto(exceedances: Array) -> tuple[float, float]:
    """Estimate shape k and scale of a generalised Pareto distribution from sorted values.

    The estimate of Zhang and Stephens, "A new and efficient estimation method for the generalized
    Pareto distribution" (Technometrics 2009): the posterior mean of theta = -k / scale over a grid,
    under a prior that depends on the data. The shape is shrunk towards one half.
    """
    count = len(exceedances)
    quartile = exceedances[int(count / 4 + 0.5) - 1]
    if not quartile > exceedances[0]:
        return np.nan, np.nan
    size = 30 + int(np.sqrt(count))
    grid = (1 - np.sqrt(size / (np.arange(size) + 0.5))) / (3 * quartile) + 1 / exceedances[-1]
    shapes = np.log1p(-grid[:, None] * exceedances).mean(axis=1)
    log_likelihood = count * (np.log(-grid / shapes) - shapes - 1)
    density = np.exp(log_likelihood - log_likelihood.max())
    theta = float(density @ grid / density.sum())
    shape = float(np.log1p(-theta * exceedances).mean())
    shrunk = (count * shape + PRIOR_COUNT * PRIOR_SHAPE) / (count + PRIOR_COUNT)
    return shrunk, -shape / theta
