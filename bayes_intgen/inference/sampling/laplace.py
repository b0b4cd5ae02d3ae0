"""Laplace approximation of the hyperparameters, corrected by importance weights."""

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Rows
from bayes_intgen.inference.density.evaluated_draws import EvaluatedDraws
from bayes_intgen.inference.density.importance import ImportanceDraws, Proposal, importance_draws
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.modes import find_modes
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.pruning import PrunedModel
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.marginalised import MAX_RESTARTS
from bayes_intgen.inference.sampling.warmup import MODE_TOLERANCE
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition

# Default number of draws per chain, and maximum number of modes about which to draw.
DRAWS, MAX_MODES = 250, 4


def sample_laplace(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: SamplerSettings,
    checkpoint: Checkpoint | None,
) -> SampledModel:
    """Resample importance draws of the hyperparameters, and draw the coefficients given each.

    Draws are independent of each other but for repetitions of hyperparameters: chains and draws
    are only the dimensions that other functions expect.
    """
    pruned = PrunedModel.of(model, terms, pilot, settings.simplify, techniques=settings.techniques)
    start = pruned.posterior.point(pilot.sites, pilot.posterior.terms)
    return resampled(*_importance_draws(pruned.posterior, start, settings), pruned, settings)


def resampled(
    draws: ImportanceDraws,
    evaluated: EvaluatedDraws,
    pruned: PrunedModel,
    settings: SamplerSettings,
) -> SampledModel:
    """Resample importance draws, with coefficients of each."""
    posterior = pruned.posterior
    shape = settings.chains, settings.draws or DRAWS
    index = draws.resample(shape[0] * shape[1], generator(settings.seed, "proposals", 2))
    coefficients = evaluated.coefficients(draws.points, index).reshape(*shape, -1)
    sites = posterior.sites(draws.points[index].reshape(*shape, -1))
    return SampledModel(
        pruned.terms,
        sites,
        pruned.statistics.complete(
            coefficients, sites["noise_sd"], generator(settings.seed, "condensed")
        ),
        {"lp": draws.log_density[index].reshape(shape)},
        pruned.fixed,
        draws.diagnostics,
    )


def _importance_draws(
    posterior: MarginalPosterior, start: Array, settings: SamplerSettings, restarts: int = 0
) -> tuple[ImportanceDraws, EvaluatedDraws]:
    """Draw about the modes near ``start``; restart where a draw reaches a higher mode."""
    several = settings.techniques.several_modes
    modes = find_modes(posterior, start, MAX_MODES, settings.progress, several)
    rng = generator(settings.seed, "proposals")
    evaluated = EvaluatedDraws(posterior, settings.seed)
    adapts = settings.techniques.adapted_proposals
    draws = importance_draws(
        evaluated.values, Proposal.about(modes), rng, settings.progress, adapts=adapts
    )
    highest = int(np.argmax(draws.log_density))
    missed = draws.log_density[highest] + min(mode.potential for mode in modes)
    if missed > MODE_TOLERANCE and restarts < MAX_RESTARTS:
        return _importance_draws(posterior, draws.points[highest], settings, restarts + 1)
    return draws, evaluated
