"""Questions put to data and fits, checked: points, and which actions are set at them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_intgen.bases import Array
from bayes_intgen.errors import PointsError
from bayes_intgen.frames import as_table, numeric_column


def checked_points(points: Any, names: Sequence[str]) -> Array:
    """Points as an array of shape (M, K), a column for each of the named actions.

    Parameters
    ----------
    points : array_like, shape (M, K), or data frame with a column an action
    names : sequence of str, length K

    Raises
    ------
    PointsError
        On wrong shapes, missing columns, or cells that are not finite.

    Examples
    --------
    >>> checked_points([[1, 2]], ["red", "green"])
    array([[1., 2.]])
    """
    table = as_table(points)
    if table is None:
        try:
            values = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise PointsError(
                f"points must be numbers of shape (points, actions) ({error})"
            ) from error
    else:
        missing = [name for name in names if name not in table.columns]
        if missing:
            raise PointsError(f"points have no column {', '.join(map(repr, missing))}")
        columns = [numeric_column(table, name, PointsError) for name in names]
        values = np.stack(columns, axis=1)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise PointsError(
            f"points must have shape (points, {len(names)}), a column for each of "
            f"{', '.join(map(repr, names))}, not {values.shape}"
        )
    for k, name in enumerate(names):
        bad = np.flatnonzero(~np.isfinite(values[:, k]))
        if bad.size:
            raise PointsError(f"points hold NaN or infinity for {name!r} in row {bad[0]}")
    return values


def checked_mask(intervened: Sequence[str], names: Sequence[str]) -> NDArray[np.bool_]:
    """The mask of the actions that are set, shape (K,); PointsError where one is no action.

    Examples
    --------
    >>> checked_mask(["green"], ["red", "green"])
    array([False,  True])
    """
    if isinstance(intervened, str):
        raise PointsError(f"intervened must be a list; write intervened=[{intervened!r}]")
    for name in intervened:
        if name not in names:
            raise PointsError(
                f"intervened names {name!r}, which is no action; the actions are "
                f"{', '.join(map(repr, names))}"
            )
    return np.array([name in intervened for name in names])
