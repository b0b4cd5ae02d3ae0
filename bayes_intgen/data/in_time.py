"""Rows of units that follow each other in time, where they are read piece by piece."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

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
    units : ndarray of int, shape (U,)
        Units that occur, in ascending order; none without a time.
    first, last : ndarray, shape (U,)
        Times of their first and last rows.
    """

    columns: CovariateColumns
    units: NDArray[np.int_]
    first: Array
    last: Array

    @classmethod
    def of(cls, rows: Observations) -> Self:
        """Order of some rows; raises DataError unless those of each unit are in order."""
        if rows.series is None or rows.time is None:
            return cls(rows.columns, np.empty(0, dtype=int), np.empty(0), np.empty(0))
        order = np.argsort(rows.series, kind="stable")
        series, time = rows.series[order], rows.time[order]
        is_first = np.diff(series, prepend=-1) != 0
        back = np.flatnonzero(~is_first[1:] & (np.diff(time) < 0))
        if back.size:
            at = int(back[0])
            _refuse_disorder(rows.columns, series[at], time[at], time[at + 1])
        return cls(rows.columns, series[is_first], time[is_first], time[np.roll(is_first, -1)])

    def followed_by(self, other: Self) -> Self:
        """Order together with the rows after these; raises DataError if a unit goes back."""
        _, own, others = self._shared(other)
        back = np.flatnonzero(other.first[others] < self.last[own])
        if back.size:
            at, then = own[back[0]], others[back[0]]
            _refuse_disorder(self.columns, self.units[at], self.last[at], other.first[then])
        units = np.union1d(self.units, other.units)
        first, last = np.empty(len(units)), np.empty(len(units))
        own, others = (np.searchsorted(units, order.units) for order in (self, other))
        first[others], last[own] = other.first, self.last
        first[own], last[others] = self.first, other.last
        return type(self)(self.columns, units, first, last)

    def refuse_units_of(self, other: Self) -> None:
        """Raise DataError if another partition has rows of these units."""
        shared, own, others = self._shared(other)
        if not shared.size:
            return
        columns, unit = self.columns, self.columns.unit
        times = (self.last[own[0]], other.first[others[0]])
        remedy = f"as does frame.set_index({unit!r}, drop=False)" if unit else "or name unit"
        raise DataError(
            f"rows{of_unit(columns, shared[0])} are in two partitions, with {columns.time!r} "
            f"{' and '.join(_time(columns, time) for time in times)}; keep all rows of a unit in "
            f"one partition or file, {remedy}"
        )

    def _shared(self, other: Self) -> tuple[NDArray[np.int_], NDArray[np.intp], NDArray[np.intp]]:
        """Units of both, and where they are."""
        return np.intersect1d(self.units, other.units, assume_unique=True, return_indices=True)


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
    assert rows.series is not None
    ends = np.searchsorted(rows.series, rows.series, side="right")
    return rows.take(ends - np.arange(len(rows)) <= count)


def gaps(rows: Observations) -> Array:
    """Time since the row before, of rows by unit and time; infinite for the first of a unit."""
    assert rows.series is not None
    assert rows.time is not None
    same = np.diff(rows.series, prepend=-1) == 0
    return np.where(same, np.diff(rows.time, prepend=0.0), np.inf)


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
