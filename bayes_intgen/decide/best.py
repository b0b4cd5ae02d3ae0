"""The best plan of a decision under a posterior, of each budget, and the cheapest to a target."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import scipy
import xarray as xr

from bayes_intgen._arguments import instance, items, probability, real_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Label, decoded_table
from bayes_intgen.data.queries import checked_points, named_points
from bayes_intgen.decide.decision import MEAN, Decision, Objective, remedy_of_costs, risk_measure
from bayes_intgen.decide.problem import JointSurface, Problem
from bayes_intgen.decide.search import BestOfDraws, Search
from bayes_intgen.errors import ModelError, PointsError
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    central,
    prediction_of,
    statistics_of,
    support_of,
)
from bayes_intgen.posterior.schema import draw_coordinates
from bayes_intgen.text.formats import (
    align_columns,
    decimals_for,
    format_estimate,
    format_interval,
    format_number,
    format_probability,
    format_to_uncertainty,
    frame_along,
    shorter_number,
)
from bayes_intgen.text.messages import first_few, option

# Change of the budget for its shadow price, relative to the budget or to the range of costs.
BUDGET_STEP = 0.01
# Tolerance of the budget that reaches a target, relative to the range of budgets.
TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Plan:
    """Best plan of a decision, from :meth:`bayes_intgen.Posterior.best`.

    The best of many plans is best in part by chance: its gain and its joint effect are lower than
    those of the same plan in :meth:`bayes_intgen.Posterior.contrast` and
    :meth:`~bayes_intgen.Posterior.joint_effect` by ``optimism``, and draws of gain, effect and
    profit are spread, since the choice adds to their errors. A parametric bootstrap measures both.
    `analyses/chosen_plans.py` compares predicted and true gains.

    While the baseline is feasible, it stays where the mean of the corrected gain is not positive,
    whatever the objective. For a measure of risk the correction may thus take the ``value`` of a
    chosen plan below 0, that of the baseline.

    Attributes
    ----------
    point : dict from action to value
        The plan, levels by their names.
    baseline : dict from action to value
    objective : "mean", CVaR or Quantile
    value : float
        The objective at the plan: of the gain, or for a cheapest plan of the effect or profit, less
        ``optimism``.
    cost, budget, target : float or None
        Cost of the plan; None where nothing costs anything, there is no budget, or the plan is not
        the cheapest one that reaches a target.
    effect : DataArray, dims (chain, draw)
        Joint effect of the plan, less ``optimism``.
    profit : DataArray, dims (chain, draw), or None
        Value times effect minus cost; None without a value of a unit of the outcome.
    gain : DataArray, dims (chain, draw)
        Change of the joint effect, or with a value of the profit, from the baseline, less
        ``optimism``.
    optimism : float
        Expected excess of the predicted gain that comes from the choice of the plan.
    regret : DataArray, dims (chain, draw)
        Joint effect, or profit, of the best plan of each draw minus that of this plan. Its mean,
        the expected regret, is the expected value of perfect information.
    best_of_draws : DataArray, dims (chain, draw, action)
        The best plan of each draw; levels by their names.
    probability_better : float
        Probability that the gain is positive.
    shadow_price : float or None
        Change of the objective per unit of a larger budget; None without a budget. 0 where the
        baseline stays because the expected gain of other plans is only optimism: more money buys
        none of them. A baseline that is itself the best within the budget has a price.
    supported : bool
        Whether rows near the plan identify its joint effect.
    remarks : tuple of str
        Where the budget does not pay for the baseline, the plan may be no better, or values that
        no rows support were left out.
    """

    point: dict[str, Label]
    baseline: dict[str, Label]
    objective: Objective
    value: float
    cost: float | None
    budget: float | None
    target: float | None
    effect: xr.DataArray
    profit: xr.DataArray | None
    gain: xr.DataArray
    optimism: float
    regret: xr.DataArray
    best_of_draws: xr.DataArray
    probability_better: float
    shadow_price: float | None
    supported: bool
    remarks: tuple[str, ...]

    def summary(self, level: float = 0.9) -> xr.Dataset:
        """Mean, sd and central interval of effect, profit, gain and regret, dims (quantity).

        Examples
        --------
        >>> plan = posterior.best(bi.Decision())
        >>> float(plan.summary()["mean"].sel(quantity="regret")) >= 0
        True
        """
        level = probability(level, "level", PointsError)
        every = ("effect", "profit", "gain", "regret")
        names = [name for name in every if getattr(self, name) is not None]
        draws = np.stack([getattr(self, name).to_numpy().ravel() for name in names], axis=1)
        return xr.Dataset(
            {name: ("quantity", own) for name, own in statistics_of(draws, level).items()},
            {"quantity": names},
            {"level": level, "outcome": self.gain.attrs["outcome"]},
        )

    def to_dataframe(self, level: float = 0.9) -> pd.DataFrame:
        """Table with a row per quantity: :meth:`summary`, with ``estimate`` for ``mean``.

        Examples
        --------
        >>> [*posterior.best(bi.Decision()).to_dataframe()]
        ['quantity', 'estimate', 'sd', 'low', 'high']
        """
        frame = frame_along(self.summary(level), "quantity")
        return frame.rename(columns={"mean": "estimate"})

    def __str__(self) -> str:
        aim = str(self.gain.attrs["outcome"])
        if self.profit is not None:
            aim = f"profit, a unit of {aim} worth {format_number(self.profit.attrs['value'])}"
        title = f"Best plan for {aim} (by the {self.objective})"
        if self.target is not None:
            title = f"Cheapest plan for {aim} (at least {format_number(self.target)} by the "
            title += f"{self.objective})"
        return "\n".join([title, "", self._table, "", *self._lines()])

    def __repr__(self) -> str:
        return f"Plan({self.point})"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    @property
    def _table(self) -> str:
        rows = []
        for name, value in self.point.items():
            own = self.best_of_draws.sel(action=name).to_numpy()
            if isinstance(value, str | bool):
                labels, counts = np.unique(own.astype(str), return_counts=True)
                most = counts.argmax()
                best = f"{labels[most]} in {counts[most] / counts.sum():.0%}"
                cells = [str(value), str(self.baseline[name]), best]
            else:
                low, high = np.quantile(own.astype(float), [0.05, 0.95])
                decimals = decimals_for(max(high - low, abs(float(value)) / 100))
                numbers = (float(value), float(self.baseline[name]))
                cells = [format_to_uncertainty(number, decimals) for number in numbers]
                cells.append(format_interval(low, high, decimals))
            rows.append([name, *cells])
        return align_columns(["", "plan", "baseline", "best of draws"], rows)

    def _lines(self) -> Iterator[str]:
        table = self.summary()
        of_profit = "" if self.profit is None else " in profit"
        words_of = {"effect": "joint effect", "gain": f"gain{of_profit}"}
        stays = self.point == self.baseline
        for name in table["quantity"].to_numpy().tolist():
            if stays and name == "gain":
                continue
            words = words_of.get(name, name)
            own = table.sel(quantity=name)
            mean, band = format_estimate(*(float(own[n]) for n in ("mean", "low", "high")))
            line = f"{words + ':':16}{mean} ({band})"
            if name == "gain" and self.optimism > 0:
                ends = (float(own[n]) + self.optimism for n in ("mean", "low", "high"))
                line += f"; {format_estimate(*ends)[0]} before a correction for choosing the best"
            yield line
        share = format_probability(self.probability_better)
        better = f"better than the baseline with probability {share}"
        yield "the plan is the baseline" if stays else better
        if self.budget is not None and self.cost is not None:
            # The budget of the cheapest plan is its cost.
            of = f" of {shorter_number(self.budget)}" if self.target is None else ""
            price = shorter_number(self.shadow_price or 0.0, 2)
            more = f"one more unit of budget adds {price}"
            if price == "0" and self.cost < self.budget * (1 - BUDGET_STEP):
                more = "a slightly larger budget buys no better plan"
            yield f"costs {shorter_number(self.cost)}{of}; {more}"
        elif self.profit is not None and self.cost is not None:
            yield f"costs {shorter_number(self.cost)}"
        if not self.supported:
            yield "beyond the support of the rows: interpolation or extrapolation"
        if "rests_on" in self.effect.attrs:
            yield self.effect.attrs["rests_on"]
        if "population" in self.gain.attrs:
            yield f"population: {self.gain.attrs['population']}"
        yield from self.remarks


def search_of(
    posterior: PosteriorDraws,
    decision: Decision,
    objective: Objective,
    beyond_support: bool,
    of_level: bool = False,
) -> Search:
    """Match a decision with a fit, and warn of a baseline that its rows do not support."""
    measure = risk_measure(objective)
    instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
    problem = Problem.of(posterior, decision, beyond_support)
    support = support_of(posterior)
    support.query_at(problem.baseline[None], subject="the baseline")
    every = range(len(posterior.actions))
    support.warn_of_change(every, posterior.actions, posterior.averages)
    surface = JointSurface.of(prediction_of(posterior), problem.worth)
    return Search(problem, surface, measure, of_level)


def choose(posterior: PosteriorDraws, search: Search, best: Array | None = None) -> Plan:
    """Choose the best plan, or the baseline where no gain is expected of that; without a price."""
    best = search.best() if best is None else best
    chosen, stays = search.chosen(best)
    plan = plan_at(posterior, search, chosen, search.best_of_draws(best))
    no_price = stays and search.problem.budget is not None and search.is_better(best)
    return replace(plan, shadow_price=0.0 if no_price else None)


def best_plan(posterior: PosteriorDraws, search: Search) -> Plan:
    """Find the best plan; see :meth:`bayes_intgen.Posterior.best`."""
    plan = with_price(posterior, search, choose(posterior, search))
    if not search.problem.gaps:
        return plan
    left_out = (
        f"left out: values of {first_few(search.problem.gaps)} between those that rows support; "
        f"{option('beyond_support', 'True')} considers them"
    )
    return replace(plan, remarks=(*plan.remarks, left_out))


def with_price(posterior: PosteriorDraws, search: Search, plan: Plan) -> Plan:
    """Add the change of the objective per unit of a slightly larger budget, near the same plan."""
    problem, budget = search.problem, search.problem.budget
    if budget is None or plan.shadow_price is not None:
        return plan
    columns = enumerate(problem.candidates)
    spans = [np.ptp(problem.cost_of_options(own[:, None], [k])) for k, own in columns]
    # A change that buys something, also where the budget is zero.
    step = BUDGET_STEP * (max(abs(budget), float(sum(spans))) or 1.0)
    point = checked_points(plan.point, posterior.actions, posterior.categories)
    better = search.within(budget + step).improved(point)
    before, after = search.value(np.stack([point[0], better]))
    return replace(plan, shadow_price=max(0.0, float(after - before) / step))


def plan_at(posterior: PosteriorDraws, search: Search, point: Array, best: BestOfDraws) -> Plan:
    """Describe a plan that was chosen as the best: its effect, gain and regret, corrected."""
    problem, names, categories = search.problem, posterior.actions, posterior.categories
    both = np.stack([point, problem.baseline])
    worth, usual = search.surface.draws(both).T
    gain, optimism = search.corrected(worth - usual)
    profit, cost = usual + gain, float(problem.cost(point[None])[0])
    coords = draw_coordinates(posterior.tree)
    attrs = {"outcome": posterior.outcome_name, **posterior.averages.attrs}

    def labelled(name: str, draws: Array, **labels: Any) -> xr.DataArray:
        every = {**coords, **labels}
        values = draws.reshape([len(along) for along in every.values()])
        return xr.DataArray(values, every, list(every), name, attrs)

    named = {n: own.tolist() for n, own in named_points(both, names, categories).items()}
    support, value = support_of(posterior), problem.value
    effect = labelled("effect", profit if value is None else (profit + cost) / value)
    if basis := support.basis_of_level(names, posterior.averages):
        effect.attrs["rests_on"] = basis
    return Plan(
        point={name: own[0] for name, own in named.items()},
        baseline={name: own[1] for name, own in named.items()},
        objective="mean" if search.measure == MEAN else search.measure,
        value=search.corrected_value(point),
        cost=cost if any(problem.costs) else None,
        budget=problem.budget,
        target=None,
        effect=effect,
        profit=None if value is None else labelled("profit", profit).assign_attrs(value=value),
        gain=labelled("gain", gain),
        optimism=optimism,
        # The plan itself is finer than the grid on which the best of each draw is searched.
        regret=labelled("regret", np.maximum(best.worth - worth, 0.0)),
        best_of_draws=labelled(
            "best of draws", decoded_table(best.points, categories), action=list(names)
        ),
        probability_better=float((gain > 0).mean()),
        shadow_price=None,
        supported=bool(support.supported(point[None])[0]),
        remarks=tuple(search.remarks(gain)),
    )


def frontier(
    posterior: PosteriorDraws,
    decision: Decision,
    budgets: Sequence[float],
    objective: Objective,
    level: float,
    beyond_support: bool,
) -> xr.Dataset:
    """Find the best plan of each budget; see :meth:`bayes_intgen.Posterior.frontier`."""
    level = probability(level, "level", PointsError)
    values = [real_number(own, "a budget") for own in items(budgets, "budgets", "numbers")]
    if not values:
        raise ModelError("budgets are empty; give at least one")
    instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
    first = replace(decision, budget=min(values))
    search = search_of(posterior, first, objective, beyond_support)
    plans = [choose(posterior, search.within(budget)) for budget in values]
    gains = np.stack([plan.gain.to_numpy().ravel() for plan in plans], axis=1)
    columns = {
        "value": [plan.value for plan in plans],
        "cost": [plan.cost or 0.0 for plan in plans],
        "effect": [float(plan.effect.mean()) for plan in plans],
        **central(gains, level, "gain"),
        "optimism": [plan.optimism for plan in plans],
        "probability_better": [plan.probability_better for plan in plans],
        "remarks": ["\n".join(plan.remarks) for plan in plans],
    }
    names, categories = posterior.actions, posterior.categories
    points = checked_points([plan.point for plan in plans], names, categories)
    return xr.Dataset(
        {
            **{name: ("budget", column) for name, column in columns.items()},
            "plan": (("budget", "action"), decoded_table(points, categories)),
        },
        {"budget": values, "action": list(names)},
        {"outcome": posterior.outcome_name, "level": level, **posterior.averages.attrs},
    )


def cheapest_plan(posterior: PosteriorDraws, search: Search, target: float) -> Plan:
    """Find the cheapest plan with a value; see :meth:`bayes_intgen.Posterior.cheapest`."""
    target, problem = real_number(target, "target"), search.problem
    if not any(problem.costs):
        raise ModelError(f"the cheapest plan needs costs; write {remedy_of_costs()}")
    # Unlike other decisions, a target needs the level of effects.
    support_of(posterior).warn_of_level(posterior.actions, posterior.averages)
    best, stays = search.chosen(search.best())
    low, high = problem.least_cost, float(problem.cost(best[None])[0])
    beyond = search.corrected_value(best) - target
    plans = {} if stays else {high: (beyond, search.within(high), best)}

    def excess(budget: float) -> float:
        """What the plan chosen within a budget has beyond the target."""
        if budget not in plans:
            own = search.within(budget)
            try:
                point = own.best()
            except ModelError:
                # The rows support no plan that costs so little, which is never a root.
                return float(np.nextafter(-abs(beyond), -np.inf))
            plans[budget] = own.corrected_value(own.chosen(point)[0]) - target, own, point
        return plans[budget][0]

    # A larger budget may fail where a smaller one does not: more plans have more optimism.
    if excess(low) < 0 <= excess(high):
        scipy.optimize.brentq(excess, low, high, xtol=TOLERANCE * (high - low))
    reached = [budget for budget, (own, *_) in plans.items() if own >= 0]
    if not reached:
        most = target + max(own for own, *_ in plans.values())
        raise ModelError(
            f"no plan reaches {format_number(target)}: the best one has "
            f"{shorter_number(most)}; lower the target, or raise the budget or the bounds"
        )
    _, within, point = plans[min(reached)]
    # Its budget is no limit of the user's.
    plan = replace(choose(posterior, within, point), target=target, remarks=())
    return replace(with_price(posterior, within, plan), budget=plan.cost)
