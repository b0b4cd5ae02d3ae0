"""Conversion of arrays to a table, whose columns are read like those of any other."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._arguments import items, mapping
from bayes_intgen.data.missing import Missing
from bayes_intgen.data.schema import SINGLE_ROLES, Schema, refuse_unknown
from bayes_intgen.data.tables import array_of, as_table, column_of
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import quoted


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
    array, table = array_of(actions), as_table(actions)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(
            f"actions must have shape (rows, actions) with at least one of each, not {array.shape}"
        )
    rows, count = array.shape
    labels = tuple(f"a{k + 1}" for k in range(count))
    if names is not None:
        labels = tuple(map(str, items(names, "names", "names of actions", DataError)))
    if len(labels) != count:
        raise DataError(f"names must have one entry per action: {len(labels)} for {count} actions")
    # A table names its columns, which are the actions unless these have other names.
    named = labels if names is not None else getattr(table, "columns", None)
    cells = [*array.T]
    if table is not None:
        ordered = table.select(labels) if {*labels} == {*table.columns} else table
        cells = [column.to_native() for column in ordered.iter_columns()]
    masks = _masks(masks_in_order(intervened, named), (rows, count))
    covariates, groups = (_named(more.get(role), role, rows) for role in ("covariates", "groups"))
    name = str(more.get("outcome_name", "outcome"))
    columns = {own: _column(column, own, rows) for own, column in zip(labels, cells, strict=True)}
    columns |= {**covariates, **groups}
    singles = {
        role: (_unused(role, [*columns, name]), _column(more[role], role, rows))
        for role in SINGLE_ROLES
        if more.get(role) is not None
    }
    roles: dict[str, Any] = {"covariates": tuple(covariates), "groups": tuple(groups)}
    roles |= {role: own for role, (own, _) in singles.items()}
    roles |= {role: more[role] for role in ("missing", "require_observational") if role in more}
    schema = Schema.of(labels, name, "", **roles)
    columns |= {name: _column(outcome, "outcome", rows), **dict(singles.values())}
    return schema, nw.from_native(pd.DataFrame(columns), eager_only=True), masks


def _unused(name: str, others: Sequence[str]) -> str:
    """A name that no column has."""
    return name if name not in others else _unused(f"{name} of rows", others)


def masks_in_order(intervened: ArrayLike, names: Sequence[str] | None) -> ArrayLike:
    """Masks of a table in the order of the actions, which have names; others as they are.

    Raises
    ------
    DataError
        If its columns have other names, so that they may be in another order.
    """
    table = as_table(intervened)
    if names is None or table is None:
        return intervened
    # Of an array that became a frame, without names.
    if [*map(str, table.columns)] == [*map(str, range(len(names)))]:
        return intervened
    if {*table.columns} != {*names}:
        raise DataError(
            f"intervened has columns {quoted(table.columns)}, but the actions are {quoted(names)}; "
            "give both the same names, or pass an array in the order of the actions"
        )
    return table.select(*names).to_numpy()


def _masks(intervened: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    if np.ma.is_masked(intervened):
        raise DataError("intervened has masked cells; say for each whether the action was set")
    mask = np.asarray(intervened)
    if mask.shape != shape:
        raise DataError(f"intervened must have shape {shape}, as actions have, not {mask.shape}")
    if mask.dtype != np.bool_ and (mask.dtype.kind not in "iuf" or not np.isin(mask, (0, 1)).all()):
        raise DataError("intervened must hold booleans: True where the action was set from outside")
    return mask.astype(np.bool_)


def _named(
    arrays: Mapping[str, ArrayLike] | None, role: str, rows: int
) -> dict[str, "pd.Series[Any]"]:
    """Columns of covariates or groups."""
    of = f"names to arrays (write {role}={{'name': values}})"
    named = mapping(arrays, role, of, DataError)
    return {name: _column(cells, f"{role}: {name!r}", rows) for name, cells in named.items()}


def _column(values: ArrayLike, what: str, rows: int) -> "pd.Series[Any]":
    array = array_of(values)
    if array.shape != (rows,):
        raise DataError(
            f"{what} must have shape ({rows},), one value per row of actions, not {array.shape}"
        )
    return column_of(values)
