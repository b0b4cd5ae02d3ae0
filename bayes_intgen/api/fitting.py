"""Fit a model to data: pilot fit, sampler, and warnings."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from os import PathLike

import numpy as np

from bayes_intgen._arguments import instance
from bayes_intgen._blas import single_blas_thread
from bayes_intgen._jax import double_precision
from bayes_intgen._progress import stage
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.api.posterior import Posterior, with_refit
from bayes_intgen.assess.diagnostics import warn_of_problems
from bayes_intgen.assess.outcome_text import far_outcome_lines
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.outcome_scale import on_scale
from bayes_intgen.data.pretreatment import advice_on_changed_covariates
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.replicates import warn_of_copies
from bayes_intgen.data.rows import Rows, checked_data
from bayes_intgen.errors import PACKAGE, DataError, DataWarning, LackOfFitWarning, ModelError
from bayes_intgen.inference.importance_diagnostics import ImportanceDiagnostics
from bayes_intgen.inference.pilot.conditional_means import with_conditional_means
from bayes_intgen.inference.pilot.graph_evidence import with_parents
from bayes_intgen.inference.pilot.lack_of_fit import fit_problems
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot, pilot_fit
from bayes_intgen.inference.pilot.recentring import recentred
from bayes_intgen.inference.pilot.student_t import clipped
from bayes_intgen.inference.sampled_model import SampledModel
from bayes_intgen.inference.sampling.checkpoint import Checkpoint
from bayes_intgen.inference.sampling.full import sample_full
from bayes_intgen.inference.sampling.laplace import sample_laplace
from bayes_intgen.inference.sampling.marginalised import sample_marginal
from bayes_intgen.inference.sampling.monitored_effect import MonitoredEffect, monitored_effect
from bayes_intgen.inference.settings import Method, SamplerSettings
from bayes_intgen.models import Model, additive
from bayes_intgen.models.advice import advice_on_far_cells, advice_on_levels, few_valued
from bayes_intgen.models.base import checked_model
from bayes_intgen.models.outcome_kinds import OutcomeKind, outcome_kind
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.draws import prediction_of
from bayes_intgen.posterior.schema import build_tree

# Takes data, model, terms, pilot fit, settings and checkpoint.
Sampler = Callable[
    [Rows, Model, Decomposition, Pilot, SamplerSettings, Checkpoint | None], SampledModel
]


def fit(
    data: Rows,
    model: Model | None = None,
    *,
    method: Method = "nuts",
    seed: int = 0,
    chains: int = 4,
    draws: int | None = None,
    warmup: int = 75,
    target_accept: float = 0.8,
    collapse: bool | None = None,
    simplify: bool = True,
    progress: bool = True,
    checkpoint: str | PathLike[str] | None = None,
) -> Posterior:
    """Sample the posterior of a model, with NUTS or from a Laplace approximation.

    The coefficients are marginalised: NUTS samples the hyperparameters, and the coefficients are
    drawn exactly given each draw of them. With Student-t noise both are proposals from a Gaussian
    approximation of the rows, which their likelihood corrects.

    ``method="laplace"`` draws the hyperparameters about the modes of their posterior instead, and
    importance weights from the exact density correct the draws. It takes a fraction of the time,
    for loops, previews and cross-validation, and its gate is Pareto k.

    Parameters
    ----------
    data : RegimeData, StreamedData or DistributedData
        For rows that are not in memory, a sample determines scales, knots and structure before one
        pass over all rows.
    model : Model, optional
        By default ``additive()``: Gaussian processes, unknown graph.
    method : {"nuts", "laplace"}
        ``"laplace"`` needs Gaussian noise and marginalised coefficients. Its draws are equally
        weighted and independent of each other; the group ``sample_stats`` has the attributes
        ``pareto_k`` and ``importance_ess`` instead of divergences.
    seed : int
        The same seed gives the same draws.
    chains : int
        Number of chains.
    draws : int, optional
        Number of draws per chain. By default 200 to 2,000, until every hyperparameter, and the
        joint effect at rows of the data, has an effective sample size of 400, in the bulk and in
        the tails, and an R-hat of at most 1.01. With ``method="laplace"`` 250.
    warmup : int
        Number of iterations per chain before the draws, for adaptation (NUTS only).
    target_accept : float
        Target acceptance probability of the step size adaptation; values nearer to one give
        smaller steps and fewer divergences (NUTS only).
    collapse : bool, optional
        Whether to integrate the coefficients out, as by default. False samples the full program,
        which is slow, for comparison.
    simplify : bool
        Whether the data select terms; applies if the coefficients are marginalised. Scales of
        cross-action terms of a bias are estimated by empirical Bayes; terms with evidence against
        them, or hardly any for functions of covariates and groups alone, keep a small scale, fixed
        in units of the noise, and are not sampled, which gives nearly the same effects in a
        fraction of the time. The tree's ``constant_data`` lists them.
        Finer functions of an action, and products of three actions in a bias, join the model if
        there is strong evidence for them.
    progress : bool
        Whether to show progress on standard error.
    checkpoint : path, optional
        Folder to which the chains are written as they grow. After an interruption the same call
        continues from there, and gives the draws of an uninterrupted fit (NUTS only).

    Returns
    -------
    Posterior

    Raises
    ------
    DataError
        If ``data`` is of another class, or the actions determine the outcome exactly, for example
        because replicates never vary.
    ModelError
        If the model does not match the data, or a setting is invalid.
    SavedFitError
        If ``checkpoint`` holds another fit or damaged files, or is not a folder.
    BayesIntgenError
        In a process forked from one that had fitted, or if JAX's platform is not available.

    Warns
    -----
    DataWarning
        If a tenth of the rows or more are exact copies of others, an action has three to six
        distinct numbers and a smooth prior, cells lie far from all others, the distribution of a
        covariate changes where an action is set, or outcomes lie so far from a fit with Gaussian
        noise that they decide its intervals.
    SamplingWarning
        If the chains have not converged, or Pareto k is above 0.7; the message names the remedy.
    LackOfFitWarning
        If the rows show structure in an action that the model does not follow: one warning per
        action, from tests with a joint false-alarm probability of 1%.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> intervened = np.repeat([[False, False], [True, False], [False, True]], 50, axis=0)
    >>> actions = rng.normal(size=(150, 2))
    >>> outcome = actions @ [1.0, -1.0] + rng.normal(scale=0.1, size=150)
    >>> data = bi.RegimeData.from_arrays(actions, outcome, intervened)
    >>> posterior = bi.fit(data, bi.models.additive(prior="linear"), progress=False)
    >>> round(float(posterior.joint_effect([[1.0, -1.0]]).mean()))
    2
    """
    model = additive() if model is None else model
    data, model = checked_data(data), checked_model(model)
    settings = SamplerSettings(
        seed, chains, draws, warmup, target_accept, collapse, simplify, progress, method
    )
    _warn_of_data(data, model)
    posterior = fit_decomposed(data, model, settings, checkpoint=checkpoint)
    return _finished(posterior, data, model, settings)


def _finished(
    posterior: Posterior, data: Rows, model: Model, settings: SamplerSettings
) -> Posterior:
    """Warn of problems of a fit, and keep its rows for an update."""
    warn_of_copies(data.in_memory)
    _warn_of_draws_and_fit(posterior, MonitoredEffect.of(data, model))
    if isinstance(data, RegimeData):
        return with_refit(posterior, partial(_updated, data, model, settings))
    return posterior


def _updated(
    data: RegimeData, model: Model, settings: SamplerSettings, new_rows: RegimeData, progress: bool
) -> Posterior:
    """Fit all rows by a Laplace approximation, or by NUTS where it is not reliable or possible."""
    instance(new_rows, RegimeData, "new_rows", "RegimeData.from_frame", DataError)
    rows = with_rows(data, new_rows)
    settings = replace(settings, progress=bool(progress))
    _warn_of_data(rows, model)
    posterior = None
    if settings.collapse is not False and model.noise == "gaussian":
        posterior = fit_decomposed(rows, model, replace(settings, method="laplace"))
        importance = ImportanceDiagnostics.of(posterior.tree["sample_stats"].attrs)
        if settings.method == "nuts" and not (importance and importance.is_reliable):
            posterior = None
    if posterior is None:
        posterior = fit_decomposed(rows, model, settings)
    return _finished(posterior, rows, model, settings)


def fit_decomposed(
    data: Rows,
    model: Model,
    settings: SamplerSettings,
    terms: Decomposition | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Posterior:
    """Fit like :func:`fit`, without warnings; the decomposition is the model's if it is None."""
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
    kind: OutcomeKind = "continuous"
    if model.link == "identity":
        kind = outcome_kind(data.in_memory.outcome, data.in_memory.weights)
    # Before the pilot fit, which takes long: this raises if the folder belongs to another fit.
    folder = None if checkpoint is None else Checkpoint.of(checkpoint, data, model, settings)
    # Chains share the cores: if BLAS used several threads per small factorisation, as it does by
    # default, all chains would wait.
    with double_precision(), single_blas_thread():
        adapts = settings.collapse and settings.simplify
        candidates = model.candidates(sample, len(data)) if adapts else ()
        if adapts:
            terms, group_biases = terms.without_group_biases()
            candidates = (*candidates, *group_biases)
        with stage("Pilot fit", settings.progress):
            terms, candidates = recentred(terms, candidates, data, len(sample), settings.progress)
            terms = with_conditional_means(sample, with_parents(sample, model, terms))
            pilot = pilot_fit(data, model, terms, candidates, settings.progress, sample, others)
        if folder is not None:
            folder.refuse_other_sums(pilot.sums.xy, pilot.sums.yy)
        sampled = _sampler(settings)(data, model, pilot.posterior.terms, pilot, settings, folder)
    draws = sampled.coefficients.shape[1]
    noise = _noise(pilot, settings, draws, with_shape=model.noise == "gaussian")
    if model.link == "log":
        noise |= _log_mean(pilot, settings, sampled)
    return Posterior(
        build_tree(
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
    )


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


def _warn_of_data(data: Rows, model: Model) -> None:
    """Issue a DataWarning for actions with few values, far cells, and covariates that change."""
    few = few_valued(data, model)
    advice = [advice_on_levels(few)] if few else []
    advice += [*advice_on_far_cells(data), *advice_on_changed_covariates(data)]
    for message in advice:
        warnings.warn(message, DataWarning, skip_file_prefixes=(PACKAGE,))


def _warn_of_draws_and_fit(posterior: Posterior, monitored: MonitoredEffect) -> None:
    """Issue a SamplingWarning per problem of the draws, and a LackOfFitWarning per action."""
    # Not `posterior.effect`, which would warn of unsupported rows at the edge of their regime.
    effect = monitored_effect(prediction_of(posterior), monitored.points, monitored.masks)
    warn_of_problems(posterior.tree, effect)
    for message in far_outcome_lines(posterior):
        warnings.warn(message, DataWarning, skip_file_prefixes=(PACKAGE,))
    for problem in fit_problems(posterior.tree["constant_data"].dataset):
        warnings.warn(problem, LackOfFitWarning, skip_file_prefixes=(PACKAGE,))


def _noise(
    pilot: Pilot, settings: SamplerSettings, draws: int, with_shape: bool
) -> dict[str, Array]:
    """Quantiles of the standardised noise, and draws of its variance function and shape."""
    noise, shape = {"quantile": pilot.shape}, (settings.chains, draws)
    if pilot.estimate is not None:
        rng = generator(settings.seed, "noise")
        noise["deviation"] = pilot.estimate.draw(shape, rng)
    if with_shape and pilot.noise_rows is not None:
        estimate = pilot.noise_rows.shape(pilot.spread)
        rng = generator(settings.seed, "noise", 1)
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
