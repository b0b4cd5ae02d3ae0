"""Values of actions, and effects of the default changes of each, as the report writes them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import short_label
from bayes_intgen.data.queries import named_points
from bayes_intgen.decide.contrasts import CONTRAST, between
from bayes_intgen.posterior.adjustments import (
    adjustment_along,
    change_along,
    effect_modifiers,
    values_along,
)
from bayes_intgen.posterior.defaults import default_changes, levels_of
from bayes_intgen.posterior.draws import PosteriorDraws, central
from bayes_intgen.posterior.population import groups_of_one_mask
from bayes_intgen.report.charts import Curve, common_range, draw
from bayes_intgen.text.formats import (
    decimals_for,
    format_interval,
    format_probability,
    format_to_uncertainty,
)

# Maximum number of rows of a table of groups that is open.
MAX_OPEN_ROWS = 12


def point_texts(posterior: PosteriorDraws, point: Array) -> list[str]:
    """Format the value of each action at a point by its spread, or name its level."""
    columns = zip(point, posterior.terms.coordinates, levels_of(posterior), strict=True)
    return [
        format_to_uncertainty(float(value), decimals_for(coordinate.spread) + 1)
        if levels is None
        else short_label(levels.decode(np.array([value])).tolist()[0])
        for value, coordinate, levels in columns
    ]


class Change(NamedTuple):
    """Change of one action or several: words for both values, and both points, shape (K,)."""

    name: str
    before: str
    after: str
    start: Array
    end: Array

    @property
    def in_words(self) -> str:
        """The change as text."""
        return f"{self.name} from {self.before} to {self.after}"


def changes_of(posterior: PosteriorDraws, default: Array) -> list[Change]:
    """Default change of each action, the others at the default, and of all of them together."""
    low, high = default_changes(posterior, default)
    starts, ends = np.tile(default, (2, len(low), 1))
    np.fill_diagonal(starts, low)
    np.fill_diagonal(ends, high)
    words = (point_texts(posterior, point) for point in (low, high))
    alone = map(Change, posterior.actions, *words, starts, ends)
    return [*alone, Change("all of them", "each", "as above", low, high)]


def contrasts_of(
    posterior: PosteriorDraws, changes: Sequence[Change], level: float
) -> tuple[list[dict[str, Any]], float]:
    """Effects of changes, formatted and placed on a common axis, and zero there in percent."""
    starts = np.stack([change.start for change in changes])
    ends = np.stack([change.end for change in changes])
    baseline, points = (
        named_points(values, posterior.actions, posterior.categories) for values in (starts, ends)
    )
    table = between(posterior, CONTRAST, points, baseline, None).summary(level)
    estimates = (table[name].to_numpy() for name in ("low", "mean", "high"))
    rows, zero = rows_on_axis(*estimates)
    above = [format_probability(share) for share in table["above_zero"]]
    columns = zip(changes, table["supported"].to_numpy().tolist(), above, rows, strict=True)
    return [
        {"change": change, "supported": is_supported, "above_zero": text, **row}
        for change, is_supported, text, row in columns
    ], zero


def rows_on_axis(low: Array, middle: Array, high: Array) -> tuple[list[dict[str, Any]], float]:
    """Format estimates and their bands, and place them, and zero, on a common axis in percent."""
    decimals = decimals_for(float(np.median(high - low)))
    # Thousands, not single euros, where the bands are that wide.
    low, middle, high = (np.round(own, decimals) for own in (low, middle, high))
    start, end = min(0.0, float(low.min())), max(0.0, float(high.max()))
    length, columns = (end - start) or 1.0, {"low": low, "middle": middle, "high": high}
    rows = [
        {
            "estimate": format_to_uncertainty(float(middle[i]), decimals, sign=True),
            "band": format_interval(low[i], high[i], decimals, sign=True),
            **{name: float(100 * (own[i] - start) / length) for name, own in columns.items()},
        }
        for i in range(len(middle))
    ]
    return rows, -100 * start / length


def adjustments_of(
    posterior: PosteriorDraws, changes: Sequence[Change], level: float
) -> dict[str, Any]:
    """Collect charts of ``functions`` and ``effects`` along covariates, and tables of ``groups``.

    ``centre`` says to what the levels of groups are relative.

    Parameters
    ----------
    posterior : PosteriorDraws
    changes : sequence of Change
        Of each action, whose dependence on covariates and groups is shown.
    level : float
        Probability of the bands.
    """
    columns, change_of = posterior.terms.covariates, {change.name: change for change in changes}
    functions, effects, groups = [], [], []
    for i, name in enumerate(columns.every):
        if i != columns.fine_grouping:
            draws = adjustment_along(posterior, name)
            if name in columns.names:
                functions.append((name, name, draws))
            else:
                title, unit = f"Level of each {name}", posterior.predictor_name
                groups.append(_group_table(posterior, name, title, draws, level, unit))
    for action, name in effect_modifiers(posterior.terms):
        change = change_of[action]
        draws = change_along(posterior, name, change.start, change.end)
        if name in columns.names:
            effects.append((f"{change.in_words}, along {name}", name, draws))
        else:
            title, unit = f"Effect of {change.in_words} in each {name}", posterior.outcome_name
            groups.append(_group_table(posterior, name, title, draws, level, unit))
    return {
        "functions": _charts(posterior, functions, level),
        "effects": _charts(posterior, effects, level),
        "groups": groups,
        "centre": "an average group"
        if len(columns) and groups_of_one_mask(posterior.tree)
        else "the average over the observational rows",
    }


def _charts(
    posterior: PosteriorDraws, parts: Sequence[tuple[str, str, Array]], level: float
) -> list[dict[str, Any]]:
    """Charts of draws along covariates, with a common vertical axis."""
    curves = [Curve.of_draws("set", draws, (0.5, level)) for _, _, draws in parts]
    if not curves:
        return []
    charts, y_range, dates = [], common_range(curves), posterior.terms.covariates.dates
    for (caption, name, _), curve in zip(parts, curves, strict=True):
        values, labels = values_along(posterior, name)
        chart = draw(
            values, [curve], y_range, np.full(len(values), ""), labels=labels, dates=name in dates
        )
        charts.append({"caption": caption, "chart": chart})
    return charts


def _group_table(
    posterior: PosteriorDraws, grouping: str, title: str, draws: Array, level: float, unit: str
) -> dict[str, Any]:
    """Groups in descending order, and zero on their axis in percent."""
    labels = values_along(posterior, grouping)[1] or []
    middle, low, high = central(draws.reshape(-1, len(labels)), level).values()
    order = np.argsort(-middle)
    rows, zero = rows_on_axis(low[order], middle[order], high[order])
    rows = [{"label": str(labels[g]), **row} for g, row in zip(order, rows, strict=True)]
    return {
        "title": title,
        "grouping": grouping,
        "rows": rows,
        "zero": zero,
        "is_open": len(rows) <= MAX_OPEN_ROWS,
        "unit": unit,
    }
