"""Rates of carry-over, by the evidence of quick fits before a fit."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bayes_intgen._work import single_blas_thread, stage
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS
from bayes_intgen.inference.pilot.residuals import independent_share, residuals
from bayes_intgen.inference.pilot.student_t import clipped
from bayes_intgen.models import Model
from bayes_intgen.models.carryover import (
    START,
    Adstock,
    Lags,
    carried_over,
    refuse_lost_regimes,
)
from bayes_intgen.models.variance_function import VarianceFunction

# Rates that are compared, and the prior standard deviation of a rate: that of a uniform
# distribution from 0 to 1.
RATES, RATE_SD = np.linspace(0.0, 0.9, 10).round(1).tolist(), 0.3
# Maximum number of times that the rates of each action are compared given the others.
SWEEPS = 3


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
    data, lags = Lags.of(data, best)
    rows = data.sample(PILOT_ROWS)
    slowest = {**best, **{name: replace(best[name], rate=RATES[-1]) for name in unknown}}
    rows = rows.take(lags.usable(rows, slowest, whole=False))
    refuse_lost_regimes(data, rows)

    def fit(carryover: Mapping[str, Adstock], share: float) -> tuple[Observations, Mode]:
        """Fit to the likelihood to the power of the share of rows that count as independent."""
        own, spread = replace(model, carryover=carryover), VarianceFunction()
        working = model.law.working_rows(_stretched(lags.carried(rows, carryover))).in_memory
        working = clipped(working) if model.noise == "student_t" else working
        terms, _ = with_observed_causes(working.this_period, own, own.decompose(working), ())
        sums = sufficient_statistics(working, terms, spread, False).power(share)
        return working, Mode.of(MarginalPosterior.of(own, terms, sums), spread, False)

    def evidence(carryover: Mapping[str, Adstock]) -> float:
        """Log posterior density of the hyperparameters at their mode."""
        _, found = fit(carryover, share)
        return -found.posterior.value(found.point)

    with single_blas_thread(), stage("Carry-over", progress):
        working, first = fit(best, 1.0)
        left = residuals(working, first, False)
        # Slow noise looks like an action of weeks ago: without this a rate of 0.9 may have more
        # evidence than the true one.
        share = independent_share(working, left)
        for _ in range(SWEEPS):
            before = best
            for name in unknown:
                each = [{**best, name: replace(best[name], rate=rate)} for rate in RATES]
                best = max(each, key=evidence)
            if best == before:
                break
    return lags.applied(data, best), replace(model, carryover=best)


def _stretched(rows: Observations) -> Observations:
    """Let carried-over actions vary as much as those of a period.

    Functions of an action then have the same prior variance over the rows at every rate. Otherwise
    slow rates would be preferred where an action does little, since they let it do less.
    """
    stretched = [
        Coordinate.of(now).inverse_transform(Coordinate.of(carried).transform(carried))
        for carried, now in zip(rows.actions.T, rows.this_period.actions.T, strict=True)
    ]
    return replace(rows, actions=np.stack(stretched, axis=1))
