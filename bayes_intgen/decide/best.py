"""The best plan of a decision under a posterior, of each budget, and the cheapest to a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import xarray as xr

from bayes_intgen._arguments import instance, items, probability, real_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import decoded_table
from bayes_intgen.data.queries import named_points
from bayes_intgen.decide.decision import Decision, Objective, RiskMeasure, risk_measure
from bayes_intgen.decide.joint_surface import JointSurface
from bayes_intgen.decide.plan import Plan
from bayes_intgen.decide.problem import Problem, is_supported
from bayes_intgen.decide.search import (
    best_point,
    best_points_of_draws,
    grid_of_means,
    improved,
    value_of,
)
from bayes_intgen.errors import ModelError, PointsError
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.schema import draw_coordinates
from bayes_intgen.posterior.standardisation import Standardisation

# Relative change of the budget for its shadow price.
BUDGET_STEP = 0.01
# Bisection steps, and tolerance of the budget, relative to the range of budgets.
MAX_STEPS, TOLERANCE = 30, 1e-3


@dataclass(frozen=True, eq=False)
class Planning:
    """A decision about the actions of a fit, with the joint effect to be improved.

    Attributes
    ----------
    posterior : PosteriorDraws
    problem : Problem
    surface : JointSurface
    averages : Standardisation
        Population over which the joint effect is averaged.
    """

    posterior: PosteriorDraws
    problem: Problem
    surface: JointSurface
    averages: Standardisation

    @classmethod
    def of(
        cls,
        posterior: PosteriorDraws,
        decision: Decision,
        beyond_support: bool,
        given: Mapping[str, Any] | None,
        population: Any,
    ) -> Self:
        """Match a decision with a fit, and warn of a baseline that its rows do not support."""
        instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
        problem = Problem.of(posterior, decision, beyond_support)
        baseline = named_points(problem.baseline[None], posterior.actions, posterior.categories)
        query = support_of(posterior).query(
            baseline, posterior.actions, given, population, "the baseline"
        )
        surface = JointSurface.of(prediction_of(posterior, query.averages))
        return cls(posterior, problem, surface, query.averages)

    def best(self, objective: Objective = "mean") -> Plan:
        """Find the best plan; see :meth:`bayes_intgen.Posterior.best`."""
        point = best_point(self.problem, self.surface, risk_measure(objective))
        return self.plan(point, objective)

    def plan(self, point: Array, objective: Objective) -> Plan:
        """Describe a plan: its effect, gain and regret, and the price of the budget."""
        posterior, problem, surface = self.posterior, self.problem, self.surface
        measure = risk_measure(objective)
        effects = surface.draws(np.stack([point, problem.baseline]))
        own_best, best_effect = best_points_of_draws(problem, surface, point)
        # The plan itself is finer than the grid on which the best of each draw is searched.
        regret = np.maximum(best_effect - effects[:, 0], 0.0)
        gain = effects[:, 0] - effects[:, 1]
        names, categories = posterior.actions, posterior.categories

        def labelled(name: str, draws: Array, *dims: str) -> xr.DataArray:
            coords: dict[str, Any] = {**draw_coordinates(posterior.tree)}
            shape = tuple(len(coords[dim]) for dim in ("chain", "draw"))
            if dims:
                coords["action"] = list(names)
            own = {"outcome": posterior.outcome_name, **self.averages.attrs}
            values = draws.reshape(*shape, *draws.shape[1:])
            return xr.DataArray(values, coords, ("chain", "draw", *dims), name, own)

        value = float(value_of(surface, measure)(point[None])[0])
        return Plan(
            point=_named(point, names, categories),
            baseline=_named(problem.baseline, names, categories),
            objective=objective,
            value=value,
            cost=float(problem.cost(point[None])[0]) if problem.has_costs else None,
            budget=problem.budget,
            effect=labelled("effect", effects[:, 0]),
            gain=labelled("gain", gain),
            regret=labelled("regret", regret),
            best_of_draws=labelled("best of draws", decoded_table(own_best, categories), "action"),
            probability_better=float((gain > 0).mean()),
            shadow_price=_shadow_price(problem, surface, measure, point, value),
            supported=bool(is_supported(posterior, point[None])[0]),
        )


def frontier(
    posterior: PosteriorDraws,
    decision: Decision,
    budgets: Sequence[float],
    objective: Objective,
    level: float,
    beyond_support: bool,
    given: Mapping[str, Any] | None,
    population: Any,
) -> xr.Dataset:
    """Find the best plan of each budget; see :meth:`bayes_intgen.Posterior.frontier`."""
    level = probability(level, "level", PointsError)
    values = [
        real_number(own, "a budget") for own in items(budgets, "budgets", "numbers", ModelError)
    ]
    if not values:
        raise ModelError("budgets are empty; give at least one")
    instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
    measure = risk_measure(objective)
    first = replace(decision, budget=min(values))
    planning = Planning.of(posterior, first, beyond_support, given, population)
    problem, surface = planning.problem, planning.surface
    means = grid_of_means(problem, surface)
    plans = np.stack([best_point(problem.with_budget(b), surface, measure, means) for b in values])
    draws = surface.draws(plans) - surface.draws(problem.baseline[None])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    columns = {
        "value": value_of(surface, measure)(plans),
        "cost": problem.cost(plans),
        "gain": draws.mean(axis=0),
        "gain_low": low,
        "gain_high": high,
        "probability_better": (draws > 0).mean(axis=0),
    }
    return xr.Dataset(
        {
            **{name: ("budget", column) for name, column in columns.items()},
            "plan": (("budget", "action"), decoded_table(plans, posterior.categories)),
        },
        {"budget": values, "action": list(posterior.actions)},
        {"outcome": posterior.outcome_name, "level": level, **planning.averages.attrs},
    )


def cheapest_plan(planning: Planning, target: float, objective: Objective) -> Plan:
    """Find the cheapest plan with a value; see :meth:`bayes_intgen.Posterior.cheapest`."""
    target, measure = real_number(target, "target"), risk_measure(objective)
    problem, surface = planning.problem, planning.surface
    if not problem.has_costs:
        raise ModelError("the cheapest plan needs costs; write Decision(cost={action: ...})")
    value = value_of(surface, measure)
    means = grid_of_means(problem, surface)
    best = best_point(problem, surface, measure, means)
    reached = float(value(best[None])[0])
    if reached < target:
        raise ModelError(
            f"no plan reaches {target:g}: the best one has {reached:g}; lower the target, or raise "
            "the budget or the bounds"
        )
    # The value of the best plan does not fall with the budget.
    low, high = problem.least_cost, float(problem.cost(best[None])[0])
    tolerance = TOLERANCE * max(high - low, 1e-12)
    for _ in range(MAX_STEPS):
        if high - low <= tolerance:
            break
        middle = (low + high) / 2
        point = best_point(problem.with_budget(middle), surface, measure, means)
        if value(point[None])[0] >= target:
            best, high = point, min(middle, float(problem.cost(point[None])[0]))
        else:
            low = middle
    own = problem.with_budget(max(high, float(problem.cost(best[None])[0])))
    return replace(planning, problem=own).plan(best, objective)


def _named(point: Array, names: Sequence[str], categories: Any) -> dict[str, Any]:
    columns = named_points(point[None], names, categories)
    return {name: np.asarray(column)[0].item() for name, column in columns.items()}


def _shadow_price(
    problem: Problem,
    surface: JointSurface,
    measure: RiskMeasure | None,
    point: Array,
    value: float,
) -> float | None:
    """Change of the objective per unit of a slightly larger budget, near the same plan."""
    if problem.budget is None:
        return None
    step = BUDGET_STEP * max(abs(problem.budget), 1e-12)
    larger = improved(problem.with_budget(problem.budget + step), surface, measure, point[None])
    gain = value_of(surface, measure)(larger[None])[0] - value
    return max(0.0, float(gain) / step)
