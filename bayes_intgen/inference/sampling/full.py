"""Full sampler: NUTS over hyperparameters and coefficients of the generative program."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from bayes_intgen._jax import double_precision
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.log_density import (
    FlatLayout,
    LogDensity,
    ProgramDensity,
    value_and_grad,
)
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import coefficient_blocks
from bayes_intgen.inference.density.whitening import Whitening, unwhitened, whitened
from bayes_intgen.inference.gaussian.passes import pseudo_observations, relative_noise_sd
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.nuts import nuts
from bayes_intgen.inference.sampling.starting_points import N_TEST_POINTS, dispersed_points
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition


@double_precision()
def sample_full(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: SamplerSettings,
    checkpoint: Checkpoint | None,
) -> SampledModel:
    """Sample the generative program in coordinates whitened by a Gaussian approximation."""
    rows = data.in_memory
    relative_sd = relative_noise_sd(pilot.spread, rows)
    gaussian = _GaussianModel.of_pilot(pilot)
    whitening, weight_covariance = _whitening(gaussian, settings)
    start = {**gaussian.sites, "weights": np.zeros(terms.size)}
    program = _program_density(rows, model, terms, relative_sd, FlatLayout.of(start))
    layout = program.layout
    potential, arguments = whitened(program.potential, layout), (program.arguments, whitening)
    density = LogDensity(potential, arguments, partial(value_and_grad, potential, arguments))

    weights, names = layout.positions["weights"], FlatLayout.of(gaussian.sites).positions
    hyperparameters = np.concatenate([layout.positions[name] for name in names])
    covariance = np.zeros((layout.size, layout.size))
    covariance[np.ix_(hyperparameters, hyperparameters)] = gaussian.covariance
    covariance[np.ix_(weights, weights)] = weight_covariance

    starts = dispersed_points(
        layout.flat(start), covariance, settings.chains, settings.seed, "starts"
    )
    draws = nuts(
        density,
        starts,
        covariance,
        settings,
        quantities=lambda flat, _: np.exp(flat[..., hyperparameters]),
        checkpoint=checkpoint,
    )
    sites = program.constrain(unwhitened(layout, whitening, draws.flat))
    sites.pop("weights")
    coefficients = sites.pop("coefficients")
    return SampledModel(terms, sites, coefficients, draws.statistics, {})


def _program_density(
    data: Observations,
    model: Model,
    terms: Decomposition,
    relative_sd: Array,
    layout: FlatLayout,
) -> ProgramDensity:
    """Log density of the generative program given these rows."""

    def program(*rows: Any) -> None:
        model.program(terms, *rows)

    rows = (
        terms.functions(data.inputs),
        terms.gates(data.intervened),
        relative_sd,
        data.outcome - terms.centre,
        pseudo_observations(data, terms),
    )
    return ProgramDensity(program, rows, layout)


class _GaussianModel(NamedTuple):
    """Model of Gaussian noise whose posterior approximates that of the program.

    Attributes
    ----------
    posterior : MarginalPosterior
    mode : ndarray, shape (D,), mode_covariance : ndarray, shape (D, D)
        Mode of the posterior and inverse Hessian there.
    sites : dict
        Logarithms of all hyperparameters of the program, near its mode.
    covariance : ndarray, shape (d, d)
        Covariance of the flat vector of these.
    """

    posterior: MarginalPosterior
    mode: Array
    mode_covariance: Array
    sites: dict[str, Array]
    covariance: Array

    @classmethod
    def of_pilot(cls, pilot: Pilot) -> "_GaussianModel":
        """Model of the pilot fit, for a program with Gaussian noise."""
        posterior, mode = pilot.posterior, pilot.mode
        covariance = posterior.covariance(mode)
        return cls(posterior, mode, covariance, posterior.layout.sites(mode), covariance)


def _whitening(gaussian: _GaussianModel, settings: SamplerSettings) -> tuple[Whitening, Array]:
    """Whitening of the weights, and their expected covariance in its coordinates."""
    points = dispersed_points(
        gaussian.mode, gaussian.mode_covariance, N_TEST_POINTS, settings.seed, "probes"
    )
    try:
        expansion = ExpansionPoint.of(gaussian.posterior, gaussian.mode)
        whitening = Whitening.of(expansion, coefficient_blocks(expansion, points))
        return whitening, whitening.covariance(expansion)
    except np.linalg.LinAlgError:
        # Numerically singular: leave the weights as they are.
        return Whitening.none(gaussian.posterior.priors), np.eye(gaussian.posterior.size)
