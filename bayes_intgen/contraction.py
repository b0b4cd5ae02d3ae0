"""What came from the data: widths of the posterior relative to those of the prior.

Hyperparameters are drawn from the model's hyperpriors, coefficients given them, and the same
functions follow from either set of coefficients. Scales that a fit learned from all terms of a
kind together (`bayes_intgen.condense`) count as what the data said: the prior is the model's own.

A width is half the length of the central 68.3% interval: the standard deviation of a normal
law. Scales are log-normal, so that a few draws from the prior are a hundred times larger than
the others; the standard deviation in the strict sense tells of these alone.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bayes_intgen.bases import Array
from bayes_intgen.categories import decoded_table
from bayes_intgen.decomposition import Decomposition
from bayes_intgen.models import AdditiveModel, Model
from bayes_intgen.prediction import Prediction
from bayes_intgen.streams import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayes_intgen.posterior import Posterior

PRIOR_DRAWS = 2000
# Probabilities at one standard deviation on either side of a normal law's mean.
ENDS = (0.15865525393145707, 0.8413447460685429)
KINDS = ("unconfounded", "confounded")


def prior_prediction(posterior: "Posterior", seed: int = 0) -> Prediction:
    """What the model predicts before it has seen the outcome, from 2000 draws.

    Only means make sense of it: the noise is that of the posterior.

    Examples
    --------
    >>> prior_prediction(posterior).coefficients.shape[:2]
    (1, 2000)
    """
    coefficients = prior_coefficients(posterior.model, posterior.terms, seed)
    return replace(posterior.prediction, coefficients=coefficients[None])


def prior_coefficients(model: Model, terms: Decomposition, seed: int) -> Array:
    """Coefficients drawn from the model's prior, shape (2000, P)."""
    rng = generator(seed, "prior")
    priors = model.hyperpriors(_as_specified(model, terms))
    drawn = {
        name: np.exp(
            prior.log_median + prior.sigma * rng.standard_normal((PRIOR_DRAWS, len(prior.sigma)))
        )
        for name, prior in (("scale", priors.scale), ("lengthscale", priors.lengthscale))
    }
    log_sd = np.stack(
        [
            priors.log_sd({name: values[i] for name, values in drawn.items()})
            for i in range(PRIOR_DRAWS)
        ]
    )
    return np.asarray(priors.mean + np.exp(log_sd) * rng.standard_normal(log_sd.shape))


def _as_specified(model: Model, terms: Decomposition) -> Decomposition:
    """The terms with the scales that the model gives them, before a fit learned their medians."""
    scales = {}
    for term in terms.terms:
        if term.borrowed and term.action is not None:
            mechanism = model.prior
            if isinstance(model, AdditiveModel):
                mechanism = model.bias.get(terms.names[term.action], model.prior)
            together = term.part.label == "interaction"
            scales[term.name] = mechanism.interaction if together else mechanism.borrowed
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
    posterior: "Posterior", values: Array, intervened: "Sequence[str]", seed: int
) -> xr.Dataset:
    """As ``Posterior.contraction``, of which this is the body, for checked points."""
    both = {"prior": prior_prediction(posterior, seed), "posterior": posterior.prediction}
    mask = np.broadcast_to([name in intervened for name in posterior.actions], values.shape)
    found = xr.Dataset(
        coords={
            "point": np.arange(len(values)),
            "action": list(posterior.actions),
            "value": (("action", "point"), decoded_table(values, posterior.categories).T),
        },
        attrs={"intervened": ", ".join(intervened), "outcome": posterior.tree.attrs["outcome"]},
    )
    additive = isinstance(posterior.model, AdditiveModel)
    for name, prediction in both.items():
        if additive:
            unconfounded, bias = prediction.contributions(values)
            of_mechanisms = [widths(unconfounded), widths(unconfounded + bias)]
            found[name] = (("mechanism", "action", "point"), np.array(of_mechanisms))
        found[f"effect_{name}"] = ("point", widths(prediction.mean(values, mask)))
    if additive:
        found = found.assign_coords(mechanism=list(KINDS))
        found["contraction"] = found["posterior"] / found["prior"]
    found["effect_contraction"] = found["effect_posterior"] / found["effect_prior"]
    return found
