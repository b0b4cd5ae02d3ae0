"""Samplers of a model: NUTS over the hyperparameters, and importance sampling about their mode.

Both marginalise the coefficients, and draw them exactly given each draw of the hyperparameters.
"""

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Rows
from bayes_intgen.inference.density.blocks import block_approximation
from bayes_intgen.inference.density.importance import EvaluatedDraws, StudentT, importance_draws
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior, Mode
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.pruning import PrunedModel
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.convergence import MonitoredEffect
from bayes_intgen.inference.sampling.nuts import Draws, Quantities, nuts
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model

# Number of test points of approximations. With a few dozen, outliers among them would determine the
# sizes of the blocks of coefficients.
N_TEST_POINTS = 400
# Default number of draws per chain.
DRAWS = 250


def sample_marginal(
    data: Rows, model: Model, pilot: Pilot, settings: SamplerSettings
) -> SampledModel:
    """Sample the hyperparameters by NUTS, and draw the coefficients exactly given each."""
    pruned = PrunedModel.of(model, pilot, settings.prunes)
    posterior = pruned.posterior
    start = posterior.point(pilot.sites, pilot.posterior.terms)
    monitored = MonitoredEffect.of(data, model, posterior.terms)
    effect = posterior.terms.matrix(monitored.points, monitored.masks)

    def quantities(flat: Array, coefficients: Array) -> Array:
        # Without the eliminated coefficients, which are drawn independently given these.
        effects = coefficients[..., : posterior.size] @ effect.T
        return np.concatenate([np.exp(flat), effects], axis=-1)

    draws = _sample_hyperparameters(posterior, start, settings, quantities)
    sites = posterior.sites(draws.flat)
    rng, own = generator(settings.seed, "condensed"), draws.coefficients[..., : posterior.size]
    coefficients = pruned.statistics.complete(own, sites["noise_sd"], rng)
    return SampledModel(pruned.terms, sites, coefficients, draws.statistics, pruned.fixed)


def _sample_hyperparameters(
    posterior: MarginalPosterior, start: Array, settings: SamplerSettings, quantities: Quantities
) -> Draws:
    """Run chains from points about the mode nearest to ``start``."""
    mode, surrogate = Mode.nearest(posterior, start, settings.progress), None
    if settings.techniques.surrogate:
        points = mode.points(N_TEST_POINTS, generator(settings.seed, "probes"))
        surrogate = block_approximation(posterior, mode.point, points)
    starts = mode.points(settings.chains, generator(settings.seed, "starts"))
    # A chain could not leave a point at which rounding makes the density NaN.
    without_density = [not np.isfinite(posterior.value(at)) for at in starts]
    starts[without_density] = mode.point
    return nuts(
        posterior.density,
        starts,
        mode.covariance,
        settings,
        quantities=quantities,
        surrogate=None if surrogate is None else surrogate.density,
    )


def sample_laplace(
    data: Rows, model: Model, pilot: Pilot, settings: SamplerSettings
) -> SampledModel:
    """Resample importance draws of the hyperparameters, and draw the coefficients given each.

    Draws are independent of each other but for repetitions of hyperparameters: chains and draws
    are only the dimensions that other functions expect.
    """
    pruned = PrunedModel.of(model, pilot, settings.prunes)
    posterior = pruned.posterior
    start = posterior.point(pilot.sites, pilot.posterior.terms)
    mode = Mode.nearest(posterior, start, settings.progress)
    rng = generator(settings.seed, "proposals")
    evaluated = EvaluatedDraws(posterior, settings.seed)
    draws = importance_draws(
        evaluated.values,
        StudentT.about(mode),
        rng,
        settings.progress,
        adapts=settings.techniques.adapted_proposals,
    )
    shape = settings.chains, settings.draws or DRAWS
    index = draws.resample(shape[0] * shape[1], generator(settings.seed, "proposals", 2))
    coefficients = evaluated.coefficients(draws.points, index).reshape(*shape, -1)
    sites = posterior.sites(draws.points[index].reshape(*shape, -1))
    rng = generator(settings.seed, "condensed")
    return SampledModel(
        pruned.terms,
        sites,
        pruned.statistics.complete(coefficients, sites["noise_sd"], rng),
        {"lp": draws.log_density[index].reshape(shape)},
        pruned.fixed,
        draws.diagnostics,
    )
