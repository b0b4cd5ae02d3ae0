"""Dates as numbers of days."""

import re
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._lazy import nw
from bayes_intgen.errors import BayesIntgenError

SECONDS_PER_DAY = 86_400
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")


def holds_dates(series: "nw.Series[Any]") -> bool:
    """Whether a column holds dates, with or without a time of day; also as text in ISO 8601.

    Examples
    --------
    >>> import pandas as pd
    >>> holds_dates(nw.from_native(pd.Series(pd.to_datetime(["2024-05-01"])), series_only=True))
    True
    """
    if series.dtype in (nw.Object, nw.String):
        cells = series.drop_nulls().unique().to_list()
        return bool(cells) and all(
            isinstance(cell, date) or (isinstance(cell, str) and ISO_DATE.fullmatch(cell))
            for cell in cells
        )
    return series.dtype in (nw.Date, nw.Datetime)


def days_of_column(series: "nw.Series[Any]") -> NDArray[np.float64]:
    """Days since 1970 of a column for which :func:`holds_dates` is true; NaN if missing."""
    cells = [None if cell is None or cell != cell else cell for cell in series.to_list()]
    return np.array([np.nan if cell is None else _days(cell) for cell in cells], dtype=np.float64)


def days_of(value: Any, name: str, error: type[BayesIntgenError]) -> float:
    """Days since 1970 of a date, of text such as ``2024-05-01``, or given as a finite number.

    Examples
    --------
    >>> from bayes_intgen.errors import PointsError
    >>> days_of("1970-01-02", "week", PointsError)
    1.0
    """
    try:
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        days = float(value) if is_number else _days(value)
        if not np.isfinite(days):
            raise ValueError("it is not finite")
        return days
    except (TypeError, ValueError) as refusal:
        raise error(
            f"{name!r} is set to {value!r}, which is not a date; write it as 2024-05-01"
        ) from refusal


def _days(value: Any) -> float:
    zone = getattr(value, "tzinfo", None)
    if zone is not None:
        # NumPy has no time zones: days are those of the wall clock.
        value = value.replace(tzinfo=None)
    seconds = np.datetime64(value).astype("datetime64[s]")
    if np.isnat(seconds):
        raise ValueError("it is missing")
    return float(seconds.astype(np.int64)) / SECONDS_PER_DAY
