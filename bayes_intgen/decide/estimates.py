"""Estimates as a tidy table: what is asked at which rows, and a row with draws for each answer.

In the manner of marginaleffects (Arel-Bundock, Greifer and Heiss, Journal of Statistical Software
2024), for effects of interventions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Real
from typing import Any, NamedTuple, Self

import narwhals as nw
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._arguments import items, probability
from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import group_label
from bayes_intgen.data.queries import checked_points, is_list_of_dicts, is_sequence, named_points
from bayes_intgen.data.tables import as_table, to_frame
from bayes_intgen.decide.contrasts import Quantity, warn_of_effects
from bayes_intgen.errors import PointsError
from bayes_intgen.posterior.defaults import default_point, typical_point
from bayes_intgen.posterior.draws import (
    PosteriorDraws,
    predictions_of_rows,
    statistics_of,
    support_of,
)
from bayes_intgen.posterior.schema import draw_coordinates
from bayes_intgen.text.formats import ACTION, align_columns, format_estimate, format_number
from bayes_intgen.text.messages import quoted, unknown_name

# Columns of answers besides those of newdata.
ANSWERS = ("term", "contrast", "estimate", "sd", "low", "high", "supported")
# Maximum number of draws times rows that are evaluated at once.
MAX_DRAWS = 4_000_000
# Maximum number of estimates that a printed table shows.
MAX_SHOWN = 20

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
    columns : mapping from str to str
        Columns of the answer for actions, covariates and groups that are called like its own.
    """

    frame: pd.DataFrame
    values: Array
    kind: str
    columns: Mapping[str, str] = {}

    @classmethod
    def of(cls, posterior: PosteriorDraws, newdata: Any) -> Self:
        """Read ``newdata``; actions without a column are at the default point."""
        names, categories = posterior.actions, posterior.categories

        def named(points: Array) -> pd.DataFrame:
            return pd.DataFrame(named_points(points, names, categories))

        usual, table = named(default_point(posterior)[None]), None
        known = (*names, *posterior.terms.covariates.every)
        if newdata is None:
            frame = usual
        elif isinstance(newdata, str):
            if newdata not in ("mean", "median"):
                every = "a table, points, 'mean' or 'median'"
                raise PointsError(f"newdata must be {every}, not {newdata!r}")
            frame = named(typical_point(posterior, of_means=newdata == "mean")[None])
        elif (table := as_table(newdata)) is not None:
            frame = pd.DataFrame({own.name: own.to_list() for own in table.iter_columns()})
        elif isinstance(newdata, Mapping):
            frame = _frame_of_columns(newdata)
        elif is_list_of_dicts(newdata):
            frame = pd.DataFrame(newdata)
        else:
            frame = named(checked_points(newdata, names, categories))
        if not len(frame):
            raise PointsError("newdata has no rows")
        lacking = {_folded(name): name for name in known if name not in frame}
        for name in frame:
            # Its own name would be kept, and another value be taken for it in silence.
            if own := lacking.get(_folded(name)):
                raise PointsError(f"newdata: rename column {name!r} to {own!r}, as the fit has it")
        unknown = [name for name in frame if name not in known]
        # Of a table, columns for other purposes are usual.
        if table is None and unknown and any(name not in frame for name in names):
            raise PointsError(unknown_name("newdata: unknown column", unknown[0], known, "fit has"))
        marks = dict.fromkeys(known, " (covariate)") | dict.fromkeys(names, ACTION)
        columns = {name: name + mark for name, mark in marks.items() if name in ANSWERS}
        taken = [name for name in frame if name in ANSWERS and name not in columns]
        if taken:
            raise PointsError(f"newdata: rename column {taken[0]!r}, a name of the answer's")
        frame = frame.assign(**{n: usual[n].tolist()[0] for n in names if n not in frame})
        kind = "pandas" if table is None else table.implementation.value
        return cls(frame, checked_points(frame, names, categories), kind, columns)


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


