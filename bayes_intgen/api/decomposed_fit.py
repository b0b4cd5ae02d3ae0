"""Fit of a decomposition: pilot fit, sampler, and the posterior of both."""

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from typing import NamedTuple

import numpy as np

from bayes_intgen._blas import single_blas_thread
from bayes_intgen._progress import stage
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.api.posterior import Posterior
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.outcome_kind import OutcomeKind
from bayes_intgen.data.outcome_scale import on_scale
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import ModelError
from bayes_intgen.inference.pilot.conditional_means import with_conditional_means
from bayes_intgen.inference.pilot.graph_evidence import with_parents
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot, pilot_fit
from bayes_intgen.inference.pilot.recentring import recentred
from bayes_intgen.inference.pilot.student_t import clipped
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.full import sample_full
from bayes_intgen.inference.sampling.laplace import sample_laplace
from bayes_intgen.inference.sampling.marginalised import sample_marginal
from bayes_intgen.inference.sampling.program_cache import load_ahead
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.schema import build_tree

# Takes data, model, terms, pilot fit, settings and checkpoint.
Sampler = Callable[
    [Rows, Model, Decomposition, Pilot, SamplerSettings, Checkpoint | None], SampledModel
]


class Fit(NamedTuple):
    """Posterior, and what an update of it needs.

    Attributes
    ----------
    data : Rows
        With outcomes on the scale on which the model adds up.
    model : Model
    settings : SamplerSettings
    pilot : Pilot
    sampled : SampledModel
    posterior : Posterior
    """

    data: Rows
    model: Model
    settings: SamplerSettings
    pilot: Pilot
    sampled: SampledModel
    posterior: Posterior


