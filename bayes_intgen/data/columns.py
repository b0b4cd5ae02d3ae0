"""Conversion of tables to rows: roles of columns, codes of levels, masks of regime labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayes_intgen._arguments import items
from bayes_intgen._columns import side_by_side
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.observed_levels import ActionLevels
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.tables import (
    KINDS,
    as_table,
    has_levels,
    label_cells,
    levels_of_column,
    numeric_column,
)
from bayes_intgen.data.validation import OBSERVATIONAL, SEPARATOR, check_names, refuse_unwritable
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import quoted, unknown_action


class Columns(NamedTuple):
    """Roles of the columns of a table.

    Attributes
    ----------
    actions : tuple of str, length K
    outcome, regime : str
    categories : tuple of Categories or None, length K
        Levels of each action, None for actions without levels; empty if not yet known.
    """

    actions: tuple[str, ...]
    outcome: str
    regime: str
    categories: tuple[Categories | None, ...] = ()

    @classmethod
    def of(cls, actions: Sequence[str], outcome: str, regime: str) -> Self:
        """Validate names of columns; raises DataError if they are unusable."""
        names = items(actions, "actions", "columns", DataError)
        if not all(isinstance(name, str) for name in names):
            raise DataError("actions must be names of columns; rename columns that are numbers")
        check_names(names, len(names))
        if not (isinstance(outcome, str) and isinstance(regime, str)):
            raise DataError("outcome and regime must be names of columns")
        if outcome in names or regime in (*names, outcome):
            raise DataError("actions, outcome and regime must be different columns")
        refuse_unwritable(outcome, "the outcome")
        return cls(names, outcome, regime)

    def with_levels(self, tables: Iterable[nw.DataFrame[Any]]) -> Self:
        """Add the levels that occur in consecutive tables.

        Numeric columns have no levels. If the first table has no column of levels, the others are
        not read.

        Raises
        ------
        DataError
            As in :func:`levels_of_column` and :meth:`ColumnLevels.categories`.
        """
        levels = self.levels_of(tables)
        return self if levels is None else self.with_known_levels(levels)

    def with_known_levels(self, levels: ActionLevels) -> Self:
        """Add levels that have been collected, after validation."""
        return self._replace(categories=levels.categories())

    def has_levels(self, frame: Any) -> bool:
        """Whether any action has a column of levels in a table, which may be empty.

        Missing columns count as numeric.
        """
        table = as_table(frame)
        return table is not None and any(
            has_levels(table, name) for name in self.actions if name in table.columns
        )

    def with_two_valued(self, values: Sequence[tuple[float, ...]]) -> Self:
        """Add levels to numeric actions with two distinct values.

        Parameters
        ----------
        values : sequence of tuples, length K
            Distinct values of each action in all rows, at most three of them.
        """
        categories = tuple(
            Categories.of_numbers(distinct) if levels is None and len(distinct) == 2 else levels
            for levels, distinct in zip(self._levels, values, strict=True)
        )
        return self._replace(categories=categories)

    def levels_of(
        self, tables: Iterable[nw.DataFrame[Any]], first_row: int = 0
    ) -> ActionLevels | None:
        """Collect the levels that occur in tables; None without tables."""
        levels: ActionLevels | None = None
        for table in tables:
            self.refuse_missing(table)
            here = ActionLevels(
                {
                    name: levels_of_column(table, name, first_row)
                    if has_levels(table, name)
                    else None
                    for name in self.actions
                }
            )
            levels = here if levels is None else levels.merge(here)
            if not any(levels.levels.values()):
                break
            first_row += len(table)
        return levels

    def refuse_missing(self, table: nw.DataFrame[Any]) -> None:
        """Raise DataError if a table lacks one of the columns."""
        present = list(table.columns)
        missing = [c for c in (*self.actions, self.outcome, self.regime) if c not in present]
        if missing:
            raise DataError(f"the frame has no column {quoted(missing)}; it has {quoted(present)}")

    def read(self, table: nw.DataFrame[Any], first_row: int = 0) -> Observations:
        """Convert a table to rows, validating labels only; rows are numbered from ``first_row``."""
        self.refuse_missing(table)
        labels = table[self.regime]
        if labels.dtype.is_nested():
            raise DataError(f"column {self.regime!r} holds {labels.dtype}, not labels")
        return Observations(
            self.actions,
            self.outcome,
            side_by_side(
                [
                    _codes(table, name, levels, first_row)
                    for name, levels in zip(self.actions, self._levels, strict=True)
                ]
            ),
            numeric_column(table, self.outcome, DataError),
            _masks_of_labels(
                labels.to_list(), labels.is_null().to_list(), self.actions, self.regime, first_row
            ),
            categories=self._levels,
        )

    @property
    def _levels(self) -> tuple[Categories | None, ...]:
        return self.categories or (None,) * len(self.actions)


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
