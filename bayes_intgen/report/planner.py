"""The best plan of a decision for each of several budgets, as a table of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.decide.best import Chosen, choose
from bayes_intgen.decide.decision import Decision
from bayes_intgen.decide.problem import Problem, costs_of
from bayes_intgen.decide.search import Search
from bayes_intgen.errors import ModelError
from bayes_intgen.posterior.draws import PosteriorDraws, central, prediction_of
from bayes_intgen.posterior.effects import effect_table
from bayes_intgen.report.charts import ticks
from bayes_intgen.report.effects import named_values, point_texts, probability_text
from bayes_intgen.report.explorer import Slider
from bayes_intgen.text.formats import (
    decimals_for,
    format_estimate,
    format_interval,
    format_number,
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
    found, titles = _found(search, decision)
    plans = [search.problem.baseline, *(plan.point for plan in found)]
    chosen = None if decision.budget is None else format_number(decision.budget)
    best = found[-1 if chosen is None else titles.index(chosen) - 1]
    points, start = (named_values(posterior, np.array(own)) for own in (plans, plans[:1]))
    draws = [search.surface.effects(search.problem.baseline[None])[:, 0]]
    draws += [plan.effect for plan in found]
    table = _corrected(
        effect_table(posterior, points, baseline=start, level=level), np.stack(draws, axis=1), level
    )
    columns = [
        {
            "title": title,
            "chosen": title == chosen,
            "supported": bool(within),
            "stops": [
                int(np.abs(s.values - v).argmin()) for s, v in zip(sliders, plan, strict=True)
            ],
        }
        for title, within, plan in zip(titles, table["supported"].to_numpy(), plans, strict=True)
    ]
    texts = zip(*(point_texts(posterior, plan) for plan in plans), strict=True)
    rows = [(name, list(own)) for name, own in zip(posterior.actions, texts, strict=True)]
    costs = np.sum(_costs(posterior, decision, [*np.array(plans).T]), axis=0)
    # A sum of positive and negative costs misses zero by rounding.
    costs[np.abs(costs) < 1e-9 * np.ptp(costs)] = 0.0
    if decision.cost:
        rows.append(("cost", list(map(shorter_number, costs))))
    moved = (table["value"] != table["value"][0]).any("action").to_numpy()
    rows += _effects(table, moved, prediction_of(posterior).sd.size)
    if decision.value is not None:
        profits = decision.value * np.stack(draws, axis=1) - costs
        rows += _profits(profits, moved, level)
    elif len(plans) > 2:
        worth = _values_per_unit(costs[1:], table["mean"].to_numpy()[1:])
        rows.append((f"best if a unit of {posterior.outcome_name} is worth", ["", *worth]))
    return {
        "columns": columns,
        "rows": rows,
        "costs": _in_words(decision.cost),
        "value": "" if decision.value is None else format_number(decision.value),
        "limits": _in_words(decision.bounds),
        "remarks": best.remarks,
        "answer": _answer(posterior, search.problem, best, chosen, level),
        "cost_of_stops": _costs(posterior, decision, [s.values for s in sliders]),
    }


def _answer(
    posterior: PosteriorDraws, problem: Problem, best: Chosen, budget: str | None, level: float
) -> str:
    """Describe the best plan, and what it gains, in sentences."""
    within = "" if budget is None else f" within a budget of {budget}"
    if (best.point == problem.baseline).all():
        return f"No plan{within} is expected to be better than the baseline."
    texts = zip(posterior.actions, point_texts(posterior, best.point), strict=True)
    gained = f"the mean of {posterior.outcome_name}" if problem.value is None else "the profit"
    mean, low, high = (float(own[0]) for own in central(best.gain[:, None], level).values())
    rounded = (round(own, decimals_for(high - low)) for own in (mean, low, high))
    gain, band = format_estimate(*rounded, sign=True)
    share = probability_text(best.probability_better, len(best.gain))
    return (
        f"The best plan{within}: {', '.join(map(' '.join, texts))}. It changes {gained} by {gain} "
        f"from the baseline ({100 * level:g}% interval {band}); the probability of a gain is "
        f"{share}."
    )


def _found(search: Search, decision: Decision) -> tuple[list[Chosen], list[str]]:
    """Best plans of round budgets and without one, and titles of the baseline and these."""
    free = choose(search.within(None))
    low, high = search.problem.least_cost, free.cost
    budgets = {*ticks(low, high, MAX_STEPS)} if high > low else set()
    if decision.budget is not None:
        budgets.add(decision.budget)
    found, titles = [], ["baseline"]
    for budget in sorted(budgets):
        try:
            found.append(choose(search.within(budget)))
            titles.append(format_number(budget))
        except ModelError:
            # Rows may support dearer plans only.
            if budget == decision.budget:
                raise
    return [*found, free], [*titles, "no limit" if decision.cost else "best plan"]


def _costs(posterior: PosteriorDraws, decision: Decision, values: Sequence[Array]) -> list[Array]:
    """Costs of values of each action."""
    costs = (decision.cost.get(name, 0.0) for name in posterior.actions)
    # Actions that cost nothing may have named levels.
    return [
        costs_of(cost, levels if cost else None, own)
        for cost, levels, own in zip(costs, posterior.categories, values, strict=True)
    ]


def _corrected(table: xr.Dataset, effects: Array, level: float) -> xr.Dataset:
    """Table of effects of plans, with these draws of them, shape (S, plans), for its own."""
    changes = effects - effects[:, :1]
    columns = central(effects, level) | central(changes, level, "change")
    columns["above_zero"] = (changes > 0).mean(axis=0)
    for name in ("outcome_low", "outcome_high"):
        if name in table:
            columns[name] = table[name].to_numpy() + columns["mean"] - table["mean"].to_numpy()
    return table.assign({name: ("point", column) for name, column in columns.items()})


def _effects(table: xr.Dataset, moved: NDArray[np.bool_], draws: int) -> Rows:
    """Means, single outcomes, and changes from the baseline, which is the first plan."""
    number = {str(name): own.to_numpy() for name, own in table.items() if own.dims == ("point",)}
    mean = (number["mean"], number["low"], number["high"])
    rows = _estimates(f"mean {table.attrs['outcome']}", *mean)
    # A binary outcome has no band of single outcomes.
    if "outcome_low" in number:
        ends = number["outcome_low"], number["outcome_high"]
        rows.append(("band of a single outcome", _estimates("", ends[0], *ends)[1][1]))
    changes = (number["change"], number["change_low"], number["change_high"])
    words = "change from the baseline", "probability of a positive change"
    return rows + _gains(words, changes, number["above_zero"], moved, draws)


def _profits(profits: Array, moved: NDArray[np.bool_], level: float) -> Rows:
    """Profits of plans, from draws of shape (S, M), and their gains over the first plan."""
    gains = profits - profits[:, :1]
    own, change = (tuple(central(draws, level).values()) for draws in (profits, gains))
    words = "gain in profit", "probability of a gain in profit"
    above = (gains > 0).mean(axis=0)
    return _estimates("profit", *own) + _gains(words, change, above, moved, len(profits))


def _gains(
    words: tuple[str, str],
    change: tuple[Array, ...],
    above_zero: Array,
    moved: NDArray[np.bool_],
    draws: int,
) -> Rows:
    """Changes of the plans that differ from the baseline, and probabilities that they are gains."""
    shares = [probability_text(float(share), draws) for share in above_zero]
    rows = [*_estimates(words[0], *change, sign=True), (words[1], shares)]
    return [
        (name, [text if own else "" for text, own in zip(texts, moved, strict=True)])
        for name, texts in rows
    ]


def _estimates(name: str, mean: Array, low: Array, high: Array, *, sign: bool = False) -> Rows:
    """Means of plans, and their bands, to the digits that most of these support."""
    decimals = decimals_for(float(np.median(high - low)))
    bands = zip(low, high, strict=True)
    return [
        (name, [format_to_uncertainty(float(own), decimals, sign=sign) for own in mean]),
        ("band", [format_interval(*ends, decimals, sign=sign) for ends in bands]),
    ]


def _values_per_unit(costs: Array, means: Array) -> list[str]:
    """Values of a unit of the outcome with which value minus cost is largest at each plan."""
    texts = []
    for cost, mean in zip(costs, means, strict=True):
        dearer, cheaper = means > mean, means < mean
        low = np.max((cost - costs[cheaper]) / (mean - means[cheaper]), initial=0.0)
        high = np.min((costs[dearer] - cost) / (means[dearer] - mean), initial=np.inf)
        ends = [shorter_number(end) for end in (low, high) if end < np.inf]
        text = " to ".join(ends) if len(ends) > 1 else f"over {ends[0]}"
        texts.append(text if low < high else "")
    return texts


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
