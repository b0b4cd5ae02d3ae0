"""Result of sampling a model."""

from typing import Any, NamedTuple

from bayes_intgen._typing import Array
from bayes_intgen.inference.importance_diagnostics import ImportanceDiagnostics
from bayes_intgen.models.terms import Decomposition


class SampledModel(NamedTuple):
    """Draws of all hyperparameters and coefficients, from any sampler.

    Attributes
    ----------
    terms : Decomposition
        Terms of the sampled model.
    sites : dict of ndarray, each (chain, draw, ...)
        Hyperparameters.
    coefficients : ndarray, shape (chain, draw, P)
    statistics : dict of ndarray, each (chain, draw)
        Sampler statistics.
    fixed_scales : dict from term to float
        Scales that are fixed instead of sampled.
    importance : ImportanceDiagnostics, optional
        Reliability of importance draws; None for draws of NUTS.
    """

    terms: Decomposition
    sites: dict[str, Array]
    coefficients: Array
    statistics: dict[str, Any]
    fixed_scales: dict[str, float]
    importance: ImportanceDiagnostics | None = None
