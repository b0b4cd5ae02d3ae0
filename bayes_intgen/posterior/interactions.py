"""Sizes of the interactions of a fit."""

import numpy as np
import xarray as xr

from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of


def interaction_sizes(posterior: PosteriorDraws) -> xr.Dataset:
    """Standard deviation of each interaction over the reference rows of the fit.

    Returns
    -------
    Dataset, dims (chain, draw, pair)
        ``sd``, in the outcome's units; coordinates ``first`` and ``second`` (pair), the actions.
        No pairs if the fit has no interactions, or was saved without reference rows.

    Examples
    --------
    >>> interaction_sizes(posterior).sizes["pair"]
    0
    """
    reference, terms = support_of(posterior).reference, posterior.terms
    pairs = list(terms.interactions) if reference is not None else []
    draws = posterior.tree["posterior"].dataset
    sd = np.zeros((draws.sizes["chain"], draws.sizes["draw"], 0))
    if reference is not None and pairs:
        rows = np.concatenate(reference.rows)
        sd = prediction_of(posterior).interactions(rows).std(axis=-1)
    first, second = (np.array([terms.names[p[i]] for p in pairs], dtype=str) for i in (0, 1))
    return xr.Dataset(
        {"sd": (("chain", "draw", "pair"), sd)},
        coords={
            "pair": np.array([f"{a}, {b}" for a, b in zip(first, second, strict=True)], dtype=str),
            "first": ("pair", first),
            "second": ("pair", second),
        },
        attrs={"outcome": posterior.outcome_name},
    )
