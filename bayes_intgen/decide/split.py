"""Best split of planned rows over regimes, and the number of rows that a width requires."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from bayes_intgen._arguments import items, mapping, positive_number, probability, row_count
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.decide.allocation import Allocation
from bayes_intgen.decide.decision import Decision
from bayes_intgen.decide.experiment import default_regimes, named_actions
from bayes_intgen.decide.experiment_values import Choice
from bayes_intgen.decide.planned_rows import (
    belief_of,
    half_information_of_rows,
    planned_rows,
    warn_of_few_draws,
)
from bayes_intgen.errors import ModelError, PointsError
from bayes_intgen.identification.labels import regime_label
from bayes_intgen.posterior.draws import PosteriorDraws, prediction_of, support_of
from bayes_intgen.text.messages import hint, quoted, unknown_action

# Numbers of rows at which the width is given, relative to those that are split.
MULTIPLES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def allocation_of(
    posterior: PosteriorDraws,
    target: Any,
    regimes: Sequence[Any] | None,
    costs: Mapping[str, float] | None,
    level: float,
    beyond_support: bool,
    given: Mapping[str, Any] | None,
    population: Any,
    seed: int,
) -> tuple[Allocation, list[str], list[str], dict[str, Any]]:
    """Allocation problem, labels of its regimes, origins of other actions, and attributes."""
    level = probability(level, "level")
    chosen = (
        regimes_of(posterior) if regimes is None else checked_regimes(posterior.actions, regimes)
    )
    labels = [regime_label(own) for own in chosen]
    own_costs = checked_costs(costs, labels)
    rng = generator(seed, "experiments")
    planned = [planned_rows(posterior, own, {}, rng) for own in chosen]
    draws, attrs = targets_of(posterior, target, beyond_support, given, population)
    belief = belief_of(posterior)
    loadings, rest = belief.loadings(draws)
    widths = np.ptp(np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0), axis=0)
    halves = [half_information_of_rows(posterior, belief, plan) for plan in planned]
    informations = [half.T @ half for half in halves]
    allocation = Allocation(belief, loadings, rest, widths, informations, own_costs)
    attrs = {"outcome": posterior.outcome_name, "level": level, **attrs}
    return allocation, labels, [plan.others for plan in planned], attrs


def best_split(
    posterior: PosteriorDraws,
    rows: int,
    target: Any,
    costs: Mapping[str, float] | None = None,
    regimes: Sequence[Any] | None = None,
    level: float = 0.9,
    beyond_support: bool = False,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
    seed: int = 0,
) -> xr.Dataset:
    """Split rows over regimes; see :meth:`bayes_intgen.Posterior.split`."""
    rows = row_count(rows)
    allocation, labels, others, attrs = allocation_of(
        posterior, target, regimes, costs, level, beyond_support, given, population, seed
    )
    table = split_table(allocation, labels, rows)
    warn_of_few_draws([allocation.update(allocation.best_rows(rows))])
    table["others"] = ("regime", np.array(others, dtype=str))
    return table.assign_attrs(attrs)


def rows_for_width(
    posterior: PosteriorDraws,
    width: float,
    target: Any,
    costs: Mapping[str, float] | None = None,
    regimes: Sequence[Any] | None = None,
    level: float = 0.9,
    beyond_support: bool = False,
    given: Mapping[str, Any] | None = None,
    population: Any = None,
    seed: int = 0,
) -> int:
    """Count the rows that a width requires; see :meth:`bayes_intgen.Posterior.rows_for`."""
    width = positive_number(width, "width")
    allocation, *_ = allocation_of(
        posterior, target, regimes, costs, level, beyond_support, given, population, seed
    )
    rows = allocation.rows_for(width)
    if rows:
        warn_of_few_draws([allocation.update(allocation.best_rows(rows))])
    return rows


def split_table(allocation: Allocation, labels: Sequence[str], rows: int) -> xr.Dataset:
    """Best and equal splits of rows, and widths as a function of their number."""
    best = allocation.best_rows(rows)
    equal = rows / allocation.costs.sum() * np.ones(len(labels))
    totals = np.unique([max(1, round(multiple * rows)) for multiple in MULTIPLES])
    widths = [allocation.mean_width(allocation.best_rows(float(total))) for total in totals]
    return xr.Dataset(
        {
            "share": ("regime", best / best.sum()),
            "rows": ("regime", whole_rows(best)),
            "cost": ("regime", allocation.costs),
            "width": allocation.mean_width(best),
            "width_before": allocation.mean_width(0 * best),
            "width_of_equal_split": allocation.mean_width(equal),
            "width_of_total": ("total", widths),
        },
        {"regime": list(labels), "total": totals},
    )


def whole_rows(rows: Array) -> Array:
    """Round numbers of rows so that their sum is that of the rounded total.

    Examples
    --------
    >>> whole_rows(np.array([1.5, 1.5, 1.0]))
    array([2, 1, 1])
    """
    out = np.floor(rows + 1e-9).astype(int)
    left = round(float(rows.sum())) - out.sum()
    out[np.argsort(out - rows, kind="stable")[:left]] += 1
    return np.asarray(out)


def targets_of(
    posterior: PosteriorDraws,
    target: Any,
    beyond_support: bool,
    given: Mapping[str, Any] | None,
    population: Any,
) -> tuple[Array, dict[str, Any]]:
    """Draws of targets, shape (S, J), and attributes that describe them.

    Of a decision, the gains over the baseline of the plans that may be best.
    """
    if isinstance(target, Decision):
        choice = Choice.of(posterior, target, beyond_support, given, population)
        return choice.gains, {"target": "gains over the baseline", **choice.attributes}
    if target is None:
        raise PointsError("target is missing; give points of all actions, or a Decision")
    query = support_of(posterior).query(target, posterior.actions, given, population)
    mean = prediction_of(posterior, query.averages).mean(query.values, query.mask)
    return mean.reshape(-1, mean.shape[-1]), {"target": "joint effects", **query.averages.attrs}


def regimes_of(posterior: PosteriorDraws) -> list[tuple[str, ...]]:
    """Regimes of the data, each action alone, all together, and none, by the actions set."""
    names = posterior.actions
    in_data = [
        tuple(name for name, was_set in zip(names, mask, strict=True) if was_set)
        for mask in support_of(posterior).regimes
    ]
    return list(dict.fromkeys([*in_data, *default_regimes(names)]))


def checked_regimes(names: Sequence[str], regimes: Any) -> list[tuple[str, ...]]:
    """Actions that each regime sets, in their own order; raises ModelError on unknown ones.

    Examples
    --------
    >>> checked_regimes(["tv", "radio"], [None, "radio", ("radio", "tv")])
    [(), ('radio',), ('tv', 'radio')]
    """
    listed = [named_actions(own) for own in items(regimes, "regimes", "regimes")]
    if not listed:
        raise ModelError("regimes are empty; leave them out for the default ones")
    for name in (name for own in listed for name in own):
        if name not in names:
            raise ModelError(f"regimes: {unknown_action(name, names)}")
    return list(dict.fromkeys(tuple(n for n in names if n in own) for own in listed))


def checked_costs(costs: Any, labels: Sequence[str]) -> Array:
    """Cost of a row of each regime, 1 by default."""
    out = np.ones(len(labels))
    for label, cost in mapping(costs, "costs", "labels of regimes to costs of a row").items():
        if label not in labels:
            raise ModelError(
                f"costs: unknown regime {label!r}; {hint(label, labels)} regimes are "
                f"{quoted(labels)}"
            )
        out[labels.index(label)] = positive_number(cost, f"the cost of a row of {label}")
    return out
