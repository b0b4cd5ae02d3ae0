"""Dates as numbers of days."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayes_intgen.errors import BayesIntgenError

SECONDS_PER_DAY = 86_400
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")


def are_dates(cells: Sequence[Any] | NDArray[Any]) -> bool:
    """Whether all cells are dates, with or without a time of day; also as text in ISO 8601.

    Examples
    --------
    >>> are_dates(["2024-05-01"]), are_dates(["20240501"]), are_dates([])
    (True, False, False)
    """
    return len(cells) > 0 and all(map(_is_date, cells))


def holds_dates(series: "nw.Series[Any]") -> bool:
    """Whether a column holds dates, as :func:`are_dates`, apart from missing cells.

    Examples
    --------
    >>> import pandas as pd
    >>> holds_dates(nw.from_native(pd.Series(pd.to_datetime(["2024-05-01"])), series_only=True))
    True
    """
    if series.dtype in (nw.Object, nw.String):
        return are_dates(series.drop_nulls().unique().to_list())
    return series.dtype in (nw.Date, nw.Datetime)


def days_of_column(
    cells: Sequence[Any] | NDArray[Any], name: str, error: type[BayesIntgenError]
) -> NDArray[np.float64]:
    """Days since 1970 of the cells of a column, as :func:`days_of`."""
    return np.array([days_of(cell, name, error) for cell in cells], dtype=np.float64)


def days_of(value: Any, name: str, error: type[BayesIntgenError]) -> float:
    """Days since 1970 of a date, or of text such as ``2024-05-01``; raises ``error`` on others.

    Examples
    --------
    >>> from bayes_intgen.errors import PointsError
    >>> days_of("1970-01-02", "week", PointsError)
    1.0
    """
    try:
        return _days(value)
    except (TypeError, ValueError) as refusal:
        raise error(
            f"{name!r} has {value!r}, which is not a date; write it as 2024-05-01"
        ) from refusal


def date_text(days: float) -> str:
    """Date of a number of days since 1970, without the time of day.

    Examples
    --------
    >>> date_text(1.5)
    '1970-01-02'
    """
    return str(np.datetime64(int(days // 1), "D"))


def _is_date(cell: Any) -> bool:
    return isinstance(cell, date | np.datetime64) or (
        isinstance(cell, str) and ISO_DATE.fullmatch(cell) is not None
    )


def _days(value: Any) -> float:
    if not _is_date(value):
        # NumPy would read "20240501" as a year, and numbers as days.
        raise ValueError("it has another form")
    if getattr(value, "tzinfo", None) is not None:
        # NumPy has no time zones: days are those of the wall clock.
        value = value.replace(tzinfo=None)
    seconds = np.datetime64(value).astype("datetime64[s]")
    if np.isnat(seconds):
        raise ValueError("it is missing")
    return float(seconds.astype(np.int64)) / SECONDS_PER_DAY
