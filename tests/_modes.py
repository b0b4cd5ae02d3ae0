"""Posteriors of hyperparameters at their mode, as they are before sampling."""

import numpy as np

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import Collapsed
from bayes_intgen.inference.gaussian.passes import sums_over
from bayes_intgen.models.variance_function import ConstantSpread
from bayes_intgen.simulators import Polynomial

WORLD = Polynomial.random(4, seed=5)


def collapsed(data: bi.RegimeData, world: Polynomial = WORLD) -> Collapsed:
    model = bi.models.additive(graph=world.graph)
    terms = model.decompose(data)
    return Collapsed.of(model, terms, sums_over(data, terms, ConstantSpread(), progress=False))


def at_mode(
    data: bi.RegimeData, world: Polynomial = WORLD
) -> tuple[Collapsed, np.ndarray, np.ndarray]:
    """A posterior, its mode, and what stands for draws of it."""
    posterior = collapsed(data, world)
    mode = posterior.mode(posterior.start, progress=False)
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(mode, posterior.covariance(mode), size=100)
    return posterior, mode, draws
