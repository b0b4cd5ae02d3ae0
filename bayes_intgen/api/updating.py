"""Warnings of a fit, and updates of it with more rows."""

import warnings
from dataclasses import replace
from functools import partial

from bayes_intgen._arguments import instance
from bayes_intgen._blas import single_blas_thread
from bayes_intgen._jax import double_precision
from bayes_intgen.api.decomposed import Fit, described, fit_decomposed
from bayes_intgen.api.posterior import Posterior, with_refit
from bayes_intgen.assess.diagnostics import warn_of_problems
from bayes_intgen.assess.outcome_text import far_outcome_lines
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.data.outcome_scale import on_scale
from bayes_intgen.data.pretreatment import advice_on_changed_covariates
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.replicates import warn_of_copies
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import PACKAGE, DataError, DataWarning, LackOfFitWarning
from bayes_intgen.inference.pilot.lack_of_fit import fit_problems
from bayes_intgen.inference.sampling.added_rows import sample_with_added_rows
from bayes_intgen.inference.sampling.monitored_effect import MonitoredEffect, monitored_effect
from bayes_intgen.inference.settings import SamplerSettings
from bayes_intgen.models import Model
from bayes_intgen.models.advice import advice_on_far_cells, advice_on_levels, few_valued
from bayes_intgen.posterior.draws import prediction_of


def finished(fit: Fit, data: Rows, earlier: Fit | None = None) -> Posterior:
    """Warn of problems of a fit to data, and keep what an update of it needs.

    If only importance weights differ from an earlier fit, further updates start from that one.
    """
    warn_of_copies(data.in_memory)
    _warn_of_draws_and_fit(fit.posterior, MonitoredEffect.of(data, fit.model))
    if isinstance(data, RegimeData):
        return with_refit(fit.posterior, partial(_updated, data, earlier or fit))
    return fit.posterior


def _updated(data: RegimeData, fit: Fit, new_rows: RegimeData, progress: bool) -> Posterior:
    """Fit all rows by a Laplace approximation, or by NUTS where it is not reliable or possible."""
    instance(new_rows, RegimeData, "new_rows", "RegimeData.from_frame", DataError)
    rows = with_rows(data, new_rows)
    model, settings = fit.model, replace(fit.settings, progress=bool(progress))
    warn_of_data(rows, model)
    new = _with_added_rows(fit, rows, settings)
    if new is not None:
        return finished(new, rows, earlier=fit)
    if settings.collapse is not False and model.noise == "gaussian":
        new = fit_decomposed(rows, model, replace(settings, method="laplace"))
        importance = new.sampled.importance
        if settings.method == "nuts" and not (importance and importance.is_reliable):
            new = None
    if new is None:
        new = fit_decomposed(rows, model, settings)
    return finished(new._replace(settings=settings), rows)


def _with_added_rows(fit: Fit, rows: RegimeData, settings: SamplerSettings) -> Fit | None:
    """Fit that keeps the earlier pilot fit, if it is one of all rows too."""
    model = fit.model
    if settings.collapse is False or model.noise != "gaussian":
        return None
    settings, data = replace(settings, method="laplace"), on_scale(rows, model.link)
    with double_precision(), single_blas_thread():
        new = sample_with_added_rows(
            data.in_memory, len(fit.data), model, fit.pilot, fit.sampled, settings
        )
    return None if new is None else described(data, model, settings, fit.pilot, new)


def warn_of_data(data: Rows, model: Model) -> None:
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
