"""Rows added to those of an earlier fit, with its levels and groups."""

from dataclasses import replace
from typing import Any

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, Label
from bayes_intgen.data.covariates import CovariateColumns
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.errors import DataError

REMEDY = "fit all rows together with bi.fit"


def with_rows(data: RegimeData, new: RegimeData) -> RegimeData:
    """Append rows with the same columns.

    Levels and groups are matched by their labels; groups may be new, levels may not. Lift tests of
    both remain.

    Parameters
    ----------
    data, new : RegimeData

    Raises
    ------
    DataError
        If columns or their roles differ, or a level is new; the message names it.

    Examples
    --------
    >>> len(with_rows(data, data.only(["red"]))) - len(data)
    300
    """
    _refuse_other_columns(data, new)
    own, other = data.columns, new.columns
    actions = [
        _recoded(name, values, levels, old)
        for name, values, levels, old in zip(
            data.names, new.actions.T, new.categories, data.categories, strict=True
        )
    ]
    count = len(own.names)
    covariates = [
        _recoded(name, values, levels, old)
        for name, values, levels, old in zip(
            own.names, new.covariates.T[:count], other.categories, own.categories, strict=True
        )
    ]
    columns, groups = _with_groups(own, other, new.covariates[:, count:])
    added = np.stack([*covariates, *groups], axis=1) if len(own) else new.covariates
    arrays: dict[str, Any] = {
        "actions": np.concatenate([data.actions, np.stack(actions, axis=1)]),
        "covariates": np.concatenate([data.covariates, added]),
    }
    for name in ("outcome", "intervened", "weights", "within"):
        if getattr(data, name) is not None:
            arrays[name] = np.concatenate([getattr(data, name), getattr(new, name)])
    masks = {*data.dropped, *new.dropped}
    dropped = {mask: data.dropped.get(mask, 0) + new.dropped.get(mask, 0) for mask in masks}
    rows = replace(
        data,
        columns=columns,
        lift_tests=(*data.lift_tests, *new.lift_tests),
        dropped=dropped,
        **arrays,
    )
    return rows._checked(require_observational=False)


def _refuse_other_columns(data: RegimeData, new: RegimeData) -> None:
    """Raise DataError if columns or their roles differ."""
    roles = {
        "actions": (data.names, new.names),
        "outcome": (data.outcome_name, new.outcome_name),
        "covariates": (data.columns.names, new.columns.names),
        "groups": (data.columns.groups, new.columns.groups),
        "dates": (data.columns.dates, new.columns.dates),
        "weights": (data.weights is not None, new.weights is not None),
        "outcome_sd": (data.within is not None, new.within is not None),
    }
    for role, (own, other) in roles.items():
        if own != other:
            raise DataError(
                f"the new rows have other {role} than the fit: {_shown(other)} instead of "
                f"{_shown(own)}; read them with the same columns in the same order"
            )


def _shown(columns: object) -> str:
    if isinstance(columns, bool):
        return "some" if columns else "none"
    if isinstance(columns, tuple):
        return ", ".join(map(repr, columns)) or "none"
    return repr(columns)


def _recoded(name: str, values: Array, levels: Categories | None, old: Categories | None) -> Array:
    """Translate codes of the new rows' levels to those of the fit."""
    if levels is None and old is None:
        return values
    labels: list[Label] = values.tolist()
    if levels is not None:
        label_of = dict(zip(levels.codes, levels.labels, strict=True))
        labels = [label_of[code] for code in values.tolist()]
    if old is None:
        # Two distinct numbers are levels of their own, but numbers to the fit.
        if all(isinstance(label, float) for label in labels):
            return np.array(labels, dtype=np.float64)
        raise DataError(f"column {name!r} has levels in the new rows and numbers in the fit")
    code_of = dict(zip(old.labels, old.codes, strict=True))
    unknown = [label for label in dict.fromkeys(labels) if label not in code_of]
    if unknown:
        raise DataError(
            f"column {name!r} has the level {unknown[0]!r}, which the fit has not; {REMEDY}"
        )
    return np.array([code_of[label] for label in labels], dtype=np.float64)


def _with_groups(
    own: CovariateColumns, other: CovariateColumns, codes: Array
) -> tuple[CovariateColumns, list[Array]]:
    """Labels of all groups, the new ones last, and codes of the new rows by these labels."""
    labels = tuple(
        tuple(dict.fromkeys([*old, *new]))
        for old, new in zip(own.labels, other.labels, strict=True)
    )
    columns = replace(own, labels=labels)
    recoded = [
        columns.encode_groups(name, [new[int(code)] for code in column])
        for name, new, column in zip(own.groups, other.labels, codes.T, strict=True)
    ]
    return columns, recoded
