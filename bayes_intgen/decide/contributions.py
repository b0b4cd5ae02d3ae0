"""What each action brings at a plan, and what its next unit would bring."""

import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import xarray as xr

from bayes_intgen._arguments import instance, probability
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import decoded_table, short_label
from bayes_intgen.data.queries import named_points
from bayes_intgen.decide.contrasts import CONTRAST, between, slope
from bayes_intgen.decide.decision import Decision
from bayes_intgen.decide.problem import Problem
from bayes_intgen.errors import ModelError, PointsError, SupportWarning
from bayes_intgen.posterior.defaults import varied
from bayes_intgen.posterior.draws import PosteriorDraws, central, support_of
from bayes_intgen.text.formats import format_estimate

# Endings of the names of a mean and of the ends of its interval.
ENDS = ("", "_low", "_high")


def contributions(posterior: PosteriorDraws, decision: Decision, level: float) -> xr.Dataset:
    """Compare each action with none of it; see :meth:`bayes_intgen.Posterior.contributions`."""
    level = probability(level, "level", PointsError)
    instance(decision, Decision, "decision", "bayes_intgen.Decision", ModelError)
    # Levels have no next unit, so that their prices, which may be of some only, do not matter.
    cost = {
        name: own
        for name, own in decision.cost.items()
        if not (name in posterior.actions and isinstance(own, Mapping))
    }
    # Values beyond the support are shown as such.
    problem = Problem.of(posterior, replace(decision, cost=cost, bounds={}, budget=None), True)
    names, categories, plan = posterior.actions, posterior.categories, problem.baseline
    none = np.array([_lowest(posterior, plan, k, own) for k, own in enumerate(problem.candidates)])
    without = np.where(np.eye(len(names), dtype=bool), none, plan)
    to, start = (named_points(points, names, categories) for points in (plan[None], without))
    brought = between(posterior, CONTRAST, to, start, None)
    change = brought.to_numpy().reshape(-1, len(names))
    # Levels have no next unit.
    next_unit = np.full(change.shape, np.nan)
    with warnings.catch_warnings():
        # They are at the plan, of which the contrast has warned.
        warnings.simplefilter("ignore", SupportWarning)
        for k in (k for k, own in enumerate(categories) if own is None):
            next_unit[:, k] = slope(posterior, names[k], to, None).to_numpy().ravel()
    factor = (problem.value or 1.0) / np.where(problem.rates > 0, problem.rates, np.nan)
    baseline, reference = decoded_table(np.stack([plan, none]), categories)
    columns = {
        **central(change, level, "contribution"),
        "supported": brought["supported"].to_numpy(),
        **central(next_unit, level, "next_unit"),
        **central(factor * next_unit, level, "next_cost"),
        "next_supported": np.repeat(support_of(posterior).supported(plan[None]), len(names)),
        "baseline": baseline,
        "reference": reference,
    }
    attrs = {**brought.attrs, "level": level}
    if problem.value is not None:
        attrs["value"] = problem.value
    table = {name: ("action", own) for name, own in columns.items()}
    return xr.Dataset(table, {"action": list(names)}, attrs)


def _lowest(posterior: PosteriorDraws, plan: Array, k: int, values: Array) -> float:
    """Zero where that is supported, otherwise the lowest supported value of an action."""
    supported = support_of(posterior).supported(varied(plan, k, values))
    among = values[supported] if supported.any() else values
    return 0.0 if 0.0 in among else float(among[0])


def cells_of(table: xr.Dataset) -> tuple[list[str], list[list[str]]]:
    """Head and rows of `contributions` as text; a star marks what is not supported."""
    kinds = {"contribution": "brings", "next_unit": "next unit", "next_cost": "per unit of cost"}
    shown = [name for name in kinds if table[name].notnull().any()]
    head = ["", "baseline", "against"]
    for name in shown:
        head += [kinds[name], "interval"]
    rows = []
    for action in range(table.sizes["action"]):
        own = table.isel(action=action)
        cells = [own[name].item() for name in ("action", "baseline", "reference")]
        row = [str(cells[0]), *map(short_label, cells[1:])]
        for name in shown:
            ends = [float(own[f"{name}{end}"]) for end in ENDS]
            within = own["supported" if name == "contribution" else "next_supported"].item()
            mean, band = format_estimate(*ends, sign=True) if ends[0] == ends[0] else ("", "")
            row += [mean + ("" if within or not mean else "*"), band]
        rows.append(row)
    return head, rows


def notes_on(table: xr.Dataset) -> list[str]:
    """Sentences under the cells of `contributions`."""
    notes = []
    if "value" in table.attrs and table["next_cost"].notnull().any():
        notes.append("Per unit of cost: in the currency of the costs; the next unit pays above 1.")
    if not (table["supported"] & table["next_supported"]).all():
        notes.append(
            "* no rows near these values identify it: it interpolates or rests on the prior"
        )
    return notes
