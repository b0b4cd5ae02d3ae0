"""Budgets: the best plan of each, and the cheapest plan that reaches a target."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayes_intgen._arguments import instance, items, probability, real_number
from bayes_intgen.basis.categories import decoded_table
from bayes_intgen.decide.best import described, problem_of
from bayes_intgen.decide.decision import Decision
from bayes_intgen.decide.objectives import Objective, risk_measure
from bayes_intgen.decide.plan import Plan
from bayes_intgen.decide.search import best_point, grid_of_means, value_of
from bayes_intgen.errors import ModelError, PointsError
from bayes_intgen.posterior.draws import PosteriorDraws

# Bisection steps, and tolerance of the budget, relative to the range of budgets.
MAX_STEPS, TOLERANCE = 30, 1e-3


def frontier(
    posterior: PosteriorDraws,
    decision: Decision,
    budgets: Sequence[float],
    objective: Objective = "mean",
    level: float = 0.9,
    beyond_support: bool = False,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
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
    problem, surface, averages = problem_of(posterior, first, beyond_support, given, population)
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
        {"outcome": posterior.outcome_name, "level": level, **averages.attrs},
    )


def cheapest_plan(
    posterior: PosteriorDraws,
    decision: Decision,
    target: float,
    objective: Objective = "mean",
    beyond_support: bool = False,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
) -> Plan:
    """Find the cheapest plan with a value; see :meth:`bayes_intgen.Posterior.cheapest`."""
    target = real_number(target, "target")
    instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
    if not decision.cost:
        raise ModelError("the cheapest plan needs costs; write Decision(cost={action: ...})")
    measure = risk_measure(objective)
    problem, surface, averages = problem_of(posterior, decision, beyond_support, given, population)
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
    return described(posterior, own, surface, best, objective, averages)
