"""Predictions, comparisons and slopes at the rows of a table, and their averages.

In the manner of marginaleffects (Arel-Bundock, Greifer and Heiss, Journal of Statistical Software
2024), for effects of interventions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._arguments import items, one_of
from bayes_intgen._typing import Array
from bayes_intgen.data.queries import (
    checked_points,
    checked_value,
    is_list_of_dicts,
    is_sequence,
    named_points,
)
from bayes_intgen.data.tables import as_table
from bayes_intgen.decide.contrasts import (
    either_side,
    position_of_slope,
    quotient,
    warn_of_effects,
)
from bayes_intgen.decide.estimates import Estimates
from bayes_intgen.errors import PointsError
from bayes_intgen.models.laws import Link
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.posterior.defaults import (
    default_changes,
    default_point,
    levels_of,
    typical_point,
    usual_rows,
)
from bayes_intgen.posterior.draws import PosteriorDraws, predictions_of_rows, support_of
from bayes_intgen.posterior.schema import draw_coordinates
from bayes_intgen.text.formats import format_value
from bayes_intgen.text.messages import hint, quoted, refuse_unknown_actions

if TYPE_CHECKING:
    import narwhals as nw

type Comparison = Literal["difference", "ratio"]
type By = str | Sequence[str] | bool | None


class NewRows(NamedTuple):
    """Rows about which something is asked.

    Attributes
    ----------
    table : narwhals DataFrame
        With a column for each action.
    values : ndarray, shape (n, K)
        Values of the actions, levels as codes.
    """

    table: "nw.DataFrame[Any]"
    values: Array

    @classmethod
    def of(cls, posterior: PosteriorDraws, newdata: Any) -> Self:
        """Read ``newdata``; actions without a column are at the default point."""
        names, categories = posterior.actions, posterior.categories

        def named(point: Array) -> dict[str, list[Any]]:
            columns = named_points(point, names, categories)
            return {name: column.tolist() for name, column in columns.items()}

        if newdata is None:
            newdata = named(default_point(posterior)[None])
        elif isinstance(newdata, str):
            kind = one_of(newdata, "newdata", ("mean", "median"), PointsError)
            newdata = named(typical_point(posterior, kind)[None])  # type: ignore[arg-type]
        if isinstance(newdata, Mapping):
            newdata = _frame_of_columns(newdata, names, posterior.terms.covariates.every)
        elif is_list_of_dicts(newdata):
            newdata = pd.DataFrame(newdata)
        table = as_table(newdata)
        if table is None:
            table = as_table(pd.DataFrame(named(checked_points(newdata, names, categories))))
        assert table is not None
        if not len(table):
            raise PointsError("newdata has no rows")
        lacking = [name for name in names if name not in table.columns]
        if lacking:
            import narwhals as nw

            usual = named(default_point(posterior)[None])
            table = table.with_columns(*(nw.lit(usual[name][0]).alias(name) for name in lacking))
        return cls(table, checked_points(table, names, categories))


class Request(NamedTuple):
    """One estimate for each row.

    Attributes
    ----------
    labels : dict
        Columns in addition to those of the rows, or in their place.
    points : tuple of ndarray, each (n, K)
        Points at which it is evaluated.
    """

    labels: dict[str, Any]
    points: tuple[Array, ...]


class Quantity(NamedTuple):
    """What is estimated at points, averaged over rows, and combined.

    Attributes
    ----------
    name : str
    evaluate : callable
        Draws of one or two quantities at the points of a request, each (chain, draw, n), from
        predictions, masks and points.
    combine : callable
        Draws of the estimate from the averages of these.
    link : Link or None
        Link under which it is a change of sums of terms; None for levels.
    """

    name: str
    evaluate: Callable[..., tuple[Array, ...]]
    combine: Callable[..., Array]
    link: Link | None


def predictions(
    posterior: PosteriorDraws,
    newdata: Any,
    by: By,
    variables: Any,
    intervened: Sequence[str] | None,
) -> Estimates:
    """Joint effects at rows; see :meth:`bayes_intgen.Posterior.predictions`."""
    rows = NewRows.of(posterior, newdata)
    grid = {} if variables is None else _grid(posterior, variables)
    requests = []
    for point in product(*grid.values()):
        values = rows.values.copy()
        values[:, [*grid]] = point
        labels = named_points(values[:1], posterior.actions, posterior.categories)
        names = [posterior.actions[k] for k in grid]
        requests.append(Request({name: labels[name].tolist()[0] for name in names}, (values,)))
    return _estimated(posterior, rows, requests, LEVEL, by, intervened)


def comparisons(
    posterior: PosteriorDraws,
    variables: Any,
    newdata: Any,
    by: By,
    comparison: Comparison,
    intervened: Sequence[str] | None,
) -> Estimates:
    """Changes of joint effects; see :meth:`bayes_intgen.Posterior.comparisons`."""
    rows = NewRows.of(posterior, newdata)
    one_of(comparison, "comparison", ("difference", "ratio"), PointsError)
    requests = [*_changes(posterior, variables, rows.values, comparison)]
    ratio = Quantity("ratio", _both_ends, partial(quotient, posterior), "log")
    quantity = ratio if comparison == "ratio" else DIFFERENCE
    return _estimated(posterior, rows, requests, quantity, by, intervened)


def slopes(
    posterior: PosteriorDraws,
    variables: Any,
    newdata: Any,
    by: By,
    intervened: Sequence[str] | None,
) -> Estimates:
    """Derivatives of joint effects; see :meth:`bayes_intgen.Posterior.slopes`."""
    rows = NewRows.of(posterior, newdata)
    levels = zip(posterior.actions, posterior.categories, strict=True)
    names = [name for name, own in levels if own is None] if variables is None else variables
    requests = [
        Request(
            {"term": name, "contrast": "dY/dX"},
            either_side(posterior, position_of_slope(posterior, name), rows.values),
        )
        for name in _names(posterior, names)
    ]
    return _estimated(posterior, rows, requests, SLOPE, by, intervened)


def _level(prediction: Prediction, mask: NDArray[np.bool_], at: Array) -> tuple[Array, ...]:
    return (prediction.mean(at, mask),)


def _both_ends(
    prediction: Prediction, mask: NDArray[np.bool_], start: Array, end: Array
) -> tuple[Array, ...]:
    return prediction.mean(end, mask), prediction.mean(start, mask)


def _change(
    prediction: Prediction, mask: NDArray[np.bool_], start: Array, end: Array
) -> tuple[Array, ...]:
    return (prediction.change(start, end, mask),)


def _per_unit(
    prediction: Prediction, mask: NDArray[np.bool_], below: Array, above: Array
) -> tuple[Array, ...]:
    # One action alone differs.
    return (prediction.change(below, above, mask) / (above - below).sum(axis=1),)


def _itself(mean: Array) -> Array:
    return mean


LEVEL = Quantity("prediction", _level, _itself, None)
DIFFERENCE = Quantity("difference", _change, _itself, "identity")
SLOPE = Quantity("slope", _per_unit, _itself, "identity")


def _estimated(
    posterior: PosteriorDraws,
    rows: NewRows,
    requests: Sequence[Request],
    quantity: Quantity,
    by: By,
    intervened: Sequence[str] | None,
) -> Estimates:
    """Evaluate requests at rows, and average draws over the rows of each estimate."""
    n = len(rows.values)
    every = [points for request in requests for points in request.points]
    query = support_of(posterior).query_at(np.concatenate(every), intervened)
    averages, parts = predictions_of_rows(posterior, rows.table)
    if quantity.link is None:
        support_of(posterior).warn_of_level(query.intervened, averages)
    else:
        names = dict.fromkeys(request.labels["term"] for request in requests)
        changed = [posterior.actions.index(name) for name in names]
        warn_of_effects(posterior, changed, query.intervened, averages, quantity.link)
    labels, group = _groups(rows, requests, by)
    counts = np.bincount(group.ravel())
    sums: dict[int, Array] = {}
    for own, prediction in parts:
        for request, to in zip(requests, group, strict=True):
            points = (own.inputs(at) for at in request.points)
            each = quantity.evaluate(prediction, query.mask[: len(own.rows)], *points)
            for i, draws in enumerate(each):
                total = sums.setdefault(i, np.zeros((len(counts), *draws.shape[:2])))
                np.add.at(total, to[own.rows], np.moveaxis(draws, -1, 0))
    of_rows = query.verdict.supported.reshape(len(requests), -1, n).all(axis=1)
    supported = np.ones(len(counts), dtype=bool)
    np.logical_and.at(supported, group, of_rows)
    coords = {**draw_coordinates(posterior.tree), "supported": ("estimate", supported)}
    attrs = {"outcome": posterior.outcome_name, "intervened": ", ".join(query.intervened)}
    combined = quantity.combine(*(np.moveaxis(own, 0, -1) / counts for own in sums.values()))
    dims = ("chain", "draw", "estimate")
    labelled = xr.DataArray(combined, coords, dims, quantity.name, attrs | averages.attrs)
    return Estimates(labelled, labels, rows.table.implementation.value)


def _groups(
    rows: NewRows, requests: Sequence[Request], by: By
) -> tuple[dict[str, list[Any]], NDArray[np.int_]]:
    """Labels of estimates, and the estimate to which each row of each request belongs, (R, n)."""
    columns: dict[str, list[Any]] = {
        name: [] for name in (*rows.table.columns, *requests[0].labels)
    }
    own = {name: rows.table[name].to_list() for name in rows.table.columns}
    n = len(rows.values)
    for request in requests:
        for name, cells in columns.items():
            cells += [request.labels[name]] * n if name in request.labels else own[name]
    if by is None or by is False:
        return columns, np.arange(len(requests) * n).reshape(-1, n)
    wanted = [] if by is True else [by] if isinstance(by, str) else list(items(by, "by", "columns"))
    unknown = [name for name in wanted if name not in columns]
    if unknown:
        known = [*columns]
        raise PointsError(
            f"by: newdata has no column {unknown[0]!r}; {hint(unknown[0], known)} columns are "
            f"{quoted(known)}"
        )
    keys = [name for name in columns if name in wanted or name in ("term", "contrast")]
    cells_of = [*zip(*(columns[name] for name in keys), strict=True)] or [()] * (len(requests) * n)
    position = {key: i for i, key in enumerate(dict.fromkeys(cells_of))}
    labels = {
        name: list(cells) for name, cells in zip(keys, zip(*position, strict=True), strict=True)
    }
    return labels, np.array([position[key] for key in cells_of]).reshape(-1, n)


def _names(posterior: PosteriorDraws, variables: Any) -> list[str]:
    """Names of actions, of one or several."""
    names = [variables] if isinstance(variables, str) else items(variables, "variables", "actions")
    refuse_unknown_actions(names, posterior.actions, PointsError, "variables: ")
    if not names:
        raise PointsError("variables: name at least one action that has no levels, or one of any")
    return [*names]


def _grid(posterior: PosteriorDraws, variables: Any) -> dict[int, list[float]]:
    """Values of actions for a grid; by default all levels, or both ends of a usual change."""
    given = variables if isinstance(variables, Mapping) else {}
    out = {}
    for name in _names(posterior, variables):
        k = posterior.actions.index(name)
        own = levels_of(posterior)[k]
        if name in given:
            several = given[name] if is_sequence(given[name]) else [given[name]]
            out[k] = [checked_value(value, name, posterior.categories[k]) for value in several]
        elif own is not None:
            out[k] = [*own.codes]
        else:
            out[k] = [float(end[k]) for end in default_changes(posterior, default_point(posterior))]
    return out


def _changes(
    posterior: PosteriorDraws, variables: Any, values: Array, comparison: Comparison
) -> Iterator[Request]:
    """Starts and ends of each comparison."""
    given = variables if isinstance(variables, Mapping) else {}
    sign = "-" if comparison == "difference" else "/"
    for name in _names(posterior, posterior.actions if variables is None else variables):
        k = posterior.actions.index(name)
        levels = posterior.categories[k]
        wanted: Any = given.get(name)
        if wanted is None:
            wanted = 1.0 if levels is None else levels.labels
        if is_sequence(wanted) and len(wanted) > 1:
            codes = [checked_value(value, name, levels) for value in wanted]
            shown = [*map(format_value, wanted)]
            for code, words in zip(codes[1:], shown[1:], strict=True):
                ends = [values.copy(), values.copy()]
                ends[0][:, k], ends[1][:, k] = codes[0], code
                yield Request({"term": name, "contrast": f"{words} {sign} {shown[0]}"}, (*ends,))
            continue
        if levels is not None or not (wanted == "sd" or isinstance(wanted, Real)):
            number = "" if levels is not None else ', a number to add, or "sd"'
            raise PointsError(
                f"variables: {name!r} has {wanted!r}; give a list of values, the first of which "
                f"is the start{number}"
            )
        of_rows = usual_rows(support_of(posterior).reference)[:, k]
        step = float(of_rows.std()) if wanted == "sd" else checked_value(wanted, name, None)
        end = values.copy()
        end[:, k] += step
        contrast = f"{step:+.4g}" + " (1 sd)" * (wanted == "sd")
        yield Request({"term": name, "contrast": contrast}, (values, end))


def _frame_of_columns(
    columns: Mapping[Any, Any], actions: Sequence[str], covariates: Sequence[str]
) -> pd.DataFrame:
    """Frame of columns of values, or single values; names are refused that may be misspelled."""
    known = [*actions, *covariates]
    unknown = [name for name in columns if name not in known]
    if unknown and any(name not in columns for name in actions):
        raise PointsError(
            f"newdata: unknown column {unknown[0]!r}; {hint(unknown[0], known)} fit has "
            f"{quoted(known)}"
        )
    lists = {name: list(own) if is_sequence(own) else [own] for name, own in columns.items()}
    most = max(map(len, lists.values()), default=0)
    try:
        return pd.DataFrame({n: own * most if len(own) == 1 else own for n, own in lists.items()})
    except ValueError as error:
        raise PointsError(f"newdata has columns of different lengths ({error})") from error
