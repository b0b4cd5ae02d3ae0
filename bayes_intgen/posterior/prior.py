"""Draws from the prior of a fit."""

from collections.abc import Mapping

import numpy as np

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition


def prior_draws(
    model: Model,
    terms: Decomposition,
    shape: tuple[int, ...],
    seed: int,
    fixed: Mapping[str, float] | None = None,
) -> tuple[dict[str, Array], Array]:
    """Draw hyperparameters from their priors, and coefficients conditional on them.

    Parameters
    ----------
    model : Model
    terms : Decomposition
    shape : tuple of int
        Shape of the draws, such as (chain, draw).
    seed : int
    fixed : mapping from term to float, optional
        Terms whose scale is not drawn, with that scale in units of ``noise_sd``.

    Returns
    -------
    sites : dict from hyperparameter to ndarray, shape (*shape, ...)
    coefficients : ndarray, shape (*shape, P)

    Examples
    --------
    >>> sites, coefficients = prior_draws(posterior.model, posterior.terms, (4, 10), 0)
    >>> sites["noise_sd"].shape, coefficients.shape == (4, 10, posterior.terms.size)
    ((4, 10), True)
    """
    fixed, rng = fixed or {}, generator(seed, "prior")
    priors = model.hyperpriors(terms.without(fixed))
    sites = {
        name: np.exp(
            own.log_median + own.sigma * rng.standard_normal((*shape, *np.shape(own.sigma)))
        )
        for name, own in priors.sites.items()
    }
    drawn, ratio, mean = np.ones(terms.size, dtype=bool), np.ones(terms.size), np.zeros(terms.size)
    for name, own_ratio in fixed.items():
        drawn[terms.columns[name]], ratio[terms.columns[name]] = False, own_ratio
    mean[drawn] = priors.mean
    sd = sites["noise_sd"][..., None] * ratio
    sd[..., drawn] = np.exp(priors.log_sd(sites))
    return sites, mean + sd * rng.standard_normal(sd.shape)
