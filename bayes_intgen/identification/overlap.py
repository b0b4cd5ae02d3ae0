"""Overlap: whether rows near a point identify the effect there, and their distance from it.

A point is supported under a target mask if four conditions hold, which docs/explanation/method.md
motivates.

- **Closeness.** An action that is set has its value near rows in which it was set. For an action
  that is observed, (a_k, a_pa(k)) is jointly near rows in which it was not set; with an unknown
  graph these are all actions.
- **Separation.** The regimes with rows near the value of an action span the target's coefficients
  of the functions of that action: the rank test of `bayes_intgen.identification.regimes`,
  restricted to the regimes that reach the value.
- **Interaction.** The regimes with rows near the values of two actions that interact span the
  target's coefficients of their functions of both.
- **Linkage.** The regimes that reach a value reach it together with the same values of the other
  actions, and such places are linked to each other; see `bayes_intgen.identification.linkage`.

A row is near a point up to a distance in the actions' coordinates that depends on the number of
actions only (``radius``): one row in 250 is that near to a point at the edge. Levels and few values
have to be equal where they have at most 250 combinations, since as many rows are then at the same
one: a combination without rows is one that a table avoids. Of more combinations hardly any two rows
share one. Steps between ordered values then count as distances, two unordered levels are as far
apart as if their codes had a variance of one (``step_of_levels``), and a value that many rows
share, such as zero, is 2 from any other. A point outside the observed range of an action is near no
row.

Rows that are added to a table, with the same coordinates, therefore never take support away: every
condition is one on the regimes and places that rows reach, and the rows that represent many
(``first_rows``) are those of the shorter table and some of the added ones. See
`bayes_intgen.identification.distance`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import islice
from math import prod
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Atom
from bayes_intgen.basis.categories import MAX_DISTINCT, Categories, Label, decoded_table
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.certificates import settings_of
from bayes_intgen.identification.distance import (
    INFINITE,
    NEAR,
    NEAR_SHARE,
    apart,
    distinct_rows,
    first_rows,
    nearest,
    placed,
    radius,
    step_of_levels,
    stretches,
)
from bayes_intgen.identification.linkage import Cells
from bayes_intgen.identification.regimes import (
    Mask,
    mask_label,
    masks_of,
    regime_order,
)
from bayes_intgen.identification.verdict import Verdict, biased_by, separates

# Number of rows per regime that represent all of its rows.
REFERENCE_ROWS = 500
# The same for places at which regimes are compared.
PLACES = 50
# Maximum number of settings of an action between which values are reported as such.
MAX_SETTINGS = 30


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """Rows that represent those of each regime.

    Attributes
    ----------
    names : tuple of str, length K
    coordinates : tuple of Coordinate, length K
    masks : tuple of masks
    rows : tuple of ndarray, shape (at most 500, K)
        Actions of rows drawn at random from each regime, in the actions' units.
    visited : tuple of ndarray, shape (n, K)
        Distinct rows of each regime, from which support is measured: ``first_rows`` of them.
    categories : tuple of Categories or None, length K
    """

    names: tuple[str, ...]
    coordinates: tuple[Coordinate, ...]
    masks: tuple[Mask, ...]
    rows: tuple[Array, ...]
    visited: tuple[Array, ...]
    categories: tuple[Categories | None, ...]
    _known_cells: dict[tuple[tuple[int, ...], ...], Cells] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def of(
        cls,
        names: tuple[str, ...],
        actions: Array,
        intervened: NDArray[np.bool_],
        categories: tuple[Categories | None, ...],
        coordinates: tuple[Coordinate, ...] | None = None,
    ) -> Self:
        """Draw reference rows from rows with these actions and masks.

        Coordinates default to those of the rows.
        """
        if coordinates is None:
            coordinates = tuple(map(Coordinate.of, actions.T))
        rng = generator(0, "support")
        masks, which = masks_of(intervened)
        ordered, rows, visited = sorted(masks, key=regime_order), [], []
        for mask in ordered:
            own = np.flatnonzero(which == masks.index(mask))
            visited.append(first_rows(distinct_rows(actions[own]), REFERENCE_ROWS))
            if len(own) > REFERENCE_ROWS:
                own = np.sort(rng.choice(own, REFERENCE_ROWS, replace=False))
            rows.append(actions[own])
        return cls(names, coordinates, tuple(ordered), tuple(rows), tuple(visited), categories)

    def shares(self, regimes: Mapping[Mask, int]) -> Array:
        """Share of all rows that each reference row stands for, given the rows of each regime.

        Examples
        --------
        >>> was_set = np.array([[False], [True], [True]])
        >>> reference = ReferenceRows.of(("red",), was_set * 1.0, was_set, (None,))
        >>> reference.shares({(False,): 300, (True,): 100})
        array([0.75 , 0.125, 0.125])
        """
        counts = np.array([regimes[mask] for mask in self.masks])
        return np.repeat(counts / counts.sum() / [*map(len, self.rows)], [*map(len, self.rows)])

    @classmethod
    def of_dataset(
        cls,
        stored: xr.Dataset,
        coordinates: tuple[Coordinate, ...],
        categories: tuple[Categories | None, ...],
    ) -> Self:
        """Restore from :meth:`to_dataset`."""
        masks = stored["intervened"].values > 0
        rows, visited = (
            tuple(stored[rows].values[stored[which].values == i] for i in range(len(masks)))
            for rows, which in (("reference", "regime_of"), ("visited", "visited_regime"))
        )
        return cls(
            tuple(map(str, stored["action"].values)),
            coordinates,
            tuple(map(tuple, masks.tolist())),
            rows,
            visited,
            categories,
        )

    def to_dataset(self) -> xr.Dataset:
        """Convert to arrays of rows, with the position of each row's regime."""
        which, visited = (
            np.repeat(np.arange(len(own)), list(map(len, own))) for own in (self.rows, self.visited)
        )
        return labelled_dataset(
            {
                "reference": (("reference_row", "action"), np.concatenate(self.rows)),
                "regime_of": ("reference_row", which),
                "visited": (("visited_row", "action"), np.concatenate(self.visited)),
                "visited_regime": ("visited_row", visited),
                "intervened": (("regime", "action"), np.array(self.masks, dtype=np.int8)),
            },
            {
                "reference_row": np.arange(len(which)),
                "visited_row": np.arange(len(visited)),
                "regime": [mask_label(self.names, mask) for mask in self.masks],
                "action": list(self.names),
            },
        )

    def distances(self, points: Array, inputs: Sequence[int]) -> Array:
        """Compute distances of points from each regime in some of the actions.

        Parameters
        ----------
        points : ndarray, shape (M, K)
        inputs : sequence of int

        Returns
        -------
        ndarray, shape (M, regimes)
            Euclidean distance to the nearest row, in the actions' coordinates.
        """
        own, inputs = self.placed(points)[:, list(inputs)], list(inputs)
        steps = None if self._have_few_values(inputs) else [self._steps[k] for k in inputs]
        found = nearest([rows[:, inputs] for rows in self._transformed], own, steps=steps)
        return np.where(found < INFINITE / 2, found, np.inf)

    def covers(self, points: Array, inputs: Sequence[int]) -> NDArray[np.bool_]:
        """Test whether points are near rows of each regime, shape (M, regimes)."""
        inputs = list(inputs)
        own = self._apart(points, inputs)
        if len(inputs) == 1:
            low, high, first = self._stretches[inputs[0]]
            within = np.logical_or.reduceat((own >= low) & (own <= high), first, axis=1)
        else:
            if self._have_few_values(inputs):
                steps: list[float | None] = [np.inf] * len(inputs)
                most, visited = NEAR, self._visited_apart
            else:
                steps, most = [self._steps[k] for k in inputs], radius(len(inputs))
                levels = [step for step in steps if step is not None]
                if most < min(levels, default=0.0):
                    # Levels have to be equal, and so add no distance.
                    most = radius(len(inputs) - len(levels))
                own, visited = self._jointly(points)[:, inputs], self._visited_jointly
            within = nearest([rows[:, inputs] for rows in visited], own, most, steps) <= most
        for k in inputs:
            at = self.coordinates[k]
            within &= ((points[:, k] >= at.low) & (points[:, k] <= at.high))[:, None]
            # An atom has an effect of its own, on which rows beside it say nothing.
            at_atom = points[:, k] == self._atoms[k]
            if at_atom.any():
                regimes = zip(self.visited, self.masks, strict=True)
                visits = [not m[k] or (rows[:, k] == self._atoms[k]).any() for rows, m in regimes]
                within &= ~at_atom[:, None] | np.array(visits)
        return np.asarray(within)

    def _reached(self, points: Array) -> NDArray[np.bool_]:
        """Regimes with rows near points in all actions, jointly and one at a time, (M, regimes)."""
        every = range(len(self.names))
        # In many dimensions a point that is near jointly may lie beyond the range of an action.
        alone = [self.covers(points, (k,)) for k in every]
        return np.asarray(self.covers(points, every) & np.all(alone, axis=0))

    def verdict(
        self,
        points: Array,
        target: Mask,
        parents: Sequence[Sequence[int]],
        pairs: Sequence[tuple[int, int]] = (),
        pairs_set: Collection[tuple[int, int]] = (),
        nearby: bool = True,
    ) -> Verdict:
        """Test the conditions of support at points.

        Parameters
        ----------
        points : ndarray, shape (M, K)
        target : mask
        parents : sequence of sequences of int, length K
            Actions on which each bias may depend.
        pairs : sequence of pairs of int
            Actions that interact.
        pairs_set : collection of pairs of int
            Those with an interaction that only rows with both set show.
        nearby : bool
            Whether rows near a point itself count for its linkage, see :meth:`linked`.
        """
        every = range(len(self.names))
        # Plans that are compared have few values of an action.
        values, which = zip(*(_distinct(points, (k,)) for k in every), strict=True)
        alone = [self.covers(own, (k,)) for k, own in enumerate(values)]
        reached: dict[tuple[int, ...], NDArray[np.bool_]] = {
            (k,): own[at] for k, (own, at) in enumerate(zip(alone, which, strict=True))
        }
        close, masks = np.ones(points.shape, dtype=bool), np.array(self.masks)
        for k, is_set in enumerate(target):
            inputs = (k,) if is_set else tuple(sorted((k, *parents[k])))
            if inputs not in reached:
                # Near jointly may lie beyond the values of one of them.
                each = [reached[i,] for i in inputs]
                reached[inputs] = self.covers(points, inputs) & np.all(each, axis=0)
            close[:, k] = reached[inputs][:, masks[:, k] == is_set].any(axis=1)
        between = self._between(points, target, close)
        together, separated, without_setting = np.ones((3, *points.shape), dtype=bool)
        linked = np.ones(len(points), dtype=bool)
        for pair in pairs:
            different, at = _distinct(points, pair)
            near = self.covers(different, pair)
            own = separates(self.masks, near, target, biased_by(pair, parents))
            if pair in pairs_set and all(target[i] for i in pair):
                own &= near[:, masks[:, list(pair)].all(axis=1)].any(axis=1)
            together[:, list(pair)] &= own[at, None]
        # Without a graph all actions have the same rank test.
        biased = [biased_by([k], parents) for k in every]
        for involved in set(biased):
            alike = [k for k in every if biased[k] == involved]
            near = np.concatenate([alone[k] for k in alike])
            found = iter(separates(self.masks, near, target, involved).tolist())
            for k in alike:
                separated[:, k] = np.array([*islice(found, len(alone[k]))])[which[k]]
        for k, was_set in enumerate(masks.T):
            without_setting[:, k] = reached[k,][:, ~was_set].any(axis=1)
        # A point that fails another condition is reported under that one.
        tested = (close & separated).all(axis=1)
        if tested.any():
            linked[tested] = self.linked(points[tested], target, parents, pairs, nearby)
        return Verdict(close, separated, linked, without_setting, together, between)

    def verdict_of_regression(
        self, points: Array, target: Mask, sets: Sequence[Sequence[int]]
    ) -> Verdict:
        """Test whether points are near rows of some regime of each set, in all actions jointly."""
        reached = self._reached(points)
        near = np.all([reached[:, list(regimes)].any(axis=1) for regimes in sets], axis=0)
        close = np.repeat(near[:, None], len(self.names), axis=1)
        met = np.ones_like(close)
        return Verdict(close, met, met[:, 0], met, met, self._between(points, target, close))

    def _between(self, points: Array, target: Mask, close: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether actions that are set lie between their few settings, near none of them."""
        low, high = self._ends_set
        return np.asarray(~close & (points > low) & (points < high) & np.array(target))

    def linked(
        self,
        points: Array,
        target: Mask,
        parents: Sequence[Sequence[int]],
        pairs: Sequence[tuple[int, int]] = (),
        nearby: bool = True,
    ) -> NDArray[np.bool_]:
        """Test the condition of linkage alone, shape (M,).

        Without ``nearby``, rows near a point itself do not count. Where all actions are set, values
        that are then linked one at a time are linked together if no actions interact: a sum of one
        vector each is zero.
        """
        cells, codes = self._cells(parents, pairs), self._classes(points)
        nowhere = np.zeros((len(points), len(self.masks)), dtype=bool)
        out = cells.determine(codes, nowhere, target)
        rest = np.flatnonzero(~out)
        if nearby and len(rest):
            out[rest] = cells.determine(codes[rest], self._reached(points[rest]), target)
        return out

    def values_set(self, k: int, *, or_all: bool = False) -> Array:
        """Values to which an action was set; or all, if it never was, shape (n,)."""
        regimes = zip(self.rows, self.masks, strict=True)
        columns = [rows[:, k] for rows, mask in regimes if mask[k]]
        if or_all and not columns:
            columns = [rows[:, k] for rows in self.rows]
        return np.concatenate([np.empty(0), *columns])

    @cached_property
    def _ends_set(self) -> tuple[Array, Array]:
        """Lowest and highest of the few values of each action in its experiments.

        No value lies between named levels, or between values that are many.
        """
        ends = []
        for k, levels in enumerate(self.categories):
            values = np.unique(self.values_set(k))
            few = levels is None and 0 < len(values) <= MAX_SETTINGS
            ends.append((values[0], values[-1]) if few else (np.inf, -np.inf))
        low, high = np.array(ends).T
        return low, high

    def settings(self) -> dict[str, tuple[Label, ...]]:
        """Find actions whose experiments have few values: :func:`settings_of` for these rows."""
        masks = np.repeat(np.array(self.masks), [len(rows) for rows in self.rows], axis=0)
        return settings_of(self.names, np.concatenate(self.rows), masks, self.categories)

    def _cells(self, parents: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int]]) -> Cells:
        key = (*map(tuple, parents), *pairs)
        if key not in self._known_cells:
            places = self._places
            reached, at = self._reached(places), self._apart(places)
            # Regimes that nearly touch are not linked, so rows near a place do not suffice.
            for i, rows in enumerate(self._visited_apart):
                inside = (at >= rows.min(axis=0)) & (at <= rows.max(axis=0))
                reached[:, i] &= inside.all(axis=1)
            codes, numeric = self._classes(places), [of is None for of in self.categories]
            self._known_cells[key] = Cells.of(parents, self.masks, codes, reached, pairs, numeric)
        return self._known_cells[key]

    @property
    def _places(self) -> Array:
        """Places at which regimes are compared, shape (n, K)."""
        of_regime = [first_rows(rows, PLACES) for rows in self.visited]
        regimes = [*zip(of_regime, self.masks, strict=True)]
        # Rows are rarely at the settings of several experiments by themselves.
        columns = [
            next((rows for rows, mask in regimes if mask[k]), of_regime[0])[:, k]
            for k in range(len(self.names))
        ]
        together = np.stack([own[: min(map(len, columns))] for own in columns], axis=1)
        return np.concatenate([*of_regime, together])

    def _classes(self, points: Array) -> NDArray[np.intp]:
        """Classes of the actions' values between which functions are free, shape (M, K).

        Values in a class are near each other; each level is a class of its own.
        """
        return np.floor(self._apart(points) / NEAR + 0.5).astype(np.intp)

    @cached_property
    def _n_values(self) -> tuple[float, ...]:
        """Number of levels, or of values as few as levels are recommended for; else infinite."""
        out = []
        for levels, own in zip(self.categories, np.concatenate(self.visited).T, strict=True):
            count = len(np.unique(own)) if levels is None else len(levels.codes)
            out.append(np.inf if levels is None and count > MAX_DISTINCT else count)
        return tuple(out)

    def _have_few_values(self, inputs: Sequence[int]) -> bool:
        """Whether values of some actions have to be equal, since rows share them."""
        return prod(self._n_values[k] for k in inputs) * NEAR_SHARE <= 1

    @property
    def _steps(self) -> tuple[float | None, ...]:
        """Distance between levels without an order, None for other actions."""
        unordered = (None if of is None or of.ordered else len(of.codes) for of in self.categories)
        return tuple(None if count is None else step_of_levels(count) for count in unordered)

    def described(
        self,
        points: Array,
        target: Mask,
        parents: Sequence[Sequence[int]],
        verdict: Verdict,
    ) -> xr.Dataset:
        """Assemble the result of ``RegimeData.support``."""
        # With an unknown graph all actions are measured together, once.
        measured = cache(lambda inputs: self.distances(points, inputs))
        alone = [measured((k,)) for k in range(len(self.names))]
        jointly = [measured(tuple(sorted((k, *others)))) for k, others in enumerate(parents)]
        dims = ("point", "regime", "action")
        return xr.Dataset(
            {
                "distance": (dims, np.stack(alone, axis=-1)),
                "joint_distance": (dims, np.stack(jointly, axis=-1)),
                "needs_met": (("point", "action"), verdict.needs_met),
                "supported": ("point", verdict.supported),
                "was_set": (("regime", "action"), np.array(self.masks)),
            },
            coords={
                "point": np.arange(len(points)),
                "regime": [mask_label(self.names, mask) for mask in self.masks],
                "action": list(self.names),
                "value": (("point", "action"), decoded_table(points, self.categories)),
                "asked_set": ("action", np.array(target, dtype=bool)),
            },
            attrs={"question": mask_label(self.names, target)},
        )

    @cached_property
    def _transformed(self) -> tuple[Array, ...]:
        return self._by_regime(self.placed)

    @cached_property
    def _visited_apart(self) -> tuple[Array, ...]:
        return self._by_regime(self._apart)

    def _jointly(self, points: Array) -> Array:
        """Positions along each action, NaN at its atom, which is a level of its own."""
        return np.where(points == self._atoms, np.nan, self.placed(points))

    @cached_property
    def _visited_jointly(self) -> tuple[Array, ...]:
        return self._by_regime(self._jointly)

    @cached_property
    def _stretches(self) -> tuple[tuple[Array, Array, NDArray[np.intp]], ...]:
        """Stretches of each action near rows, the lower and the upper ends, regime by regime.

        And the position of the first one of each regime.
        """
        out = []
        for columns in zip(*(np.sort(rows, axis=0).T for rows in self._visited_apart), strict=True):
            low, high = zip(*(stretches(own, own, 2 * NEAR) for own in columns), strict=True)
            first = np.cumsum([0, *map(len, low[:-1])])
            out.append((np.concatenate(low) - NEAR, np.concatenate(high) + NEAR, first))
        return tuple(out)

    def _by_regime(self, transform: Callable[[Array], Array]) -> tuple[Array, ...]:
        """Visited rows after a transform, by regime."""
        # Each regime by itself would take a call per regime and action.
        ends = np.cumsum([len(rows) for rows in self.visited])[:-1]
        return tuple(np.split(transform(np.concatenate(self.visited)), ends))

    def placed(self, points: Array) -> Array:
        """Positions of points along each action, shape (M, K)."""
        columns = zip(self.coordinates, self.categories, points.T, strict=True)
        return np.stack([placed(*column) for column in columns], axis=1)

    def _apart(self, points: Array, inputs: Iterable[int] | None = None) -> Array:
        """Positions along some or all actions in which a level is near itself only."""
        every = range(len(self.names)) if inputs is None else inputs
        columns = [apart(self.coordinates[k], self.categories[k], points[:, k]) for k in every]
        return np.stack(columns, axis=1)

    @cached_property
    def _atoms(self) -> tuple[float, ...]:
        """Value of each action that many rows share in which it was not set, NaN without one."""
        out = []
        for k in range(len(self.names)):
            regimes = zip(self.rows, self.masks, strict=True)
            free = [rows[:, k] for rows, mask in regimes if not mask[k]]
            atom = Atom.of(np.concatenate(free)[:, None]) if free else None
            out.append(np.nan if atom is None else atom.value)
        return tuple(out)


def _distinct(points: Array, inputs: Sequence[int]) -> tuple[Array, NDArray[np.intp]]:
    """Points that differ in some actions, and the position of each point among them."""
    own = points[:, list(inputs)]
    # Sorting one column takes a fraction of the time of sorting rows.
    own, axis = (own[:, 0], None) if len(inputs) == 1 else (own, 0)
    _, first, which = np.unique(own, return_index=True, return_inverse=True, axis=axis)
    return points[first], which.reshape(-1)
