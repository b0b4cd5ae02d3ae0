"""Objectives of a decision: the posterior mean of an effect, or a measure of its risk."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bayes_intgen._arguments import probability
from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError


@dataclass(frozen=True)
class CVaR:
    """Conditional value at risk: the mean of the worst share of draws.

    Attributes
    ----------
    share : float
        Between 0 and 1.

    Raises
    ------
    ModelError
        If ``share`` is not a probability.

    References
    ----------
    Rockafellar and Uryasev, "Optimization of conditional value-at-risk", Journal of Risk, 2000.

    Examples
    --------
    >>> CVaR(0.1)
    CVaR(share=0.1)
    """

    share: float

    def __post_init__(self) -> None:
        probability(self.share, "share of CVaR")

    def __call__(self, draws: Array) -> Array:
        """Measure draws, shape (S, M), per column, shape (M,)."""
        # The draw at the boundary counts in part, as in the definition for discrete distributions.
        size = self.share * len(draws)
        whole = int(size)
        ordered = np.partition(draws, min(whole, len(draws) - 1), axis=0)
        worst = ordered[:whole].sum(axis=0) + (size - whole) * ordered[min(whole, len(draws) - 1)]
        return np.asarray(worst / size)


@dataclass(frozen=True)
class Quantile:
    """Quantile of the draws.

    Attributes
    ----------
    probability : float
        Between 0 and 1.

    Raises
    ------
    ModelError
        If ``probability`` is not one.

    Examples
    --------
    >>> Quantile(0.1)
    Quantile(probability=0.1)
    """

    probability: float

    def __post_init__(self) -> None:
        probability(self.probability, "probability of Quantile")

    def __call__(self, draws: Array) -> Array:
        """Measure draws, shape (S, M), per column, shape (M,)."""
        return np.asarray(np.quantile(draws, self.probability, axis=0))


Objective = Literal["mean"] | CVaR | Quantile
RiskMeasure = Callable[[Array], Array]


def risk_measure(objective: Any) -> RiskMeasure | None:
    """Measure of an objective, or None for the mean; raises ModelError for anything else.

    Examples
    --------
    >>> risk_measure("mean") is None
    True
    """
    if isinstance(objective, str) and objective == "mean":
        return None
    if isinstance(objective, CVaR | Quantile):
        return objective
    raise ModelError(
        f"unknown objective {objective!r}; choose 'mean', bi.CVaR(share) or "
        "bi.Quantile(probability)"
    )
