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
from bayes_intgen.text.number_format import decimals_for, format_interval, format_to_uncertainty

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
    curves = [_curve(draws, level) for _, _, draws in parts]
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


def _curve(draws: Array, level: float) -> Curve:
    flat = draws.reshape(-1, draws.shape[-1])
    bands = [
        tuple(np.quantile(flat, [(1 - own) / 2, (1 + own) / 2], axis=0))
        for own in sorted((0.5, level), reverse=True)
    ]
    return Curve("set", flat.mean(axis=0), [(low, high) for low, high in bands])


def _group_table(
    posterior: PosteriorDraws, grouping: str, title: str, draws: Array, level: float, unit: str
) -> dict[str, Any]:
    """Groups in descending order, and zero on their axis in percent."""
    labels = values_along(posterior, grouping)[1] or []
    curve = _curve(draws, level)
    (low, high), middle = curve.bands[0], curve.middle
    start, end = min(0.0, float(low.min())), max(0.0, float(high.max()))
    length, decimals = (end - start) or 1.0, decimals_for(float(np.median(high - low)))

    def percentage(value: float) -> float:
        return float(100 * (value - start) / length)

    rows = [
        {
            "label": str(labels[g]),
            "mean": format_to_uncertainty(float(middle[g]), decimals, sign=True),
            "band": format_interval(low[g], high[g], decimals, sign=True),
            "low": percentage(low[g]),
            "high": percentage(high[g]),
            "middle": percentage(middle[g]),
        }
        for g in np.argsort(-middle)
    ]
    return {
        "title": title,
        "grouping": grouping,
        "rows": rows,
        "zero": percentage(0.0),
        "is_open": len(rows) <= MAX_OPEN_ROWS,
        "unit": unit,
    }
