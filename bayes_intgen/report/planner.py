"""The best plan of a decision for each of several budgets, as a table of the report."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_points
from bayes_intgen.decide.best import Plan, choose
from bayes_intgen.decide.decision import Decision
from bayes_intgen.decide.search import Search
from bayes_intgen.errors import ModelError
from bayes_intgen.posterior.draws import PosteriorDraws, central, support_of
from bayes_intgen.report.charts import ticks
from bayes_intgen.report.effects import point_texts
from bayes_intgen.report.explorer import Slider
from bayes_intgen.text.formats import (
    decimals_for,
    format_estimate,
    format_interval,
    format_level,
    format_number,
    format_probability,
    format_to_uncertainty,
    format_value,
    shorter_number,
)

# Names of rows, and the texts of all columns.
Rows = list[tuple[str, list[str]]]
# Maximum number of steps between budgets: a best plan takes up to seconds.
MAX_STEPS = 6


def plans_of(
    posterior: PosteriorDraws,
    decision: Decision,
    search: Search,
    sliders: Sequence[Slider],
    level: float,
) -> dict[str, Any]:
    """Find and describe the best plan of each budget.

    Budgets are round numbers up to the cost of the best plan without a budget, and that of the
    decision.

    Returns
    -------
    dict
        ``answer``: the plan of the decision's budget in sentences. ``columns``: the baseline, then
        the best plans in the order of their budgets, each with its ``title``, whether it is
        ``chosen``, the one of the decision's budget, whether it is ``supported``, and ``stops``,
        the nearest positions of the sliders. ``rows``: pairs of a name and the texts of all
        columns. ``costs``, ``value``, ``limits`` and ``remarks`` in words. ``cost_of_stops``: of
        each slider, not a number where the decision does not say it.

    Raises
    ------
    ModelError
        As ``posterior.best``.
    """
    found, titles = _found(posterior, search, decision)
    named = [found[0].baseline, *(plan.point for plan in found)]
    plans = checked_points(named, posterior.actions, posterior.categories)
    chosen = None if decision.budget is None else format_number(decision.budget)
    best = found[-1 if chosen is None else titles.index(chosen) - 1]
    # Draws of the joint effects of plans are corrected for the choice.
    at_start = search.surface.effects(search.problem.baseline[None])[:, 0]
    effects = np.stack([at_start, *(plan.effect.to_numpy().ravel() for plan in found)], axis=1)
    supported = support_of(posterior).supported(plans)
    columns = [
        {
            "title": title,
            "chosen": title == chosen,
            "supported": bool(within),
            "stops": [
                int(np.abs(s.values - v).argmin()) for s, v in zip(sliders, plan, strict=True)
            ],
        }
        for title, within, plan in zip(titles, supported, plans, strict=True)
    ]
    texts = zip(*(point_texts(posterior, plan) for plan in plans), strict=True)
    rows = [(name, list(own)) for name, own in zip(posterior.actions, texts, strict=True)]
    costs = search.problem.cost(plans)
    # A sum of positive and negative costs misses zero by rounding.
    costs[np.abs(costs) < 1e-9 * np.ptp(costs)] = 0.0
    if decision.cost:
        rows.append(("cost", list(map(shorter_number, costs))))
    moved = [bool((plan != plans[0]).any()) for plan in plans]
    rows += _estimates(f"mean {posterior.outcome_name}", *central(effects, level).values())
    rows += _gains("change from the baseline", "a positive change", effects, moved, level)
    if decision.value is not None:
        profits = decision.value * effects - costs
        rows += _estimates("profit", *central(profits, level).values())
        rows += _gains("gain in profit", "a gain in profit", profits, moved, level)
    elif len(plans) > 2:
        worth = _values_per_unit(costs[1:], effects.mean(axis=0)[1:])
        rows.append((f"best if a unit of {posterior.outcome_name} is worth", ["", *worth]))
    return {
        "columns": columns,
        "rows": rows,
        "costs": _in_words(decision.cost),
        "value": "" if decision.value is None else format_number(decision.value),
        "limits": _in_words(decision.bounds),
        "remarks": best.remarks,
        "answer": _answer(posterior, best, chosen, level),
        "cost_of_stops": [
            search.problem.cost_of_options(s.values[:, None], [k]) for k, s in enumerate(sliders)
        ],
    }


def _answer(posterior: PosteriorDraws, best: Plan, budget: str | None, level: float) -> str:
    """Describe the best plan, and what it gains, in sentences."""
    within = "" if budget is None else f" within a budget of {budget}"
    (point,) = checked_points(best.point, posterior.actions, posterior.categories)
    texts = zip(posterior.actions, point_texts(posterior, point), strict=True)
    plan = ", ".join(map(" ".join, texts))
    if best.point == best.baseline:
        return f"The best plan{within} is the baseline: {plan}."
    gained = f"the mean of {posterior.outcome_name}" if best.profit is None else "the profit"
    gains = best.gain.to_numpy().reshape(-1, 1)
    mean, low, high = (float(own[0]) for own in central(gains, level).values())
    rounded = (round(own, decimals_for(high - low)) for own in (mean, low, high))
    gain, band = format_estimate(*rounded, sign=True)
    share = format_probability(best.probability_better)
    return (
        f"The best plan{within}: {plan}. It changes {gained} by {gain} "
        f"from the baseline ({format_level(level)} interval {band}); the probability of a gain is "
        f"{share}."
    )


def _found(
    posterior: PosteriorDraws, search: Search, decision: Decision
) -> tuple[list[Plan], list[str]]:
    """Best plans of round budgets and without one, and titles of the baseline and these."""
    free = choose(posterior, search.within(None))
    low, high = search.problem.least_cost, free.cost or 0.0
    budgets = {*ticks(low, high, MAX_STEPS)} if high > low else set()
    if decision.budget is not None:
        budgets.add(decision.budget)
    found, titles = [], ["baseline"]
    for budget in sorted(budgets):
        try:
            found.append(choose(posterior, search.within(budget)))
            titles.append(format_number(budget))
        except ModelError:
            # Rows may support dearer plans only.
            if budget == decision.budget:
                raise
    return [*found, free], [*titles, "no limit" if decision.cost else "best plan"]


def _gains(name: str, event: str, draws: Array, moved: Sequence[bool], level: float) -> Rows:
    """Changes of the plans that differ from the first one, and probabilities of gains."""
    changes = draws - draws[:, :1]
    shares = [format_probability(own) for own in (changes > 0).mean(axis=0)]
    rows = _estimates(name, *central(changes, level).values(), sign=True)
    return [
        (name, [text if own else "" for text, own in zip(texts, moved, strict=True)])
        for name, texts in [*rows, (f"probability of {event}", shares)]
    ]


def _estimates(name: str, mean: Array, low: Array, high: Array, *, sign: bool = False) -> Rows:
    """Means of plans, and their bands, to the digits that most of these support."""
    decimals = decimals_for(float(np.median(high - low)))
    bands = zip(low, high, strict=True)
    return [
        (name, [format_to_uncertainty(float(own), decimals, sign=sign) for own in mean]),
        ("interval", [format_interval(*ends, decimals, sign=sign) for ends in bands]),
    ]


def _values_per_unit(costs: Array, means: Array) -> Iterator[str]:
    """Values of a unit of the outcome with which value minus cost is largest at each plan."""
    for cost, mean in zip(costs, means, strict=True):
        dearer, cheaper = means > mean, means < mean
        low = np.max((cost - costs[cheaper]) / (mean - means[cheaper]), initial=0.0)
        high = np.min((costs[dearer] - cost) / (means[dearer] - mean), initial=np.inf)
        ends = [shorter_number(end) for end in (low, high) if end < np.inf]
        text = " to ".join(ends) if len(ends) > 1 else f"over {ends[0]}"
        yield text if low < high else ""


def _in_words(parts: Mapping[str, Any]) -> str:
    """Costs or limits of actions: of each level, per unit, between two ends, or at one value."""
    texts = []
    for name, own in parts.items():
        if isinstance(own, Mapping):
            text = ", ".join(f"{label} {format_number(cost)}" for label, cost in own.items())
        elif isinstance(own, tuple):
            between = len(own) == 2 and not any(isinstance(end, str | bool) for end in own)
            text = (" to " if between else ", ").join(map(format_value, own))
        else:
            text = format_value(own)
        texts.append(f"{name} {text}")
    return "; ".join(texts)
