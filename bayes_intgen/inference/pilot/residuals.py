"""Residuals of the pilot fit, and what is estimated from them by maximum likelihood.

That is the variance of random effects, relative to that of the noise. A random effect of each row
is what the units have in common of which the row is the mean.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import row_weights, unit_precision
from bayes_intgen.inference.gaussian.sufficient_statistics import GroupSums
from bayes_intgen.models.terms import RandomEffects
from bayes_intgen.models.variance_function import VarianceFunction

# Bounds of the ratio of variances: beyond them groups are alike, or noise is negligible.
MIN_RATIO, MAX_RATIO = 1e-6, 1e6
# Minimum log likelihood that an intraclass correlation gains: less is rounding, as where all rows
# have the same number of units.
MIN_GAIN = 1e-3


def residuals(
    data: Observations,
    posterior: MarginalPosterior,
    sites: dict[str, Array],
    spread: VarianceFunction,
    progress: bool,
) -> Array:
    """Leverage-corrected residuals of a fit with a variance function, shape (N,).

    Random effects are subtracted. The rows may be means of several units, by their weights.

    The variance of a row's residual is that of its noise times 1 - h, with leverage h (HC2:
    MacKinnon and White 1985).
    """
    terms = posterior.terms
    conditional = posterior.conditional(sites)
    # Single precision suffices for leverages, and takes half the time.
    root = (conditional.root / conditional.noise_sd).astype(np.float32)

    def of_batch(batch: Observations) -> Array:
        design = terms.matrix(batch.inputs, batch.intervened)
        of_unit = np.sum((design.astype(np.float32) @ root) ** 2, axis=1)
        leverage = row_weights(spread, batch) * of_unit
        residual = batch.outcome - terms.centre - design @ conditional.mean
        return np.asarray(residual / np.sqrt(np.clip(1 - leverage, 0.05, 1)))

    own = np.concatenate(list(data.map_batches(of_batch, "Residuals", progress)))
    if terms.random_effects is None:
        return own
    return conditional_residuals(data, terms.random_effects, own, row_weights(spread, data))


def conditional_residuals(
    data: Observations, effects: RandomEffects, residuals: Array, precision: Array
) -> Array:
    """Subtract the predicted effects of each row's group (BLUP) from residuals, shape (N,)."""
    inputs = data.inputs
    codes, columns = inputs[:, effects.grouping].astype(int), effects.functions(inputs)
    blank = np.zeros((len(data), 0))
    sums = GroupSums.over(codes, columns, blank, residuals, precision)
    shrunk = sums.zz + np.diag(1 / np.array(effects.ratio))
    predicted = np.linalg.solve(shrunk, sums.cross)[..., 0]
    which = np.searchsorted(sums.codes, codes)
    return np.asarray(residuals - np.sum(columns * predicted[which], axis=1))


def estimate_ratio(
    data: Observations, effects: RandomEffects, residuals: Array, spread: VarianceFunction
) -> RandomEffects:
    """Estimate the variance ratios from residuals of a fit, by maximum likelihood.

    Parameters
    ----------
    data : Observations
    effects : RandomEffects
    residuals : ndarray, shape (N,)
        Outcomes minus fitted means, with the random effects in them.
    spread : VarianceFunction
    """
    inputs = data.inputs
    codes = inputs[:, effects.grouping].astype(int)
    loss = _loss(data, codes, effects.functions(inputs), residuals, spread)
    start = np.log(np.array(effects.ratio))
    bounds = [(np.log(MIN_RATIO), np.log(MAX_RATIO))] * len(start)
    result = minimize(
        lambda log_ratio: loss(np.exp(log_ratio)), start, method="L-BFGS-B", bounds=bounds
    )
    return effects.with_ratio(np.exp(result.x))


def estimate_intraclass_correlation(data: Observations, residuals: Array) -> float:
    """Share of a unit's variance that the units of a row have in common, by maximum likelihood.

    Zero where the residuals of means of many units are as small as those of independent units.

    Parameters
    ----------
    data : Observations
        Rows with weights.
    residuals : ndarray, shape (N,)
    """
    assert data.weights is not None
    rows, one = np.arange(len(data)), np.ones((len(data), 1))
    loss = _loss(data, rows, one, residuals, VarianceFunction())
    median = np.median(data.weights)

    def ratio(share: float) -> Array:
        """Ratio of variances with this share of the variance of a row of median size."""
        return np.array([share / (1 - share) / median])

    result = minimize_scalar(lambda share: loss(ratio(share)), bounds=(0, 1), method="bounded")
    if loss(ratio(MIN_RATIO)) - result.fun < MIN_GAIN:
        return 0.0
    return float(1 / (1 + 1 / ratio(result.x)[0]))


def _loss(
    data: Observations,
    codes: NDArray[np.int_],
    effects: Array,
    residuals: Array,
    spread: VarianceFunction,
) -> Callable[[Array], float]:
    """Minus the log likelihood of variance ratios (q,) of effects (N, q) of groups.

    The variance of the noise is profiled out.
    """
    precision, blank = row_weights(spread, data), np.zeros((len(data), 0))
    sums = GroupSums.over(codes, effects, blank, residuals, precision)
    squares, rows = float(precision @ residuals**2), len(data)
    if data.weights is not None and data.within is not None:
        squares += float(data.within @ unit_precision(spread, data))
        rows += int((data.weights - 1).sum())

    def loss(ratio: Array) -> float:
        effect = sums.regression(ratio)
        return float(rows * np.log(squares - np.sum(effect.half**2)) + effect.log_det) / 2

    return loss
