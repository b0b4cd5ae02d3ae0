"""Rows that a model has not seen, predicted at its mode."""

from typing import NamedTuple, Self

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from bayes_intgen.bases import Array
from bayes_intgen.models import Model
from bayes_intgen.pilot import pilot_fit
from bayes_intgen.rows import Observations
from bayes_intgen.streams import generator


def split(data: Observations, share: float, seed: int) -> tuple[Observations, Observations]:
    """Rows to fit and rows to hold out: a share of those of every regime, drawn at random."""
    rng = generator(seed, "check", 1)
    out = np.zeros(len(data), dtype=bool)
    for mask in data.regimes:
        own = np.flatnonzero((data.intervened == mask).all(axis=1))
        out[rng.permutation(own)[: int(share * len(own))]] = True
    return data._rows(~out), data._rows(out)


def log_densities(
    model: Model, seen: Observations, held_out: Observations, progress: bool
) -> Array:
    """Log predictive density of each held-out row, shape (n,).

    Hyperparameters at their mode and the noise normal; the coefficients are integrated out.
    """
    with threadpool_limits(1, "blas"):
        terms = model.decompose(seen)
        pilot = pilot_fit(seen, model, terms, model.candidates(seen), progress)
        mean, covariance = pilot.posterior.moments(pilot.sites)
    terms = pilot.posterior.terms
    design = terms.matrix(held_out.actions, held_out.intervened)
    noise = pilot.spread(held_out.actions, held_out.intervened)
    variance = noise * float(pilot.sites["noise_sd"]) ** 2
    variance = variance + ((design @ covariance) * design).sum(axis=1)
    predicted = design @ mean + terms.centre
    return np.asarray(stats.norm.logpdf(held_out.outcome, predicted, np.sqrt(variance)))


class Difference(NamedTuple):
    """Log predictive density of one model less that of another, summed over held-out rows.

    Attributes
    ----------
    value : float
    error : float
        Standard error, from how the difference varies over the rows.
    rows : int
    """

    value: float
    error: float
    rows: int

    @classmethod
    def of(cls, first: Array, second: Array) -> Self:
        """From the log density of each row under either model."""
        each = first - second
        return cls(
            float(each.sum()),
            float(np.sqrt(len(each)) * each.std(ddof=1)) if len(each) > 1 else float("nan"),
            len(each),
        )
