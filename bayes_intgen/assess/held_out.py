"""Log predictive density of held-out rows under models at their modes."""

from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
from scipy import stats

from bayes_intgen._blas import single_blas_thread
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.validation import rows_needed
from bayes_intgen.errors import ModelError
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.inference.pilot.pilot import pilot_fit
from bayes_intgen.models import AdditiveModel, Model, saturated


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
        first = with_observed_causes(train, model, model.decompose(train), model.candidates(train))
        pilot = pilot_fit(train, model, *first, progress)
        mean, covariance = pilot.posterior.moments(pilot.sites)
    terms = pilot.posterior.terms
    design = terms.matrix(held_out.inputs, held_out.intervened)
    noise = relative_noise_sd(pilot.spread, held_out) ** 2
    variance = noise * float(pilot.sites["noise_sd"]) ** 2
    variance = variance + ((design @ covariance) * design).sum(axis=1)
    prediction = design @ mean + terms.centre
    density = stats.norm.logpdf(held_out.outcome, prediction, np.sqrt(variance))
    return np.asarray(density + model.law.log_slope(held_out.outcome))


class Difference(NamedTuple):
    """Log predictive density of one model minus that of another, summed over held-out rows.

    Attributes
    ----------
    difference : float
    error : float
        Standard error, from the variance of the difference over the rows.
    rows : int
    """

    difference: float
    error: float
    rows: int

    @classmethod
    def of(cls, first: Array, second: Array) -> Self:
        """Compare the log densities of each row under two models."""
        each = first - second
        return cls(
            float(each.sum()),
            float(np.sqrt(len(each)) * each.std(ddof=1)) if len(each) > 1 else float("nan"),
            len(each),
        )


def log_density_difference(
    data: Observations, model: AdditiveModel, share: float, seed: int, progress: bool
) -> Difference:
    """Compare the additive model with a regression per regime on a held-out share of the rows."""
    train, held_out = split(data, share, seed)
    needed = rows_needed(len(data.names))
    if len(train) < needed or not len(held_out):
        raise ModelError(
            f"held_out={share:g} leaves {len(train)} rows to fit, of {needed} needed, and "
            f"{len(held_out)} to predict; choose another share, or held_out=0 for no comparison"
        )
    per_regime = saturated(model.prior, noise_scale=model.noise_scale, spread=model.spread)
    per_regime = replace(per_regime, link=model.link)
    first, second = (log_densities(m, train, held_out, progress) for m in (model, per_regime))
    return Difference.of(first, second)
