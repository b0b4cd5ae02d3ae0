"""Sampling of the generative program as it is written out, row by row."""

from typing import Any

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.chains import Sampled, Settings, run_chains
from bayes_intgen.checkpoint import Checkpoint
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.models import Model
from bayes_intgen.passes import known_rows
from bayes_intgen.pilot import Pilot
from bayes_intgen.streamed import Rows
from bayes_intgen.targets import Layout, Target
from bayes_intgen.walk import Density


def sample_written_out(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: Settings,
    checkpoint: Checkpoint | None,
) -> Sampled:
    """The generative program itself, started from the Gaussian pilot."""
    data = data.held
    rows = (
        terms.functions(data.actions),
        terms.gates(data.intervened),
        np.sqrt(pilot.spread(data.actions, data.intervened)),
        data.outcome - terms.centre,
        known_rows(data, terms),
    )

    def program(*rows: Any) -> None:
        model.written_out(terms, *rows)

    pilot_layout = pilot.posterior.layout
    priors = model.hyperpriors(terms)
    centre, spread = pilot.posterior.moments(pilot.sites)
    sd = np.exp(priors.log_sd_at(pilot.sites))
    start = {**pilot_layout.sites(pilot.mode), "weights": (centre - priors.mean) / sd}
    if model.noise == "student_t":
        start["df"] = np.log(20.0)
    layout = Layout(start)
    target = Target(program, rows, layout)

    covariance = np.eye(layout.size)
    order = np.concatenate([layout.positions[name] for name in pilot_layout.positions])
    covariance[np.ix_(order, order)] = pilot.posterior.covariance(pilot.mode)
    weights = layout.positions["weights"]
    covariance[np.ix_(weights, weights)] = spread / np.outer(sd, sd)

    density = Density(target.potential, target.arguments, target.energy)

    is_weight = np.isin(np.arange(layout.size), weights)

    def reported(flat: Array) -> Array:
        return np.where(is_weight, flat, np.exp(np.where(is_weight, 0, flat)))

    sampled = run_chains(density, layout.flat(start), covariance, settings, checkpoint, reported)
    sites = target.constrain(sampled.flat)
    sites.pop("weights")
    coefficients = sites.pop("coefficients")
    return Sampled(terms, sites, coefficients, sampled.statistics, {})
