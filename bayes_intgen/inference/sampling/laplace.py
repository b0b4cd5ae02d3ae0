"""Laplace approximation of the hyperparameters, corrected by importance weights."""

from bayes_intgen._random import generator
from bayes_intgen.data.rows import Rows
from bayes_intgen.inference.density.evaluated_draws import EvaluatedDraws
from bayes_intgen.inference.density.importance import StudentT, importance_draws
from bayes_intgen.inference.density.modes import Mode
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.pruning import PrunedModel
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model

# Default number of draws per chain.
DRAWS = 250


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
