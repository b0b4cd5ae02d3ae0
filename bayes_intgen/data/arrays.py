"""Conversion of arrays to rows: shapes, masks, levels and missing cells."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._arguments import items
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.columns import Batch
from bayes_intgen.data.covariates import CovariateColumns, group_label
from bayes_intgen.data.dates import are_dates, days_of_column
from bayes_intgen.data.missing import (
    MISSING_LEVEL,
    Missing,
    MissingCells,
    any_missing,
    check_missing,
    missing_in,
    treatment_of,
)
from bayes_intgen.data.observed_levels import ColumnLevels, TableLevels
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.validation import (
    check_names,
    checked_names,
    refuse_two_roles,
    refuse_unwritable,
    within_squares,
)
from bayes_intgen.errors import DataError


class Arrays(NamedTuple):
    """Arguments of :meth:`RegimeData.from_arrays`."""

    actions: ArrayLike
    outcome: ArrayLike
    intervened: ArrayLike
    names: Sequence[str] | None
    outcome_name: str
    covariates: Mapping[str, ArrayLike]
    groups: Mapping[str, ArrayLike]
    weights: ArrayLike | None
    outcome_sd: ArrayLike | None
    missing: Missing

    def read(self) -> Batch:
        """Convert complete rows, and refuse missing cells; raises DataError as `from_arrays`."""
        table = _table(self.actions)
        rows, count = table.shape
        labels = _numbered(count)
        if self.names is not None:
            labels = tuple(map(str, items(self.names, "names", "names of actions", DataError)))
        outcome = _as_column(self.outcome, "outcome", rows)
        masks = _masks(self.intervened, (rows, count))
        check_names(labels, count)
        covariates, groups = (
            _columns(self.covariates, "covariates", rows),
            _columns(self.groups, "groups", rows),
        )
        outcome_name = str(self.outcome_name)
        refuse_unwritable(outcome_name, "the outcome")
        if outcome_name in labels:
            raise DataError(f"{outcome_name!r} is the name of an action and of the outcome")
        roles = [("names", name) for name in (*labels, outcome_name)]
        refuse_two_roles([*roles, *(("covariates or groups", n) for n in (*covariates, *groups))])
        if self.weights is None and self.outcome_sd is not None:
            raise DataError("outcome_sd needs weights, the number of units of each row")
        units = {
            name: _as_column(values, name, rows)
            for name, values in (("weights", self.weights), ("outcome_sd", self.outcome_sd))
            if values is not None
        }
        actions = dict(zip(labels, table.T, strict=True))
        columns = {**actions, **covariates, **groups, outcome_name: outcome, **units}
        check_missing(self.missing, list(columns), list(covariates))
        texts = {name for name, cells in covariates.items() if _is_text(cells)}
        absent = {name: missing_in(cells) for name, cells in columns.items()}
        if "outcome_sd" in units:
            # A row of one unit has no standard deviation.
            absent["outcome_sd"] &= units["weights"] != 1
        for name in texts:
            if treatment_of(self.missing, name) == "level":
                absent[name] = np.zeros(rows, dtype=bool)
        complete = ~any_missing(absent)
        missing = MissingCells.of(absent, masks)
        missing.refuse(labels, self.missing, sorted(texts))
        if table.dtype.kind in "bUTO":
            encoded = [_encoded_column(cells[complete], name) for name, cells in actions.items()]
            values = np.stack([codes for codes, _ in encoded], axis=1)
            categories = tuple(levels for _, levels in encoded)
        else:
            values, categories = table[complete], ()
        known, others = _encoded_covariates(
            {name: cells[complete] for name, cells in covariates.items()},
            {name: cells[complete] for name, cells in groups.items()},
        )
        weights, sd = (
            units[name][complete] if name in units else None for name in ("weights", "outcome_sd")
        )
        observations = Observations(
            labels,
            outcome_name,
            np.asarray(values),
            outcome[complete],
            masks[complete],
            categories=categories,
            columns=known,
            covariates=others,
            weights=weights,
            within=within_squares(weights, sd),
        )
        return Batch(observations, np.flatnonzero(complete), missing)


def _table(actions: ArrayLike) -> NDArray[Any]:
    try:
        array = np.ma.asanyarray(actions)
        numeric = array.dtype.kind not in "bUTO"
    except (TypeError, ValueError):  # rows of different lengths
        numeric = True
    table = _as_float(actions, "actions") if numeric else array
    if table.ndim != 2 or 0 in table.shape:
        raise DataError(
            f"actions must have shape (rows, actions) with at least one of each, not {table.shape}"
        )
    return table


def _masks(intervened: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    if np.ma.is_masked(intervened):
        raise DataError("intervened has masked cells; say for each whether the action was set")
    mask = np.asarray(intervened)
    if mask.shape != shape:
        raise DataError(
            f"intervened must have shape {shape}, the shape of actions, not {mask.shape}"
        )
    if mask.dtype != np.bool_ and (mask.dtype.kind not in "iuf" or not np.isin(mask, (0, 1)).all()):
        raise DataError("intervened must hold booleans: True where the action was set from outside")
    return mask.astype(np.bool_)


def _columns(mapping: Mapping[str, ArrayLike], role: str, rows: int) -> dict[str, NDArray[Any]]:
    """Columns of covariates or groups as arrays of shape (rows,)."""
    if not isinstance(mapping, Mapping):
        raise DataError(
            f"{role} must map names to arrays, not be a {type(mapping).__name__}; write "
            f"{role}={{'name': values}}"
        )
    checked_names(tuple(mapping), role)
    columns: dict[str, NDArray[Any]] = {}
    for name, cells in mapping.items():
        # NumPy would convert a list of text and NaN to text.
        column = np.ma.asanyarray(cells, dtype=object if isinstance(cells, list | tuple) else None)
        if column.shape != (rows,):
            raise DataError(f"{role}: {name!r} must have shape ({rows},), not {column.shape}")
        columns[name] = column
    return columns


def _as_float(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values)
        # A cast would drop imaginary parts and masks, and convert dates to days since 1970.
        if array.dtype.kind not in "biufO":
            raise TypeError(f"they are {array.dtype}")
        numbers = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} must be a rectangular array of numbers ({error})") from error
    return np.where(np.ma.getmaskarray(values), np.nan, numbers)


def _as_column(values: ArrayLike, what: str, rows: int) -> NDArray[np.float64]:
    column = _as_float(values, what)
    if column.shape != (rows,):
        raise DataError(
            f"{what} must have shape ({rows},), one value per row of actions, not {column.shape}"
        )
    return column


def _encoded_covariates(
    covariates: Mapping[str, NDArray[Any]], groups: Mapping[str, NDArray[Any]]
) -> tuple[CovariateColumns, NDArray[np.float64]]:
    """Encode covariates and groups as columns of numbers, shape (n, C + G)."""
    dates = tuple(name for name, cells in covariates.items() if are_dates(cells))
    encoded = [
        (days_of_column(cells, name, DataError), None)
        if name in dates
        else _encoded_column(cells, name)
        for name, cells in covariates.items()
    ]
    labels = {name: [group_label(cell) for cell in cells] for name, cells in groups.items()}
    observed = TableLevels({}, {name: frozenset(own) for name, own in labels.items()})
    columns = CovariateColumns(
        tuple(covariates),
        tuple(levels for _, levels in encoded),
        tuple(groups),
        observed.labels(),
        dates,
    )
    values = [codes for codes, _ in encoded]
    values += [columns.encode_groups(name, own) for name, own in labels.items()]
    return columns, np.stack(values, axis=1) if values else np.empty((0, 0))


def _is_text(column: NDArray[Any]) -> bool:
    """Whether a column holds text or booleans, apart from missing cells."""
    if column.dtype.kind not in "bUTO":
        return False
    present = column[~missing_in(column)].tolist()
    return bool(present) and all(isinstance(cell, str | bool) for cell in present)


def _encoded_column(
    column: NDArray[Any], name: str
) -> tuple[NDArray[np.float64], Categories | None]:
    """Encode text and booleans as codes of levels; missing cells are a level."""
    if not _is_text(column):
        return _as_float(column, f"column {name!r}"), None
    absent = missing_in(column).tolist()
    cells = [
        MISSING_LEVEL if missing else cell
        for cell, missing in zip(np.ma.getdata(column).tolist(), absent, strict=True)
    ]
    labels: dict[str | bool, None] = dict.fromkeys(cells)
    booleans = all(isinstance(label, bool) for label in labels)
    order = (False, True) if booleans else tuple(labels)
    rows = {label: cells.index(label) for label in order if isinstance(label, str)}
    levels = ColumnLevels(order, frozenset(order), booleans, booleans, rows).categories(name)
    return levels.encode(cells, name), levels


def _numbered(count: int) -> tuple[str, ...]:
    """Default names of actions."""
    return tuple(f"a{k + 1}" for k in range(count))
