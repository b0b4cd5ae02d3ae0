"""Validation of points and of the actions that are set at them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_intgen._arguments import MAX_MAGNITUDE, items, real_number
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.cells import number_of
from bayes_intgen.data.tables import array_of, as_table, column_of, label_cells, numeric_column
from bayes_intgen.errors import PointsError
from bayes_intgen.text.formats import format_number
from bayes_intgen.text.messages import quoted, refuse_unknown_actions

Levels = Sequence[Categories | None]


def checked_points(points: Any, names: Sequence[str], categories: Levels = ()) -> Array:
    """Convert points to an array of shape (M, K), with one column per action.

    Parameters
    ----------
    points : array_like, shape (M, K), table, dict or list of dicts
        A table has one column per action. A dict maps each action to its value at one point,
        or to its values at several; a list of dicts has one dict per point.
    names : sequence of str, length K
    categories : sequence of Categories or None, length K
        Levels of the actions, which points name as the data do; no levels by default.

    Returns
    -------
    ndarray, shape (M, K)
        Values, with levels as codes.

    Raises
    ------
    PointsError
        On wrong shapes, missing columns, unknown levels, or cells that are not finite.

    Examples
    --------
    >>> checked_points([[1, 2]], ["red", "green"])
    array([[1., 2.]])
    >>> drug = Categories.of_labels(["off", "on"], ordered=True)
    >>> checked_points([{"dose": 3, "drug": "on"}], ["drug", "dose"], [drug, None])
    array([[1., 3.]])
    """
    table = as_table(points)
    if table is None:
        table = nw.from_native(_frame_of(points, names), eager_only=True)
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise PointsError(f"points have no column {quoted(missing)}")
    pairs = zip(names, categories or [None] * len(names), strict=True)
    values = np.stack([_codes(table, *pair) for pair in pairs], axis=1)
    for k, name in enumerate(names):
        bad = np.flatnonzero(~np.isfinite(values[:, k]))
        if bad.size:
            raise PointsError(f"points hold NaN or infinity for {name!r} in row {bad[0]}")
        far = np.flatnonzero(np.abs(values[:, k]) > MAX_MAGNITUDE)
        if far.size:
            raise PointsError(
                f"points set {name!r} to {format_number(values[far[0], k])} in row {far[0]}; "
                "set it to a value near those of the data"
            )
    return values


def point_labels(points: Any, count: int) -> NDArray[Any]:
    """Labels of points: the index of a data frame that has one, or their positions, shape (M,).

    Examples
    --------
    >>> point_labels([[1.0], [2.0]], 2)
    array([0, 1])
    """
    index = getattr(points, "index", None)
    # Lists have a method of this name; an index of several levels has no single label.
    if as_table(points) is None or getattr(index, "nlevels", 2) != 1:
        return np.arange(count)
    return np.asarray(index)


def checked_value(value: Any, name: str, levels: Categories | None) -> float:
    """Convert one value of an action to a number or code; raises PointsError if it is neither.

    Examples
    --------
    >>> checked_value("2.5", "dose", None), checked_value("£14,000", "tv", None)
    (2.5, 14000.0)
    """
    if np.ndim(value) == 0:
        value = np.asarray(value).item()
    if levels is not None:
        value = levels.encode([value], name, PointsError, between=True)[0]
    elif isinstance(value, str):
        amount = number_of(value)
        if amount is None:
            raise PointsError(
                f"{name!r} must be a number alone, in the unit of its column, not {value!r}"
            )
        value = amount
    return real_number(value, repr(name), PointsError)


def named_points(values: Array, names: Sequence[str], categories: Levels) -> Any:
    """Decode the result of :func:`checked_points` to named columns with labels.

    Examples
    --------
    >>> drug = Categories.of_labels(["off", "on"], ordered=True)
    >>> named_points(np.array([[1.0], [0.0]]), ["drug"], [drug])
    {'drug': array(['on', 'off'], dtype='<U3')}
    """
    return {
        name: column if levels is None else levels.decode(column)
        for name, levels, column in zip(names, categories, values.T, strict=True)
    }


def checked_actions(intervened: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Names of the actions that are set; raises PointsError on an unknown action.

    Any iterable is read once, a generator too.

    Examples
    --------
    >>> checked_actions((name for name in ["green"]), ["red", "green"])
    ('green',)
    """
    actions = items(intervened, "intervened", "actions", PointsError)
    refuse_unknown_actions(actions, names, PointsError, "intervened: ")
    return actions


def checked_mask(intervened: Iterable[str], names: Sequence[str]) -> NDArray[np.bool_]:
    """Mask of the actions that are set, shape (K,); raises PointsError on an unknown action.

    Examples
    --------
    >>> checked_mask(["green"], ["red", "green"])
    array([False,  True])
    """
    actions = checked_actions(intervened, names)
    return np.array([name in actions for name in names])


def _codes(table: "nw.DataFrame[Any]", name: str, levels: Categories | None) -> Array:
    """Numbers or codes of a column; ordered numeric levels allow values between them."""
    are_numbers = levels is None or table[name].dtype.is_numeric()
    cells: Any = (numeric_column if are_numbers else label_cells)(table, name, PointsError)
    return cells if levels is None else levels.encode(cells, name, PointsError, between=True)


def _frame_of(points: Any, names: Sequence[str]) -> pd.DataFrame:
    """Points that are no table as a frame with a column per action."""
    if isinstance(points, Mapping):
        _check_names(points, names)
        columns = [np.atleast_1d(array_of(points[name])) for name in names]
        counts = [len(column) for column in columns]
        most = max(counts)
        if any(count not in (1, most) for count in counts):
            each = ", ".join(f"{n} of {name!r}" for name, n in zip(names, counts, strict=True))
            raise PointsError(f"points have different numbers of values: {each}")
        columns = [own if len(own) == most else own.repeat(most) for own in columns]
    elif is_list_of_dicts(points):
        for row, point in enumerate(points):
            _check_names(point, names, f" (row {row})")
        columns = [array_of([point[name] for point in points]) for name in names]
    else:
        array = array_of(points)
        if array.ndim != 2 or array.shape[1] != len(names):
            raise PointsError(
                f"points must have shape (points, {len(names)}), one column for each of "
                f"{quoted(names)}, not {array.shape}"
            )
        columns = [*array.T]
    for name, column in zip(names, columns, strict=True):
        if column.ndim > 1:
            raise PointsError(f"points have several values of {name!r} at one point; give one")
    return pd.DataFrame(dict(zip(names, map(column_of, columns), strict=True)))


def _check_names(point: Mapping[Any, Any], names: Sequence[str], where: str = "") -> None:
    """Raise PointsError if a point does not have exactly one entry per action."""
    refuse_unknown_actions(point, names, PointsError, f"points{where}: ")
    missing = [name for name in names if name not in point]
    if missing:
        raise PointsError(f"points have no value of {quoted(missing)}{where}; give one per action")


def is_sequence(value: Any) -> bool:
    """Whether a value is a list, an array or a column of values, but not text.

    Examples
    --------
    >>> is_sequence([1.0]), is_sequence("north")
    (True, False)
    """
    return not isinstance(value, str) and np.ndim(value) > 0


def is_list_of_dicts(points: Any) -> bool:
    """Whether points are dicts, one for each."""
    return (
        isinstance(points, list | tuple)
        and bool(points)
        and all(isinstance(point, Mapping) for point in points)
    )
