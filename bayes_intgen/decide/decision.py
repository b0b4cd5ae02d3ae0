"""A decision in the user's words: costs, a budget, bounds, a baseline, and a measure of risk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from bayes_intgen._arguments import items, mapping, probability, real_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Label
from bayes_intgen.errors import ModelError
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import option


@dataclass(frozen=True)
class Decision:
    """Plans to choose from, and what they are compared with.

    Attributes
    ----------
    cost : mapping from action to float, or to a mapping from level to float
        Cost per unit of the action, or of each of its levels. Actions that are not named cost
        nothing.
    budget : float, optional
        Largest total cost. No limit by default.
    bounds : mapping from action to (low, high), to a list of levels, or to one value
        Values to choose from, by default all that the rows support; one value holds the action
        there.
    baseline : mapping from action to value, optional
        Plan with which gains are compared: values of some actions. The others are at those of the
        supported observational row nearest to the medians and most frequent levels, which is
        :attr:`bayes_intgen.Posterior.default_point`.
    value : float, optional
        Worth of a unit of the outcome, in the currency of the costs; negative where less is better.
        The best plan is then that of the largest profit, value times effect minus cost. Under a
        link it is a unit of the mean outcome. By default costs only count within a budget.

    Raises
    ------
    ModelError
        On costs that are negative or not finite, a budget without costs, bounds that are empty or a
        single point, and a value of zero.

    Examples
    --------
    >>> Decision(cost={"tv": 1.0, "radio": 0.4}, budget=100, bounds={"tv": (0, 60)}).budget
    100.0
    """

    cost: Mapping[str, float | Mapping[Label, float]] = field(default_factory=dict)
    budget: float | None = None
    bounds: Mapping[str, Sequence[Label] | Label] = field(default_factory=dict)
    baseline: Mapping[str, Label] = field(default_factory=dict)
    value: float | None = None

    def __post_init__(self) -> None:
        costs = mapping(self.cost, "cost", "actions to costs")
        bounds = mapping(self.bounds, "bounds", "actions to (low, high)")
        checked = {
            "cost": {name: _checked_cost(own, name) for name, own in costs.items()},
            "bounds": {name: _checked_bounds(own, name) for name, own in bounds.items()},
            "budget": None if self.budget is None else real_number(self.budget, "budget"),
            "baseline": mapping(self.baseline, "baseline", "actions to values"),
            "value": None if self.value is None else real_number(self.value, "value"),
        }
        for name, own in checked.items():
            object.__setattr__(self, name, own)
        if self.budget is not None and not self.cost:
            raise ModelError(f"a budget needs costs; write {remedy_of_costs()}")
        if self.value == 0:
            raise ModelError("a value of 0 makes all plans alike; give the worth of a unit")


def remedy_of_costs() -> str:
    """How to give costs, in the interface in use."""
    return option("cost", "{action: cost per unit}", command="--cost ACTION=1")


def _checked_cost(cost: Any, name: str) -> float | dict[Label, float]:
    """Cost per unit, or of each level."""
    if isinstance(cost, Mapping):
        return {level: checked_price(own, f"{name!r} at {level!r}") for level, own in cost.items()}
    return checked_price(cost, repr(name))


def checked_price(cost: Any, of: str) -> float:
    """Validate the cost of something: a number of at least zero.

    Examples
    --------
    >>> checked_price(2, "an experiment")
    2.0
    """
    number = real_number(cost, f"the cost of {of}")
    if number < 0:
        raise ModelError(
            f"the cost of {of} is negative, {format_number(number)}; costs must be at least 0"
        )
    return number


def _checked_bounds(bounds: Any, name: str) -> tuple[Label, ...] | Label:
    single = _plain(bounds)
    is_single = isinstance(single, str | int | float)
    values = numbers_or_levels([single] if is_single else bounds, f"bounds of {name!r}")
    if not values:
        raise ModelError(f"bounds of {name!r} are empty; give (low, high) or levels")
    numbers = [value for value in values if isinstance(value, int | float)]
    if not all(map(isfinite, numbers)):
        raise ModelError(f"bounds of {name!r} must be finite numbers, not {bounds!r}")
    if is_single:
        return values[0]
    is_range = len(values) == len(numbers) == 2 and not any(isinstance(n, bool) for n in numbers)
    if is_range and numbers[0] > numbers[1]:
        low, high = map(format_number, numbers)
        raise ModelError(f"bounds of {name!r} are empty: {low} is above {high}")
    if len(set(values)) == 1:
        raise ModelError(f"bounds of {name!r} are a single point; give one value to hold it there")
    return values


def numbers_or_levels(values: Any, name: str) -> tuple[Label, ...]:
    """Ends of a range, or levels; NumPy scalars as Python numbers.

    Examples
    --------
    >>> numbers_or_levels(np.array([0, 60]), "bounds of 'tv'")
    (0, 60)
    """
    own: tuple[Label, ...] = tuple(map(_plain, items(values, name, "two numbers or of levels")))
    if not all(isinstance(value, str | int | float) for value in own):
        raise ModelError(f"{name} must be numbers or levels, not {values!r}")
    return own


def _plain(value: Any) -> Any:
    """A NumPy scalar as a Python number; other values unchanged."""
    return value.item() if getattr(value, "shape", None) == () else value


@dataclass(frozen=True)
class CVaR:
    """Conditional value at risk: the mean of the worst share of draws.

    Attributes
    ----------
    share : float
        Above 0 and at most 1, where it is the mean.

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

    def __str__(self) -> str:
        worst = f" of the worst {100 * self.share:.3g}% of draws"
        return "mean" + worst * (self.share < 1)

    def __post_init__(self) -> None:
        if self.share != 1:
            probability(self.share, "share of CVaR")

    def __call__(self, draws: Array) -> Array:
        """Measure draws, shape (S, M), per column, shape (M,)."""
        # The draw at the boundary counts in part, as in the definition for discrete distributions.
        size = self.share * len(draws)
        whole = int(size)
        ordered = np.partition(draws, min(whole, len(draws) - 1), axis=0)
        worst = ordered[:whole].sum(axis=0) + (size - whole) * ordered[min(whole, len(draws) - 1)]
        return np.asarray(worst / size)

    @property
    def deviations(self) -> float:
        """Standard deviations of a normal distribution by which it is below the mean."""
        quantile = ndtri(self.share)
        return float(np.exp(-(quantile**2) / 2) / np.sqrt(2 * np.pi) / self.share)


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

    def __str__(self) -> str:
        return f"{100 * self.probability:.3g}% quantile"

    def __post_init__(self) -> None:
        probability(self.probability, "probability of Quantile")

    def __call__(self, draws: Array) -> Array:
        """Measure draws, shape (S, M), per column, shape (M,)."""
        return np.asarray(np.quantile(draws, self.probability, axis=0))

    @property
    def deviations(self) -> float:
        """Standard deviations of a normal distribution by which it is below the mean."""
        return float(-ndtri(self.probability))


RiskMeasure = CVaR | Quantile
Objective = Literal["mean"] | RiskMeasure
# The lower end of the 90% interval of the gain. In `analyses/chosen_plans.py` plans chosen by it
# gain more than those chosen by the mean.
CAUTIOUS = Quantile(0.05)


MEAN = CVaR(1.0)


def risk_measure(objective: Any) -> RiskMeasure:
    """Measure of an objective; raises ModelError for anything else.

    Examples
    --------
    >>> risk_measure("mean")
    CVaR(share=1.0)
    """
    if isinstance(objective, str) and objective == "mean":
        return MEAN
    if isinstance(objective, CVaR | Quantile):
        return objective
    known = "'mean', bi.CVaR(share) or bi.Quantile(probability)"
    raise ModelError(f"unknown objective {objective!r}; choose {known}")
