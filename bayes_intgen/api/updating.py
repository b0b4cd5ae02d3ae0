"""Updates of a fit with more rows."""

from dataclasses import replace
from functools import partial

from bayes_intgen._arguments import instance
from bayes_intgen._blas import single_blas_thread
from bayes_intgen.api.decomposed_fit import Fit, fit_decomposed, fit_of_draws
from bayes_intgen.api.fit_warnings import warn_of_data, warn_of_fit
from bayes_intgen.api.posterior import Posterior, with_refit
from bayes_intgen.data.additional_rows import with_rows
from bayes_intgen.data.outcome_scale import on_scale
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.rows import Rows
from bayes_intgen.errors import DataError
from bayes_intgen.inference.sampling.added_rows import sample_with_added_rows
from bayes_intgen.inference.settings import SamplerSettings


def updatable_posterior(fit: Fit, data: Rows, earlier: Fit | None = None) -> Posterior:
    """Posterior of a fit to data, which :meth:`Posterior.update` can refit if rows are in memory.

    If it weights the draws of an ``earlier`` fit, updates start from that one.
    """
    if isinstance(data, RegimeData):
        return with_refit(fit.posterior, partial(_updated, data, earlier or fit))
    return fit.posterior


def _updated(data: RegimeData, fit: Fit, new_rows: RegimeData, progress: bool) -> Posterior:
    """Weight the draws of a fit, or fit all rows: by Laplace approximation, then by NUTS."""
    instance(new_rows, RegimeData, "new_rows", "RegimeData.from_frame", DataError)
    rows = with_rows(data, new_rows)
    model, settings = fit.model, replace(fit.settings, progress=bool(progress))
    warn_of_data(rows, model)
    new = None
    if model.noise == "gaussian":
        laplace = replace(settings, method="laplace")
        new = _with_added_rows(fit, rows, laplace)
        if new is not None:
            warn_of_fit(new, rows)
            return updatable_posterior(new, rows, earlier=fit)
        new = fit_decomposed(rows, model, laplace)
        importance = new.sampled.importance
        if settings.method == "nuts" and not (importance and importance.is_reliable):
            new = None
    if new is None:
        new = fit_decomposed(rows, model, settings)
    warn_of_fit(new, rows)
    return updatable_posterior(new._replace(settings=settings), rows)


def _with_added_rows(fit: Fit, rows: RegimeData, settings: SamplerSettings) -> Fit | None:
    """Fit that keeps the earlier pilot fit; None if rows need a new one or weights do not do."""
    data = on_scale(rows, fit.model.link)
    with single_blas_thread():
        sampled = sample_with_added_rows(
            data.in_memory, len(fit.data), fit.model, fit.pilot, fit.sampled, settings
        )
    return None if sampled is None else fit_of_draws(data, fit.model, settings, fit.pilot, sampled)
