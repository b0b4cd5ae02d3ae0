"""Residuals of the pilot fit."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import map_batches
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.pilot.variance_ratio import conditional_residuals


def residuals(
    data: Observations, posterior: MarginalPosterior, sites: dict[str, Array], progress: bool
) -> Array:
    """Leverage-corrected residuals of a fit with constant variance, shape (N,).

    Random effects are subtracted. The rows may be means of several units, by their weights.

    The variance of a row's residual is that of its noise times 1 - h, with leverage h (HC2:
    MacKinnon and White 1985).
    """
    terms = posterior.terms
    conditional = posterior.conditional(sites)
    # Single precision suffices for leverages, and takes half the time.
    root = (conditional.root / conditional.noise_sd).astype(np.float32)

    def of_batch(batch: Observations) -> Array:
        design = terms.matrix(batch.inputs, batch.intervened, evaluation=batch.evaluation)
        weights = np.ones(len(batch)) if batch.weights is None else batch.weights
        leverage = weights * np.sum((design.astype(np.float32) @ root) ** 2, axis=1)
        residual = batch.outcome - terms.centre - design @ conditional.mean
        return np.asarray(residual / np.sqrt(np.clip(1 - leverage, 0.05, 1)))

    own = np.concatenate(list(map_batches(data, of_batch, "Residuals", progress)))
    if terms.random_effects is None:
        return own
    weights = np.ones(len(data)) if data.weights is None else data.weights
    return conditional_residuals(data, terms.random_effects, own, weights)
