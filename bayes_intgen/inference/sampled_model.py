"""Result of sampling a model, by either sampler."""

from typing import Any, NamedTuple

from bayes_intgen._typing import Array
from bayes_intgen.models.terms import Decomposition


class SampledModel(NamedTuple):
    """Draws of all hyperparameters and coefficients.

    Attributes
    ----------
    terms : Decomposition
        Of the model that was sampled.
    sites : dict of ndarray, each (chain, draw, ...)
        Hyperparameters.
    coefficients : ndarray, shape (chain, draw, P)
    statistics : dict of ndarray, each (chain, draw)
    fixed_scales : dict from term to float
        Scales that were not sampled.
    """

    terms: Decomposition
    sites: dict[str, Array]
    coefficients: Array
    statistics: dict[str, Any]
    fixed_scales: dict[str, float]
