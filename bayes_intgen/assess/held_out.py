"""Log predictive density of held-out rows under models at their modes."""

from dataclasses import replace

import numpy as np
import xarray as xr
from scipy import stats

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen._work import single_blas_thread
from bayes_intgen.data.rows import Observations, rows_needed
from bayes_intgen.errors import ModelError
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.models import AdditiveModel, Model, saturated
from bayes_intgen.models.mechanisms.mechanism import without_shape
from bayes_intgen.text.messages import option


def split(data: Observations, share: float, seed: int) -> tuple[Observations, Observations]:
    """Split rows at random into training and held-out rows, a share of every regime."""
    rng = generator(seed, "check", 1)
    is_held_out = np.zeros(len(data), dtype=bool)
    for mask in data.regimes:
        own = np.flatnonzero((data.intervened == mask).all(axis=1))
        is_held_out[rng.permutation(own)[: int(share * len(own))]] = True
    return data.take(~is_held_out), data.take(is_held_out)


def log_densities(
    model: Model, train: Observations, held_out: Observations, progress: bool
) -> Array:
    """Compute the log predictive density of each held-out row, shape (n,).

    Hyperparameters are at their mode, coefficients are marginalised, and the noise is normal. The
    density is that of the outcome itself, so that models with different links are comparable.
    """
    train, held_out = (model.law.working_rows(rows).in_memory for rows in (train, held_out))
    with single_blas_thread():
        terms, candidates = model.decompose(train), model.candidates(train)
        first = with_observed_causes(train.this_period, model, terms, candidates)
        fit = pilot_fit(train, model, *first, progress).mode
        mean, covariance, terms = fit.conditional.mean, fit.conditional.covariance, fit.terms
    design = terms.design(held_out)
    noise = relative_noise_sd(fit.spread, held_out) ** 2
    if terms.random_effects is not None:
        noise = noise + terms.random_effects.variance(held_out.inputs)
    variance = noise * fit.noise_sd**2
    variance = variance + ((design @ covariance) * design).sum(axis=1)
    prediction = design @ mean + terms.centre
    density = stats.norm.logpdf(held_out.outcome, prediction, np.sqrt(variance))
    return np.asarray(density + model.law.log_slope(held_out.outcome))


def log_density_difference(
    data: Observations, model: AdditiveModel, share: float, seed: int, progress: bool
) -> xr.Dataset:
    """Compare the additive model with a regression per regime on a held-out share of the rows.

    Returns
    -------
    Dataset
        ``difference``: log predictive density of the additive model minus that of the regression,
        summed over the held-out ``rows``; ``error``, its standard error, from its variance over
        the rows.
    """
    # A regression has no contributions of actions, which lift tests measure.
    train, held_out = split(replace(data, lift_tests=()), share, seed)
    needed = rows_needed(len(data.names))
    if len(train) < needed or not len(held_out):
        raise ModelError(
            f"{option('held_out', f'{share:g}')} leaves {len(train)} rows to fit, of {needed} "
            f"needed, and {len(held_out)} to predict; choose another share, or "
            f"{option('held_out', '0')} for no comparison"
        )
    prior = without_shape(model.prior)
    per_regime = saturated(prior, noise_scale=model.noise_scale, spread=model.spread)
    per_regime = replace(per_regime, link=model.link)
    first, second = (log_densities(m, train, held_out, progress) for m in (model, per_regime))
    each = first - second
    count = len(each)
    error = np.sqrt(count) * each.std(ddof=1) if count > 1 else np.nan
    return xr.Dataset({"difference": each.sum(), "error": error, "rows": count})
