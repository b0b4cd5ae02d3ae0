"""Result of sampling a model, and the diagnostics of importance weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bayes_intgen._typing import Array

if TYPE_CHECKING:
    from bayes_intgen.models.terms import Decomposition

# Maximum Pareto k at which smoothed weights correct an approximation (Vehtari, Simpson, Gelman, Yao
# and Gabry, "Pareto smoothed importance sampling", Journal of Machine Learning Research 2024).
PARETO_K_LIMIT = 0.7
# Minimum number of effective draws. The effect has more: its coefficients are drawn anew.
MIN_ESS = 200


class ImportanceDiagnostics(NamedTuple):
    """Reliability of importance draws: of a Laplace approximation, or of an update.

    Attributes
    ----------
    pareto_k : float
        Shape of the generalised Pareto distribution that fits the largest weights.
    importance_ess : float
        Effective sample size of the weights: one over the sum of their squares.
    proposals : int
        Number of draws before resampling.
    """

    pareto_k: float
    importance_ess: float
    proposals: int

    @classmethod
    def of(cls, attrs: Mapping[Any, Any]) -> Self | None:
        """Read the attributes of group ``sample_stats``; None if the draws are those of NUTS.

        Examples
        --------
        >>> ImportanceDiagnostics.of(posterior.tree["sample_stats"].attrs) is None
        True
        """
        if "pareto_k" not in attrs:
            return None
        return cls(
            float(attrs["pareto_k"]), float(attrs["importance_ess"]), int(attrs["proposals"])
        )

    @property
    def is_reliable(self) -> bool:
        """Whether the weights correct the approximation, with enough effective draws."""
        # A comparison with NaN is false.
        return self.pareto_k <= PARETO_K_LIMIT and self.importance_ess >= MIN_ESS


class Autocorrelation(NamedTuple):
    """Correlation of the noise of two rows of a unit: ``share * decay ** (distance / step)``.

    A persistent part of the noise, an autoregression of order one, beside an independent part.

    Attributes
    ----------
    share : float
        Share of the persistent part in the variance.
    decay : float
        Its correlation over one step.
    step : float
        Median distance in time of a row from the next.
    inflation : float
        Ratio of variances of what the rows inform, over all directions of the coefficients.
    time, unit : str
        For rows without a time, which the coefficients take as independent: a date, and a grouping,
        in whose order neighbours are correlated; empty for the order of the table.
    """

    share: float
    decay: float
    step: float
    inflation: float = 1.0
    time: str = ""
    unit: str = ""

    @property
    def next(self) -> float:
        """Correlation with the next row."""
        return self.share * self.decay


INDEPENDENT = Autocorrelation(0.0, 0.0, 1.0)


class Draws(NamedTuple):
    """Draws of a target by any sampler.

    Attributes
    ----------
    flat : ndarray, shape (chain, draw, D)
        Logarithms of the hyperparameters.
    coefficients : ndarray, shape (chain, draw, P)
        Conditional draws of the coefficients, and of any padding.
    statistics : dict of ndarray, each (chain, draw)
        Named as in ArviZ's schema.
    importance : ImportanceDiagnostics, optional
        Reliability of importance draws; None for draws of NUTS.
    """

    flat: Array
    coefficients: Array
    statistics: dict[str, Any]
    importance: ImportanceDiagnostics | None = None


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
    autocorrelation : Autocorrelation
        Dependence between rows that the coefficients allow for.
    importance : ImportanceDiagnostics, optional
        Reliability of importance draws; None for draws of NUTS.
    """

    terms: Decomposition
    sites: dict[str, Array]
    coefficients: Array
    statistics: dict[str, Any]
    fixed_scales: dict[str, float]
    autocorrelation: Autocorrelation
    importance: ImportanceDiagnostics | None = None
