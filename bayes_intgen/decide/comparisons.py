"""Predictions, comparisons and slopes: what is asked at the rows of a table."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from numbers import Real
from typing import Any, Literal

import numpy as np

from bayes_intgen._arguments import items, one_of
from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_value, is_sequence, named_points
from bayes_intgen.decide.contrasts import (
    DIFFERENCE,
    LEVEL,
    RATIO,
    SLOPE,
    either_side,
    position_of_slope,
)
from bayes_intgen.decide.estimates import NewRows, Question, Request
from bayes_intgen.errors import PointsError
from bayes_intgen.posterior.defaults import default_changes, default_point, levels_of, usual_rows
from bayes_intgen.posterior.draws import PosteriorDraws, support_of
from bayes_intgen.text.formats import format_value
from bayes_intgen.text.messages import refuse_unknown_actions

type Comparison = Literal["difference", "ratio"]


def predictions(posterior: PosteriorDraws, newdata: Any, variables: Any) -> Question:
    """Joint effects at rows; see :meth:`bayes_intgen.Posterior.predictions`."""
    rows, requests = NewRows.of(posterior, newdata), []
    grid = {} if variables is None else _grid(posterior, variables)
    for point in product(*grid.values()):
        values = rows.values.copy()
        values[:, [*grid]] = point
        labels = named_points(values[:1], posterior.actions, posterior.categories)
        own = {name: labels[name].tolist()[0] for name in (posterior.actions[k] for k in grid)}
        own = {rows.columns.get(name, name): value for name, value in own.items()}
        requests.append(Request(own, (values,)))
    return Question(rows, requests, LEVEL)


def comparisons(
    posterior: PosteriorDraws, variables: Any, newdata: Any, comparison: Comparison
) -> Question:
    """Changes of joint effects; see :meth:`bayes_intgen.Posterior.comparisons`."""
    rows = NewRows.of(posterior, newdata)
    one_of(comparison, "comparison", ("difference", "ratio"), PointsError)
    requests = [*_changes(posterior, variables, rows.values, comparison)]
    return Question(rows, requests, DIFFERENCE if comparison == "difference" else RATIO)


def slopes(posterior: PosteriorDraws, variables: Any, newdata: Any) -> Question:
    """Derivatives of joint effects; see :meth:`bayes_intgen.Posterior.slopes`."""
    rows = NewRows.of(posterior, newdata)
    levels = zip(posterior.actions, posterior.categories, strict=True)
    names = [name for name, own in levels if own is None] if variables is None else variables
    if variables is None and not names:
        raise PointsError("slopes are of actions that have no levels; use comparisons")
    requests = [
        Request(
            {"term": name, "contrast": "dY/dX"},
            either_side(posterior, position_of_slope(posterior, name), rows.values),
        )
        for name in _names(posterior, names)
    ]
    return Question(rows, requests, SLOPE)


def _names(posterior: PosteriorDraws, variables: Any) -> list[str]:
    """Names of actions, of one or several."""
    several = not isinstance(variables, str)
    names = items(variables, "variables", "actions", PointsError) if several else [variables]
    refuse_unknown_actions(names, posterior.actions, PointsError, "variables: ")
    if not names:
        raise PointsError("variables: name at least one action")
    return [*names]


def _grid(posterior: PosteriorDraws, variables: Any) -> dict[int, list[float]]:
    """Values of actions for a grid; by default all levels, or both ends of a usual change."""
    given, out = variables if isinstance(variables, Mapping) else {}, dict[int, list[float]]()
    usual = cache(lambda: default_changes(posterior, default_point(posterior)))
    for name in _names(posterior, variables):
        k = posterior.actions.index(name)
        own = levels_of(posterior)[k]
        if name in given:
            several = given[name] if is_sequence(given[name]) else [given[name]]
            _refuse_empty(several, name)
            out[k] = [checked_value(value, name, posterior.categories[k]) for value in several]
        elif own is not None:
            out[k] = [*own.codes]
        else:
            out[k] = [float(end[k]) for end in usual()]
    return out


def _changes(
    posterior: PosteriorDraws, variables: Any, values: Array, comparison: Comparison
) -> Iterator[Request]:
    """Starts and ends of each comparison."""
    given = variables if isinstance(variables, Mapping) else {}
    sign = "-" if comparison == "difference" else "/"
    for name in _names(posterior, posterior.actions if variables is None else variables):
        k = posterior.actions.index(name)
        levels, changed = posterior.categories[k], np.arange(values.shape[1]) == k
        wanted: Any = given.get(name)
        if wanted is None:
            wanted = 1.0 if levels is None else levels.labels
        if is_sequence(wanted):
            _refuse_empty(wanted, name)
        if is_sequence(wanted) and len(wanted) > 1:
            codes = (checked_value(value, name, levels) for value in wanted)
            start, *ends = (np.where(changed, code, values) for code in codes)
            first, *shown = map(format_value, wanted)
            for end, words in zip(ends, shown, strict=True):
                yield Request({"term": name, "contrast": f"{words} {sign} {first}"}, (start, end))
            continue
        if levels is not None or not (wanted == "sd" or isinstance(wanted, Real)):
            number = "" if levels is not None else ', a number to add, or "sd"'
            raise PointsError(
                f"variables: {name!r} has {wanted!r}; give a list of values, the first of which "
                f"is the start{number}"
            )
        of_rows = usual_rows(support_of(posterior).reference)[:, k]
        step = float(of_rows.std()) if wanted == "sd" else checked_value(wanted, name, None)
        contrast = f"{step:+.4g}" + " (1 sd)" * (wanted == "sd")
        end = np.where(changed, values + step, values)
        yield Request({"term": name, "contrast": contrast}, (values, end))


def _refuse_empty(values: Sequence[Any], name: str) -> None:
    if not len(values):
        raise PointsError(f"variables: {name!r} has no values; give one or more")
