"""Predictions, comparisons and slopes at the rows of a table, and their averages.

In the manner of marginaleffects (Arel-Bundock, Greifer and Heiss, Journal of Statistical Software
2024), for effects of interventions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from numbers import Real
from typing import Any, Literal, NamedTuple, Self

import narwhals as nw
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

# Columns of answers besides those of newdata.
ANSWERS = ("term", "contrast", "estimate", "sd", "low", "high", "supported")
# Maximum number of draws times rows that are evaluated at once.
MAX_DRAWS = 4_000_000

type Comparison = Literal["difference", "ratio"]
type By = str | Sequence[str] | bool | None


class NewRows(NamedTuple):
    """Rows about which something is asked.

    Attributes
    ----------
    frame : DataFrame
        With a column for each action.
    values : ndarray, shape (n, K)
        Values of the actions, levels as codes.
    kind : str
        Library of the table from which they were read.
    """

    frame: pd.DataFrame
    values: Array
    kind: str

    @classmethod
    def of(cls, posterior: PosteriorDraws, newdata: Any) -> Self:
        """Read ``newdata``; actions without a column are at the default point."""
        names, categories = posterior.actions, posterior.categories

        def named(points: Array) -> pd.DataFrame:
            return pd.DataFrame(named_points(points, names, categories))

        usual, table = named(default_point(posterior)[None]), None
        if newdata is None:
            frame = usual
        elif isinstance(newdata, str):
            one_of(newdata, "newdata", ("mean", "median"), PointsError)
            frame = named(typical_point(posterior, of_means=newdata == "mean")[None])
        elif (table := as_table(newdata)) is not None:
            frame = pd.DataFrame({name: table[name].to_list() for name in table.columns})
        elif isinstance(newdata, Mapping):
            known = (*names, *posterior.terms.covariates.every)
            frame = _frame_of_columns(newdata, names, known)
        elif is_list_of_dicts(newdata):
            frame = pd.DataFrame(newdata)
        else:
            frame = named(checked_points(newdata, names, categories))
        if not len(frame):
            raise PointsError("newdata has no rows")
        taken = [name for name in frame if name in ANSWERS]
        if taken:
            raise PointsError(f"newdata: rename column {taken[0]!r}, a name of the answer's")
        frame = frame.assign(**{n: usual[n].tolist()[0] for n in names if n not in frame})
        kind = "pandas" if table is None else table.implementation.value
        return cls(frame, checked_points(frame, names, categories), kind)


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
    link : Link or None
        Link under which it is a change of sums of terms; None for levels.
    combine : callable
        Draws of the estimate from the averages of these.
    """

    name: str
    evaluate: Callable[..., tuple[Array, ...]]
    link: Link | None
    combine: Callable[..., Array] = np.asarray


class Question(NamedTuple):
    """What is asked at which rows; ``estimates`` answers."""

    rows: NewRows
    requests: Sequence[Request]
    quantity: Quantity


LEVEL = Quantity("prediction", lambda own, mask, at: (own.mean(at, mask),), None)
DIFFERENCE = Quantity(
    "difference", lambda own, mask, start, end: (own.change(start, end, mask),), "identity"
)
# One action alone differs.
SLOPE = Quantity(
    "slope",
    lambda own, mask, below, above: (
        own.change(below, above, mask) / (above - below).sum(axis=1, where=above > below),
    ),
    "identity",
)


def predictions(posterior: PosteriorDraws, newdata: Any, variables: Any) -> Question:
    """Joint effects at rows; see :meth:`bayes_intgen.Posterior.predictions`."""
    rows, requests = NewRows.of(posterior, newdata), []
    grid = {} if variables is None else _grid(posterior, variables)
    for point in product(*grid.values()):
        values = rows.values.copy()
        values[:, [*grid]] = point
        labels = named_points(values[:1], posterior.actions, posterior.categories)
        names = [posterior.actions[k] for k in grid]
        requests.append(Request({name: labels[name].tolist()[0] for name in names}, (values,)))
    return Question(rows, requests, LEVEL)


def comparisons(
    posterior: PosteriorDraws, variables: Any, newdata: Any, comparison: Comparison
) -> Question:
    """Changes of joint effects; see :meth:`bayes_intgen.Posterior.comparisons`."""
    rows = NewRows.of(posterior, newdata)
    one_of(comparison, "comparison", ("difference", "ratio"), PointsError)
    ratio = Quantity(
        "ratio",
        lambda own, mask, start, end: (own.mean(end, mask), own.mean(start, mask)),
        "log",
        partial(quotient, posterior),
    )
    requests = [*_changes(posterior, variables, rows.values, comparison)]
    return Question(rows, requests, DIFFERENCE if comparison == "difference" else ratio)


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


