"""Marginal posteriors and their modes, without sampling."""

import numpy as np

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.models.variance_function import Homoscedastic
from bayes_intgen.simulators import Polynomial

WORLD = Polynomial.random(4, seed=5)


def marginal_posterior(data: bi.RegimeData, world: Polynomial = WORLD) -> MarginalPosterior:
    model = bi.models.additive(graph=world.graph)
    terms = model.decompose(data)
    return MarginalPosterior.of(
        model, terms, sufficient_statistics(data, terms, Homoscedastic(), progress=False)
    )


def at_mode(
    data: bi.RegimeData, world: Polynomial = WORLD
) -> tuple[MarginalPosterior, np.ndarray, np.ndarray]:
    """A posterior, its mode, and approximate draws."""
    posterior = marginal_posterior(data, world)
    mode = posterior.mode(posterior.start, progress=False)
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(mode, posterior.covariance(mode), size=100)
    return posterior, mode, draws
