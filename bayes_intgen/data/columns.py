"""Conversion of tables to rows: roles of columns, codes of levels, masks of regime labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.covariates import CovariateColumns, group_label
from bayes_intgen.data.observed_levels import TableLevels
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.tables import (
    KINDS,
    as_table,
    has_levels,
    label_cells,
    levels_of_column,
    numeric_column,
)
from bayes_intgen.data.validation import (
    OBSERVATIONAL,
    SEPARATOR,
    check_names,
    checked_names,
    refuse_two_roles,
    refuse_unwritable,
    within_squares,
)
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import quoted, unknown_action


class Columns(NamedTuple):
    """Roles of the columns of a table.

    Attributes
    ----------
    actions : tuple of str, length K
    outcome, regime : str
    covariates, groups : tuple of str
    weights, outcome_sd : str or None
        Number of units of which a row is the mean, and the standard deviation of their outcomes.
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
    categories: tuple[Categories | None, ...] = ()
    known: CovariateColumns = CovariateColumns()

    @classmethod
    def of(
        cls,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        covariates: Sequence[str] = (),
        groups: Sequence[str] = (),
        weights: str | None = None,
        outcome_sd: str | None = None,
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
        return cls(names, outcome, regime, *others, weights, outcome_sd)

    @property
    def every(self) -> list[str]:
        """Names of all columns."""
        single = (self.outcome, self.regime, self.weights, self.outcome_sd)
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
        known = CovariateColumns(self.covariates, covariates, self.groups, levels.labels())
        return self._replace(categories=tuple(own[name] for name in self.actions), known=known)

    def has_levels(self, frame: Any) -> bool:
        """Whether a table, which may be empty, has groups or a column of levels.

        Missing columns count as numeric.
        """
        table = as_table(frame)
        return bool(self.groups) or (
            table is not None
            and any(
                has_levels(table, name)
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
            self.refuse_missing(table)
            here = TableLevels(
                {
                    name: levels_of_column(table, name, first_row)
                    if has_levels(table, name)
                    else None
                    for name in (*self.actions, *self.covariates)
                },
                {
                    name: frozenset(map(group_label, _distinct(table, name, first_row)))
                    for name in self.groups
                },
            )
            levels = here if levels is None else levels.merge(here)
            if not (self.groups or any(levels.levels.values())):
                break
            first_row += len(table)
        return levels

    def refuse_missing(self, table: nw.DataFrame[Any]) -> None:
        """Raise DataError if a table lacks one of the columns."""
        present = list(table.columns)
        missing = [name for name in self.every if name not in present]
        if missing:
            raise DataError(f"the frame has no column {quoted(missing)}; it has {quoted(present)}")

    def read(self, table: nw.DataFrame[Any], first_row: int = 0) -> Observations:
        """Convert a table to rows, validating labels only; rows are numbered from ``first_row``."""
        self.refuse_missing(table)
        labels = table[self.regime]
        if labels.dtype.is_nested():
            raise DataError(f"column {self.regime!r} holds {labels.dtype}, not labels")
        levels = self.known.categories or (None,) * len(self.covariates)
        covariates = [
            *(
                _codes(table, name, own, first_row)
                for name, own in zip(self.covariates, levels, strict=True)
            ),
            *(
                self.known.encode_groups(name, label_cells(table, name, DataError, first_row))
                for name in self.groups
            ),
        ]
        outcome = numeric_column(table, self.outcome, DataError)
        weights, sd = (
            None if name is None else numeric_column(table, name, DataError)
            for name in (self.weights, self.outcome_sd)
        )
        return Observations(
            self.actions,
            self.outcome,
            np.stack(
                [
                    _codes(table, name, levels, first_row)
                    for name, levels in zip(self.actions, self._levels, strict=True)
                ],
                axis=1,
            ),
            outcome,
            _masks_of_labels(
                labels.to_list(), labels.is_null().to_list(), self.actions, self.regime, first_row
            ),
            categories=self._levels,
            columns=self.known,
            covariates=np.stack(covariates, axis=1) if covariates else np.empty((len(table), 0)),
            weights=weights,
            within=within_squares(weights, sd),
        )

    @property
    def _levels(self) -> tuple[Categories | None, ...]:
        return self.categories or (None,) * len(self.actions)


def _distinct(table: nw.DataFrame[Any], name: str, first_row: int) -> Iterable[Any]:
    return dict.fromkeys(label_cells(table, name, DataError, first_row))


def _codes(
    table: nw.DataFrame[Any], name: str, levels: Categories | None, first_row: int
) -> NDArray[np.float64]:
    """Encode the column of an action; raises DataError on an unknown level."""
    if has_levels(table, name) and levels is not None:
        return levels.encode(
            label_cells(table, name, DataError, first_row), name, first_row=first_row
        )
    values = numeric_column(table, name, DataError)
    # Cells that are not finite are reported later, all at once.
    finite = np.isfinite(values)
    if levels is not None and not levels.covers(values[finite]).all():
        levels.encode(np.where(finite, values, levels.codes[0]), name, first_row=first_row)
    return values


def _masks_of_labels(
    cells: Sequence[Any],
    missing: Sequence[bool],
    names: tuple[str, ...],
    column: str,
    first_row: int,
) -> NDArray[np.bool_]:
    position = {name: k for k, name in enumerate(names)}
    mask_of: dict[str, NDArray[np.bool_]] = {}
    masks = np.zeros((len(cells), len(names)), dtype=np.bool_)
    for row, (cell, is_missing) in enumerate(zip(cells, missing, strict=True)):
        # pandas reads an empty column as NaN.
        if is_missing or (isinstance(cell, float) and cell != cell):
            continue
        label = cell if isinstance(cell, str) else str(cell)
        if label not in mask_of:
            mask_of[label] = _mask_of_label(label, position, first_row + row, column)
        masks[row] = mask_of[label]
    return masks


def _mask_of_label(
    label: str, position: Mapping[str, int], row: int, column: str
) -> NDArray[np.bool_]:
    mask = np.zeros(len(position), dtype=np.bool_)
    whole = label if label in position else label.strip()
    if whole in ("", OBSERVATIONAL):
        return mask
    parts = [whole] if whole in position else [part.strip() for part in whole.split(SEPARATOR)]
    for part in parts:
        if part not in position:
            raise DataError(
                f"column {column!r} has the label {label!r} in row {row}: "
                f"{unknown_action(part, list(position))}; in observational rows the label must be "
                f"empty or {OBSERVATIONAL!r}"
            )
        mask[position[part]] = True
    return mask


def read_batches(
    tables: Iterable[Any], columns: Columns, first_row: int = 0
) -> Iterator[Observations]:
    """Convert tables to rows, skipping empty ones; rows are numbered from ``first_row``."""
    for table in tables_of(tables):
        yield columns.read(table, first_row)
        first_row += len(table)


def tables_of(batches: Iterable[Any]) -> Iterator[nw.DataFrame[Any]]:
    """Convert batches to tables, skipping empty ones; raises DataError on other objects."""
    for native in batches:
        table = as_table(native)
        if table is None:
            raise DataError(f"a batch must be {KINDS}, not {type(native).__name__}")
        if len(table):
            yield table
