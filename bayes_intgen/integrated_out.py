"""Sampling with the coefficients integrated out: NUTS over the hyperparameters alone."""

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.chains import PROBES, Sampled, Settings, dispersed, run_chains, scattered
from bayes_intgen.checkpoint import Checkpoint
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.groups import by_groups
from bayes_intgen.models import Model
from bayes_intgen.modes import find_modes
from bayes_intgen.pilot import Pilot
from bayes_intgen.probes import Probes
from bayes_intgen.rows import Rows
from bayes_intgen.sampling import Draws, NotTheModeError, Reported
from bayes_intgen.simplify import Simplified
from bayes_intgen.streams import generator

# How often chains may begin anew from a higher mode that one of them has found.
MOST_RESTARTS = 3


def sample_integrated_out(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: Settings,
    checkpoint: Checkpoint | None,
) -> Sampled:
    """The hyperparameters by NUTS, and with each the coefficients exactly."""
    simplified = Simplified.of(model, terms, pilot, settings.simplify)
    posterior = simplified.posterior
    start = posterior.point(pilot.sites, pilot.posterior.terms)
    probes = Probes.of(data, model)
    effect = posterior.terms.matrix(probes.points, probes.masks)

    def quantities(flat: Array, given: Array) -> Array:
        # Of what is kept: what the rest adds is small.
        effects = given[..., : posterior.size] @ effect.T
        return np.concatenate([np.exp(flat), effects], axis=-1)

    sampled = _hyperparameters(posterior, start, settings, checkpoint, quantities)
    sites = posterior.sites(sampled.flat)
    rng = generator(settings.seed, "condensed")
    drawn = sampled.given[..., : posterior.size]
    coefficients = simplified.condensed.complete(drawn, sites["noise_sd"], rng)
    return Sampled(simplified.terms, sites, coefficients, sampled.statistics, simplified.fixed)


def _hyperparameters(
    posterior: Collapsed,
    start: Array,
    settings: Settings,
    checkpoint: Checkpoint | None,
    quantities: Reported,
    restarts: int = 0,
) -> Draws:
    """Draws of the hyperparameters, by chains from about the modes or a higher one they find."""
    modes = find_modes(posterior, start, settings.chains, settings.progress)
    first = modes[0]
    probes = scattered(first.point, first.covariance, PROBES, settings, "probes")
    close = by_groups(posterior, first.point, probes)
    starts = dispersed(modes, settings)
    # Rounding may leave a point far out no density; a chain could not leave it.
    lost = [not np.isfinite(posterior.value(at)) for at in starts]
    starts[lost] = first.point
    highest = min(mode.energy for mode in modes)
    try:
        return run_chains(
            posterior.density,
            starts,
            first.covariance,
            settings,
            checkpoint,
            quantities,
            walked=None if close is None else close.density,
            least_energy=highest if restarts < MOST_RESTARTS else -np.inf,
            label=f"again{restarts}-" if restarts else "",
        )
    except NotTheModeError as found:
        return _hyperparameters(
            posterior, found.point, settings, checkpoint, quantities, restarts + 1
        )
