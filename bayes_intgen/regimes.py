"""Rows of data with the record of which actions were set from outside in each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import narwhals as nw
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen.categories import Categories, spelled_label, two_valued
from bayes_intgen.certificates import (
    Certificate,
    certify,
    mask_label,
    regime_label,
    settings_of,
)
from bayes_intgen.errors import DataError
from bayes_intgen.frames import (
    KINDS,
    as_table,
    has_levels,
    label_cells,
    levels_of_column,
    numeric_column,
)
from bayes_intgen.identification import Mask, is_identified, masks_of
from bayes_intgen.lift import LiftTest, TakesLiftTests
from bayes_intgen.observed_levels import ActionLevels, ColumnLevels
from bayes_intgen.streams import generator

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from bayes_intgen.streamed import StreamedData

OBSERVATIONAL = regime_label(())
SEPARATOR = "+"

# An intercept, and a slope of the unconfounded contribution and of the confounding bias of
# each action: with fewer than two rows for each, even a linear model is fitted to noise.
ROWS_PER_UNKNOWN = 2
# Cells beyond this, and spreads below its inverse, have squares that float64 cannot sum.
LARGEST = 1e100
# Values that differ by less than this share of their size differ by rounding.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class RegimeData(TakesLiftTests):
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
        Further experiments, of which only the summary is known: :meth:`add_lift_test`.
    categories : tuple of Categories or None, length K
        Levels of each action that has text, booleans, categories or two distinct numbers as
        values; None for the others.
    """

    names: tuple[str, ...]
    outcome_name: str
    actions: NDArray[np.float64]
    outcome: NDArray[np.float64]
    intervened: NDArray[np.bool_]
    lift_tests: tuple[LiftTest, ...] = ()
    categories: tuple[Categories | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.categories:
            object.__setattr__(self, "categories", (None,) * len(self.names))

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
        _check_names(labels, count)
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

    @classmethod
    def from_parquet(
        cls,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        actions: Sequence[str],
        outcome: str,
        regime: str,
        **settings: bool,
    ) -> "StreamedData":
        """Rows of Parquet files, read in passes and never held all at once.

        That is :meth:`StreamedData.from_parquet`, which says what the arguments are; any other
        source of batches goes to :meth:`StreamedData.from_batches`.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame(
        ...     {"x": range(20), "y": range(20), "regime": [None, "x"] * 10}
        ... )
        >>> frame.to_parquet(folder / "rows.parquet")
        >>> len(RegimeData.from_parquet(folder / "rows.parquet", ["x"], "y", "regime"))
        20
        """
        # Streams are made of pieces that are RegimeData: their module needs this one.
        from bayes_intgen.streamed import StreamedData

        return StreamedData.from_parquet(paths, actions, outcome, regime, **settings)

    @property
    def held(self) -> Self:
        """The rows in memory: all of them."""
        return self

    def _checked(self, require_observational: bool) -> Self:
        """The same rows, checked, in arrays of their own that nobody can change."""
        refuse_cells_that_are_not_finite(self)
        actions = np.array(self.actions, dtype=np.float64, order="C")
        outcome = np.array(self.outcome, dtype=np.float64)
        intervened = np.array(self.intervened, dtype=np.bool_, order="C")
        data = replace(self, actions=actions, outcome=outcome, intervened=intervened)
        data._check_enough(len(self), require_observational)
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

    def _check_enough(self, rows: int, require_observational: bool) -> None:
        """Refuse too few rows, and columns that never vary; ``rows`` may be more than are here."""
        needed = ROWS_PER_UNKNOWN * (2 * len(self.names) + 1)
        if rows < needed:
            raise DataError(
                f"{rows} rows are fewer than a fit can use: {len(self.names)} actions "
                f"need at least {needed}"
            )
        for k, name in enumerate(self.names):
            if np.ptp(self.actions[:, k]) == 0:
                levels, column = self.categories[k], self.actions[:1, k]
                only = (column if levels is None else levels.decode(column)).tolist()[0]
                raise DataError(
                    f"action {name!r} never varies: it is {spelled_label(only)} in every row; "
                    "leave it out, or add rows in which it differs"
                )
            _refuse_lost_digits(self.actions[:, k], f"action {name!r}")
        if np.ptp(self.outcome) == 0:
            raise DataError(
                f"outcome {self.outcome_name!r} never varies: it is {self.outcome[0]:g} everywhere"
            )
        _refuse_lost_digits(self.outcome, f"outcome {self.outcome_name!r}")
        if require_observational and not any(not any(mask) for mask in self.regimes):
            raise DataError(
                "there are no observational rows (rows in which nothing was set). "
                f"{self._answers()} Add such rows, or pass require_observational=False to go on"
            )

    def _answers(self) -> str:
        """What the masks present identify, in a sentence."""
        masks = list(self.regimes)
        targets = [
            tuple(k in chosen for k in range(len(self.names)))
            for size in (0, 1, 2)
            for chosen in combinations(range(len(self.names)), size)
        ]
        targets.append((True,) * len(self.names))
        answered = dict.fromkeys(t for t in targets if is_identified(masks, t))
        refused = dict.fromkeys(t for t in targets if t not in answered)

        def spell(group: Mapping[Mask, None]) -> str:
            shown = [self.label(mask) for mask in list(group)[:6]]
            return ", ".join(shown) + (", ..." if len(group) > 6 else "") if shown else "nothing"

        sentence = f"From the regimes present, {spell(answered)} can be answered"
        return f"{sentence}; {spell(refused)} cannot." if refused else f"{sentence}."

    def label(self, mask: Sequence[bool]) -> str:
        """A mask in words: ``observational``, ``do(red)``, ``do(red, green)``."""
        return mask_label(self.names, mask)

    @property
    def regimes(self) -> dict[Mask, int]:
        """The masks that occur, each with its number of rows; fewest interventions first."""
        masks, which = masks_of(self.intervened)
        return in_order(dict(zip(masks, np.bincount(which).tolist(), strict=True)))

    def identify(self, actions: Sequence[str]) -> Certificate:
        """Whether these regimes determine the effect of setting some actions, and how.

        Parameters
        ----------
        actions : sequence of str
            The actions that are set in the question; the others are observed. An empty list
            asks about the observational regime.

        Returns
        -------
        Certificate
            With exact weights of the regimes, or else with the experiments that are missing.
            It says so where experiments on an action have at most three values.
            No graph over the actions would change it: see `bayes_intgen.certificates`.

        Raises
        ------
        DataError
            Where ``actions`` is a string, or has a name twice or one that is no action.

        Examples
        --------
        >>> data.identify(["red", "green"])
        do(red, green) is identified: do(red) + do(green) - observational.
        >>> data.only([], ["red"]).identify(["green"])
        do(green) is not identified: green was never set. One more experiment would do: \
do(green) itself.
        """
        settings = settings_of(self.names, self.actions, self.intervened, self.categories)
        return certify(self.names, self.regimes, actions, settings)

    def support(
        self,
        points: Any,
        intervened: Sequence[str] | None = None,
        graph: Mapping[str, Sequence[str]] | None = None,
    ) -> "xr.Dataset":
        """Whether rows near points identify the effect there, and how far from them they lie.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column an action
        intervened : sequence of str, optional
            The actions that are set in the question; all of them where left out.
        graph : mapping from action to its parents, optional
            As in ``models.additive``; None: unknown, an action may depend on every other.

        Returns
        -------
        Dataset
            ``distance`` (point, regime, action): in robust standard deviations of the action,
            from the regime's rows; ``share`` (point, regime, action): of the regime's own rows
            that lie as far out; ``joint_distance`` and ``joint_share``, the same for the
            action together with its parents. ``needs_met`` (point, action): whether rows near
            the point identify the action's contribution; ``supported`` (point): whether they
            do for all actions. `bayes_intgen.support` states the conditions, and the cut.

        Raises
        ------
        PointsError
            On wrong shapes, missing columns, cells that are not finite, or where ``intervened``
            names no action.
        ModelError
            Where the graph names no action, or has a cycle.

        Examples
        --------
        >>> found = data.support([[0.1, 0.2], [0.1, 9.0]])
        >>> found.supported.to_numpy()
        array([ True, False])
        >>> found.needs_met.sel(point=1, action="green").item()
        False
        """
        # What is near is measured on the scale of a fit, which needs this module.
        from bayes_intgen.support import support

        return support(self, points, intervened, graph)

    def plot_support(self, points: Any = None) -> "Figure":
        """Draw what each regime saw of each action: a panel an action, a row a regime.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with a column an action, optional
            Questions to mark as lines through the panels.

        Returns
        -------
        matplotlib Figure

        Examples
        --------
        >>> len(data.plot_support([[0.1, 0.2]]).axes)
        2
        """
        from bayes_intgen.plots.overlap import plot_overlap
        from bayes_intgen.questions import checked_points
        from bayes_intgen.support import coverage

        marked = None if points is None else checked_points(points, self.names, self.categories)
        return plot_overlap(coverage(self), self.actions, self.intervened, self.categories, marked)

    def batches(self, rows: int) -> Iterator[Self]:
        """The same data in consecutive pieces of at most ``rows`` rows."""
        for start in range(0, len(self), rows):
            yield self._rows(slice(start, start + rows))

    def sample(self, rows: int) -> Self:
        """At most about ``rows`` rows, as even over the regimes as there are rows of them.

        Drawn at random, always the same ones; the rows at the extremes of each action, which
        say where its range ends, and a row at each level are among them. All rows where there are
        no more.
        """
        drawn = self._drawn(rows)
        return self if drawn is None else self._rows(drawn)

    def parted(self, rows: int) -> tuple[Self, Self | None]:
        """The rows that :meth:`sample` draws, and the others, if there are any."""
        drawn = self._drawn(rows)
        return (self, None) if drawn is None else (self._rows(drawn), self._rows(~drawn))

    def _drawn(self, rows: int) -> NDArray[np.bool_] | None:
        """Which rows :meth:`sample` draws; None for all."""
        if len(self) <= rows:
            return None
        keys = generator(0, "sample").random(len(self))
        masks, which = masks_of(self.intervened)
        members = [np.flatnonzero(which == i) for i in range(len(masks))]
        keep = np.zeros(len(self), dtype=bool)
        for own, count in zip(members, even_shares([len(m) for m in members], rows), strict=True):
            keep[own[np.argsort(keys[own], kind="stable")[:count]]] = True
        keep[self.actions.argmin(axis=0)] = keep[self.actions.argmax(axis=0)] = True
        for column, levels in zip(self.actions.T, self.categories, strict=True):
            if levels is not None:
                codes, first = np.unique(column, return_index=True)
                keep[first[levels.holds(codes)]] = True
        return None if keep.all() else keep

    def _rows(self, chosen: slice | NDArray[np.bool_]) -> Self:
        return type(self)(
            self.names,
            self.outcome_name,
            self.actions[chosen],
            self.outcome[chosen],
            self.intervened[chosen],
            self.lift_tests,
            self.categories,
        )

    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self:
        return replace(self, lift_tests=tests)

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

    def __len__(self) -> int:
        return len(self.outcome)

    def __repr__(self) -> str:
        return self.described("RegimeData", len(self), self.regimes)

    def described(self, kind: str, rows: int, regimes: Mapping[Mask, int]) -> str:
        """A table of regimes under a head line that says what they are, and the lift tests."""
        head = (
            f"{kind}: {rows} rows, outcome {self.outcome_name!r}, "
            f"actions {', '.join(map(repr, self.names))}"
        )
        labels = {self.label(mask): count for mask, count in regimes.items()}
        width = max(map(len, labels))
        tests = []
        for test in self.lift_tests:
            levels = self.categories[self.names.index(test.action)]
            ends = np.array([test.x_from, test.x_to])
            start, end = map(spelled_label, (levels.decode(ends) if levels else ends).tolist())
            tests.append(
                f"  lift test of {test.action}: {test.effect:+g} (se {test.se:g}) "
                f"from {start} to {end}"
            )
        return "\n".join([head, *(f"  {text:<{width}}  {n}" for text, n in labels.items()), *tests])


class Columns(NamedTuple):
    """Which columns of a table hold what.

    Attributes
    ----------
    actions : tuple of str, length K
    outcome, regime : str
    categories : tuple of Categories or None, length K
        Levels of the actions that have some; empty where they are not known yet.
    """

    actions: tuple[str, ...]
    outcome: str
    regime: str
    categories: tuple[Categories | None, ...] = ()

    @classmethod
    def of(cls, actions: Sequence[str], outcome: str, regime: str) -> Self:
        """Checked names; raises DataError where they cannot be."""
        if isinstance(actions, str):
            raise DataError(f"actions must be a list of columns; write actions=[{actions!r}]")
        if not isinstance(actions, Iterable):
            raise DataError(f"actions must be a list of columns, not {type(actions).__name__}")
        names = tuple(actions)
        if not all(isinstance(name, str) for name in names):
            raise DataError("actions must be names of columns; rename columns that are numbers")
        _check_names(names, len(names))
        if not (isinstance(outcome, str) and isinstance(regime, str)):
            raise DataError("outcome and regime must be names of columns")
        if outcome in names or regime in (*names, outcome):
            raise DataError("actions, outcome and regime must be different columns")
        _refuse_unwritable(outcome, "the outcome")
        return cls(names, outcome, regime)

    def with_levels(self, tables: Iterable[nw.DataFrame[Any]]) -> Self:
        """The same columns with the levels that occur in tables, read one after the other.

        Numeric columns have none. Where the first table has no column of levels the others are
        not read.

        Raises
        ------
        DataError
            As :func:`levels_of_column` and :meth:`ColumnLevels.categories`.
        """
        found = self.levels_of(tables)
        return self if found is None else self.with_known_levels(found)

    def with_known_levels(self, found: ActionLevels) -> Self:
        """The same columns with levels that were collected already, checked."""
        return self._replace(categories=found.categories())

    def has_levels(self, frame: Any) -> bool:
        """Whether some action has a column of levels in a table, which may be empty.

        Columns that the table lacks count as numeric.
        """
        table = as_table(frame)
        return table is not None and any(
            has_levels(table, name) for name in self.actions if name in table.columns
        )

    def with_two_valued(self, values: Sequence[tuple[float, ...]]) -> Self:
        """The same columns, with levels of numeric ones of which all rows have two values.

        Parameters
        ----------
        values : sequence of tuples, length K
            The distinct values of each action, at most three of them.
        """
        categories = tuple(
            Categories.of_numbers(found) if known is None and len(found) == 2 else known
            for known, found in zip(self._known, values, strict=True)
        )
        return self._replace(categories=categories)

    def levels_of(
        self, tables: Iterable[nw.DataFrame[Any]], first_row: int = 0
    ) -> ActionLevels | None:
        """Levels that occur in tables; None where there are no tables."""
        found: ActionLevels | None = None
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
            found = here if found is None else found.joined(here)
            if not any(found.levels.values()):
                break
            first_row += len(table)
        return found

    def refuse_missing(self, table: nw.DataFrame[Any]) -> None:
        """Raise DataError where a table lacks one of the columns."""
        present = list(table.columns)
        missing = [c for c in (*self.actions, self.outcome, self.regime) if c not in present]
        if missing:
            raise DataError(
                f"the frame has no column {', '.join(map(repr, missing))}; "
                f"it has {', '.join(map(repr, present))}"
            )

    def read(self, table: nw.DataFrame[Any], first_row: int = 0) -> RegimeData:
        """The rows of a table, unchecked but for their labels; rows count from ``first_row``."""
        self.refuse_missing(table)
        labels = table[self.regime]
        if labels.dtype.is_nested():
            raise DataError(f"column {self.regime!r} holds {labels.dtype}, not labels")
        return RegimeData(
            self.actions,
            self.outcome,
            np.stack(
                [
                    _codes(table, name, levels, first_row)
                    for name, levels in zip(self.actions, self._known, strict=True)
                ],
                axis=1,
            ),
            numeric_column(table, self.outcome, DataError),
            _masks_of_labels(
                labels.to_list(), labels.is_null().to_list(), self.actions, self.regime, first_row
            ),
            categories=self._known,
        )

    @property
    def _known(self) -> tuple[Categories | None, ...]:
        return self.categories or (None,) * len(self.actions)


def _codes(
    table: nw.DataFrame[Any], name: str, levels: Categories | None, first_row: int
) -> NDArray[np.float64]:
    """An action's column as numbers; raises DataError on a level that is not known."""
    if has_levels(table, name) and levels is not None:
        return levels.encode(
            label_cells(table, name, DataError, first_row), name, first_row=first_row
        )
    values = numeric_column(table, name, DataError)
    # Cells that are not finite are refused elsewhere, all at once.
    finite = np.isfinite(values)
    if levels is not None and not levels.holds(values[finite]).all():
        levels.encode(np.where(finite, values, levels.codes[0]), name, first_row=first_row)
    return values


def refuse_cells_that_are_not_finite(rows: RegimeData, first_row: int = 0) -> None:
    """Raise DataError on the first column with such a cell; rows count from ``first_row``."""
    for column, name in [
        *((rows.actions[:, k], name) for k, name in enumerate(rows.names)),
        (rows.outcome, rows.outcome_name),
    ]:
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            raise DataError(
                f"column {name!r} has {bad.size} cells that are NaN or infinite, the first in "
                f"row {first_row + bad[0]}; drop or fill those rows"
            )
        far = np.flatnonzero(np.abs(column) > LARGEST)
        if far.size:
            raise DataError(
                f"column {name!r} is {column[far[0]]:g} in row {first_row + far[0]}, too large to "
                "take sums of squares; give it in larger units"
            )


def in_order(counts: Mapping[Mask, int]) -> dict[Mask, int]:
    """Masks with their numbers of rows, fewest interventions first."""
    return dict(sorted(counts.items(), key=lambda item: (sum(item[0]), [not r for r in item[0]])))


def even_shares(counts: Sequence[int], rows: int) -> list[int]:
    """How many rows of each regime make ``rows``, as even as there are rows of them."""
    shares = [0] * len(counts)
    left = len(counts)
    for i in sorted(range(len(counts)), key=lambda i: counts[i]):
        shares[i] = min(counts[i], rows // left)
        rows, left = rows - shares[i], left - 1
    return shares


def _refuse_lost_digits(values: NDArray[np.float64], what: str) -> None:
    """Raise DataError on values that are finite and differ, but not by enough to compute with."""
    spread, size = float(np.ptp(values)), float(np.abs(values).max())
    if spread < ROUNDING * size:
        raise DataError(
            f"{what} never varies but for rounding: by {spread:.1g} about {values[0]:g}; subtract "
            "its mean before it is rounded, or leave it out"
        )
    if spread < 1 / LARGEST:
        raise DataError(f"{what} varies by no more than {spread:.1g}; give it in smaller units")


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


def _check_names(names: tuple[str, ...], count: int) -> None:
    if not names:
        raise DataError("at least one action is needed")
    if len(names) != count:
        raise DataError(f"{len(names)} names were given for {count} actions")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DataError(f"action {', '.join(map(repr, sorted(repeated)))} is named twice")
    for name in names:
        if name.strip() in ("", OBSERVATIONAL):
            raise DataError(f"an action cannot be called {name!r}: that labels observational rows")
        _refuse_unwritable(name, "an action")
        parts = [part.strip() for part in name.split(SEPARATOR)]
        if len(parts) > 1 and all(part in names for part in parts):
            raise DataError(
                f"an action cannot be called {name!r} where {' and '.join(map(repr, parts))} are "
                "actions too: that labels rows in which they were set together"
            )


def _refuse_unwritable(name: str, what: str) -> None:
    """Raise DataError on a name that no file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{what} cannot be called {name!r}: that is no valid text") from error
    if "\0" in name:
        raise DataError(f"{what} cannot be called {name!r}: it has a zero character")


def _masks_of_labels(
    cells: Sequence[Any],
    missing: Sequence[bool],
    names: tuple[str, ...],
    column: str,
    first_row: int,
) -> NDArray[np.bool_]:
    position = {name: k for k, name in enumerate(names)}
    known: dict[str, NDArray[np.bool_]] = {}
    masks = np.zeros((len(cells), len(names)), dtype=np.bool_)
    for row, (cell, is_missing) in enumerate(zip(cells, missing, strict=True)):
        # NaN is how pandas reads an empty column.
        if is_missing or (isinstance(cell, float) and cell != cell):
            continue
        label = cell if isinstance(cell, str) else str(cell)
        if label not in known:
            known[label] = _mask_of_label(label, position, first_row + row, column)
        masks[row] = known[label]
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
                f"row {row} of column {column!r} says {label!r}, and {part!r} is no action; "
                f"the actions are {', '.join(map(repr, position))}; rows in which nothing was set "
                f"are empty or say {OBSERVATIONAL!r}"
            )
        mask[position[part]] = True
    return mask
