"""Roles of the columns of a table and how they are read: levels, masks, missing cells."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol, Self, TypedDict, Unpack, get_args

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayes_intgen._arguments import MAX_MAGNITUDE, items
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.covariates import CovariateColumns, group_label, holds_dates
from bayes_intgen.data.levels import (
    ColumnLevels,
    ColumnUse,
    Content,
    labels_of_groups,
    merged,
    refuse_unwritable,
)
from bayes_intgen.data.missing import Missing, MissingCells, check_missing, treatment_of
from bayes_intgen.data.regime_labels import (
    LabelReader,
    Labels,
    UnknownActionError,
    checked_meanings,
    is_observational,
    label_texts,
    masks_of_labels,
    refuse_unused,
)
from bayes_intgen.data.rows import SAME_ROWS, Observations
from bayes_intgen.data.tables import (
    KINDS,
    as_table,
    days_of_column,
    distinct_cells,
    has_levels,
    levels_of_column,
    missing_cells,
    numeric_column,
)
from bayes_intgen.data.validation import check_cells
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import hint, option, quoted


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


class Each(Protocol):
    """Function that applies another to items in order: ``map``, or one that does so in threads."""

    def __call__[S, T](self, function: Callable[[S], T], items: Iterable[S], /) -> Iterator[T]: ...


class Options(TypedDict, total=False):
    """Roles of further columns and how cells are read: arguments of every reader of tables.

    They are explained in :meth:`bayes_intgen.RegimeData.from_frame`.
    """

    covariates: Sequence[str] | None
    groups: Sequence[str] | None
    weights: str | None
    outcome_sd: str | None
    unit: str | None
    time: str | None
    missing: Missing
    labels: Labels | None
    require_observational: bool


# Roles of one further column each, and the one that some need, with what they are.
SINGLE_ROLES = ("weights", "outcome_sd", "unit", "time")
NEEDS = {
    "outcome_sd": (
        "weights",
        "is the standard deviation among the units of a row; name the column of their number, too",
    ),
    "unit": (
        "time",
        "is what rows that follow each other belong to; name the column of their time, too",
    ),
}
# Values of options that are not passed.
DEFAULTS: Mapping[str, Any] = {
    "missing": "error",
    "require_observational": True,
    "outcome_name": "outcome",
}


def shows_options[F: Callable[..., Any]](function: F) -> F:
    """List options among the parameters of a function, for help and notebooks."""
    signature = inspect.signature(function)
    *parameters, last = signature.parameters.values()
    (kind,) = get_args(last.annotation)
    parameters += [
        last.replace(
            name=name, kind=last.KEYWORD_ONLY, default=DEFAULTS.get(name), annotation=type_
        )
        for name, type_ in kind.__annotations__.items()
    ]
    named: Any = function
    named.__signature__ = signature.replace(parameters=parameters)
    return function


def refuse_unknown(options: Mapping[str, Any], kind: type) -> None:
    """Raise TypeError on an argument that a class of options does not have."""
    known = list(kind.__annotations__)
    for name in options:
        if name not in known:
            raise TypeError(f"unknown argument {name!r}; {hint(name, known)} arguments are "
                            f"{quoted(known)}")  # fmt: skip


@dataclass(frozen=True)
class Schema:
    """What each column of a table is, and how it is read.

    Attributes
    ----------
    actions : tuple of str, length K
    outcome : str
    columns : CovariateColumns
        Covariates, groups and units, with their levels and labels once these are known, the names
        of the columns of regimes, weights, standard deviations and times, the meanings of regime
        labels, and the treatment of missing cells. Without a column of regimes, the masks of the
        rows are arguments of :meth:`read`.
    categories : tuple of Categories or None, length K
        Levels of each action; None for actions without levels, or before these are known.
    require_observational : bool
        Whether rows without observational ones are an error.
    """

    actions: tuple[str, ...]
    outcome: str
    columns: CovariateColumns
    categories: tuple[Categories | None, ...]
    require_observational: bool

    @classmethod
    def of(
        cls, actions: Sequence[str], outcome: str, regime: str, **options: Unpack[Options]
    ) -> Self:
        """Validate names of columns; raises DataError if they are unusable."""
        refuse_unknown(options, Options)
        more: Mapping[str, Any] = {**DEFAULTS, **options}
        names = checked_names(actions, "actions")
        covariates = checked_names(more.get("covariates"), "covariates")
        groups = checked_names(more.get("groups"), "groups")
        check_names(names)
        further = {role: more[role] for role in SINGLE_ROLES if more.get(role) is not None}
        singles = {"outcome": outcome, "regime": regime, **further}
        for role, name in singles.items():
            if not isinstance(name, str) or (role in further and not name):
                raise DataError(f"{role} must be the name of a column, not {name!r}")
        # Rows from arrays have no column of regimes.
        alone = {role: (name,) for role, name in singles.items() if name}
        refuse_two_roles({"actions": names, **alone})
        # Units and times may be in the model, too.
        others = {role: own for role, own in alone.items() if role not in ("unit", "time")}
        refuse_two_roles({"actions": names, "covariates": covariates, "groups": groups, **others})
        for role, (needed, meaning) in NEEDS.items():
            if role in further and needed not in further:
                raise DataError(f"{option(role)} {meaning}: {option(needed)}")
        refuse_unwritable(outcome, "the outcome")
        no_levels, no_labels = (None,) * len(covariates), ((),) * len(groups)
        meanings, missing = checked_meanings(more.get("labels"), names), more["missing"]
        columns = CovariateColumns(
            covariates, no_levels, groups, no_labels, regime=regime, **further,
            meanings=meanings, missing=missing,
        )  # fmt: skip
        schema = cls(names, outcome, columns, (None,) * len(names), more["require_observational"])
        check_missing(missing, schema.complete_columns, covariates)
        return schema

    @property
    def every(self) -> list[str]:
        """Names of all columns."""
        return [*self.complete_columns, *filter(None, [self.columns.regime])]

    @property
    def complete_columns(self) -> list[str]:
        """Names of the columns without missing cells: all except the regimes."""
        columns = self.columns
        further = filter(None, (getattr(columns, role) for role in SINGLE_ROLES))
        return list(dict.fromkeys([*self.actions, *columns.every, self.outcome, *further]))

    def with_levels(self, contents: Mapping[ColumnUse, Any]) -> Self:
        """Add the levels and groups of all rows, after validation.

        Raises
        ------
        DataError
            As in :meth:`ColumnLevels.categories` and :func:`labels_of_groups`, and if a label that
            was given a meaning does not occur.
        """
        columns = self.columns
        labels, values = (
            {use.name: own for use, own in contents.items() if use.as_labels == as_labels}
            for as_labels in (True, False)
        )
        refuse_unused(columns.meanings, labels.get(columns.regime), columns.regime)
        categories = {
            name: values[name].categories(name)
            for name in (*self.actions, *columns.names)
            if isinstance(values.get(name), ColumnLevels)
        }

        def labels_of(name: str) -> tuple[str, ...]:
            return labels_of_groups(name, labels.get(name, ()))

        columns = replace(
            columns,
            categories=tuple(map(categories.get, columns.names)),
            labels=tuple(map(labels_of, columns.groups)),
            units=() if columns.unit in ("", *columns.groups) else labels_of(columns.unit),
            dates=tuple(name for name, own in values.items() if own == "dates"),
        )
        return replace(self, categories=tuple(map(categories.get, self.actions)), columns=columns)

    def has_levels(self, frame: Any) -> bool:
        """Whether a table, which may be empty, has groups, dates or a column of levels.

        Missing columns count as numeric.
        """
        table, numbers = nw.from_native(frame, eager_only=True), np.arange(len(frame))
        return any(
            self._content(table, use, numbers) != "numbers"
            for use in self._described
            if use.name in table.columns
        )

    @property
    def _translated(self) -> str | None:
        """Column of regimes if its labels were given meanings, which must occur in some row."""
        return self.columns.regime if self.columns.meanings else None

    @property
    def _described(self) -> list[ColumnUse]:
        """Columns whose contents are collected before rows are read, and what is read of them."""
        columns = self.columns
        values = (*self.actions, *columns.names, columns.time)
        labels = (*columns.groups, columns.unit, self._translated)
        uses = [ColumnUse(name, False) for name in values if name]
        return list(dict.fromkeys(uses + [ColumnUse(name, True) for name in labels if name]))

    def with_two_valued(self, values: Sequence[tuple[float, ...]]) -> Self:
        """Add levels to numeric actions and covariates with two distinct values.

        Parameters
        ----------
        values : sequence of tuples, length K + C
            Distinct values of each action and covariate in all rows, at most three of them.
        """
        categories = tuple(
            Categories.of_numbers(distinct) if levels is None and len(distinct) == 2 else levels
            for levels, distinct in zip(
                (*self.categories, *self.columns.categories), values, strict=True
            )
        )
        count = len(self.actions)
        columns = replace(self.columns, categories=categories[count:])
        return replace(self, categories=categories[:count], columns=columns)

    def contents_of(
        self, tables: Iterable[Any], first_row: int = 0, each: Each = map
    ) -> Mapping[ColumnUse, Content]:
        """Collect the levels and groups that occur in consecutive tables.

        If the first table has no column of levels and there are no groups, the other tables are not
        read.

        Parameters
        ----------
        tables : iterable of tables
        first_row : int
            Number of the first row.
        each : callable
            Applies a function to each table: ``map``, or a function like it.

        Raises
        ------
        DataError
            As in :func:`levels_of_column` and :func:`merged`.
        """
        collected: Mapping[ColumnUse, Content] = {}
        numbered = numbered_tables(tables, first_row)
        # The second table is not opened before it is known to be needed.
        first = map(self._contents, islice(numbered, 1))
        for contents in chain(first, each(self._contents, numbered)):
            collected = merged(collected, contents)
            if contents and all(isinstance(content, str) for content in contents.values()):
                break
        return collected

    def _contents(self, numbered: "NumberedTable") -> Mapping[ColumnUse, Content]:
        """What the columns of a table hold; without complete rows, the labels of regimes only."""
        complete, numbers, _ = self._complete(*numbered)
        # Labels also occur in rows with missing cells.
        regime = self._translated
        return {
            use: self._content(numbered.table if use.name == regime else complete, use, numbers)
            for use in self._described
            if numbers.size or use.name == regime
        }

    def _content(
        self, table: nw.DataFrame[Any], use: ColumnUse, numbers: NDArray[np.int_]
    ) -> Content:
        """What a column holds: levels, groups, labels, or numbers or dates."""
        name = use.name
        if name == self._translated:
            return frozenset(label_texts(distinct_cells(table[name], None).cells))
        if use.as_labels:
            return frozenset(map(group_label, distinct_cells(table[name]).cells))
        if name not in self.actions and holds_dates(table[name]):
            return "dates"
        return levels_of_column(table, name, numbers) if has_levels(table, name) else "numbers"

    def read(
        self,
        table: nw.DataFrame[Any],
        first_row: int = 0,
        masks: NDArray[np.bool_] | None = None,
    ) -> Batch:
        """Convert the complete rows of a table, validating labels only.

        Parameters
        ----------
        table : narwhals DataFrame
        first_row : int
            Number of the first row.
        masks : ndarray of bool, shape (n, K), optional
            Masks of the rows; from the column of regimes by default.
        """
        complete, numbers, absent = self._complete(table, first_row)
        masks = self._masks(table, first_row) if masks is None else masks
        columns, count = self.columns, len(self.actions)
        codes = [self._codes(complete, name, numbers) for name in (*self.actions, *columns.every)]
        # The columns that stay as they are get copied, since the table may be filled again.
        outcome = np.array(self._times(complete, self.outcome, numbers))
        weights, sd, times = (
            np.array(self._times(complete, name, numbers, utc=True)) if name else None
            for name in (columns.weights, columns.outcome_sd, columns.time)
        )
        rows = Observations(
            self.actions,
            self.outcome,
            np.stack(codes[:count]).T,
            outcome,
            masks if len(numbers) == len(table) else masks.T[:, numbers - first_row].T,
            categories=self.categories,
            columns=columns,
            covariates=np.column_stack([np.empty((len(outcome), 0)), *codes[count:]]),
            weights=weights,
            within=within_squares(weights, sd),
            series=self._series(complete, numbers),
            time=times,
        )
        return Batch(rows, numbers, MissingCells.of(absent, masks, first_row))

    def _codes(
        self, table: nw.DataFrame[Any], name: str, numbers: NDArray[np.int_]
    ) -> NDArray[np.float64]:
        """Numbers or codes of a column; raises DataError on an unknown level or group."""
        columns = self.columns
        if name in columns.groups:
            return self._groups(table, name, numbers)
        every = zip(
            (*self.actions, *columns.names), (*self.categories, *columns.categories), strict=True
        )
        levels = dict(every)[name]
        if levels is not None and has_levels(table, name) and name not in columns.dates:
            found = distinct_cells(table[name])
            return levels.encode(found.cells, name, rows=numbers[found.first])[found.which]
        values = self._times(table, name, numbers)
        # Cells that are not finite are reported later, all at once.
        finite = np.isfinite(values)
        if levels is not None and not levels.covers(values[finite]).all():
            levels.encode(np.where(finite, values, levels.codes[0]), name, rows=numbers)
        return values

    def _times(
        self, table: nw.DataFrame[Any], name: str, numbers: NDArray[np.int_], utc: bool = False
    ) -> NDArray[np.float64]:
        """Numbers, or days since 1970, of a column."""
        if name in self.columns.dates:
            return days_of_column(table[name], DataError, utc)
        return numeric_column(table, name, DataError, int(numbers[0]) if numbers.size else 0)

    def _groups(
        self, table: nw.DataFrame[Any], name: str, numbers: NDArray[np.int_]
    ) -> NDArray[np.float64]:
        """Codes of groups or units; raises DataError on an unknown one."""
        found = distinct_cells(table[name])
        codes = self.columns.encode_groups(name, found.cells, rows=numbers[found.first])
        return codes[found.which]

    def _series(
        self, table: nw.DataFrame[Any], numbers: NDArray[np.int_]
    ) -> NDArray[np.int_] | None:
        """Codes of the units of rows, one unit by default; None without a time."""
        unit, time = self.columns.unit, self.columns.time
        if unit:
            return self._groups(table, unit, numbers).astype(np.int_)
        return np.zeros(len(table), dtype=np.int_) if time else None

    def _masks(self, table: nw.DataFrame[Any], first_row: int) -> NDArray[np.bool_]:
        """Masks of rows, shape (n, K), from their regime labels."""
        regime = self.columns.regime
        if not regime:
            raise DataError("regime must be the name of a column, not ''")
        labels = table[regime]
        if labels.dtype.is_nested():
            raise DataError(f"column {regime!r} holds {labels.dtype}, not labels")
        reader = LabelReader(self.actions, self.columns.meanings)
        found = distinct_cells(labels, None)
        masks = masks_of_labels(found.cells, reader, regime, first_row + found.first)
        # Tables are read by column.
        return masks.T[:, found.which].T

    def _complete(
        self, table: nw.DataFrame[Any], first_row: int
    ) -> tuple[nw.DataFrame[Any], NDArray[np.int_], dict[str, NDArray[np.bool_]]]:
        """Rows without missing cells, their numbers, and missing cells of columns that have any."""
        alone = set(self.complete_columns) <= {*table.columns}
        refuse_absent(self.every, table.columns, " for the regime labels" if alone else "")
        missing = ((name, self._missing_cells(table, name)) for name in self.complete_columns)
        absent = {name: cells for name, cells in missing if cells.any()}
        complete = ~np.any([np.zeros(len(table), dtype=bool), *absent.values()], axis=0)
        numbers = first_row + np.flatnonzero(complete)
        return table if complete.all() else table.filter(complete.tolist()), numbers, absent

    def _missing_cells(self, table: nw.DataFrame[Any], name: str) -> NDArray[np.bool_]:
        """Missing cells of a column, unless they are a level or not needed."""
        missing, columns = missing_cells(table[name]), self.columns
        if name == columns.outcome_sd:
            # A row of one unit has no standard deviation.
            missing &= numeric_column(table, columns.weights, DataError) != 1
        if name not in columns.names or treatment_of(columns.missing, name) != "level":
            return missing
        return missing & (not has_levels(table, name))

    def refuse_missing(self, missing: MissingCells) -> None:
        """Raise DataError if there are missing cells that may not be left out."""
        covariates = zip(self.columns.names, self.columns.categories, strict=True)
        text = [name for name, levels in covariates if levels]
        missing.refuse(self.actions, self.columns.missing, text)

    def read_again(self, tables: Iterable[Any], first_row: int = 0) -> Iterator[Observations]:
        """Convert tables to rows in a later pass, without empty ones, as :meth:`reread`."""
        return filter(len, map(self.reread, numbered_tables(tables, first_row)))

    def reread(self, numbered: "NumberedTable") -> Observations:
        """Convert a table to rows in a later pass; raises DataError on new unusable cells."""
        rows, numbers, missing = self.read(*numbered)
        try:
            self.refuse_missing(missing)
            check_cells(rows, numbers)
        except DataError as error:
            raise DataError(
                "the source now holds unusable cells, which it did not when it was first "
                f"read: {error}. Or {SAME_ROWS}"
            ) from error
        return rows


class NumberedTable(NamedTuple):
    """A table, and the number of its first row in the source."""

    table: nw.DataFrame[Any]
    first_row: int


def numbered_tables(tables: Iterable[Any], first_row: int = 0) -> Iterator[NumberedTable]:
    """Number the rows of tables, skipping empty ones; raises DataError on other objects."""
    for native in tables:
        table = as_table(native)
        if table is None:
            raise DataError(f"a batch must be {KINDS}, not {type(native).__name__}")
        if len(table):
            yield NumberedTable(table, first_row)
            first_row += len(table)


def checked_names(names: Sequence[str] | None, role: str) -> tuple[str, ...]:
    """Validate names of columns, none for None; raises DataError, naming the argument ``role``."""
    out = items(() if names is None else names, role, "columns", DataError)
    if not all(isinstance(name, str) for name in out):
        raise DataError(f"{role} must be names of columns; rename columns that are numbers")
    for name in out:
        refuse_unwritable(name, f"a column of {role}")
    return out


def refuse_absent(names: Iterable[str], present: Sequence[str], role: str = "") -> None:
    """Raise DataError if some columns are not present; the role follows their names."""
    absent = [name for name in names if name not in present]
    if absent:
        raise DataError(
            f"the table has no column {quoted(absent)}{role}; {hint(absent[0], present)} columns "
            f"are {quoted(present)}"
        )


def refuse_two_roles(roles: Mapping[str, Sequence[str]]) -> None:
    """Raise DataError if a column has two roles, given the columns of each."""
    role_of: dict[str, str] = {}
    for role, name in ((role, name) for role, columns in roles.items() for name in columns):
        if name in role_of:
            twice = f"{role_of[name]} and {role}" if role_of[name] != role else f"{role}, twice"
            raise DataError(
                f"column {name!r} is passed as {twice}; these must be different columns"
            )
        role_of[name] = role


def check_names(names: tuple[str, ...]) -> None:
    """Raise DataError on names of actions that regime labels cannot contain."""
    if not names:
        raise DataError("at least one action is needed")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DataError(f"action {quoted(sorted(repeated))} is named twice")
    for name in names:
        if is_observational(name):
            raise DataError(f"an action cannot be called {name!r}: that labels observational rows")
        if "+" not in name and "," not in name:
            continue
        with suppress(UnknownActionError):
            parts = LabelReader([other for other in names if other != name]).actions(name)
            raise DataError(
                f"an action cannot be called {name!r} where {' and '.join(map(repr, parts))} are "
                "actions too: that labels rows in which they were set together"
            )


def within_squares(weights: Array | None, sd: Array | None) -> Array | None:
    """Sum of squares of the outcomes of a row's units about their mean, shape (n,).

    A row of one unit has none, whatever its standard deviation. Negative and huge standard
    deviations give NaN, which :func:`check_cells` refuses.
    """
    if weights is None or sd is None:
        return None
    usable = np.where((sd >= 0) & (sd <= MAX_MAGNITUDE), sd, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):  # weights that are refused, too
        return np.where(weights == 1, 0.0, (weights - 1) * usable**2)
