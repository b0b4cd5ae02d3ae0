"""The best plan of a decision under a posterior."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_intgen._arguments import instance
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import decoded_table
from bayes_intgen.data.queries import named_points
from bayes_intgen.decide.decision import Decision
from bayes_intgen.decide.joint_surface import JointSurface
from bayes_intgen.decide.objectives import Objective, RiskMeasure, risk_measure
from bayes_intgen.decide.plan import Plan
from bayes_intgen.decide.problem import Problem, is_supported
from bayes_intgen.decide.search import best_point, best_points_of_draws, improved, value_of
from bayes_intgen.errors import ModelError
from bayes_intgen.posterior.coordinates import draw_coordinates
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.posterior.standardisation import Standardisation

# Relative change of the budget for its shadow price.
BUDGET_STEP = 0.01


def best_plan(
    posterior: PosteriorDraws,
    decision: Decision,
    objective: Objective = "mean",
    beyond_support: bool = False,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
) -> Plan:
    """Find the best plan; see :meth:`bayes_intgen.Posterior.best`."""
    instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
    measure = risk_measure(objective)
    problem, surface, averages = problem_of(posterior, decision, beyond_support, given, population)
    point = best_point(problem, surface, measure)
    return described(posterior, problem, surface, point, objective, averages)


def problem_of(
    posterior: PosteriorDraws,
    decision: Decision,
    beyond_support: bool,
    given: Mapping[str, Any] | None,
    population: Any,
) -> tuple[Problem, JointSurface, Standardisation]:
    """Match a decision with a fit, and warn of a baseline that its rows do not support."""
    problem = Problem.of(posterior, decision, beyond_support)
    baseline = named_points(problem.baseline[None], posterior.actions, posterior.categories)
    query = support_of(posterior).query(
        baseline, posterior.actions, given, population, "the baseline"
    )
    return problem, JointSurface.of(prediction_of(posterior, query.averages)), query.averages


def described(
    posterior: PosteriorDraws,
    problem: Problem,
    surface: JointSurface,
    point: Array,
    objective: Objective,
    averages: Standardisation,
) -> Plan:
    """Describe a plan: its effect, gain and regret, and the price of the budget."""
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
        own = {"outcome": posterior.outcome_name, **averages.attrs}
        values = draws.reshape(*shape, *draws.shape[1:])
        return xr.DataArray(values, coords, ("chain", "draw", *dims), name, own)

    value = float(value_of(surface, measure)(point[None])[0])
    costs = bool(problem.rates.any()) or bool(problem.prices)
    return Plan(
        point=_named(point, names, categories),
        baseline=_named(problem.baseline, names, categories),
        objective=objective,
        value=value,
        cost=float(problem.cost(point[None])[0]) if costs else None,
        budget=problem.budget,
        effect=labelled("effect", effects[:, 0]),
        gain=labelled("gain", gain),
        regret=labelled("regret", regret),
        best_of_draws=labelled("best of draws", decoded_table(own_best, categories), "action"),
        probability_better=float((gain > 0).mean()),
        shadow_price=_shadow_price(problem, surface, measure, point, value),
        supported=bool(is_supported(posterior, point[None])[0]),
    )


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