def fit_decomposed(
    data: Rows,
    model: Model,
    settings: SamplerSettings,
    terms: Decomposition | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Fit:
    """Fit like :func:`bayes_intgen.fit`, without warnings.

    The decomposition is the model's if it is None.
    """
    # From here on the outcome is on the scale on which the model adds up.
    data = on_scale(data, model.link)
    settings = _with_sampler(settings, data, model)
    _refuse_unsuitable_laplace(settings, model, checkpoint)
    sample, others = data.split(PILOT_ROWS)
    sample = sample.by_unit()
    if terms is None:
        # Outliers would widen the unit of all priors.
        typical = clipped(sample) if model.noise == "student_t" else sample
        terms = model.decompose(typical, len(data))
    # Before the pilot fit, which takes long: this raises if the folder belongs to another fit.
    folder = None if checkpoint is None else Checkpoint.of(checkpoint, data, model, settings)
    # Chains share the cores: if BLAS used several threads per small factorisation, as it does by
    # default, all chains would wait.
    with single_blas_thread():
        if settings.method == "nuts":
            load_ahead()
        adapts = settings.collapse and settings.simplify
        candidates = model.candidates(sample, len(data)) if adapts else ()
        if adapts:
            terms, group_biases = terms.without_group_biases()
            candidates = (*filter(settings.techniques.considers, candidates), *group_biases)
        with stage("Pilot fit", settings.progress):
            terms, candidates = recentred(terms, candidates, data, len(sample), settings.progress)
            terms = with_parents(sample, model, terms)
            terms = with_conditional_means(sample, terms, data, settings.progress)
            pilot = pilot_fit(
                data,
                model,
                terms,
                candidates,
                settings.progress,
                sample,
                others,
                settings.techniques,
            )
        if folder is not None:
            folder.refuse_other_sums(pilot.sums.xy, pilot.sums.yy)
        sampled = _sampler(settings)(data, model, pilot.posterior.terms, pilot, settings, folder)
    return fit_of_draws(data, model, settings, pilot, sampled)


def fit_of_draws(
    data: Rows, model: Model, settings: SamplerSettings, pilot: Pilot, sampled: SampledModel
) -> Fit:
    """Add the tree of a posterior to its draws; the outcome is on the model's scale."""
    distinct = model.link == "identity" and settings.techniques.outcome_kind
    kind: OutcomeKind = data.outcome_kind if distinct else "continuous"
    draws = sampled.coefficients.shape[1]
    noise = _noise(pilot, settings, draws)
    if model.link == "log":
        noise |= _log_mean(pilot, settings, sampled)
    tree = build_tree(
        data,
        model,
        sampled,
        pilot.spread,
        kind=kind,
        noise=noise,
        pilot_noise_sd=pilot.noise_scale,
        fit_tests=pilot.fit_tests,
        far=pilot.far if (kind, model.link) == ("continuous", "identity") else None,
        settings=replace(settings, draws=draws),
    )
    return Fit(data, model, settings, pilot, sampled, Posterior(tree))


def _with_sampler(settings: SamplerSettings, data: Rows, model: Model) -> SamplerSettings:
    """Decide whether to integrate the coefficients out; raise ModelError if that is impossible."""
    collapse = True if settings.collapse is None else bool(settings.collapse)
    every_row = not collapse or model.noise == "student_t"
    if every_row and data.in_memory is not data:
        raise ModelError(
            "Student-t noise and collapse=False need every row in memory; read the rows with "
            "RegimeData.from_frame, or leave noise and collapse out"
        )
    fine = data.columns.fine_grouping
    if every_row and fine is not None:
        raise ModelError(
            f"Student-t noise and collapse=False need a column for each group, and "
            f"{data.columns.every[fine]!r} has more than {MAX_GROUP_COLUMNS}; leave noise and "
            "collapse out, so that the levels of groups are integrated out, or use coarser groups"
        )
    if every_row and data.in_memory.within is not None:
        raise ModelError(
            "Student-t noise and collapse=False cannot use the standard deviations within rows "
            "(outcome_sd); leave noise and collapse out, or read the rows without outcome_sd"
        )
    return replace(settings, collapse=collapse)


def _refuse_unsuitable_laplace(
    settings: SamplerSettings, model: Model, checkpoint: str | PathLike[str] | None
) -> None:
    """Raise ModelError if a Laplace approximation cannot do what is asked of it."""
    if settings.method != "laplace":
        return
    if not settings.collapse or model.noise == "student_t":
        raise ModelError(
            "method='laplace' approximates the posterior with Gaussian noise and marginalised "
            "coefficients, not Student-t noise or collapse=False; use method='nuts'"
        )
    if checkpoint is not None:
        raise ModelError(
            "a Laplace approximation writes no checkpoint, as it has no chains; leave checkpoint "
            "out, or use method='nuts'"
        )


def _sampler(settings: SamplerSettings) -> Sampler:
    if settings.method == "laplace":
        return sample_laplace
    return sample_marginal if settings.collapse else sample_full


def _noise(pilot: Pilot, settings: SamplerSettings, draws: int) -> dict[str, Array]:
    """Quantiles of the standardised noise, and draws of its variance function and shape."""
    noise, shape = {"quantile": pilot.shape}, (settings.chains, draws)
    if pilot.estimate is not None:
        rng = generator(settings.seed, "noise")
        noise["deviation"] = pilot.estimate.draw(shape, rng)
    if pilot.noise_shape is not None:
        estimate, rng = pilot.noise_shape, generator(settings.seed, "noise", 1)
        noise |= {"shape": estimate.values, "shape_deviation": estimate.draw(shape, rng)}
    if pilot.student_t is not None:
        noise["likelihood_power"] = np.array(pilot.student_t.power)
    return noise


def _log_mean(pilot: Pilot, settings: SamplerSettings, sampled: SampledModel) -> dict[str, Array]:
    """Draws of the mean of the exponential of the noise, next to those of the coefficients."""
    assert pilot.noise_rows is not None
    estimate = pilot.noise_rows.log_mean(pilot.spread, float(pilot.sites["noise_sd"]))
    coefficients = sampled.coefficients
    projected = pilot.noise_rows.projected(pilot.spread, sampled.terms)
    of_mean = (coefficients - coefficients.mean(axis=(0, 1))) @ projected.T
    rng = generator(settings.seed, "noise", 2)
    deviations = estimate.draw(coefficients.shape[:2], of_mean, rng)
    return {"log_mean": estimate.values, "log_mean_deviation": deviations}
