"""Conversion of arrays to a table: shapes, masks, and cells of one kind per column."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import narwhals as nw
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._arguments import items
from bayes_intgen.data.covariates import are_dates
from bayes_intgen.data.missing import Missing, missing_in
from bayes_intgen.data.schema import SINGLE_ROLES, Schema, checked_names, refuse_unknown
from bayes_intgen.errors import DataError


class ArrayOptions(TypedDict, total=False):
    """Further arrays, and how cells are read, as in :meth:`bayes_intgen.RegimeData.from_arrays`."""

    outcome_name: str
    covariates: Mapping[str, ArrayLike] | None
    groups: Mapping[str, ArrayLike] | None
    weights: ArrayLike | None
    outcome_sd: ArrayLike | None
    unit: ArrayLike | None
    time: ArrayLike | None
    missing: Missing
    require_observational: bool


def table_of_arrays(
    actions: ArrayLike,
    outcome: ArrayLike,
    intervened: ArrayLike,
    names: Sequence[str] | None,
    **options: Unpack[ArrayOptions],
) -> tuple[Schema, nw.DataFrame[Any], NDArray[np.bool_]]:
    """Convert arrays to a table, with its schema and masks; see :meth:`RegimeData.from_arrays`."""
    refuse_unknown(options, ArrayOptions)
    more: Mapping[str, Any] = options
    array = _as_table(actions)
    rows, count = array.shape
    labels = tuple(f"a{k + 1}" for k in range(count))
    if names is not None:
        labels = tuple(map(str, items(names, "names", "names of actions", DataError)))
    if len(labels) != count:
        raise DataError(f"names must have one entry per action: {len(labels)} for {count} actions")
    cells = _as_column(outcome, "outcome", rows)
    masks = _masks(intervened, (rows, count))
    covariates, groups = (_columns(more.get(role), role, rows) for role in ("covariates", "groups"))
    columns: dict[str, NDArray[Any]] = {
        **{name: _cells(own, name) for name, own in zip(labels, array.T, strict=True)},
        **{name: _cells(own, name, dates=True) for name, own in covariates.items()},
        **{name: _objects(own) for name, own in groups.items()},
    }
    outcome_name = str(more.get("outcome_name", "outcome"))
    singles = {
        role: (_unused(role, [*columns, outcome_name]), _single(more[role], role, rows))
        for role in SINGLE_ROLES
        if more.get(role) is not None
    }
    roles: dict[str, Any] = {"covariates": tuple(covariates), "groups": tuple(groups)}
    roles |= {role: name for role, (name, _) in singles.items()}
    roles |= {role: more[role] for role in ("missing", "require_observational") if role in more}
    schema = Schema.of(labels, outcome_name, "", **roles)
    columns |= {outcome_name: cells, **dict(singles.values())}
    return schema, nw.from_dict(columns, backend="pandas"), masks


def _single(cells: ArrayLike, role: str, rows: int) -> NDArray[Any]:
    """Column of a role that one column has."""
    if role not in ("unit", "time"):
        return _as_column(cells, role, rows)
    column = _columns({role: cells}, role, rows)[role]
    return _objects(column) if role == "unit" else _cells(column, role, dates=True)


def _unused(name: str, others: Sequence[str]) -> str:
    """A name that no column has."""
    return name if name not in others else _unused(f"{name} of rows", others)


def _as_table(actions: ArrayLike) -> NDArray[Any]:
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


def _columns(
    mapping: Mapping[str, ArrayLike] | None, role: str, rows: int
) -> dict[str, NDArray[Any]]:
    """Columns of covariates or groups as arrays of shape (rows,)."""
    if mapping is None:
        return {}
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


def _cells(column: NDArray[Any], name: str, *, dates: bool = False) -> NDArray[Any]:
    """Cells of a column as a table holds them: text, booleans and perhaps dates, or numbers."""
    if dates and column.dtype.kind == "M":
        not_a_time: Any = np.array("NaT", column.dtype)[()]
        return np.asarray(np.ma.filled(column, not_a_time))
    absent = missing_in(column)
    present = column[~absent].tolist() if column.dtype.kind in "bUTO" else []
    if present and not absent.any() and all(isinstance(cell, bool) for cell in present):
        return np.array(present)
    are_labels = bool(present) and all(isinstance(cell, str | bool) for cell in present)
    if are_labels or (dates and are_dates(present)):
        return _objects(column)
    return _as_float(column, f"column {name!r}")


def _objects(column: NDArray[Any]) -> NDArray[Any]:
    """Cells of any kind, None where they are masked."""
    data = np.ma.getdata(column)
    # NumPy converts dates in nanoseconds to integers.
    cells = np.array(data.astype("datetime64[us]") if data.dtype.kind == "M" else data, object)
    cells[np.ma.getmaskarray(column)] = None
    return cells
