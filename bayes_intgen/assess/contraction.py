"""Contraction: widths of the posterior relative to those of the prior.

Prior draws are of hyperparameters from the model's hyperpriors and of coefficients conditional on
them. Scales estimated by empirical Bayes from all terms of a kind (`elimination`) count as
information from the data.

A width is half the length of the central 68.3% interval: for a normal distribution, its standard
deviation. Scales are log-normal, so a few prior draws are a hundred times larger than the others
and would dominate a standard deviation. The contraction is a ratio of widths, not 1 minus a ratio
of variances.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import decoded_table
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of

PRIOR_DRAWS = 2000
# Probabilities of a normal distribution below one standard deviation on either side of its mean.
ENDS = (0.15865525393145707, 0.8413447460685429)
KINDS = ("unconfounded", "confounded")


def prior_prediction(posterior: PosteriorDraws, seed: int = 0) -> Prediction:
    """Predictions from 2000 prior draws of the coefficients, with the posterior's noise.

    Examples
    --------
    >>> prior_prediction(posterior).coefficients.shape[:2]
    (1, 2000)
    """
    coefficients = prior_coefficients(posterior.model, posterior.terms, seed)
    return replace(prediction_of(posterior), coefficients=coefficients[None])


def prior_coefficients(model: Model, terms: Decomposition, seed: int) -> Array:
    """Draws of the coefficients from the model's prior, shape (2000, P)."""
    rng = generator(seed, "prior")
    priors = model.hyperpriors(_as_specified(model, terms))
    hyperparameters = {
        name: np.exp(
            prior.log_median + prior.sigma * rng.standard_normal((PRIOR_DRAWS, len(prior.sigma)))
        )
        for name, prior in (("scale", priors.scale), ("lengthscale", priors.lengthscale))
    }
    log_sd = np.stack(
        [
            priors.log_sd({name: values[i] for name, values in hyperparameters.items()})
            for i in range(PRIOR_DRAWS)
        ]
    )
    return np.asarray(priors.mean + np.exp(log_sd) * rng.standard_normal(log_sd.shape))


def _as_specified(model: Model, terms: Decomposition) -> Decomposition:
    """Terms with the scales of the model instead of medians estimated by a fit."""
    scales = {}
    for term in terms.terms:
        if term.cross_action and term.action is not None:
            mechanism = model.prior
            if isinstance(model, AdditiveModel):
                mechanism = model.bias.get(terms.names[term.action], model.prior)
            together = term.component.label == "interaction"
            scales[term.name] = mechanism.interaction if together else mechanism.cross_action
    return terms.with_scales(scales)


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


def contraction(
    posterior: PosteriorDraws, values: Array, intervened: Sequence[str], seed: int
) -> xr.Dataset:
    """Widths of posterior and prior, and their ratios, at validated points, shape (M, K)."""
    predictions = {
        "prior": prior_prediction(posterior, seed),
        "posterior": prediction_of(posterior),
    }
    mask = np.broadcast_to([name in intervened for name in posterior.actions], values.shape)
    table = xr.Dataset(
        coords={
            "point": np.arange(len(values)),
            "action": list(posterior.actions),
            "value": (("action", "point"), decoded_table(values, posterior.categories).T),
        },
        attrs={"intervened": ", ".join(intervened), "outcome": posterior.tree.attrs["outcome"]},
    )
    additive = isinstance(posterior.model, AdditiveModel)
    for name, prediction in predictions.items():
        if additive:
            unconfounded, bias = prediction.contributions(values)
            by_kind = [widths(unconfounded), widths(unconfounded + bias)]
            table[name] = (("mechanism", "action", "point"), np.array(by_kind))
        table[f"effect_{name}"] = ("point", widths(prediction.mean(values, mask)))
    if additive:
        table = table.assign_coords(mechanism=list(KINDS))
        table["contraction"] = table["posterior"] / table["prior"]
    table["effect_contraction"] = table["effect_posterior"] / table["effect_prior"]
    return table
