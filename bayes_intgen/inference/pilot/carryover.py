"""Rates of carry-over, by the evidence of quick fits before a fit."""

from dataclasses import replace

import numpy as np

from bayes_intgen.data.rows import Rows
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS, Pilot
from bayes_intgen.models import Model
from bayes_intgen.models.carryover import carried_over
from bayes_intgen.models.variance_function import VarianceFunction

# Rates that are compared, and the prior standard deviation of a rate: that of a uniform
# distribution from 0 to 1.
RATES, RATE_SD = np.linspace(0.0, 0.9, 10), 0.3
# First rate of all actions, and the number of times that each is compared given the others.
START, SWEEPS = 0.3, 2


def with_carryover[M: Model](data: Rows, model: M, progress: bool) -> tuple[Rows, M]:
    """Rows with carried-over actions, and the model with the rates that were estimated.

    The rate of each action in turn is that with the most evidence given the others. What is
    between the rates compared is left to the error of the rate, to first order, in the fit.

    Raises
    ------
    ModelError, DataError
        As in :func:`bayes_intgen.models.carryover.carried_over`.
    """
    unknown = [name for name, adstock in model.carryover.items() if adstock.rate is None]
    if not unknown:
        return carried_over(data, model.carryover), model
    start = {name: replace(model.carryover[name], rate=START, sd=RATE_SD) for name in unknown}
    best = {**model.carryover, **start}
    for _ in range(SWEEPS):
        for name in unknown:
            each = [{**best, name: replace(best[name], rate=float(rate))} for rate in RATES]
            best = max(
                each, key=lambda own: _evidence(data, replace(model, carryover=own), progress)
            )
    known = replace(model, carryover=best)
    return carried_over(data, best), known


def _evidence(data: Rows, model: Model, progress: bool) -> float:
    """Log posterior density of the hyperparameters at their mode; rates do not change the rows."""
    rows = carried_over(data, model.carryover, RATES[-1])
    rows = model.law.working_rows(rows.sample(PILOT_ROWS)).in_memory
    terms, _ = with_observed_causes(rows.this_period, model, model.decompose(rows), ())
    sums = sufficient_statistics(rows, terms, VarianceFunction(), progress)
    fit = Pilot.of(MarginalPosterior.of(model, terms, sums), VarianceFunction(), progress)
    return -fit.posterior.value(fit.mode)