def estimates(
    posterior: PosteriorDraws, question: Question, by: By, intervened: Sequence[str] | None
) -> Estimates:
    """Evaluate requests at rows, and average draws over the rows of each estimate."""
    rows, requests, quantity = question
    # The support of a slope is that at the row itself.
    of_slopes = quantity is SLOPE
    every = [(rows.values,) if of_slopes else request.points for request in requests]
    # Points that occur often count once in the warning.
    points, which = np.unique(
        np.reshape(every, (-1, rows.values.shape[1])), axis=0, return_inverse=True
    )
    query = support_of(posterior).query_at(points, intervened)
    supported = query.verdict.supported[which].reshape(len(requests), -1, len(rows.values))
    averages, parts = predictions_of_rows(posterior, nw.from_native(rows.frame))
    if quantity.link is None:
        support_of(posterior).warn_of_level(query.intervened, averages)
    else:
        names = dict.fromkeys(request.labels["term"] for request in requests)
        changed = [posterior.actions.index(name) for name in names]
        warn_of_effects(posterior, changed, query.intervened, averages, quantity.link)
    labels, group = _groups(rows, requests, by)
    counts = np.bincount(group.ravel())
    sums: dict[int, Array] = {}
    some = ((own, of) for every, of in parts for own in every.split(MAX_DRAWS // of.sd.size))
    for own, prediction in some:
        for request, to in zip(requests, group, strict=True):
            inputs = [own.inputs(at) for at in request.points]
            mask = np.broadcast_to(query.mask[0], (len(own.rows), points.shape[1]))
            for i, draws in enumerate(quantity.evaluate(prediction, mask, *inputs)):
                total = sums.setdefault(i, np.zeros((len(counts), *draws.shape[:2])))
                np.add.at(total, to[own.rows], np.moveaxis(draws, -1, 0))
    share = np.bincount(group.ravel(), supported.all(axis=1).ravel()) / counts
    coords = {
        **draw_coordinates(posterior.tree),
        "supported": ("estimate", share == 1),
        "share_supported": ("estimate", share),
    }
    attrs = {"outcome": posterior.outcome_name, "intervened": ", ".join(query.intervened)}
    combined = quantity.combine(*(np.moveaxis(own, 0, -1) / counts for own in sums.values()))
    dims = ("chain", "draw", "estimate")
    labelled = xr.DataArray(combined, coords, dims, quantity.name, attrs | averages.attrs)
    return Estimates(labelled, labels, rows.kind)


def _groups(
    rows: NewRows, requests: Sequence[Request], by: By
) -> tuple[pd.DataFrame, NDArray[np.int_]]:
    """Labels of estimates, and the estimate to which each row of each request belongs, (R, n)."""
    every = pd.concat([rows.frame.assign(**own.labels) for own in requests], ignore_index=True)
    which = np.arange(len(every))
    if by is not None and by is not False:
        columns = (
            ()
            if by is True
            else (by,)
            if isinstance(by, str)
            else items(by, "by", "columns", PointsError)
        )
        for name in columns:
            if name not in every:
                raise PointsError(
                    f"by: newdata has no column {name!r}; {hint(name, [*every])} columns are "
                    f"{quoted([*every])}"
                )
        # Averages are over rows, not over what is asked about each.
        every = every[[name for name in every if name in (*columns, *requests[0].labels)]]
        # Without any column all rows are alike.
        keys = [every[name] for name in every] or [np.zeros(len(every))]
        groups = every.groupby(keys, sort=False, dropna=False)
        which, every = groups.ngroup().to_numpy(), every.loc[groups.head(1).index]
    return every.reset_index(drop=True), which.reshape(len(requests), -1)


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
    given = variables if isinstance(variables, Mapping) else {}
    out = {}
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
        if is_sequence(wanted):
            _refuse_empty(wanted, name)
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


def _refuse_empty(values: Sequence[Any], name: str) -> None:
    if not len(values):
        raise PointsError(f"variables: {name!r} has no values; give one or more")


def _frame_of_columns(
    columns: Mapping[Any, Any], actions: Sequence[str], known: Sequence[str]
) -> pd.DataFrame:
    """Frame of columns of values, or single values; names are refused that may be misspelled."""
    unknown = [name for name in columns if name not in known]
    if unknown and any(name not in columns for name in actions):
        raise PointsError(
            f"newdata: unknown column {unknown[0]!r}; {hint(unknown[0], known)} fit has "
            f"{quoted(known)}"
        )
    several = any(map(is_sequence, columns.values()))
    try:
        return pd.DataFrame(dict(columns), index=None if several else [0])
    except ValueError as error:
        raise PointsError(f"newdata has columns of different lengths ({error})") from error
