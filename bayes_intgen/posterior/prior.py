"""Draws from the prior of a model: hyperparameters, coefficients and outcomes."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bayes_intgen._arguments import seed_number, whole_number
from bayes_intgen._random import Seed, generator, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.data.validation import checked_data
from bayes_intgen.models import Model, additive
from bayes_intgen.models.carryover import carried_over
from bayes_intgen.models.hyperpriors import DEGREES_OF_FREEDOM
from bayes_intgen.models.laws import exponential
from bayes_intgen.models.specification import checked_model
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.posterior.schema import hyperparameter_draws


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
    priors = terms.without(fixed).hyperpriors(model.noise_scale)
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


def simulated_rows(
    model: Model, terms: Decomposition, rows: Observations, shape: tuple[int, ...], seed: int
) -> tuple[dict[str, Array], Array, Array]:
    """Draw from the prior, and from it outcomes of rows, whose noise has a constant variance.

    Returns
    -------
    sites, coefficients
        As of :func:`prior_draws`; with Student-t noise the degrees of freedom are among the sites.
    outcome : ndarray, shape (*shape, n)
        On the scale on which the terms add up.

    Examples
    --------
    >>> *_, outcome = simulated_rows(posterior.model, posterior.terms, data, (2, 3), 0)
    >>> outcome.shape == (2, 3, len(data))
    True
    """
    sites, coefficients = prior_draws(model, terms, shape, seed)
    rng = generator(seed, "prior", 1)
    mean = terms.centre + coefficients @ terms.design(rows).T
    if model.noise == "student_t":
        concentration, rate = DEGREES_OF_FREEDOM
        sites["df"] = rng.gamma(concentration, 1 / rate, shape)
        noise = rng.standard_t(sites["df"][..., None], mean.shape)
    else:
        noise = rng.standard_normal(mean.shape)
    return sites, coefficients, mean + sites["noise_sd"][..., None] * noise


@takes_rng
def prior_predictive(
    data: Rows,
    model: Model | None = None,
    *,
    draws: int = 500,
    rows: int = 500,
    seed: Seed = 0,
) -> xr.DataTree:
    """Draw hyperparameters and outcomes from the prior, at rows of the data.

    Parameters
    ----------
    data : Rows
        Only actions, masks, and the outcome's mean and standard deviation enter.
    model : Model, optional
        By default ``additive()``.
    draws : int
    rows : int
        Maximum number of rows, evenly spaced over the data.
    seed : int

    Raises
    ------
    DataError, ModelError
        As :func:`bayes_intgen.fit`.

    Returns
    -------
    DataTree
        Groups ``prior`` and ``prior_predictive`` in ArviZ's schema: ``outcome`` has dims
        (chain, draw, row) and the outcome's units. The noise variance is constant over rows.

    Examples
    --------
    >>> tree = prior_predictive(data, draws=20)
    >>> tree["prior_predictive"]["outcome"].dims
    ('chain', 'draw', 'row')
    """
    model = additive() if model is None else checked_model(model)
    carried = carried_over(checked_data(data).in_memory, model.carryover)
    data = model.law.working_rows(carried).in_memory
    draws, rows = (whole_number(n, of, 1) for n, of in ((draws, "draws"), (rows, "rows")))
    terms = model.decompose(data)
    positions = np.unique(np.linspace(0, len(data) - 1, min(rows, len(data))).astype(int))
    sites, coefficients, outcome = simulated_rows(
        model, terms, data.take(positions), (1, draws), seed_number(seed)
    )
    if model.link == "log":
        outcome = exponential(outcome)
    labels = {"chain": np.arange(1), "draw": np.arange(draws)}
    prior = hyperparameter_draws(terms, (), sites, coefficients, labels)
    predictive = xr.Dataset(
        {"outcome": (("chain", "draw", "row"), outcome)}, {**labels, "row": positions}
    )
    return xr.DataTree.from_dict({"prior": prior, "prior_predictive": predictive})
