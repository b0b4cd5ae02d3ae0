"""Rows in memory with the record of which actions were set from outside in each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen.basis.categories import Categories, two_valued
from bayes_intgen.data.columns import Columns
from bayes_intgen.data.observed_levels import ColumnLevels
from bayes_intgen.data.rows import Observations
from bayes_intgen.data.tables import KINDS, as_table
from bayes_intgen.data.validation import (
    check_enough_rows,
    check_names,
    refuse_cells_that_are_not_finite,
)
from bayes_intgen.errors import DataError


class RegimeData(Observations):
    """Actions, outcome and mask of every row.

    Build it with :meth:`from_frame` or :meth:`from_arrays`, which check the input.

    Attributes
    ----------
    names : tuple of str, length K
        The actions.
    outcome_name : str
        The outcome.
    actions : ndarray, shape (N, K), float64
        Values of the actions, in the user's units; codes of levels.
    outcome : ndarray, shape (N,), float64
        Values of the outcome, in the user's units.
    intervened : ndarray, shape (N, K), bool
        The mask R of each row: True where the action was set from outside.
    lift_tests : tuple of LiftTest
        Further experiments of which only the summary is known: :meth:`add_lift_test`.
    categories : tuple of Categories or None, length K
        Levels of each action that has text, booleans, categories or two distinct numbers as
        values; None for the others.
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
        """Rows from arrays.

        Parameters
        ----------
        actions : array_like, shape (N, K)
            Values of the actions: numbers, or booleans or text, which are levels. An array of
            objects may hold numbers in some columns and levels in others. A column with two
            distinct numbers has levels, too.
        outcome : array_like, shape (N,)
            Values of the outcome.
        intervened : array_like of bool, shape (N, K)
            True where an action was set from outside. Any mixture of masks may occur.
        names : sequence of str, length K, optional
            Names of the actions; ``a1``, ``a2``, ... where left out.
        outcome_name : str
            Name of the outcome, used in labels.
        require_observational : bool
            Whether rows in which nothing was set must be there. Without them some
            effects are not identified; False accepts that.

        Raises
        ------
        DataError
            On wrong shapes, cells that are not finite, an action that never varies,
            too few rows, or no observational rows.

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
        a, categories = _encoded(actions, names)
        if a.ndim != 2 or 0 in a.shape:
            raise DataError(
                f"actions must have shape (rows, actions) with at least one of each, not {a.shape}"
            )
        rows, count = a.shape
        y = _as_float(outcome, "outcome")
        if y.shape != (rows,):
            raise DataError(
                f"outcome must have shape ({rows},), one value a row of actions, not {y.shape}"
            )
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
        labels = _numbered(count) if names is None else tuple(str(name) for name in names)
        check_names(labels, count)
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
        """Rows from a table of any kind.

        Parameters
        ----------
        frame : table
            Of pandas, Polars, Arrow, DuckDB or anything else that narwhals reads, or an xarray
            Dataset of one dimension; one row an observation. It is not changed.
        actions : sequence of str
            Columns of the actions. Text, booleans and categories are levels, which keep their
            names; so are two distinct numbers.
        outcome : str
            Column of the outcome.
        regime : str
            Column that says what was set: missing, ``""`` or ``"observational"`` where
            nothing was; ``"red"`` for do(red); ``"red+green"`` where both were set.
        require_observational : bool
            As in :meth:`from_arrays`.

        Raises
        ------
        DataError
            On missing columns, a regime label that is no action, and as
            :meth:`from_arrays` does.

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
        """The same rows, checked, in arrays of their own that nobody can change."""
        refuse_cells_that_are_not_finite(self)
        actions = np.array(self.actions, dtype=np.float64, order="C")
        outcome = np.array(self.outcome, dtype=np.float64)
        intervened = np.array(self.intervened, dtype=np.bool_, order="C")
        data = replace(self, actions=actions, outcome=outcome, intervened=intervened)
        check_enough_rows(data, len(self), require_observational)
        for array in (actions, outcome, intervened):
            array.flags.writeable = False
        return data

    def _with_two_valued(self) -> Self:
        """The same rows, with levels of numeric actions that have two distinct values."""
        categories = tuple(
            two_valued(column) if known is None else known
            for column, known in zip(self.actions.T, self.categories, strict=True)
        )
        return replace(self, categories=categories)

    def only(self, *regimes: Sequence[str]) -> Self:
        """The rows of some regimes.

        Parameters
        ----------
        *regimes : sequence of str
            The actions that were set in each; an empty one for the observational rows.

        Raises
        ------
        DataError
            Where no row is left, a regime names no action, or the rows left are too few or
            leave an action at one value.

        Examples
        --------
        >>> data.only([], ["red"])
        RegimeData: 600 rows, outcome 'intensity', actions 'red', 'green'
          observational  300
          do(red)        300
        """
        keep = np.zeros(len(self), dtype=bool)
        for regime in regimes:
            if isinstance(regime, str):
                raise DataError(f"a regime must be a list of actions; write [{regime!r}]")
            for name in regime:
                if name not in self.names:
                    raise DataError(
                        f"a regime names {name!r}, which is no action; the actions are "
                        f"{', '.join(map(repr, self.names))}"
                    )
            keep |= (self.intervened == [name in regime for name in self.names]).all(axis=1)
        if not keep.any():
            raise DataError("no row is of any of these regimes; see data.regimes")
        rows = replace(self._rows(keep), lift_tests=())._checked(require_observational=False)
        for test in self.lift_tests:
            rows = rows._with_test(test)
        return rows


def _as_float(values: ArrayLike, what: str) -> NDArray[np.float64]:
    try:
        given = np.asarray(values)
        # Casting would drop imaginary parts and masks, and count days since 1970.
        if given.dtype.kind not in "biufO":
            raise TypeError(f"they are {given.dtype}")
        numbers = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} must be a rectangular array of numbers ({error})") from error
    return np.where(np.ma.getmaskarray(values), np.nan, numbers)


def _encoded(
    values: ArrayLike, names: Sequence[str] | None
) -> tuple[NDArray[np.float64], tuple[Categories | None, ...]]:
    """Actions as numbers, and the levels of each column that holds text or booleans."""
    try:
        given = np.ma.asanyarray(values)
    except (TypeError, ValueError):  # rows of different lengths
        return _as_float(values, "actions"), ()
    if given.ndim != 2 or 0 in given.shape or given.dtype.kind not in "bUTO":
        return _as_float(values, "actions"), ()
    count = given.shape[1]
    known = names if names is not None and len(names) == count else _numbered(count)
    columns, categories = zip(
        *(_encoded_column(given[:, k], str(name)) for k, name in enumerate(known)), strict=True
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
    """Names of actions that have none."""
    return tuple(f"a{k + 1}" for k in range(count))
