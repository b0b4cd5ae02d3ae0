"""Variances of random effects, relative to that of the noise, by maximum likelihood."""

import numpy as np
from scipy.optimize import minimize

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.group_sums import GroupSums
from bayes_intgen.models.random_effects import RandomEffects

# Bounds of the ratio of variances: beyond them groups are alike, or noise is negligible.
MIN_RATIO, MAX_RATIO = 1e-6, 1e6


def estimate_ratio(
    data: Observations, effects: RandomEffects, residuals: Array, precision: Array
) -> RandomEffects:
    """Estimate the variance ratios from residuals of a fit, by maximum likelihood.

    The variance of the noise is profiled out.

    Parameters
    ----------
    data : Observations
    effects : RandomEffects
    residuals : ndarray, shape (N,)
        Outcomes minus fitted means, with the random effects in them.
    precision : ndarray, shape (N,)
        Weights of the rows.
    """
    inputs = data.inputs
    codes = inputs[:, effects.grouping].astype(int)
    blank = np.zeros((len(data), 0))
    sums = GroupSums.over(codes, effects.functions(inputs), blank, residuals, precision)
    squares, rows = float(precision @ residuals**2), len(data)
    if data.weights is not None and data.within is not None:
        squares += float(data.within @ (precision / data.weights))
        rows += int((data.weights - 1).sum())

    def loss(log_ratio: Array) -> float:
        half, log_det = sums.half(np.exp(log_ratio))
        return float(rows * np.log(squares - np.sum(half**2)) + log_det) / 2

    start = np.log(np.array(effects.ratio))
    bounds = [(np.log(MIN_RATIO), np.log(MAX_RATIO))] * len(start)
    result = minimize(loss, start, method="L-BFGS-B", bounds=bounds)
    return effects.with_ratio(np.exp(result.x))


def conditional_residuals(
    data: Observations, effects: RandomEffects, residuals: Array, precision: Array
) -> Array:
    """Subtract the predicted effects of each row's group (BLUP) from residuals, shape (N,)."""
    inputs = data.inputs
    codes, columns = inputs[:, effects.grouping].astype(int), effects.functions(inputs)
    blank = np.zeros((len(data), 0))
    sums = GroupSums.over(codes, columns, blank, residuals, precision)
    shrunk = sums.zz + np.diag(1 / np.array(effects.ratio))
    predicted = np.linalg.solve(shrunk, sums.zy[..., None])[..., 0]
    which = np.searchsorted(sums.codes, codes)
    return np.asarray(residuals - np.sum(columns * predicted[which], axis=1))
