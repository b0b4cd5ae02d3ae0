"""Base class of all data, and its implementation in memory."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pandas.util import hash_pandas_object

from bayes_intgen._arguments import MAX_MAGNITUDE, whole_number
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen._work import in_threads, stage
from bayes_intgen.basis.categories import Categories, Label, at_most_three, spelled_label
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.covariates import CovariateColumns
from bayes_intgen.data.lift_tests import LiftTest
from bayes_intgen.data.missing import counts_of_masks, dropped_in_words
from bayes_intgen.data.queries import checked_mask, checked_points
from bayes_intgen.errors import DataError
from bayes_intgen.identification.certificates import Certificate, certify, settings_of
from bayes_intgen.identification.graph import checked_graph, parents_of
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.regimes import (
    Mask,
    mask_label,
    masks_of,
)
from bayes_intgen.identification.strata import Strata, rests_on
from bayes_intgen.text.formats import format_number, shorter_number
from bayes_intgen.text.messages import option, quoted, refuse_unknown_actions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


OutcomeKind = Literal["continuous", "binary", "count"]
# Largest count: from there on, values are so dense that any law of numbers does.
MAX_COUNT = 1000
# Minimum number of rows per unknown of a linear model: the intercept and, per action, the slopes
# of the unconfounded contribution and of the confounding bias.
ROWS_PER_UNKNOWN = 2
# Minimum range of values relative to their size; a smaller one is due to rounding.
MIN_RELATIVE_RANGE = 1e-12
# Maximum number of rows of a batch, and minimum number that makes up for the work of a thread.
ROWS_PER_BATCH, MIN_ROWS_PER_BATCH = 4096, 1024
# Remedy for a source whose rows change between passes.
SAME_ROWS = "make the data again, from a source that gives the same rows every time"
# Arrays with an entry per row, and those of them that are kept and read by column.
ARRAYS = (
    *("actions", "outcome", "intervened", "covariates", "weights", "within"),
    *("series", "time", "windows", "periods"),
)
BY_COLUMN = ("actions", "intervened", "windows", "periods")
# Maximum number of rows from which it is learned how rows follow each other.
OPENING_ROWS = 20_000
# Maximum number of different rows, as a share of all, that are summed in place of all; and number
# of rows that show whether a column has few values.
MAX_DIFFERENT, FIRST_ROWS = 0.5, 256


@dataclass
class Passes:
    """How often all rows were read, counted by data and their copies together.

    Attributes
    ----------
    first : int
        Number of passes by which the data were made.
    made : int
        Number of all passes so far.
    """

    first: int = 0
    made: int = 0


class Rows(ABC):
    """Actions, outcome and mask of every row: the data that :func:`bayes_intgen.fit` takes.

    Subclasses hold the rows in memory (:class:`RegimeData`), read them repeatedly from files
    (:class:`StreamedData`) or on a cluster (:class:`DistributedData`).

    Attributes
    ----------
    names : tuple of str, length K
        Names of the actions.
    outcome_name : str
    categories : tuple of Categories or None, length K
        Levels of each action; None for actions without levels.
    lift_tests : tuple of LiftTest
        Experiments known by their summary only: :meth:`add_lift_test`.
    columns : CovariateColumns
        Covariates and groups.
    dropped : dict from mask to int
        Number of rows per mask that were left out because of missing cells.
    left_out : int
        Number of rows that were left out because earlier periods say too little about them.
    """

    names: tuple[str, ...]
    outcome_name: str
    categories: tuple[Categories | None, ...]
    lift_tests: tuple[LiftTest, ...]
    columns: CovariateColumns
    dropped: dict[Mask, int]
    left_out: int

    @property
    @abstractmethod
    def regimes(self) -> dict[Mask, int]:
        """Number of rows per mask, fewest interventions first."""

    @property
    @abstractmethod
    def outcome_kind(self) -> OutcomeKind:
        """``"continuous"``, ``"binary"`` or ``"count"``, by the outcomes of all rows."""

    @property
    @abstractmethod
    def in_memory(self) -> "Observations":
        """Rows in memory: all of them, or a sample of every regime."""

    @property
    def joined(self) -> "Rows":
        """Rows with the same sums: equal ones in memory are one, if that at least halves them."""
        return self

    @property
    def passes(self) -> Passes:
        """How often all rows were read: never, if they are in memory."""
        return Passes()

    def with_group_means(self) -> "Rows":
        """Add what each group usually does; see :meth:`bayes_intgen.RegimeData.with_group_means`.

        Raises
        ------
        DataError
            If the rows are not in memory.
        """
        remedy = option("read them as RegimeData", command="save the file as CSV")
        raise DataError(f"means of groups need rows in memory; {remedy}")

    @property
    @abstractmethod
    def opening(self) -> "Observations":
        """First rows by unit and time, or of the table without a time: up to ``OPENING_ROWS``."""

    @property
    def by_time(self) -> "Rows":
        """The same rows, those of a unit in the order of time, as they are read out of memory."""
        return self

    @property
    @abstractmethod
    def this_period(self) -> "Rows":
        """Rows with the actions of their period, if these were carried over."""

    @abstractmethod
    def with_past(self, function: "Transformation", periods: int) -> "Rows":
        """Rows that a function makes of these, some of which it may leave out.

        Rows out of memory reach it in batches, each after so many earlier rows of its units, and
        are counted and sampled again.
        """

    @abstractmethod
    def with_outcome(self, transformation: "Transformation") -> "Rows":
        """Replace the outcome by a continuous function of the columns of each row.

        The function maps some rows to the same rows with another outcome. Rows out of memory keep
        it, and apply it whenever they are read; the workers of a cluster receive it.
        """

    @abstractmethod
    def sample(self, rows: int) -> "Observations":
        """Sample about ``rows`` rows, balanced over the regimes; the same rows in every call."""

    @abstractmethod
    def batches(self, rows: int) -> "Iterator[Observations]":
        """Yield all rows in consecutive batches of at most ``rows`` rows."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def digest(self) -> int:
        """Sum of a 64-bit hash of each row, modulo 2**64, by which the same rows are recognised."""

    def label(self, mask: Sequence[bool]) -> str:
        """Label of a mask: ``observational``, ``do(red)``, ``do(red, green)``."""
        return mask_label(self.names, mask)

    def map_batches[T](
        self,
        function: "Callable[[Observations], T]",
        label: str,
        progress: bool,
        batches: "Iterator[Observations] | None" = None,
    ) -> Iterator[T]:
        """Apply a function to each batch in threads and yield the results in order.

        A progress bar with this label counts rows. ``batches`` are all rows, by default some
        thousands at a time.
        """
        batches = batches or self.batches(rows_per_batch(len(self)))
        with stage(label, progress, "rows", len(self), logged=False) as count:
            for rows, result in in_threads(lambda batch: (len(batch), function(batch)), batches):
                count(rows)
                yield result

    def map_reduce[Part, T](
        self,
        function: "Callable[[Observations], Part]",
        combine: Callable[[T, T], T],
        label: str,
        progress: bool,
        total: Callable[[Iterable[Part]], T] | None = None,
        of_regime: int = 0,
    ) -> T:
        """Apply a function to each batch and combine the results in the order of the batches.

        Parameters
        ----------
        function : callable
            Maps a batch of rows to a result.
        combine : callable
            Combines the results of two consecutive sets of rows; associative.
        label, progress
            Label of the progress bar, and whether to show it.
        total : callable, optional
            Combines the results of consecutive batches; by default one after the other.
        of_regime : int
            Number of rows of batches of one regime each; zero for batches of all regimes.

        Raises
        ------
        DataError
            If the source no longer holds the rows of the first pass.
        """
        regimes = tuple(self.regimes)
        batches = of_regime and by_regime(
            self.batches(of_regime * len(regimes)), of_regime, regimes
        )
        parts = self.map_batches(function, label, progress, batches or None)
        return total(parts) if total else reduce(combine, cast(Iterable[T], parts))

    @abstractmethod
    def _replace(self, **changes: Any) -> Self:
        """Copy with other attributes."""

    def add_lift_test(
        self, action: str, x_from: Label, x_to: Label, effect: float, se: float
    ) -> Self:
        """Add an experiment that is known by its summary only.

        Fits treat it as one Gaussian observation of phi_k(x_to) - phi_k(x_from), the change of
        action k's own contribution: a direct effect, with the other actions unchanged or set
        from outside. See docs/how-to/lift-tests.md for total effects and for the required
        population.

        Parameters
        ----------
        action : str
        x_from, x_to : float, str or bool
            Values of the action, within its range in the rows; levels by name.
        effect : float
            Change of the mean outcome per row from ``x_from`` to ``x_to``, in the outcome's units.
        se : float
            Standard error of ``effect``.

        Returns
        -------
        RegimeData, StreamedData or DistributedData
            New data of the same class with the test added.

        Raises
        ------
        DataError
            If the action is unknown, a number is not finite, the two values are equal or out of
            range, or ``se`` is at most a millionth of the outcome's standard deviation.

        Examples
        --------
        >>> tested = data.add_lift_test("red", 0.0, 1.0, effect=0.8, se=0.1)
        >>> tested.lift_tests
        (LiftTest(action='red', x_from=0.0, x_to=1.0, effect=0.8, se=0.1),)
        """
        refuse_unknown_actions([action], self.names, DataError)
        k = self.names.index(action)
        return self._with_test(LiftTest.of(action, x_from, x_to, effect, se, self.categories[k]))

    def _with_test(self, test: LiftTest) -> Self:
        """Add a lift test, checked against the rows."""
        rows = self.in_memory
        test.check(rows.actions[:, self.names.index(test.action)], float(rows.outcome.std()))
        return self._replace(lift_tests=(*self.lift_tests, test))

    def identify(self, actions: Sequence[str]) -> Certificate:
        """Decide whether the regimes in the data identify the effect of setting some actions.

        Parameters
        ----------
        actions : sequence of str
            The actions that are set; the others are observed. Empty for the observational
            regime.

        Returns
        -------
        Certificate
            Contains exact weights of the regimes, or the missing experiments. Restricted to
            single values if experiments on an action have at most three values. Says where no
            date, value of another covariate, or group has both history and an experiment, so that
            the level of the effect rests on the model of these columns.

        Raises
        ------
        DataError
            If ``actions`` is a string, or contains an unknown or repeated name.

        Notes
        -----
        No graph over the actions changes the result; see docs/explanation/method.md. Each
        covariate and grouping is looked at by itself, and for rows outside memory in the in-memory
        sample.

        Examples
        --------
        >>> data.identify(["red", "green"])
        do(red, green) is identified: do(red) + do(green) - observational.
        >>> data.only([], ["red"]).identify(["green"])
        do(green) is not identified: green was never set. One more experiment would do: \
do(green) itself.
        """
        rows = self.in_memory
        settings = settings_of(self.names, rows.actions, rows.intervened, self.categories)
        return certify(self.names, self.regimes, actions, settings, rows.strata())

    def support(
        self,
        points: Any,
        intervened: Sequence[str] | None = None,
        graph: Mapping[str, Sequence[str] | None] | Literal["any"] | None = None,
    ) -> xr.Dataset:
        """Decide whether rows near points identify the effect there, with distances from them.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with one column per action
        intervened : sequence of str, optional
            The actions that are set; all of them by default.
        graph : mapping from action to its parents, "any", optional
            As in ``models.additive``; where unknown, an action may depend on every other.

        Returns
        -------
        Dataset
            ``distance`` (point, regime, action): distance from the nearest of the regime's rows,
            in robust standard deviations of the action; ``joint_distance``: the same for the
            action together with its parents; ``needs_met`` (point, action): whether rows near the
            point identify the action's contribution; ``supported`` (point): whether they do for
            all actions. The attribute ``level_rests_on`` names the covariates and groupings of
            which no value has both history and experiments, as :meth:`identify` explains.

        Raises
        ------
        PointsError
            On wrong shapes, missing columns, cells that are not finite, or an unknown action in
            ``intervened``.
        ModelError
            If the graph has an unknown action or a cycle.

        Notes
        -----
        docs/explanation/method.md states the conditions of support ("Where an effect is
        identified"). Actions are taken not to interact: ``posterior.support`` knows the
        interactions of a fit, and requires more at points that it calls supported.

        Examples
        --------
        >>> support = data.support([[0.1, 0.2], [0.1, 9.0]])
        >>> support.supported.to_numpy()
        array([ True, False])
        >>> support.needs_met.sel(point=1, action="green").item()
        False
        """
        target = checked_mask(self.names if intervened is None else intervened, self.names)
        values = checked_points(points, self.names, self.categories)
        rows = self.in_memory
        reference = rows.reference_rows()
        parents = parents_of(self.names, checked_graph(graph))
        mask = tuple(target.tolist())
        verdict = reference.verdict(values, mask, parents)
        described = reference.described(values, mask, parents, verdict)
        return described.assign_attrs(
            level_rests_on=", ".join(rests_on(self.names, rows.strata(), mask))
        )

    def plot_support(self, points: Any = None) -> "Figure":
        """Plot the distribution of each action in each regime: one panel per action.

        Parameters
        ----------
        points : array_like, shape (M, K), or data frame with one column per action, optional
            Points to mark as lines through the panels.

        Returns
        -------
        matplotlib Figure

        Examples
        --------
        >>> len(data.plot_support([[0.1, 0.2]]).axes)
        2
        """
        from bayes_intgen.plots.overlap import plot_overlap

        check_enough_rows(self)
        marked = None if points is None else checked_points(points, self.names, self.categories)
        rows = self.in_memory
        labels = {mask: f"{self.label(mask)}  ({n:,})" for mask, n in rows.regimes.items()}
        return plot_overlap(
            rows.names, rows.categories, rows.actions, rows.intervened, labels, marked
        )

    def __repr__(self) -> str:
        head = (
            f"{type(self).__name__}: {len(self)} rows, outcome {self.outcome_name!r}, "
            f"actions {quoted(self.names)}"
        )
        labels = {self.label(mask): count for mask, count in self.regimes.items()}
        width = max(map(len, labels), default=0)
        kinds = (("covariates", self.columns.names), ("groups", self.columns.groups))
        lines = [
            head,
            *(f"{label:<{width}}  {count}" for label, count in labels.items()),
            *(f"{kind}: {', '.join(map(repr, names))}" for kind, names in kinds if names),
            *self.columns.order_in_words,
            *(
                test.in_words(self.categories[self.names.index(test.action)])
                for test in self.lift_tests
            ),
            *dropped_in_words(self.names, self.dropped),
        ]
        return "\n  ".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Observations(Rows):
    """Rows in memory, without validation; attributes as of :class:`RegimeData`.

    Attributes
    ----------
    periods : ndarray, shape (N, 4 K), or None
        If ``actions`` are carried over from earlier periods: actions of the period of each row,
        derivatives of ``actions`` in their rates of carry-over, in units of their prior standard
        deviations, and two means of actions over earlier periods.
    windows : ndarray, shape (N, 2 * periods * actions), or None
        For each action that will carry over: its values in this and earlier periods, NaN without a
        row, and whether it was set there.
    """

    names: tuple[str, ...]
    outcome_name: str
    actions: NDArray[np.float64]
    outcome: NDArray[np.float64]
    intervened: NDArray[np.bool_]
    lift_tests: tuple[LiftTest, ...] = ()
    categories: tuple[Categories | None, ...] = ()
    columns: CovariateColumns = field(default_factory=CovariateColumns)
    covariates: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    weights: NDArray[np.float64] | None = None
    within: NDArray[np.float64] | None = None
    series: NDArray[np.int_] | None = None
    time: NDArray[np.float64] | None = None
    windows: NDArray[np.float64] | None = None
    periods: NDArray[np.float64] | None = None
    left_out: int = 0
    dropped: dict[Mask, int] = field(default_factory=dict)

    @property
    def regimes(self) -> dict[Mask, int]:
        """Number of rows per mask, fewest interventions first."""
        return dict(self._counts)

    @cached_property
    def _counts(self) -> Mapping[Mask, int]:
        return counts_of_masks(self.intervened)

    def reference_rows(self, coordinates: tuple[Coordinate, ...] | None = None) -> ReferenceRows:
        """Draw rows of each regime from which support is measured.

        Coordinates default to those of the rows, which must be enough for a fit.
        """
        if coordinates is None:
            check_enough_rows(self)
        return ReferenceRows.of(
            self.names, self.actions, self.intervened, self.categories, coordinates
        )

    def strata(self) -> tuple[Strata, ...]:
        """Count rows of each regime at values of each covariate, and in the groups."""
        if not len(self.columns):
            return ()
        kinds, levels = self.columns.kinds, (*self.columns.categories, *self.columns.groups)
        regimes, (masks, which) = [*self.regimes], masks_of(self.intervened)
        which = np.array([regimes.index(mask) for mask in masks])[which]
        return tuple(
            Strata.of(name, kind, values, own is not None, regimes, which)
            for (name, kind), own, values in zip(
                kinds.items(), levels, self.covariates.T, strict=True
            )
        )

    def batches(self, rows: int) -> Iterator[Self]:
        """Yield consecutive batches of about ``rows`` rows that keep fine groups together."""
        rows = whole_number(rows, "rows", 1, DataError)
        if 0 < len(self) <= rows:
            yield self
            return
        ends = np.arange(0, len(self), rows)
        if (group := self.fine_group) is not None:
            starts = np.concatenate([[0], np.flatnonzero(np.diff(group)) + 1, [len(self)]])
            ends = starts[np.searchsorted(starts, ends)]
        for start, stop in pairwise(np.unique([*ends, len(self)]).tolist()):
            yield self.take(slice(start, stop))

    def by_fine_group(self) -> Self:
        """Sort the rows by group, if a grouping is too fine for a column per group."""
        group = self.fine_group
        if group is None or (np.diff(group) >= 0).all():
            return self
        return self.take(np.argsort(group, kind="stable"))

    def sample(self, rows: int) -> Self:
        """Sample about ``rows`` rows as by :meth:`sampled`; all if there are no more."""
        rows = whole_number(rows, "rows", 1, DataError)
        if len(self) <= rows:
            return self
        sampled = self.sampled(
            self.priorities(np.arange(len(self))), even_shares(self.regimes, rows)
        )
        return self if sampled.all() else self.take(sampled)

    def priorities(self, numbers: NDArray[np.int_]) -> Array:
        """Random priorities of rows in samples, by their numbers or fine groups, shape (N,)."""
        numbers = numbers if self.fine_group is None else self.fine_group
        rng, first = generator(0, "sample"), int(numbers.min())
        # Each random number is one step of PCG64, NumPy's default.
        cast(np.random.PCG64, rng.bit_generator).advance(first)
        return rng.random(int(numbers.max()) - first + 1)[numbers - first]

    def sampled(self, priority: Array, shares: Mapping[Mask, int]) -> NDArray[np.bool_]:
        """Whether each row is in a sample with a share of each regime, shape (N,).

        The sample also contains the first rows at the extremes of each column and at each level.

        Parameters
        ----------
        priority : ndarray, shape (N,)
            Rows of smallest priority are sampled; those of a fine group, which share one, together.
        shares : mapping from mask to int
            Number of rows of each regime.

        Examples
        --------
        >>> shares = dict.fromkeys(data.regimes, 2)
        >>> int(data.sampled(np.arange(len(data))[::-1], shares).sum())
        10
        """
        masks, which = masks_of(self.intervened)
        # Small integers are sorted by counting.
        order = np.argsort(which.astype(np.min_scalar_type(len(masks))), kind="stable")
        regimes = np.split(order, np.cumsum(np.bincount(which))[:-1])
        sampled = np.zeros(len(self), dtype=bool)
        for mask, rows in zip(masks, regimes, strict=True):
            sampled[rows[_smallest(priority[rows], shares[mask])]] = True
        levels = (*self.categories, *self.columns.categories)
        for column, own in zip(self.smooth_columns.T, levels, strict=True):
            sampled[[column.argmin(), column.argmax()]] = True
            if own is not None:
                sampled |= ~pd.Series(column).duplicated().to_numpy()
        return sampled

    @property
    def is_whole(self) -> bool:
        """Whether none were left out, so that positions are row numbers of the table."""
        return not (self.left_out or self.dropped)

    @property
    def fine_group(self) -> NDArray[np.int_] | None:
        """Group of each row, shape (N,), if a grouping is too fine for a column per group."""
        fine = self.columns.fine_grouping
        return None if fine is None else self.covariates[:, fine].astype(int)

    @property
    def order_in_time(self) -> NDArray[np.intp] | slice:
        """Positions of the rows by unit and time; in their order without a time."""
        if self.series is None or self.time is None:
            return slice(None)
        return np.lexsort((self.time, self.series))

    @property
    def opening(self) -> Self:
        """First rows by unit and time, or of the table without a time: up to ``OPENING_ROWS``."""
        if isinstance(order := self.order_in_time, slice):
            return self.take(slice(OPENING_ROWS))
        return self.take(order[:OPENING_ROWS])

    @property
    def by_time(self) -> Self:
        """The same rows by unit and time."""
        return self.take(self.order_in_time)

    def with_past(self, function: "Transformation", periods: int) -> "Observations":
        """Apply a function to all rows; see :meth:`Rows.with_past`."""
        rows = function(self)
        return replace(rows, left_out=self.left_out + len(self) - len(rows))

    @property
    def this_period(self) -> Self:
        """Rows with the actions of their period, if these were carried over."""
        if self.periods is None:
            return self
        return self._replace(actions=self.periods[:, : len(self.names)], periods=None)

    def stretches(self, length: int) -> NDArray[np.int_]:
        """Stretch of each row, shape (N,): so many rows of a unit that follow each other.

        Without a time each row is one.

        Examples
        --------
        >>> data.stretches(12)[:3]
        array([0, 1, 2])
        """
        order, out = self.order_in_time, np.empty(len(self), dtype=np.int_)
        if self.series is None or isinstance(order, slice):
            return np.arange(len(self))
        series = pd.Series(self.series[order])
        out[order] = np.cumsum(series.groupby(series).cumcount() % length == 0) - 1
        return out

    @cached_property
    def joined(self) -> Self:
        """Rows with the same sums over rows; see :attr:`Rows.joined`.

        A joined row has the mean outcome, the number of its rows as its weight, and the squares
        about the mean, but no time.
        """
        columns = [*np.packbits(self.intervened, axis=1).T, *self.inputs.T]
        # Values of earlier periods differ among rows of equal actions.
        has_past = self.windows is not None or self.periods is not None
        if self.weights is not None or has_past or not len(self):
            return self
        first = min(FIRST_ROWS, len(self))
        if any(len(set(own[:first])) > MAX_DIFFERENT * first for own in columns):
            return self
        frame = pd.DataFrame(dict(enumerate(columns)))
        which = frame.groupby([*frame], sort=False).ngroup().to_numpy()
        counts = np.bincount(which)
        if len(counts) > MAX_DIFFERENT * len(self):
            return self
        mean = np.bincount(which, self.outcome) / counts
        position = np.empty(len(counts), dtype=np.intp)
        position[which] = np.arange(len(self))
        return self.take(position)._replace(
            outcome=mean,
            weights=counts.astype(float),
            within=np.bincount(which, (self.outcome - mean[which]) ** 2),
            series=None,
            time=None,
        )

    @property
    def smooth_columns(self) -> NDArray[np.float64]:
        """Actions and covariates of each row, shape (N, K + C)."""
        return self.inputs[:, : len(self.names) + len(self.columns.names)]

    @property
    def inputs(self) -> NDArray[np.float64]:
        """Actions, covariates and groups of each row, shape (N, K + C + G)."""
        if not self.covariates.shape[1]:
            return self.actions
        return np.concatenate([self.actions, self.covariates], axis=1)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays with an entry per row, by their names."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return {name: array for name, array in arrays.items() if array is not None}

    def take(self, rows: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Select rows by position or by a mask of rows."""
        some = {
            name: array.T[:, rows].T if name in BY_COLUMN else array[rows]
            for name, array in self.arrays.items()
        }
        return self._replace(**some)

    def coded_by(self, columns: CovariateColumns) -> Self:
        """Rows whose groups and units have the codes of other columns, with all of their labels."""
        own, covariates, series = self.columns, self.covariates.copy(), self.series
        for i, name in enumerate(own.groups, len(own.names)):
            codes = columns.encode_groups(name, own.labels_of[name])
            covariates[:, i] = codes[covariates[:, i].astype(np.int_)]
        if series is not None and own.unit:
            series = columns.encode_groups(own.unit, own.labels_of[own.unit]).astype(int)[series]
        columns = replace(own, labels=columns.labels, units=columns.units)
        return self._replace(covariates=covariates, series=series, columns=columns)

    def followed_by(self, new: "Observations", **changes: Any) -> Self:
        """Append rows with the same columns and levels, and change other attributes."""
        arrays, more = self.arrays, new.arrays
        joined = {name: np.concatenate([arrays[name], more[name]]) for name in arrays}
        return self._replace(**joined, **changes)

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def digest(self) -> int:
        """Sum of a 64-bit hash of each row, modulo 2**64.

        Examples
        --------
        >>> data.digest == data.take(np.arange(len(data))[::-1]).digest
        True
        """
        # Adding zero removes the sign of negative zeros.
        cells = np.column_stack([*self.arrays.values()]) + 0.0
        return int(hash_pandas_object(pd.DataFrame(cells), index=False).to_numpy().sum())

    @cached_property
    def outcome_kind(self) -> OutcomeKind:
        """``"continuous"``, ``"binary"`` or ``"count"``."""
        return kind_of_outcome(decisive_values(self.outcome, self.weights))

    @property
    def in_memory(self) -> Self:
        """Rows in memory: all of them."""
        return self

    def with_outcome(self, transformation: "Transformation") -> "Observations":
        """Replace the outcome now; see :meth:`Rows.with_outcome`."""
        return transformation(self)

    def _replace(self, **changes: Any) -> Self:
        return replace(self, **changes)


def _smallest(values: Array, count: int) -> NDArray[np.intp]:
    """Positions of the smallest values, the first ones of those that are equal."""
    if count >= len(values):
        return np.arange(len(values))
    # Takes a tenth of the time of sorting.
    limit = np.partition(values, count)[count]
    below = np.flatnonzero(values < limit)
    return np.concatenate([below, np.flatnonzero(values == limit)[: count - len(below)]])


Transformation = Callable[[Observations], Observations]


def in_batches(pieces: Iterable[Observations], rows: int) -> Iterator[Observations]:
    """Split pieces of any size into batches of at most ``rows`` rows."""
    for piece in pieces:
        yield from piece.batches(rows)


def by_regime(
    pieces: Iterable[Observations], rows: int, regimes: Sequence[Mask]
) -> Iterator[Observations]:
    """Regroup pieces into batches of one regime each, of at least ``rows`` rows or the last ones.

    Raises
    ------
    DataError
        On a row of none of these regimes.
    """
    waiting: dict[Mask, list[Observations]] = {mask: [] for mask in regimes}
    for piece in pieces:
        masks, which = masks_of(piece.intervened)
        for i, mask in enumerate(masks):
            if mask not in waiting:
                label = mask_label(piece.names, mask)
                raise DataError(f"the source now has rows of another regime, {label}; {SAME_ROWS}")
            own = waiting[mask]
            own.append(piece.take(which == i) if len(masks) > 1 else piece)
            if count := sum(map(len, own)) // rows:
                joined = reduce(Observations.followed_by, own)
                yield from joined.batches(math.ceil(len(joined) / count))
                own.clear()
    for own in filter(None, waiting.values()):
        yield reduce(Observations.followed_by, own)


def rows_needed(n_actions: int) -> int:
    """Minimum number of rows of a fit."""
    return ROWS_PER_UNKNOWN * (2 * n_actions + 1)


def check_enough_rows(data: Rows, which: str = "") -> None:
    """Raise DataError on too few rows, or an action or outcome that does not vary.

    ``which`` says in a message which rows these are, if not those without missing cells.
    """
    sample, rows = data.in_memory, len(data)
    needed = rows_needed(len(sample.names))
    if rows < needed:
        others = sum(sample.dropped.values())
        complete = f" without missing cells (of {rows + others})" if others else ""
        raise DataError(
            f"{rows} rows{which or complete} are fewer than a fit can use: {len(sample.names)} "
            f"actions need at least {needed}"
        )
    for name, levels, column in zip(sample.names, sample.categories, sample.actions.T, strict=True):
        never = ": it is {} in every row; omit it, or add rows in which it differs"
        check_varies(column, f"action {name!r}", never, levels)
    check_varies(sample.outcome, f"outcome {sample.outcome_name!r}", ": it is {} everywhere")


def check_varies(column: Array, what: str, never: str, levels: Categories | None = None) -> None:
    """Raise DataError on a column that never varies, or too little for computations in float64.

    ``never`` ends the sentence on the former, perhaps with a place {} for the only value.
    """
    low, high = float(column.min()), float(column.max())
    spread, size = high - low, max(-low, high)
    if not spread:
        only = format_number(low)
        if levels is not None:
            only = spelled_label(levels.decode(column[:1]).tolist()[0])
        raise DataError(f"{what} never varies{never.format(only)}")
    if spread < MIN_RELATIVE_RANGE * size:
        raise DataError(
            f"{what} never varies except for rounding ({shorter_number(spread, 1)} about "
            f"{format_number(low)}); subtract its mean before rounding, or omit it"
        )
    if spread < 1 / MAX_MAGNITUDE:
        raise DataError(
            f"{what} varies by no more than {shorter_number(spread, 1)}; use smaller units"
        )


def rows_per_batch(rows: int) -> int:
    """Size of batches such that an even number of them, nearly equal, make up all rows.

    The size does not depend on the number of processors, on which sums would depend too.

    Examples
    --------
    >>> [rows_per_batch(rows) for rows in (1_500, 3_000, 12_000, 1_000_000)]
    [1500, 1500, 3000, 4066]
    """
    if rows < 2 * MIN_ROWS_PER_BATCH:
        return max(rows, 1)
    return math.ceil(rows / (2 * math.ceil(rows / (2 * ROWS_PER_BATCH))))


def random_rows(count: int, most: int) -> slice | NDArray[np.intp]:
    """Positions of about ``most`` of ``count`` rows, in order; of all if there are no more.

    Takes time in proportion to ``most``, unlike a balanced sample.

    Examples
    --------
    >>> random_rows(10, 20), len(random_rows(10**9, 20))
    (slice(None, None, None), 20)
    """
    if count <= most:
        return slice(None)
    return np.unique(generator(0, "sample").integers(count, size=most))


def even_shares(counts: Mapping[Mask, int], rows: int) -> dict[Mask, int]:
    """Split a number of rows over regimes, as equally as their sizes ``counts`` allow.

    Examples
    --------
    >>> even_shares({(False,): 10, (True,): 2}, 8)
    {(True,): 2, (False,): 6}
    """
    shares = {}
    smallest_first = sorted(counts, key=lambda mask: (counts[mask], mask))
    for remaining, mask in zip(range(len(counts), 0, -1), smallest_first, strict=True):
        shares[mask] = min(counts[mask], rows // remaining)
        rows -= shares[mask]
    return shares


def decisive_values(outcome: Array, units: Array | None) -> tuple[float, ...]:
    """Select at most three outcomes that decide the kind of all; NaN for means of several units.

    Those of two sets of rows together are the decisive values of both.

    Examples
    --------
    >>> decisive_values(np.array([0.0, 1.0, 0.5, 7.0]), None)
    (0.5,)
    """
    if units is not None and (units != 1).any():
        return (np.nan,)
    others = outcome[~_is_count(outcome)]
    return (float(others[0]),) if others.size else at_most_three(outcome)


def kind_of_outcome(values: tuple[float, ...]) -> OutcomeKind:
    """Detect the kind of the outcomes with these decisive values.

    Examples
    --------
    >>> [kind_of_outcome(values) for values in ((0.0, 1.0), (0.0, 1.0, 3.0), (0.5,))]
    ['binary', 'count', 'continuous']
    """
    if not _is_count(np.array(values)).all():
        return "continuous"
    if len(values) > 2:
        return "count"
    return "binary" if values == (0, 1) else "continuous"


def _is_count(outcome: Array) -> NDArray[np.bool_]:
    return np.asarray((outcome >= 0) & (outcome <= MAX_COUNT) & (outcome == np.floor(outcome)))
