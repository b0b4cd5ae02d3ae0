"""Contraction: widths of the posterior relative to those of the prior.

Prior draws are of hyperparameters from the model's hyperpriors and of coefficients conditional on
them. The variance between groups whose effects are integrated out counts as information from the
data.

A width is half the length of the central 68.3% interval: for a normal distribution, its standard
deviation. Scales are log-normal, so a few prior draws are a hundred times larger than the others
and would dominate a standard deviation. The contraction is a ratio of widths, not 1 minus a ratio
of variances.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import xarray as xr

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Label
from bayes_intgen.errors import ModelError
from bayes_intgen.models import AdditiveModel
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.posterior.curves import fixed_values, points_along, points_of_curve
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    fitted_prediction,
    labelled_points,
    prediction_of,
    tails_of,
)
from bayes_intgen.posterior.fit_support import Query
from bayes_intgen.posterior.population import in_population
from bayes_intgen.posterior.prior import prior_draws

PRIOR_DRAWS = 2000
# Number of points along an action.
N_POINTS = 80
# Probabilities of a normal distribution below one standard deviation on either side of its mean.
ENDS = (0.15865525393145707, 0.8413447460685429)
KINDS = ("unconfounded", "confounded")


def prior_prediction(posterior: PosteriorDraws, seed: int = 0) -> Prediction:
    """Predictions from 2000 prior draws in the population asked about, with the posterior's noise.

    Examples
    --------
    >>> prior_prediction(posterior).coefficients.shape[:2]
    (1, 2000)
    """
    prediction, terms = fitted_prediction(posterior), posterior.terms
    sites, coefficients = prior_draws(posterior.model, terms, (1, PRIOR_DRAWS), seed)
    noise_sd = np.resize(prediction.sd.ravel(), (1, PRIOR_DRAWS))
    prediction = replace(prediction, coefficients=coefficients, sd=noise_sd)
    scales = np.moveaxis(sites["scale"], -1, 0) if terms.scales else ()
    scale_of = dict(zip(terms.scales, scales, strict=True))
    return in_population(prediction, posterior.averages, scale_of.__getitem__)


def widths(draws: Array) -> Array:
    """Half the central 68.3% interval over the first two axes.

    Examples
    --------
    >>> normal = np.random.default_rng(0).normal(size=(4, 10_000))
    >>> float(widths(normal).round(1))
    1.0
    """
    low, high = np.quantile(draws, ENDS, axis=(0, 1))
    return np.asarray((high - low) / 2)


def contraction(posterior: PosteriorDraws, query: Query, seed: int) -> xr.Dataset:
    """Widths of posterior and prior, and their ratios, at the points of a query."""
    values, pairs = query.values, posterior.terms.pair_labels
    prior, predicted = prior_prediction(posterior, seed), prediction_of(posterior)
    table = labelled_points(posterior, values).assign_attrs(
        intervened=", ".join(query.intervened), scale=posterior.predictor_name
    )
    if additive := isinstance(posterior.model, AdditiveModel):
        table = table.assign_coords(mechanism=list(KINDS))
    if additive and pairs:
        table = table.assign_coords(pair=np.array(pairs, dtype=str))
    for name, prediction in (("prior", prior), ("posterior", predicted)):
        if additive:
            unconfounded, bias = prediction.contributions(values)
            by_kind = [widths(unconfounded), widths(unconfounded + bias)]
            table[name] = (("mechanism", "action", "point"), np.array(by_kind))
        if "pair" in table:
            of_pairs = widths(prediction.interactions(values))
            table[f"interaction_{name}"] = (("pair", "point"), of_pairs)
        table[f"effect_{name}"] = ("point", widths(prediction.predictor(values, query.mask)))
    for kind in [own for own in ("interaction_", "", "effect_") if f"{own}prior" in table]:
        table[f"{kind}contraction"] = table[f"{kind}posterior"] / table[f"{kind}prior"]
    return table


def mechanism_curves(
    posterior: PosteriorDraws,
    default: Array,
    at: Mapping[str, Label] | None = None,
) -> list[xr.Dataset]:
    """Prior and posterior of the mechanisms of each action, along the action.

    Returns
    -------
    list of Dataset, length K
        ``posterior`` (mechanism, chain, draw, point); ``prior_low`` and ``prior_high``
        (mechanism, point), the central 90% interval; ``share`` (mechanism), the median ratio of
        the widths of posterior and prior. Coordinates as of :func:`effect_along`.

    Examples
    --------
    >>> red, green = mechanism_curves(posterior, posterior.default_point)
    >>> bool((red.share < 1).all())
    True
    """
    fixed = fixed_values(posterior, default, at)
    if not isinstance(posterior.model, AdditiveModel):
        raise ModelError("a plain regression has no mechanisms to draw; see plot_joint_effect")
    predictions = prior_prediction(posterior), prediction_of(posterior)
    curves, dims = [], ("mechanism", "point")
    for k in range(len(posterior.actions)):
        points = points_along(posterior, k, fixed, N_POINTS)
        before_data, after_data = (
            np.stack([unconfounded[:, :, k], (unconfounded + bias)[:, :, k]])
            for unconfounded, bias in (own.contributions(points) for own in predictions)
        )
        low, high = np.quantile(before_data, tails_of(0.9), axis=(1, 2))
        pairs = zip(before_data, after_data, strict=True)
        curve = (
            points_of_curve(posterior, k, points)
            .assign_coords(mechanism=list(KINDS))
            .assign(
                posterior=(("mechanism", "chain", "draw", "point"), after_data),
                prior_low=(dims, low),
                prior_high=(dims, high),
                share=("mechanism", [np.median(widths(b) / widths(a)) for a, b in pairs]),
            )
        )
        curves.append(curve.assign_attrs(outcome=posterior.predictor_name))
    return curves
