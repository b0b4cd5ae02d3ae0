"""Validated rows in memory, built from arrays or tables."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._arguments import items
from bayes_intgen.basis.categories import Categories, two_valued
from bayes_intgen.data.columns import Columns
from bayes_intgen.data.observed_levels import ColumnLevels
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.tables import KINDS, as_table
from bayes_intgen.data.validation import (
    check_enough_rows,
    check_finite,
    check_names,
    refuse_unwritable,
)
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import unknown_action


class RegimeData(Observations):
    """Actions, outcome and mask of every row, in memory.

    Build it with :meth:`from_frame` or :meth:`from_arrays`, which validate the input.

    Attributes
    ----------
    names : tuple of str, length K
        Names of the actions.
    outcome_name : str
        Name of the outcome.
    actions : ndarray, shape (N, K), float64
        Values of the actions, in the user's units; codes of levels.
    outcome : ndarray, shape (N,), float64
        Values of the outcome, in the user's units.
    intervened : ndarray, shape (N, K), bool
        Mask R of each row: True if the action was set from outside.
    lift_tests : tuple of LiftTest
        Experiments known by their summary only: :meth:`add_lift_test`.
    categories : tuple of Categories or None, length K
        Levels of each action whose values are text, booleans, categories or two distinct numbers;
        None for other actions.
    """

    @classmethod
    def from_arrays(
        cls,
        actions: ArrayLike,
        outcome: ArrayLike,
        intervened: ArrayLike,
        names: Sequence[str] | None = None,
        *,
        outcome_name: str = "outcome",
        require_observational: bool = True,
    ) -> Self:
        """Build data from arrays.

        Parameters
        ----------
        actions : array_like, shape (N, K)
            Values of the actions: numbers, or levels (text, booleans, or two distinct numbers). An
            array of objects may have columns of both kinds.
        outcome : array_like, shape (N,)
            Values of the outcome.
        intervened : array_like of bool, shape (N, K)
            True if an action was set from outside. Any mixture of masks may occur.
        names : sequence of str, length K, optional
            Names of the actions; ``a1``, ``a2``, ... by default.
        outcome_name : str
            Name of the outcome, used in labels.
        require_observational : bool
            Whether to raise an error without observational rows (rows in which no action was
            set). Some effects are not identified without them.

        Raises
        ------
        DataError
            On wrong shapes, cells that are not finite, an action that never varies,
            too few rows, or missing observational rows.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> intervened = np.repeat([[False, False], [True, False], [False, True]], 10, axis=0)
        >>> actions = rng.normal(size=(30, 2))
        >>> RegimeData.from_arrays(actions, actions.sum(axis=1), intervened)
        RegimeData: 30 rows, outcome 'outcome', actions 'a1', 'a2'
          observational  10
          do(a1)         10
          do(a2)         10
        """
        names = None if names is None else items(names, "names", "names of actions", DataError)
        a, categories = _encoded(actions, names)
        if a.ndim != 2 or 0 in a.shape:
            raise DataError(
                f"actions must have shape (rows, actions) with at least one of each, not {a.shape}"
            )
        rows, count = a.shape
        y = _as_float(outcome, "outcome")
        if y.shape != (rows,):
            raise DataError(
                f"outcome must have shape ({rows},), one value per row of actions, not {y.shape}"
            )
        if np.ma.is_masked(intervened):
            raise DataError("intervened has masked cells; say for each whether the action was set")
        mask = np.asarray(intervened)
        if mask.shape != (rows, count):
            raise DataError(
                f"intervened must have shape ({rows}, {count}), the shape of actions, "
                f"not {mask.shape}"
            )
        if mask.dtype != np.bool_:
            if mask.dtype.kind not in "iuf" or not np.isin(mask, (0, 1)).all():
                raise DataError(
                    "intervened must hold booleans: True where the action was set from outside"
                )
            mask = mask.astype(np.bool_)
        labels = _numbered(count) if names is None else tuple(map(str, names))
        check_names(labels, count)
        if str(outcome_name) in labels:
            raise DataError(f"{outcome_name!r} is the name of an action and of the outcome")
        refuse_unwritable(str(outcome_name), "the outcome")
        data = cls(labels, str(outcome_name), a, y, mask, categories=categories)
        return data._with_two_valued()._checked(require_observational)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        require_observational: bool = True,
    ) -> Self:
        """Build data from a table of any kind.

        Parameters
        ----------
        frame : table
            A table with one row per observation: pandas, Polars, Arrow, DuckDB or any other
            library that narwhals reads, or an xarray Dataset of one dimension. It is not modified.
        actions : sequence of str
            Columns of the actions. Text, booleans, categories and two distinct numbers are levels,
            which keep their names.
        outcome : str
            Column of the outcome.
        regime : str
            Column of regime labels, which name the actions that were set: ``"red"`` for do(red),
            ``"red+green"`` if both were set, and missing, ``""`` or ``"observational"`` if none
            was.
        require_observational : bool
            As in :meth:`from_arrays`.

        Raises
        ------
        DataError
            On missing columns, unknown actions in regime labels, and as in
            :meth:`from_arrays`.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame(
        ...     {"x": range(20), "y": range(20), "regime": [None, "x"] * 10}
        ... )
        >>> RegimeData.from_frame(frame, actions=["x"], outcome="y", regime="regime")
        RegimeData: 20 rows, outcome 'y', actions 'x'
          observational  10
          do(x)          10
        """
        columns = Columns.of(actions, outcome, regime)
        table = as_table(frame)
        if table is None:
            raise DataError(f"frame must be {KINDS}, not {type(frame).__name__}")
        rows = columns.with_levels([table]).read(table)
        return cls(**vars(rows))._with_two_valued()._checked(require_observational)

    def _checked(self, require_observational: bool) -> Self:
        """Validate the rows and copy them to read-only arrays."""
        check_finite(self)
        # Conversion has copied the actions already; they are large.
        actions = np.ascontiguousarray(self.actions, dtype=np.float64)
        outcome = np.array(self.outcome, dtype=np.float64)
        intervened = np.array(self.intervened, dtype=np.bool_, order="C")
        data = replace(self, actions=actions, outcome=outcome, intervened=intervened)
        check_enough_rows(data, len(self), require_observational)
        for array in (actions, outcome, intervened):
            array.flags.writeable = False
        return data

    def _with_two_valued(self) -> Self:
        """Add levels to numeric actions with two distinct values."""
        categories = tuple(
            two_valued(column) if levels is None else levels
            for column, levels in zip(self.actions.T, self.categories, strict=True)
        )
        return replace(self, categories=categories)

    def only(self, *regimes: Sequence[str]) -> Self:
        """Select the rows of some regimes.

        Parameters
        ----------
        *regimes : sequence of str
            The actions set in each regime; an empty sequence for the observational rows.

        Raises
        ------
        DataError
            If a regime names an unknown action, or the selected rows are too few, or an action
            does not vary among them.

        Examples
        --------
        >>> data.only([], ["red"])
        RegimeData: 600 rows, outcome 'intensity', actions 'red', 'green'
          observational  300
          do(red)        300
        """
        keep = np.zeros(len(self), dtype=bool)
        for regime in regimes:
            actions = items(regime, "regime", "actions", DataError)
            for name in actions:
                if name not in self.names:
                    raise DataError(f"regime: {unknown_action(name, self.names)}")
            keep |= (self.intervened == [name in actions for name in self.names]).all(axis=1)
        if not keep.any():
            raise DataError("no rows belong to these regimes; see data.regimes")
        rows = replace(self._rows(keep), lift_tests=())._checked(require_observational=False)
        for test in self.lift_tests:
            rows = rows._with_test(test)
        return rows


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


def _encoded(
    values: ArrayLike, names: Sequence[str] | None
) -> tuple[NDArray[np.float64], tuple[Categories | None, ...]]:
    """Encode actions as numbers, with the levels of each column of text or booleans."""
    try:
        array = np.ma.asanyarray(values)
    except (TypeError, ValueError):  # rows of different lengths
        return _as_float(values, "actions"), ()
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "bUTO":
        return _as_float(values, "actions"), ()
    count = array.shape[1]
    labels = names if names is not None and len(names) == count else _numbered(count)
    columns, categories = zip(
        *(_encoded_column(array[:, k], str(name)) for k, name in enumerate(labels)), strict=True
    )
    return np.stack(columns, axis=1), categories


def _encoded_column(
    column: NDArray[Any], name: str
) -> tuple[NDArray[np.float64], Categories | None]:
    cells = column.tolist()
    if not all(isinstance(cell, str | bool) for cell in cells):
        return _as_float(column, f"column {name!r}"), None
    labels: dict[str | bool, None] = dict.fromkeys(cells)
    booleans = all(isinstance(label, bool) for label in labels)
    order = (False, True) if booleans else tuple(labels)
    levels = ColumnLevels(order, frozenset(order), booleans, booleans).categories(name)
    return levels.encode(cells, name), levels


def _numbered(count: int) -> tuple[str, ...]:
    """Default names of actions."""
    return tuple(f"a{k + 1}" for k in range(count))
