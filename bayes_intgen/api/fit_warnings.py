"""Warnings of the data and the draws of a fit."""

import warnings

from bayes_intgen.api.decomposed_fit import Fit
from bayes_intgen.assess.diagnostics import warn_of_problems
from bayes_intgen.assess.fit_text import far_outcome_lines
from bayes_intgen.assess.mixed_units import advice_on_units
from bayes_intgen.assess.outcome_advice import advice_on_outcome
from bayes_intgen.data.group_means import advice_on_group_means
from bayes_intgen.data.pretreatment import advice_on_changed_covariates
from bayes_intgen.data.replicates import warn_of_copies
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import PACKAGE, DataWarning, LackOfFitWarning
from bayes_intgen.inference.pilot.lack_of_fit import fit_problems
from bayes_intgen.inference.sampling.convergence import MonitoredEffect, monitored_effect
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.advice import advice_on_far_cells, advice_on_levels, few_valued
from bayes_intgen.posterior.draws import prediction_of


def warn_of_data(data: Rows, model: Model) -> None:
    """Issue a DataWarning for each condition that rows break, as far as the rows show it."""
    few = few_valued(data, model)
    advice = [advice_on_levels(few)] if few else []
    advice += [*advice_on_far_cells(data), *advice_on_changed_covariates(data)]
    advice += [*advice_on_units(data), *advice_on_group_means(data.in_memory)]
    # Regressions do not add up effects, and a log link multiplies them.
    if isinstance(model, AdditiveModel) and model.link == "identity":
        advice += advice_on_outcome(data)
    for message in advice:
        warnings.warn(message, DataWarning, skip_file_prefixes=(PACKAGE,))


def warn_of_fit(fit: Fit, data: Rows) -> None:
    """Warn of copies of rows, problems of the draws, far outcomes and lack of fit."""
    warn_of_copies(data.in_memory)
    posterior, monitored = fit.posterior, MonitoredEffect.of(data, fit.model)
    # Not `posterior.effect`, which would warn of unsupported rows at the edge of their regime.
    effect = monitored_effect(prediction_of(posterior), monitored.points, monitored.masks)
    warn_of_problems(posterior.tree, effect)
    for message in far_outcome_lines(posterior):
        warnings.warn(message, DataWarning, skip_file_prefixes=(PACKAGE,))
    for problem in fit_problems(posterior.tree["constant_data"].dataset):
        warnings.warn(problem, LackOfFitWarning, skip_file_prefixes=(PACKAGE,))
