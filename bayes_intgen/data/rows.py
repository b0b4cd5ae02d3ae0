"""Rows of every kind, wherever they are: what fits and users need of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen.basis.categories import Categories, Label
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.batches import map_reduce
from bayes_intgen.data.lift_tests import LiftTest
from bayes_intgen.data.queries import checked_mask, checked_points
from bayes_intgen.errors import DataError
from bayes_intgen.identification.certificates import Certificate, certify, settings_of
from bayes_intgen.identification.graph import parents_of
from bayes_intgen.identification.labels import mask_label
from bayes_intgen.identification.masks import Mask, masks_of, regime_order
from bayes_intgen.identification.overlap import ReferenceRows
from bayes_intgen.identification.quantiles import regime_quantiles
from bayes_intgen.identification.requirements import requirements

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Rows(ABC):
    """Rows of data with the mask of each, in memory or elsewhere.

    :func:`bayes_intgen.fit` takes any: :class:`RegimeData`, :class:`StreamedData`,
    :class:`DistributedData`.

    Attributes
    ----------
    names : tuple of str, length K
        The actions.
    outcome_name : str
    lift_tests : tuple of LiftTest
    """

    names: tuple[str, ...]
    outcome_name: str
    lift_tests: tuple[LiftTest, ...]

    @property
    @abstractmethod
    def regimes(self) -> dict[Mask, int]:
        """The masks that occur, each with its number of rows; fewest interventions first."""

    @property
    @abstractmethod
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for those that have none."""

    @property
    @abstractmethod
    def in_memory(self) -> "Observations":
        """The rows in memory: all, or a sample of those of every regime."""

    @abstractmethod
    def sample(self, rows: int) -> "Observations":
        """Draw at most about ``rows`` rows, balanced over the regimes; always the same ones."""

    @abstractmethod
    def split(self, rows: int) -> "tuple[Observations, Observations | None]":
        """Split the rows into those that :meth:`sample` draws and the others, if in memory."""

    @abstractmethod
    def batches(self, rows: int) -> "Iterator[Observations]":
        """All rows in consecutive batches of at most ``rows`` rows, read anew."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self: ...

    def label(self, mask: Sequence[bool]) -> str:
        """A mask in words: ``observational``, ``do(red)``, ``do(red, green)``."""
        return mask_label(self.names, mask)

    def map_reduce[T](
        self,
        function: "Callable[[Observations], T]",
        combine: Callable[[T, T], T],
        label: str,
        progress: bool,
    ) -> T:
        """Apply a function to each batch and combine the results from the first to the last.

        Parameters
        ----------
        function : callable
            From a batch of rows.
        combine : callable
            From the results of rows and of rows that follow them; associative.
        label : str
            Of the progress bar.
        progress : bool

        Raises
        ------
        DataError
            Where the source holds other rows than when it was first read.
        """
        return map_reduce(self, function, combine, label, progress)

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
        rows = self.in_memory
        settings = settings_of(self.names, rows.actions, rows.intervened, self.categories)
        return certify(self.names, self.regimes, actions, settings)

    def support(
        self,
        points: Any,
        intervened: Sequence[str] | None = None,
        graph: Mapping[str, Sequence[str]] | None = None,
    ) -> xr.Dataset:
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
        target = checked_mask(self.names if intervened is None else intervened, self.names)
        values = checked_points(points, self.names, self.categories)
        reference = self.in_memory.reference_rows()
        known = None if graph is None else {child: tuple(own) for child, own in graph.items()}
        parents = parents_of(self.names, known)
        mask = tuple(target.tolist())
        needs = requirements(parents, reference.masks, mask)
        verdict = reference.verdict(values, mask, needs, parents)
        return reference.described(values, mask, parents, verdict)

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

        marked = None if points is None else checked_points(points, self.names, self.categories)
        held = self.in_memory
        quantiles = regime_quantiles(held.names, held.actions, held.intervened, list(held.regimes))
        return plot_overlap(quantiles, held.actions, held.intervened, held.categories, marked)

    def add_lift_test(
        self, action: str, x_from: Label, x_to: Label, effect: float, se: float
    ) -> Self:
        """Add an experiment of which only the summary is known.

        Fits take it as one Gaussian observation of phi_k(x_to) - phi_k(x_from), the change of
        action k's own contribution. A direct effect is meant: the other actions stay as they
        are, or are set from outside. See docs/lift-tests.md for total effects, and for the
        population that the experiment must be of.

        Parameters
        ----------
        action : str
        x_from, x_to : float, str or bool
            Within the range of the action in the rows, beyond which no mechanism is learned;
            levels by their names.
        effect : float
            Change of the mean outcome a row, in the outcome's units, from the one to the other.
        se : float
            Standard error of ``effect``.

        Returns
        -------
        RegimeData, StreamedData or DistributedData
            As this one is, which stays as it was.

        Raises
        ------
        DataError
            Where ``action`` is none, a number is not finite, the two values are equal or out of
            range, or ``se`` is not positive or below a millionth of the outcome's standard
            deviation.

        Examples
        --------
        >>> tested = data.add_lift_test("red", 0.0, 1.0, effect=0.8, se=0.1)
        >>> tested.lift_tests
        (LiftTest(action='red', x_from=0.0, x_to=1.0, effect=0.8, se=0.1),)
        """
        if action not in self.names:
            raise DataError(
                f"{action!r} is no action; the actions are {', '.join(map(repr, self.names))}"
            )
        k = self.names.index(action)
        return self._with_test(LiftTest.of(action, x_from, x_to, effect, se, self.categories[k]))

    def _with_test(self, test: LiftTest) -> Self:
        """Add a lift test, checked against the rows."""
        rows = self.in_memory
        test.check(rows.actions[:, self.names.index(test.action)], float(rows.outcome.std()))
        return self._with_lift_tests((*self.lift_tests, test))

    def __repr__(self) -> str:
        head = (
            f"{type(self).__name__}: {len(self)} rows, outcome {self.outcome_name!r}, "
            f"actions {', '.join(map(repr, self.names))}"
        )
        labels = {self.label(mask): count for mask, count in self.regimes.items()}
        width = max(map(len, labels))
        counts = [f"  {label:<{width}}  {count}" for label, count in labels.items()]
        tests = [
            f"  {test.in_words(self.categories[self.names.index(test.action)])}"
            for test in self.lift_tests
        ]
        return "\n".join([head, *counts, *tests])


@dataclass(frozen=True, eq=False, repr=False)
class Observations(Rows):
    """Rows in memory, unchecked.

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
        Further experiments of which only the summary is known.
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

    @property
    def regimes(self) -> dict[Mask, int]:
        """The masks that occur, each with its number of rows; fewest interventions first."""
        masks, which = masks_of(self.intervened)
        return in_order(dict(zip(masks, np.bincount(which).tolist(), strict=True)))

    def reference_rows(self, coordinates: tuple[Coordinate, ...] | None = None) -> ReferenceRows:
        """Draw a few rows of each regime, from which support is measured."""
        return ReferenceRows.of(
            self.names, self.actions, self.intervened, self.categories, coordinates
        )

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

    def split(self, rows: int) -> tuple[Self, Self | None]:
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
                keep[first[levels.covers(codes)]] = True
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

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def in_memory(self) -> Self:
        """The rows in memory: all of them."""
        return self

    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self:
        return replace(self, lift_tests=tests)


def in_order(counts: Mapping[Mask, int]) -> dict[Mask, int]:
    """Masks with their numbers of rows, fewest interventions first."""
    return dict(sorted(counts.items(), key=lambda item: regime_order(item[0])))


def even_shares(counts: Sequence[int], rows: int) -> list[int]:
    """How many rows of each regime make ``rows``, as even as there are rows of them."""
    shares = [0] * len(counts)
    left = len(counts)
    for i in sorted(range(len(counts)), key=lambda i: counts[i]):
        shares[i] = min(counts[i], rows // left)
        rows, left = rows - shares[i], left - 1
    return shares