class Question(NamedTuple):
    """What is asked at which rows; ``estimates`` answers."""

    rows: NewRows
    requests: Sequence[Request]
    quantity: Quantity


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates from :meth:`bayes_intgen.Posterior.predictions`, ``comparisons`` or ``slopes``.

    It prints as a table, with 90% intervals.

    Attributes
    ----------
    draws : DataArray, dims (chain, draw, estimate)
        In the outcome's units, or for ratios without units. Coordinate ``supported`` (estimate)
        says whether rows near all points of the estimate identify it, and ``share_supported`` near
        which share of the points; the attribute ``population`` over whom effects are averaged.
    labels : DataFrame
        Columns that say what is estimated, with a row per estimate.
    kind : str
        Kind of table, "pandas", "polars" or "pyarrow", that :meth:`to_dataframe` gives.
    """

    draws: xr.DataArray
    labels: pd.DataFrame
    kind: str

    def __len__(self) -> int:
        return int(self.draws.sizes["estimate"])

    def to_dataframe(self, level: float = 0.9) -> Any:
        """Table with a row per estimate, of the library whose table was asked about.

        Parameters
        ----------
        level : float
            Probability of the central credible intervals.

        Returns
        -------
        pandas, Polars or Arrow table
            The labels, then ``estimate``, the posterior mean, ``sd``, ``low``, ``high`` and
            ``supported``. Actions, covariates and groups that are called like one of these are
            marked, as in ``high (action)``.

        Raises
        ------
        PointsError
            If ``level`` is not a probability.

        Examples
        --------
        >>> [*posterior.slopes("red").to_dataframe()]
        ['red', 'green', 'term', 'contrast', 'estimate', 'sd', 'low', 'high', 'supported']
        """
        supported = self.draws["supported"].to_numpy()
        frame = self.labels.assign(**self._statistics(level), supported=supported)
        if self.kind == "pandas":
            return frame
        # Cells of one type: pandas has NaN for missing text.
        return to_frame(frame.astype(object).where(frame.notna(), None).to_dict("list"), self.kind)

    def _statistics(self, level: float) -> dict[str, Array]:
        draws = np.moveaxis(self.draws.to_numpy(), -1, 0).reshape(len(self), -1)
        own = statistics_of(draws.T, probability(level, "level", PointsError))
        return {"estimate": own.pop("mean"), **own}

    def __str__(self) -> str:
        estimate, _, *ends = self._statistics(0.9).values()
        bands = [format_estimate(*band) for band in zip(estimate, *ends, strict=True)]
        table = self.labels.map(_shown)
        table[["estimate", "90% interval"]] = bands
        share = self.draws["share_supported"].to_numpy()
        if (share < 1).any():
            # Nearly all is not all.
            table["supported"] = [f"{np.floor(100 * own + 1e-9):.0f}%" for own in share]
        rows = table.to_numpy().tolist()
        outcome, intervened = (self.draws.attrs[name] for name in ("outcome", "intervened"))
        lines = [f"{self.draws.name} of {outcome} given do({intervened})", ""]
        lines.append(align_columns([*map(str, table)], rows[:MAX_SHOWN]))
        if len(rows) > MAX_SHOWN:
            lines.append(f"and {len(rows) - MAX_SHOWN:,} more; see to_dataframe()")
        if "population" in self.draws.attrs:
            lines += ["", f"Population: {self.draws.attrs['population']}."]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _shown(cell: Any) -> str:
    is_number = isinstance(cell, Real) and not isinstance(cell, bool)
    return format_number(float(cell)) if is_number else group_label(cell)


def estimates(
    posterior: PosteriorDraws, question: Question, by: By, intervened: Sequence[str] | None
) -> Estimates:
    """Evaluate requests at rows, and average draws over the rows of each estimate."""
    rows, requests, quantity = question
    # The support of a slope is that at the row itself.
    of_slopes = quantity.name == "slope"
    every = [(rows.values,) if of_slopes else request.points for request in requests]
    # Points that occur often count once in the warning.
    points, which = np.unique(
        np.reshape(every, (-1, rows.values.shape[1])), axis=0, return_inverse=True
    )
    query = support_of(posterior).query_at(points, intervened)
    supported = query.verdict.supported[which].reshape(len(requests), -1, len(rows.values))
    averages, parts = predictions_of_rows(posterior, nw.from_native(rows.frame))
    names = dict.fromkeys(own.labels["term"] for own in requests if quantity.link is not None)
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
    combined = quantity.combine(
        posterior, *(np.moveaxis(own, 0, -1) / counts for own in sums.values())
    )
    dims = ("chain", "draw", "estimate")
    labelled = xr.DataArray(combined, coords, dims, quantity.name, attrs | averages.attrs)
    return Estimates(labelled, labels, rows.kind)


def _groups(
    rows: NewRows, requests: Sequence[Request], by: By
) -> tuple[pd.DataFrame, NDArray[np.int_]]:
    """Labels of estimates, and the estimate to which each row of each request belongs, (R, n)."""
    frame = rows.frame.rename(columns=rows.columns)
    every = pd.concat([frame.assign(**own.labels) for own in requests], ignore_index=True)
    which = np.arange(len(every))
    if by is not None and by is not False:
        if by is True:
            by = []
        named = items([by] if isinstance(by, str) else by, "by", "columns", PointsError)
        columns = [rows.columns.get(name, name) for name in named]
        for name in columns:
            if name not in every:
                what = "by: newdata has no column"
                raise PointsError(unknown_name(what, name, [*every], "columns are"))
        # Averages are over rows, not over what is asked about each.
        every = every[[name for name in every if name in (*columns, *requests[0].labels)]]
        # Without any column all rows are alike.
        keys = [every[name] for name in every] or [np.zeros(len(every))]
        try:
            groups = every.groupby(keys, sort=False, dropna=False)
            which, every = groups.ngroup().to_numpy(), every.loc[groups.head(1).index]
        except TypeError as error:
            raise PointsError(f"by: {quoted(columns)} must hold single values ({error})") from error
    return every.reset_index(drop=True), which.reshape(len(requests), -1)


def _folded(name: Any) -> str:
    return str(name).strip().casefold()


def _frame_of_columns(columns: Mapping[Any, Any]) -> pd.DataFrame:
    """Frame of columns of values, or single values."""
    several = any(map(is_sequence, columns.values()))
    # By position, as points are: pandas would align indices.
    own = {n: x.array if isinstance(x, pd.Series) else x for n, x in columns.items()}
    try:
        return pd.DataFrame(own, index=None if several else [0])
    except ValueError as error:
        raise PointsError(f"newdata has columns of different lengths ({error})") from error
