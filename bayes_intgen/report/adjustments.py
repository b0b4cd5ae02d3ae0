"""Covariates and groups in the report: charts of functions, and tables of groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import short_label
from bayes_intgen.posterior.adjustments import (
    adjustment_along,
    change_along,
    effect_modifiers,
    values_along,
)
from bayes_intgen.posterior.draws import PosteriorDraws
from bayes_intgen.report.charts import Curve, common_range, draw, draw_levels
from bayes_intgen.report.contrasts import rows_on_axis

# Maximum number of rows of a table of groups that is open.
MAX_OPEN_ROWS = 12


def adjustments_of(
    posterior: PosteriorDraws, changes: Sequence[tuple[str, str, Array, Array]], level: float
) -> dict[str, Any]:
    """Collect charts of ``functions`` and ``effects`` along covariates, and tables of ``groups``.

    Parameters
    ----------
    posterior : PosteriorDraws
    changes : sequence of (name, words, start, end)
        Change of each action, whose dependence on covariates and groups is shown.
    level : float
        Probability of the bands.
    """
    columns = posterior.terms.covariates
    functions = [(name, name, adjustment_along(posterior, name)) for name in columns.names]
    fine = columns.fine_grouping
    groups = []
    for i, name in enumerate(columns.every):
        if name in columns.groups and i != fine:
            levels = adjustment_along(posterior, name)
            title, unit = f"Level of each {name}", posterior.predictor_name
            groups.append(_group_table(posterior, name, title, levels, level, unit))
    effects, change_of = [], {name: (words, a, b) for name, words, a, b in changes}
    for action, name in effect_modifiers(posterior.terms):
        words, start, end = change_of[action]
        draws = change_along(posterior, name, start, end)
        if name in columns.names:
            effects.append((f"{words}, along {name}", name, draws))
        else:
            title = f"Effect of {words} in each {name}"
            unit = posterior.outcome_name
            groups.append(_group_table(posterior, name, title, draws, level, unit))
    return {
        "functions": _charts(posterior, functions, level),
        "effects": _charts(posterior, effects, level),
        "groups": groups,
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
        everywhere = np.ones(len(values), dtype=bool)
        chart = (
            draw(values, [curve], y_range, None, everywhere, name in dates)
            if labels is None
            else draw_levels([short_label(own) for own in labels], [curve], y_range, everywhere)
        )
        charts.append({"caption": caption, "chart": chart})
    return charts


def _group_table(
    posterior: PosteriorDraws, grouping: str, title: str, draws: Array, level: float, unit: str
) -> dict[str, Any]:
    """Groups in descending order, and zero on their axis in percent."""
    labels = values_along(posterior, grouping)[1] or []
    curve = Curve.of_draws("set", draws, (level,))
    (low, high), middle = curve.bands[0], curve.middle
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
