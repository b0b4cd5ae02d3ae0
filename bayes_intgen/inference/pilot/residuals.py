"""Residuals of the pilot fit."""

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import map_batches
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior


def residuals(
    data: Observations, posterior: MarginalPosterior, sites: dict[str, Array], progress: bool
) -> Array:
    """Residuals of a fit with constant spread, as wide as the noise is, shape (N,).

    A row pulls the fit towards itself by its leverage h: its residual's variance is 1 - h of
    its noise's (MacKinnon and White 1985, HC2).
    """
    terms = posterior.terms
    given = posterior.given(sites)
    # Of leverages a few digits will do, in half the time.
    root = (given.root / given.noise_sd).astype(np.float32)

    def of_batch(batch: Observations) -> Array:
        design = terms.matrix(batch.actions, batch.intervened)
        leverage = np.sum((design.astype(np.float32) @ root) ** 2, axis=1)
        residual = batch.outcome - terms.centre - design @ given.mean
        return np.asarray(residual / np.sqrt(np.clip(1 - leverage, 0.05, 1)))

    return np.concatenate(list(map_batches(data, of_batch, "Residuals", progress)))
