"""Rows of units that follow each other in time, where they are read piece by piece."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, Self

import numpy as np
import pandas as pd

from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import CovariateColumns, date_text
from bayes_intgen.data.rows import OPENING_ROWS, Observations, Transformation
from bayes_intgen.errors import DataError
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import option


class Order(NamedTuple):
    """Units of consecutive rows, and their times.

    Attributes
    ----------
    columns : CovariateColumns
    first, last : Series
        Times of the first and last rows of each unit that occurs, in ascending order of the units;
        empty without a time.
    """

    columns: CovariateColumns
    first: "pd.Series[float]"
    last: "pd.Series[float]"

    @classmethod
    def of(cls, rows: Observations) -> Self:
        """Order of some rows; raises DataError unless those of each unit are in order."""
        if rows.series is None or rows.time is None:
            return cls(rows.columns, pd.Series(dtype=float), pd.Series(dtype=float))
        by_unit = pd.Series(rows.time).groupby(rows.series)
        for at in np.flatnonzero(by_unit.diff() < 0):
            _refuse_disorder(rows.columns, rows.series[at], by_unit.shift()[at], rows.time[at])
        return cls(rows.columns, by_unit.first(), by_unit.last())

    def followed_by(self, other: Self) -> Self:
        """Order together with the rows after these; raises DataError if a unit goes back."""
        last = self.last.reindex(other.first.index)
        for unit in other.first.index[other.first < last]:
            _refuse_disorder(self.columns, unit, last[unit], other.first[unit])
        first, last = self.first.combine_first(other.first), other.last.combine_first(self.last)
        return type(self)(self.columns, first, last)

    def refuse_units_of(self, other: Self) -> None:
        """Raise DataError if another partition has rows of these units."""
        columns, unit = self.columns, self.columns.unit
        remedy = f"as does frame.set_index({unit!r}, drop=False)" if unit else "or name unit"
        for shared in self.first.index.intersection(other.first.index):
            times = (self.last[shared], other.first[shared])
            raise DataError(
                f"rows{of_unit(columns, shared)} are in two partitions, with {columns.time!r} "
                f"{' and '.join(_time(columns, time) for time in times)}; keep all rows of a unit "
                f"in one partition or file, {remedy}"
            )


def of_unit(columns: CovariateColumns, unit: int) -> str:
    """Which unit rows are of, for a message; empty if all are of one."""
    return f" of {columns.labels_of[columns.unit][unit]!r}" if columns.unit else ""


def _time(columns: CovariateColumns, time: float) -> str:
    return date_text(time) if columns.time in columns.dates else format_number(time)


def _refuse_disorder(columns: CovariateColumns, unit: int, before: float, after: float) -> NoReturn:
    """Raise DataError on two times of a unit in the wrong order."""
    by = " and ".join(map(repr, filter(None, [columns.unit, columns.time])))
    others = option(", or read them with RegimeData.from_frame", command="")
    raise DataError(
        f"rows{of_unit(columns, unit)} are not in the order of {columns.time!r}: "
        f"{_time(columns, after)} comes after {_time(columns, before)}; sort them by {by}{others}"
    )


@dataclass(frozen=True)
class WithPast:
    """Apply a function to consecutive pieces, each after earlier rows of its units.

    Attributes
    ----------
    function : callable
        If it needs earlier rows, it leaves out none.
    periods : int
        Number of earlier rows of each unit that it needs.
    """

    function: Transformation
    periods: int

    def __call__(self, pieces: Iterable[Observations]) -> Iterable[Observations]:
        """What the function makes of pieces; raises DataError if a unit goes back in time."""
        if not self.periods:
            yield from filter(len, map(self.function, pieces))
            return
        past = order = None
        for piece in pieces:
            own = Order.of(piece)
            order = own if order is None else order.followed_by(own)
            every = piece if past is None else past.followed_by(piece)
            yield self.function(every).take(slice(len(every) - len(piece), None))
            past = _last_rows(every, self.periods)


def opening_of(before: Observations, after: Observations) -> Observations:
    """Opening of rows, from those of two parts of them: see :attr:`Rows.opening`."""
    if before.time is None and len(before) >= OPENING_ROWS:
        return before
    return before.followed_by(after).opening


def _last_rows(rows: Observations, count: int) -> Observations:
    """The last rows of each unit, by unit and time."""
    rows = rows.by_time
    after = pd.Series(rows.series).groupby(rows.series).cumcount(ascending=False)
    return rows.take(after.to_numpy() < count)


def gaps(rows: Observations) -> Array:
    """Time since the row before, of rows by unit and time; infinite for the first of a unit."""
    since = pd.Series(rows.time).groupby(rows.series).diff()
    return np.asarray(since.fillna(np.inf))


def step_of(gaps: Array) -> float:
    """Median positive time between rows; zero if no rows follow each other."""
    within = gaps[np.isfinite(gaps) & (gaps > 0)]
    return float(np.median(within)) if within.size else 0.0


def refuse_without_past(rows: str, columns: CovariateColumns) -> NoReturn:
    """Raise DataError on rows none of which has the earlier periods that act in it."""
    remedy = option("give a shorter length in carryover", command="omit --carryover")
    raise DataError(
        f"no row{rows} has earlier rows for as long as its actions act; hold them for longer, "
        f"number {columns.time!r} without gaps, or {remedy}"
    )
