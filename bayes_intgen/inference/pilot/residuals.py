"""Residuals of the pilot fit."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import map_batches
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import row_weights
from bayes_intgen.inference.pilot.variance_ratio import conditional_residuals
from bayes_intgen.models.variance_function import VarianceFunction


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

    own = np.concatenate(list(map_batches(data, of_batch, "Residuals", progress)))
    if terms.random_effects is None:
        return own
    return conditional_residuals(data, terms.random_effects, own, row_weights(spread, data))
