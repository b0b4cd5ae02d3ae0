"""Columns besides actions and outcome: covariates, groups, units, dates as numbers of days."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, listed
from bayes_intgen.data.missing import Missing
from bayes_intgen.errors import BayesIntgenError, DataError
from bayes_intgen.identification.strata import Kind
from bayes_intgen.text.messages import hint

# Maximum number of groups that have a column each in the design matrix. The levels of a finer
# grouping are integrated out.
MAX_GROUP_COLUMNS = 64
# Code of a group that is not in the data, and the label by which queries ask for one.
UNSEEN = -1.0
NEW_GROUP = "new group"


MICROSECONDS_PER_DAY = 86_400_000_000
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")


@dataclass(frozen=True, eq=False)
class CovariateColumns:
    """Names of the covariates, groups and units of rows, and the labels behind their codes.

    Attributes
    ----------
    names : tuple of str, length C
        Names of the covariates.
    categories : tuple of Categories or None, length C
        Levels of each covariate; None for covariates without levels.
    groups : tuple of str, length G
        Names of the groupings.
    labels : tuple of tuples of str, length G
        Labels of the groups of each grouping; the code of a group is its position.
    dates : tuple of str
        Covariates and times that are dates, in days since 1970.
    regime, weights, outcome_sd : str
        Names of these columns in the table from which the rows were read; empty without them.
    time, unit : str
        Names of the columns of the time of a row and of the unit whose rows follow each other;
        empty without them.
    units : tuple of str
        Labels of the units; the code of a unit is its position. Empty if they are a grouping.
    meanings : mapping from str to tuple of str
        Actions that labels of regimes stand for.
    missing : Missing
        Treatment of missing cells.
    """

    names: tuple[str, ...] = ()
    categories: tuple[Categories | None, ...] = ()
    groups: tuple[str, ...] = ()
    labels: tuple[tuple[str, ...], ...] = ()
    dates: tuple[str, ...] = ()
    regime: str = ""
    weights: str = ""
    outcome_sd: str = ""
    time: str = ""
    unit: str = ""
    units: tuple[str, ...] = ()
    meanings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: Missing = "error"

    @property
    def every(self) -> tuple[str, ...]:
        """Names of all columns: covariates, then groupings."""
        return (*self.names, *self.groups)

    def __len__(self) -> int:
        return len(self.names) + len(self.groups)

    @property
    def kinds(self) -> dict[str, Kind]:
        """What a value of each column is, by its name."""
        kinds: dict[str, Kind] = {
            name: "date" if name in self.dates else "value" for name in self.names
        }
        return kinds | dict.fromkeys(self.groups, "group")

    @property
    def times(self) -> tuple[str, ...]:
        """Covariates that are dates, or the time by which rows follow each other."""
        return tuple(name for name in self.names if name in (*self.dates, self.time))

    @property
    def order_in_words(self) -> list[str]:
        """Sentence on the rows that follow each other; empty without a time."""
        of_unit = f" of a {self.unit}" if self.unit else ""
        return [f"rows{of_unit} follow each other by {self.time}"] if self.time else []

    @property
    def fine_grouping(self) -> int | None:
        """Position, among all columns, of the grouping with more than ``MAX_GROUP_COLUMNS`` groups.

        At most one grouping is that fine.
        """
        groupings = enumerate(self.labels, len(self.names))
        return next((i for i, own in groupings if len(own) > MAX_GROUP_COLUMNS), None)

    def encode_groups(
        self,
        grouping: str,
        cells: Sequence[object],
        error: type[BayesIntgenError] = DataError,
        rows: NDArray[np.int_] | None = None,
    ) -> Array:
        """Codes of groups or units by their labels; :data:`UNSEEN` for :data:`NEW_GROUP`.

        ``rows`` are numbers of the cells' rows, for messages; 0, 1, ... by default.

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        BayesIntgenError
            Of class ``error``, on a label that is not in the data.

        Examples
        --------
        >>> CovariateColumns(groups=("region",), labels=(("north", "south"),)).encode_groups(
        ...     "region", ["south", "new group"]
        ... )
        array([ 1., -1.])
        """
        codes, labels = self._codes[grouping], list(map(group_label, cells))
        try:
            return np.array([codes[label] for label in labels], dtype=float)
        except KeyError as unknown:
            (label,) = unknown.args
            at = labels.index(label)
            row = at if rows is None else rows[at]
            where = f" (row {row})" if len(labels) > 1 or rows is not None else ""
            known = self.labels_of[grouping]
            raise error(
                f"{grouping!r} has no group {label!r}{where}; "
                f"{hint(label, known)} groups are {listed(known)}; write "
                f"{NEW_GROUP!r} for one that is not in the data"
            ) from None

    @property
    def labels_of(self) -> dict[str, tuple[str, ...]]:
        """Labels of each grouping, and of the units, by the name of the column."""
        return {self.unit: self.units, **dict(zip(self.groups, self.labels, strict=True))}

    @cached_property
    def _codes(self) -> Mapping[str, Mapping[str, float]]:
        return {
            name: {NEW_GROUP: UNSEEN, **{label: float(i) for i, label in enumerate(own)}}
            for name, own in self.labels_of.items()
        }


def group_label(cell: object) -> str:
    """Label of a group, as :func:`cell_text`; blanks at its ends do not count, as in text files."""
    return cell_text(cell).strip()


def cell_text(cell: object) -> str:
    """Text as it is, whole numbers without a decimal point, dates as in ISO 8601.

    Examples
    --------
    >>> cell_text(3.0), cell_text("north"), cell_text(datetime(2024, 5, 1))
    ('3', 'north', '2024-05-01')
    """
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).removesuffix(" 00:00:00") if isinstance(cell, datetime) else str(cell)


def holds_dates(series: "nw.Series[Any]") -> bool:
    """Whether all cells are dates, also as text in ISO 8601, or missing ones beside some dates.

    Dates may have a time of day.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = (["2024-05-01", None], ["20240501"], [None], pd.to_datetime(["2024-05-01"]))
    >>> [holds_dates(nw.from_native(pd.Series(own), series_only=True)) for own in columns]
    [True, False, False, True]
    """
    # narwhals does not know some zones of pandas, such as America/New_York.
    if series.dtype in (nw.Object, nw.String, nw.Unknown):
        present = series.drop_nulls()
        # Objects such as lists have no hash.
        cells = (present.unique() if series.dtype == nw.String else present).to_list()
        return bool(cells) and all(map(_is_date, cells))
    return series.dtype in (nw.Date, nw.Datetime)


def days_of(value: Any, name: str, error: type[BayesIntgenError], utc: bool = False) -> float:
    """Days since 1970 of a date, or of text such as ``2024-05-01``; raises ``error`` on others.

    Times with a zone are those of the wall clock, or of UTC, in which no hour occurs twice.

    Examples
    --------
    >>> from bayes_intgen.errors import PointsError
    >>> days_of("1970-01-02", "week", PointsError)
    1.0
    """
    # NumPy has no time zones.
    if getattr(value, "tzinfo", None):
        value = (value.astimezone(UTC) if utc else value).replace(tzinfo=None)
    # NumPy would read "20240501" as a year, and numbers as days.
    with suppress(TypeError, ValueError):
        if _is_date(value) and not np.isnat(date := np.datetime64(value)):
            return float(date.astype("datetime64[us]").astype(np.int64)) / MICROSECONDS_PER_DAY
    raise error(f"{name!r} has {value!r}, which is not a date; write it as 2024-05-01")


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
