"""Conversion of tables to rows: roles of columns, codes of levels, masks of regime labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.covariates import CovariateColumns, group_label
from bayes_intgen.data.dates import days_of_column, holds_dates
from bayes_intgen.data.missing import (
    Missing,
    MissingCells,
    any_missing,
    check_missing,
    treatment_of,
)
from bayes_intgen.data.observed_levels import TableLevels
from bayes_intgen.data.regime_labels import masks_of_labels
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.tables import (
    KINDS,
    as_table,
    filled_cells,
    has_levels,
    levels_of_column,
    missing_cells,
    numeric_column,
)
from bayes_intgen.data.validation import (
    check_names,
    checked_names,
    refuse_two_roles,
    refuse_unwritable,
    within_squares,
)
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import hint, quoted


class Batch(NamedTuple):
    """Consecutive rows of a source, without those that have missing cells.

    Attributes
    ----------
    rows : Observations
    numbers : ndarray of int, shape (n,)
        Positions of the rows in the source.
    missing : MissingCells
        Counts of the missing cells among these and the other rows.
    """

    rows: Observations
    numbers: NDArray[np.int_]
    missing: MissingCells


# Remedy for a source whose rows change between passes.
SAME_ROWS = "make the data again, from a source that gives the same rows every time"


class Columns(NamedTuple):
    """Roles of the columns of a table.

    Attributes
    ----------
    actions : tuple of str, length K
    outcome, regime : str
    covariates, groups : tuple of str
    weights, outcome_sd : str or None
        Number of units of which a row is the mean, and the standard deviation of their outcomes.
    missing : Missing
        Treatment of missing cells.
    categories : tuple of Categories or None, length K
        Levels of each action, None for actions without levels; empty if not yet known.
    known : CovariateColumns
        Levels of the covariates and labels of the groups; empty if not yet known.
    """

    actions: tuple[str, ...]
    outcome: str
    regime: str
    covariates: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    weights: str | None = None
    outcome_sd: str | None = None
    missing: Missing = "error"
    categories: tuple[Categories | None, ...] = ()
    known: CovariateColumns = CovariateColumns()

    @classmethod
    def of(
        cls,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        covariates: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        weights: str | None = None,
        outcome_sd: str | None = None,
        missing: Missing = "error",
    ) -> Self:
        """Validate names of columns; raises DataError if they are unusable."""
        names = checked_names(actions, "actions")
        check_names(names, len(names))
        others = checked_names(covariates, "covariates"), checked_names(groups, "groups")
        singles = {"outcome": outcome, "regime": regime}
        singles |= {"weights": weights} if weights is not None else {}
        singles |= {"outcome_sd": outcome_sd} if outcome_sd is not None else {}
        for role, name in singles.items():
            if not isinstance(name, str):
                raise DataError(f"{role} must be the name of a column, not {name!r}")
        roles = [("actions", name) for name in names]
        roles += [("covariates", name) for name in others[0]]
        roles += [("groups", name) for name in others[1]]
        roles += list(singles.items())
        refuse_two_roles(roles)
        if outcome_sd is not None and weights is None:
            raise DataError(
                "outcome_sd is the standard deviation among the units of a row; pass their "
                "number as weights too"
            )
        refuse_unwritable(outcome, "the outcome")
        known = CovariateColumns(regime=regime, weights=weights or "", outcome_sd=outcome_sd or "")
        columns = cls(names, outcome, regime, *others, weights, outcome_sd, missing, known=known)
        check_missing(missing, columns.complete_columns, columns.covariates)
        return columns

    @property
    def every(self) -> list[str]:
        """Names of all columns."""
        return [*self.complete_columns, self.regime]

    @property
    def complete_columns(self) -> list[str]:
        """Names of the columns without missing cells: all except the regimes."""
        single = (self.outcome, self.weights, self.outcome_sd)
        present = (name for name in single if name is not None)
        return [*self.actions, *self.covariates, *self.groups, *present]

    def with_levels(self, tables: Iterable[nw.DataFrame[Any]]) -> Self:
        """Add the levels and groups that occur in consecutive tables.

        Numeric columns have no levels. If the first table has no column of levels and there are no
        groups, the other tables are not read.

        Raises
        ------
        DataError
            As in :func:`levels_of_column` and :meth:`ColumnLevels.categories`.
        """
        levels = self.levels_of(tables)
        return self if levels is None else self.with_known_levels(levels)

    def with_known_levels(self, levels: TableLevels) -> Self:
        """Add levels and groups that have been collected, after validation."""
        own = levels.categories()
        covariates = tuple(own.get(name) for name in self.covariates)
        dates = tuple(name for name in self.covariates if name in levels.dates)
        known = replace(
            self.known,
            names=self.covariates,
            categories=covariates,
            groups=self.groups,
            labels=levels.labels(),
            dates=dates,
        )
        return self._replace(categories=tuple(own[name] for name in self.actions), known=known)

    def has_levels(self, frame: Any) -> bool:
        """Whether a table, which may be empty, has groups, dates or a column of levels.

        Missing columns count as numeric.
        """
        table = as_table(frame)
        return bool(self.groups) or (
            table is not None
            and any(
                has_levels(table, name) or (name in self.covariates and holds_dates(table[name]))
                for name in (*self.actions, *self.covariates)
                if name in table.columns
            )
        )

    def with_two_valued(self, values: Sequence[tuple[float, ...]]) -> Self:
        """Add levels to numeric actions and covariates with two distinct values.

        Parameters
        ----------
        values : sequence of tuples, length K + C
            Distinct values of each action and covariate in all rows, at most three of them.
        """
        every = (*self._levels, *(self.known.categories or (None,) * len(self.covariates)))
        categories = tuple(
            Categories.of_numbers(distinct) if levels is None and len(distinct) == 2 else levels
            for levels, distinct in zip(every, values, strict=True)
        )
        count = len(self.actions)
        known = replace(self.known, names=self.covariates, categories=categories[count:])
        return self._replace(categories=categories[:count], known=known)

    def levels_of(
        self, tables: Iterable[nw.DataFrame[Any]], first_row: int = 0
    ) -> TableLevels | None:
        """Collect the levels and groups that occur in tables; None without tables."""
        levels: TableLevels | None = None
        for table in tables:
            complete, numbers, _ = self._complete(table, first_row)
            first_row += len(table)
            if not numbers.size:
                continue
            dates = frozenset(name for name in self.covariates if holds_dates(complete[name]))
            here = TableLevels(
                {
                    name: levels_of_column(complete, name, numbers)
                    if name not in dates and has_levels(complete, name)
                    else None
                    for name in (*self.actions, *self.covariates)
                },
                {
                    name: frozenset(map(group_label, dict.fromkeys(filled_cells(complete, name))))
                    for name in self.groups
                },
                dates,
            )
            levels = here if levels is None else levels.merge(here)
            if not (self.groups or any(levels.levels.values())):
                break
        return levels

    def refuse_absent(self, table: nw.DataFrame[Any]) -> None:
        """Raise DataError if a table lacks one of the columns."""
        present = list(table.columns)
        absent = [name for name in self.every if name not in present]
        if not absent:
            return
        role = " for the regime labels" if absent == [self.regime] else ""
        raise DataError(
            f"the frame has no column {quoted(absent)}{role}; {hint(absent[0], present)} columns "
            f"are {quoted(present)}"
        )

    def read(self, table: nw.DataFrame[Any], first_row: int = 0) -> Batch:
        """Convert the complete rows of a table, validating labels only.

        Rows are numbered from ``first_row``.
        """
        complete, numbers, absent = self._complete(table, first_row)
        labels = table[self.regime]
        if labels.dtype.is_nested():
            raise DataError(f"column {self.regime!r} holds {labels.dtype}, not labels")
        masks = masks_of_labels(
            labels.to_list(), missing_cells(labels).tolist(), self.actions, self.regime, first_row
        )
        levels = self.known.categories or (None,) * len(self.covariates)
        covariates = [
            *(
                days_of_column(complete[name].to_list(), name, DataError)
                if name in self.known.dates
                else _codes(complete, name, own, numbers)
                for name, own in zip(self.covariates, levels, strict=True)
            ),
            *(
                self.known.encode_groups(name, filled_cells(complete, name))
                if numbers.size
                else np.empty(0)
                for name in self.groups
            ),
        ]
        outcome, weights, sd = (
            None if name is None else numeric_column(complete, name, DataError, first_row)
            for name in (self.outcome, self.weights, self.outcome_sd)
        )
        assert outcome is not None
        rows = Observations(
            self.actions,
            self.outcome,
            np.stack(
                [
                    _codes(complete, name, levels, numbers)
                    for name, levels in zip(self.actions, self._levels, strict=True)
                ]
            ).T,
            outcome,
            masks if len(numbers) == len(table) else masks.T[:, numbers - first_row].T,
            categories=self._levels,
            columns=self.known,
            covariates=np.stack(covariates, axis=1) if covariates else np.empty((len(outcome), 0)),
            weights=weights,
            within=within_squares(weights, sd),
        )
        return Batch(rows, numbers, MissingCells.of(absent, masks, first_row))

    def _complete(
        self, table: nw.DataFrame[Any], first_row: int
    ) -> tuple[nw.DataFrame[Any], NDArray[np.int_], dict[str, NDArray[np.bool_]]]:
        """Rows without missing cells, their numbers, and missing cells by column."""
        self.refuse_absent(table)
        none = np.zeros(len(table), dtype=np.bool_)
        absent = {}
        for name in self.complete_columns:
            missing = self._missing_cells(table, name)
            # Most columns are complete, and share an array.
            absent[name] = missing if missing.any() else none
        complete = ~any_missing(absent)
        numbers = first_row + np.flatnonzero(complete)
        return table if complete.all() else table.filter(complete.tolist()), numbers, absent

    def _missing_cells(self, table: nw.DataFrame[Any], name: str) -> NDArray[np.bool_]:
        """Missing cells of a column, unless they are a level or not needed."""
        missing = missing_cells(table[name])
        if name == self.outcome_sd and self.weights is not None:
            # A row of one unit has no standard deviation.
            missing &= numeric_column(table, self.weights, DataError) != 1
        if name not in self.covariates or treatment_of(self.missing, name) != "level":
            return missing
        return missing & (not has_levels(table, name))

    def refuse_missing(self, missing: MissingCells) -> None:
        """Raise DataError if there are missing cells that may not be left out."""
        levels = self.known.categories or (None,) * len(self.covariates)
        text = [name for name, own in zip(self.covariates, levels, strict=True) if own]
        missing.refuse(self.actions, self.missing, text)

    @property
    def _levels(self) -> tuple[Categories | None, ...]:
        return self.categories or (None,) * len(self.actions)


def _codes(
    table: nw.DataFrame[Any], name: str, levels: Categories | None, numbers: NDArray[np.int_]
) -> NDArray[np.float64]:
    """Encode a column of complete rows; raises DataError on an unknown level."""
    if has_levels(table, name) and levels is not None:
        return levels.encode(filled_cells(table, name), name, rows=numbers)
    values = numeric_column(table, name, DataError, int(numbers[0]) if numbers.size else 0)
    # Cells that are not finite are reported later, all at once.
    finite = np.isfinite(values)
    if levels is not None and not levels.covers(values[finite]).all():
        levels.encode(np.where(finite, values, levels.codes[0]), name, rows=numbers)
    return values


def read_batches(tables: Iterable[Any], columns: Columns, first_row: int = 0) -> Iterator[Batch]:
    """Convert tables to rows, skipping empty ones; rows are numbered from ``first_row``."""
    for table in tables_of(tables):
        yield columns.read(table, first_row)
        first_row += len(table)


def read_again(
    tables: Iterable[Any], columns: Columns, first_row: int = 0
) -> Iterator[Observations]:
    """Convert tables to rows in a later pass; raises DataError on new missing cells."""
    for batch in read_batches(tables, columns, first_row):
        try:
            columns.refuse_missing(batch.missing)
        except DataError as error:
            raise DataError(
                "the source now holds cells that are NaN or missing, which it did not when it was "
                f"first read: {error}. Or {SAME_ROWS}"
            ) from error
        if len(batch.rows):
            yield batch.rows


def tables_of(batches: Iterable[Any]) -> Iterator[nw.DataFrame[Any]]:
    """Convert batches to tables, skipping empty ones; raises DataError on other objects."""
    for native in batches:
        table = as_table(native)
        if table is None:
            raise DataError(f"a batch must be {KINDS}, not {type(native).__name__}")
        if len(table):
            yield table
