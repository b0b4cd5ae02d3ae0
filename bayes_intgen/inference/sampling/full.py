"""Sampling of the generative program as it is written out, row by row."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.log_density import (
    FlatLayout,
    LogDensity,
    ProgramDensity,
    energy_of,
)
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import groups_of
from bayes_intgen.inference.density.whitening import Whitening, coloured, whitened
from bayes_intgen.inference.gaussian.passes import pseudo_observations
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.student_t import robust_fit
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.nuts import nuts
from bayes_intgen.inference.sampling.starting_points import N_TEST_POINTS, dispersed_points
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition


def sample_full(
    data: Rows,
    model: Model,
    terms: Decomposition,
    pilot: Pilot,
    settings: SamplerSettings,
    checkpoint: Checkpoint | None,
) -> SampledModel:
    """Sample the generative program, in coordinates whitened by a Gaussian approximation of it."""
    held = data.in_memory
    relative_sd = np.sqrt(pilot.spread(held.actions, held.intervened))
    if model.noise == "student_t":
        near = _Near.of_student_t(pilot, held, relative_sd, settings.progress)
    else:
        near = _Near.of_pilot(pilot)
    whitening, weight_covariance = _whitening(near, settings)
    start = {**near.sites, "weights": np.zeros(terms.size)}
    target = _target(held, model, terms, relative_sd, FlatLayout(start))
    layout = target.layout
    potential, arguments = whitened(target.potential, layout), (target.arguments, whitening)
    density = LogDensity(potential, arguments, partial(energy_of, potential, arguments))

    weights = layout.positions["weights"]
    rest = np.concatenate([layout.positions[name] for name in FlatLayout(near.sites).positions])
    covariance = np.zeros((layout.size, layout.size))
    covariance[np.ix_(rest, rest)] = near.covariance
    covariance[np.ix_(weights, weights)] = weight_covariance

    starts = dispersed_points(
        layout.flat(start), covariance, settings.chains, settings.seed, "starts"
    )
    draws = nuts(
        density,
        starts,
        covariance,
        settings,
        quantities=lambda flat, _: np.exp(flat[..., rest]),
        checkpoint=checkpoint,
    )
    sites = target.constrain(coloured(layout, whitening, draws.flat))
    sites.pop("weights")
    coefficients = sites.pop("coefficients")
    return SampledModel(terms, sites, coefficients, draws.statistics, {})


def _target(
    data: Observations, model: Model, terms: Decomposition, relative_sd: Array, layout: FlatLayout
) -> ProgramDensity:
    """Density of the generative program with these rows."""

    def program(*rows: Any) -> None:
        model.program(terms, *rows)

    rows = (
        terms.functions(data.actions),
        terms.gates(data.intervened),
        relative_sd,
        data.outcome - terms.centre,
        pseudo_observations(data, terms),
    )
    return ProgramDensity(program, rows, layout)


class _Near(NamedTuple):
    """A model of Gaussian noise whose posterior is near the program's.

    Attributes
    ----------
    posterior : MarginalPosterior
        Of which the coefficients have about the distribution that they have under the program.
    mode : ndarray, of_mode : ndarray
        Its mode and the covariance there.
    sites : dict
        Logarithms of all hyperparameters of the program, near its mode.
    covariance : ndarray, shape (d, d)
        Of those, laid flat.
    """

    posterior: MarginalPosterior
    mode: Array
    of_mode: Array
    sites: dict[str, Array]
    covariance: Array

    @classmethod
    def of_pilot(cls, pilot: Pilot) -> "_Near":
        """The program's own, where its noise is Gaussian."""
        posterior, mode = pilot.posterior, pilot.mode
        covariance = posterior.covariance(mode)
        return cls(posterior, mode, covariance, posterior.layout.sites(mode), covariance)

    @classmethod
    def of_student_t(
        cls, pilot: Pilot, data: Observations, relative_sd: Array, progress: bool
    ) -> "_Near":
        """Where the noise is Student's t: rows have weights of their own."""
        priors, terms = pilot.posterior.priors, pilot.posterior.terms
        matrix = terms.matrix(data.actions, data.intervened)
        outcome = data.outcome - terms.centre
        noise = robust_fit(pilot.posterior, pilot.sites, matrix, relative_sd, outcome)
        log_noise_sd, log_df = noise.log_mode
        fitted = MarginalPosterior(priors, noise.sums, terms)
        start = {**fitted.layout.sites(pilot.mode), "noise_sd": log_noise_sd}
        mode = fitted.mode(fitted.layout.flat(start), progress)
        of_mode = fitted.covariance(mode)

        sites = {**fitted.layout.sites(mode), "df": log_df}
        at = FlatLayout(sites).positions
        order = np.concatenate([at[name] for name in fitted.layout.positions])
        covariance = np.zeros((len(order) + 1, len(order) + 1))
        covariance[np.ix_(order, order)] = of_mode
        of_noise = np.concatenate([at["noise_sd"], at["df"]])
        covariance[of_noise], covariance[:, of_noise] = 0, 0
        covariance[np.ix_(of_noise, of_noise)] = noise.covariance
        return cls(MarginalPosterior(priors, noise.told, terms), mode, of_mode, sites, covariance)


def _whitening(near: _Near, settings: SamplerSettings) -> tuple[Whitening, Array]:
    """Coordinates for the weights, and the covariance that they are expected to have."""
    points = dispersed_points(near.mode, near.of_mode, N_TEST_POINTS, settings.seed, "probes")
    try:
        about = ExpansionPoint.of(near.posterior, near.mode)
        whitening = Whitening.of(about, groups_of(about, points))
        return whitening, whitening.covariance(about)
    except np.linalg.LinAlgError:
        # Numbers too far apart to tell: the weights as they are.
        return Whitening.none(near.posterior.priors), np.eye(near.posterior.size)
