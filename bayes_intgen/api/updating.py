"""Updates of a fit with more rows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bayes_intgen._arguments import instance
from bayes_intgen._blas import single_blas_thread
from bayes_intgen.api.decomposed_fit import Fit, fit_decomposed, fit_of_pilot
from bayes_intgen.api.posterior import Posterior, with_refit
from bayes_intgen.assess.diagnostics import Diagnostics
from bayes_intgen.assess.findings import (
    Finding,
    findings_of_copies,
    findings_of_fit,
    findings_of_rows,
    warn_of,
    with_findings,
)
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.data.outcome_scale import on_scale
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import DataError
from bayes_intgen.inference.pilot.updated_pilot import updated_pilot
from bayes_intgen.inference.sampling.monitored_effect import MonitoredEffect, monitored_effect
from bayes_intgen.posterior.draws import prediction_of


def updatable_posterior(fit: Fit, data: Rows, earlier: Fit | None = None) -> Posterior:
    """Posterior of a fit to data, which :meth:`Posterior.update` can refit if rows are in memory.

    If it has the terms of an ``earlier`` fit, updates start from that one.
    """
    if isinstance(data, RegimeData):
        return with_refit(fit.posterior, partial(_updated, data, earlier or fit))
    return fit.posterior


def _updated(data: RegimeData, fit: Fit, new_rows: RegimeData, progress: bool) -> Posterior:
    """Fit all rows, with the terms of the earlier ones if they still fit.

    The fit is a Laplace approximation, or one by NUTS where that was asked for and weights do not
    suffice.
    """
    instance(new_rows, RegimeData, "new_rows", "RegimeData.from_frame", DataError)
    rows = with_rows(data, new_rows)
    model, settings = fit.model, replace(fit.settings, progress=bool(progress))
    quick = replace(settings, method="laplace")
    found = findings_of_rows(rows, model)
    warn_of(found)
    scaled = on_scale(rows, model.link).in_memory
    with single_blas_thread():
        pilot = updated_pilot(fit.pilot, fit.data.in_memory, scaled, model, settings.progress)
    if pilot is None:
        new = fit_decomposed(rows, model, quick)
    else:
        new = fit_of_pilot(scaled, model, quick, pilot)
    importance = new.sampled.importance
    if settings.method == "nuts" and importance and not importance.is_reliable:
        new = fit_of_pilot(new.data, model, settings, new.pilot)
    warn_of_fit(new, rows, found)
    return updatable_posterior(
        new._replace(settings=settings), rows, earlier=None if pilot is None else fit
    )


def warn_of_fit(fit: Fit, data: Rows, found: Sequence[Finding]) -> None:
    """Warn of copies of rows and of what draws and residuals show.

    What was ``found`` in the rows before is kept with the posterior.
    """
    copies, posterior = findings_of_copies(data), fit.posterior
    with_findings(posterior.tree, [*found, *copies])
    monitored = MonitoredEffect.of(data, fit.model)
    # Not `posterior.effect`, which would warn of unsupported rows at the edge of their regime.
    effect = monitored_effect(prediction_of(posterior), monitored.points, monitored.masks)
    diagnostics = Diagnostics.of(posterior.tree, effect)
    warn_of([*copies, *findings_of_fit(posterior, diagnostics)])
