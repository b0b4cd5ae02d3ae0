"""Marginalised sampler: NUTS over the hyperparameters, with the coefficients marginalised."""

import numpy as np
from scipy.linalg import block_diag

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Rows
from bayes_intgen.inference.density.blocks import block_approximation
from bayes_intgen.inference.density.log_density import LogDensity
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.modes import find_modes
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.pruning import PrunedModel
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.monitored_effect import MonitoredEffect
from bayes_intgen.inference.sampling.nuts import Draws, Quantities, nuts
from bayes_intgen.inference.sampling.starting_points import (
    N_TEST_POINTS,
    chain_starts,
    dispersed_points,
)
from bayes_intgen.inference.sampling.student_t_density import StudentTPosterior
from bayes_intgen.inference.sampling.swaps import pairs_of_scales
from bayes_intgen.inference.sampling.warmup import HigherModeError
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition

# Maximum number of restarts from a higher mode that a chain reached.
MAX_RESTARTS = 3


def sample_marginal(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: SamplerSettings,
    checkpoint: Checkpoint | None,
) -> SampledModel:
    """Sample the hyperparameters by NUTS, and draw the coefficients exactly given each."""
    pruned = PrunedModel.of(model, terms, pilot, settings.simplify, techniques=settings.techniques)
    posterior = pruned.posterior
    start = posterior.point(pilot.sites, pilot.posterior.terms)
    monitored = MonitoredEffect.of(data, model)
    effect = posterior.terms.matrix(monitored.points, monitored.masks)

    def effects(coefficients: Array) -> Array:
        # Without the eliminated coefficients, which add little.
        return np.asarray(coefficients[..., : posterior.size] @ effect.T)

    if model.noise == "student_t":
        start[posterior.layout.positions["noise_sd"]] = np.log(pilot.noise_scale)
        rows = StudentTPosterior.of(data.in_memory, pruned, pilot, start)

        def with_df(flat: Array, coefficients: Array) -> Array:
            df = rows.sites(flat)["df"][..., None]
            own = np.exp(flat[..., : posterior.layout.size])
            return np.concatenate([own, df, effects(coefficients)], axis=-1)

        draws = _sample_hyperparameters(
            rows.posterior, rows.density, start, settings, checkpoint, with_df
        )
        sites, coefficients = rows.sites(draws.flat), rows.coefficients(draws.coefficients)
        return SampledModel(pruned.terms, sites, coefficients, draws.statistics, pruned.fixed)

    def quantities(flat: Array, coefficients: Array) -> Array:
        return np.concatenate([np.exp(flat), effects(coefficients)], axis=-1)

    draws = _sample_hyperparameters(posterior, None, start, settings, checkpoint, quantities)
    sites = posterior.sites(draws.flat)
    coefficients = pruned.statistics.complete(
        draws.coefficients[..., : posterior.size],
        sites["noise_sd"],
        generator(settings.seed, "condensed"),
    )
    return SampledModel(pruned.terms, sites, coefficients, draws.statistics, pruned.fixed)


def _sample_hyperparameters(
    posterior: MarginalPosterior,
    density: LogDensity | None,
    start: Array,
    settings: SamplerSettings,
    checkpoint: Checkpoint | None,
    quantities: Quantities,
    restarts: int = 0,
) -> Draws:
    """Run chains from the modes near ``start``; restart if a chain reaches a higher one.

    The density is that of the draws, if it is another one than that of ``posterior``.
    """
    techniques = settings.techniques
    several = techniques.several_modes
    modes = find_modes(posterior, start, settings.chains, settings.progress, several)
    first = modes[0]
    points = dispersed_points(first.point, first.covariance, N_TEST_POINTS, settings.seed, "probes")
    surrogate = None
    if techniques.surrogate:
        surrogate = block_approximation(posterior, first.point, points)
    target = density or (posterior.density if surrogate is None else posterior.correction)
    starts = chain_starts(modes, settings)
    # A chain could not leave a point at which rounding makes the density NaN.
    without_density = [not np.isfinite(posterior.value(at)) for at in starts]
    starts[without_density] = first.point
    normal = generator(settings.seed, "starts", 1).standard_normal((len(starts), posterior.spare))
    # A potential that depends on the draw of the coefficients has no mode.
    has_mode = target.correction is None and restarts < MAX_RESTARTS
    try:
        return nuts(
            target,
            np.concatenate([starts, normal], axis=1),
            block_diag(first.covariance, np.eye(posterior.spare)),
            settings,
            quantities=quantities,
            pairs=pairs_of_scales(posterior.terms, posterior.layout.positions.get("scale", ())),
            surrogate=None if surrogate is None else surrogate.density,
            mode_potential=min(mode.potential for mode in modes) if has_mode else -np.inf,
            checkpoint=checkpoint,
            label=f"again{restarts}-" if restarts else "",
        )
    except HigherModeError as higher:
        return _sample_hyperparameters(
            posterior,
            density,
            higher.point[: len(start)],
            settings,
            checkpoint,
            quantities,
            restarts + 1,
        )
