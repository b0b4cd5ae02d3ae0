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

The distance from a regime is that to the third nearest of at most 500 of its rows, in the actions'
coordinates (:class:`Coordinate`). A point is beyond a regime's support if its conformal p value
(Vovk, Gammerman and Shafer 2005) under the distances between the regime's own rows is at most 1%.
Two exceptions: a point within 0.25 of three rows is always near (a third of the shortest
lengthscale that a basis resolves, so a gap between two levels of an experiment counts as covered),
and a point outside the observed range of an action is always beyond. A level is near rows at the
same level only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._labelled import labelled_dataset
from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Atom
from bayes_intgen.basis.categories import Categories, Label, decoded_table
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.certificates import settings_of
from bayes_intgen.identification.distance import INFINITE, Neighbours, Stretches, placed
from bayes_intgen.identification.linkage import Cells, class_edges
from bayes_intgen.identification.regimes import (
    Mask,
    Requirement,
    mask_label,
    masks_of,
    regime_order,
)
from bayes_intgen.identification.verdict import Verdict, separates

# Maximum number of rows per regime that represent all of its rows.
REFERENCE_ROWS = 500
# Rank of the neighbour to which distances are measured.
NEIGHBOUR = 3
# Threshold of the p value, which is the share of a regime's own held-out rows that one function
# flags.
FLAGGED_SHARE = 0.01
# Distance up to which a point is always near.
MAX_NEAR_DISTANCE = 0.25
# Number of places, taken from the rows of all regimes, at which regimes are compared, and the
# minimum from each: several for each class of values.
N_PLACES, PLACES_OF_REGIME = 300, 50
# Maximum number of distinct values of an action that form a class each; others fall into bins.
MAX_VALUES = 30
# Number of quantile bins.
BINS = 12
# Probabilities of the quantiles per regime and action.
PROBABILITIES = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """Sample of the rows of each regime, from which support is measured.

    Attributes
    ----------
    names : tuple of str, length K
    coordinates : tuple of Coordinate, length K
    masks : tuple of masks
    rows : tuple of ndarray, shape (at most 500, K)
        Actions of rows drawn at random from each regime, in the actions' units.
    categories : tuple of Categories or None, length K
    """

    names: tuple[str, ...]
    coordinates: tuple[Coordinate, ...]
    masks: tuple[Mask, ...]
    rows: tuple[Array, ...]
    categories: tuple[Categories | None, ...]
    _known_neighbours: dict[tuple[int, ...], Neighbours] = field(
        default_factory=dict, init=False, repr=False
    )
    _known_stretches: dict[int, Stretches] = field(default_factory=dict, init=False, repr=False)
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
        ordered, rows = sorted(masks, key=regime_order), []
        for mask in ordered:
            own = np.flatnonzero(which == masks.index(mask))
            if len(own) > REFERENCE_ROWS:
                own = np.sort(rng.choice(own, REFERENCE_ROWS, replace=False))
            rows.append(actions[own])
        return cls(names, coordinates, tuple(ordered), tuple(rows), categories)

    @classmethod
    def of_dataset(
        cls,
        stored: xr.Dataset,
        coordinates: tuple[Coordinate, ...],
        categories: tuple[Categories | None, ...],
    ) -> Self:
        """Restore from :meth:`to_dataset`."""
        masks = stored["intervened"].values > 0
        which, rows = stored["regime_of"].values, stored["reference"].values
        return cls(
            tuple(map(str, stored["action"].values)),
            coordinates,
            tuple(map(tuple, masks.tolist())),
            tuple(rows[which == i] for i in range(len(masks))),
            categories,
        )

    def to_dataset(self) -> xr.Dataset:
        """Convert to one array of rows, with the position of each row's regime."""
        which = np.repeat(np.arange(len(self.rows)), [len(rows) for rows in self.rows])
        return labelled_dataset(
            {
                "reference": (("reference_row", "action"), np.concatenate(self.rows)),
                "regime_of": ("reference_row", which),
                "intervened": (("regime", "action"), np.array(self.masks, dtype=np.int8)),
            },
            {
                "reference_row": np.arange(len(which)),
                "regime": list(self.labels),
                "action": list(self.names),
            },
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the regimes."""
        return tuple(mask_label(self.names, mask) for mask in self.masks)

    def distances(self, points: Array, inputs: Sequence[int]) -> tuple[Array, Array]:
        """Compute distances of points from each regime in some of the actions, and p values.

        Parameters
        ----------
        points : ndarray, shape (M, K)
        inputs : sequence of int

        Returns
        -------
        distance : ndarray, shape (M, regimes)
            Euclidean distance to the third nearest row, in the actions' coordinates.
        share : ndarray, shape (M, regimes)
            Conformal p value: share of the regime's own rows at least as far from the others.
        """
        neighbours = self._neighbours(inputs)
        distance = neighbours.distance(self._placed(points, inputs))
        share = np.empty(distance.shape)
        for i, within in enumerate(neighbours.within):
            as_far = len(within) - np.searchsorted(within, distance[:, i], side="left")
            share[:, i] = (1 + as_far) / (1 + len(within))
        return np.where(distance < INFINITE / 2, distance, np.inf), share

    def _neighbours(self, inputs: Sequence[int]) -> Neighbours:
        inputs = tuple(inputs)
        if inputs not in self._known_neighbours:
            own = [rows[:, list(inputs)] for rows in self._transformed]
            self._known_neighbours[inputs] = Neighbours(own, NEIGHBOUR)
        return self._known_neighbours[inputs]

    def covers(self, points: Array, inputs: Sequence[int]) -> NDArray[np.bool_]:
        """Test whether points lie within the support of each regime, shape (M, regimes)."""
        inputs = tuple(inputs)
        if len(inputs) == 1:
            (k,) = inputs
            # A level is near rows at the same level only, however close the two are.
            own = self._placed(points, inputs) if self.categories[k] is None else points[:, inputs]
            within = self._stretches(k)(own[:, 0])
        else:
            neighbours = self._neighbours(inputs)
            distance = neighbours.distance(self._placed(points, inputs))
            within = distance <= neighbours.reach(FLAGGED_SHARE, MAX_NEAR_DISTANCE)
        for k in inputs:
            at = self.coordinates[k]
            within &= ((points[:, k] >= at.low) & (points[:, k] <= at.high))[:, None]
            if len(inputs) > 1 and self.categories[k] is not None:
                within &= np.stack([np.isin(points[:, k], rows[:, k]) for rows in self.rows], 1)
            # An atom has an effect of its own, on which rows beside it say nothing.
            at_atom = points[:, k] == self._atoms[k]
            if at_atom.any():
                regimes = zip(self.rows, self.masks, strict=True)
                visits = [not m[k] or (rows[:, k] == self._atoms[k]).any() for rows, m in regimes]
                within &= ~at_atom[:, None] | np.array(visits)
        return np.asarray(within)

    def _stretches(self, k: int) -> Stretches:
        """Positions of one action within the support of each regime; codes of its levels."""
        if k not in self._known_stretches:
            neighbours, levels = self._neighbours((k,)), self.categories[k]
            reach = neighbours.reach(FLAGGED_SHARE, MAX_NEAR_DISTANCE)
            if levels is None:
                found = neighbours.stretches(reach)
            else:
                codes = np.sort(np.array(levels.codes, dtype=float))
                at = placed(self.coordinates[k], levels, codes)
                near = neighbours.distance(at[:, None]) <= reach
                near &= np.stack([np.isin(codes, rows[:, k]) for rows in self.rows], axis=1)
                found = Stretches.of([(codes[own], codes[own]) for own in near.T])
            self._known_stretches[k] = found
        return self._known_stretches[k]

    def meets(self, points: Array, wanted: Sequence[Requirement]) -> NDArray[np.bool_]:
        """Test the requirements on each action: the condition of closeness, shape (M, K)."""
        covered: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        out = np.ones(points.shape, dtype=bool)
        for requirement in wanted:
            inputs = tuple(sorted(requirement.inputs))
            if inputs not in covered:
                covered[inputs] = self.covers(points, inputs)
            out[:, requirement.action] &= covered[inputs][:, list(requirement.regimes)].any(axis=1)
        return out

    def verdict(
        self,
        points: Array,
        target: Mask,
        wanted: Sequence[Requirement],
        parents: Sequence[Sequence[int]] | None,
        pairs: Sequence[tuple[int, int]] = (),
        pairs_set: Collection[tuple[int, int]] = (),
        nearby: bool = True,
    ) -> Verdict:
        """Test the conditions of support at points.

        Parameters
        ----------
        points : ndarray, shape (M, K)
        target : mask
        wanted : sequence of Requirement
            Rows that have to be close.
        parents : sequence of sequences of int, or None
            Actions on which each bias may depend; None for a regression, for which only
            closeness is tested.
        pairs : sequence of pairs of int
            Actions that interact.
        pairs_set : collection of pairs of int
            Those with an interaction that only rows with both set show.
        nearby : bool
            Whether rows near a point itself count for its linkage, see :meth:`linked`.
        """
        close, (low, high) = self.meets(points, wanted), self._ends_set
        between = ~close & (points > low) & (points < high) & np.array(target)
        together, separated, without_setting = np.ones((3, *points.shape), dtype=bool)
        linked = np.ones(len(points), dtype=bool)
        if parents is None or not len(points):
            return Verdict(close, separated, linked, without_setting, together, between)
        for pair in pairs:
            reached = self.covers(points, pair)
            own = separates(self.masks, reached, target, pair, parents)
            if pair in pairs_set and all(target[i] for i in pair):
                both = np.array(self.masks)[:, list(pair)].all(axis=1)
                own &= (reached & both).any(axis=1)
            together[:, list(pair)] &= own[:, None]
        observed = ~np.array(self.masks)
        for k in range(len(self.names)):
            reached = self.covers(points, (k,))
            separated[:, k] = separates(self.masks, reached, target, [k], parents)
            without_setting[:, k] = (reached & observed[:, k]).any(axis=1)
        # A point that fails another condition is reported under that one.
        tested = (close & separated).all(axis=1)
        if tested.any():
            linked[tested] = self.linked(points[tested], target, parents, pairs, nearby)
        return Verdict(close, separated, linked, without_setting, together, between)

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
        every, cells, codes = (
            range(len(self.names)),
            self._cells(parents, pairs),
            self._codes(points),
        )
        nowhere = np.zeros((len(points), len(self.masks)), dtype=bool)
        out = cells.determine(codes, nowhere, target)
        rest = np.flatnonzero(~out)
        if nearby and len(rest):
            reached = self.covers(points[rest], every)
            # In many dimensions a point that is near jointly may lie beyond the range of an action.
            for k in every:
                reached &= self.covers(points[rest], (k,))
            out[rest] = cells.determine(codes[rest], reached, target)
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
            few = levels is None and 0 < len(values) <= MAX_VALUES
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
            places, own = self._places
            reached = self.covers(places, range(len(self.names)))
            # Regimes that nearly touch are not linked, so rows near a place do not suffice.
            for i, regime_rows in enumerate(self.rows):
                low, high = regime_rows.min(axis=0), regime_rows.max(axis=0)
                inside = (places >= low) & (places <= high)
                reached[:, i] &= inside.all(axis=1)
            rows = own >= 0
            reached[rows, own[rows]] = True
            codes = self._codes(places)
            self._known_cells[key] = Cells.of(parents, self.masks, codes, reached, pairs)
        return self._known_cells[key]

    @cached_property
    def _places(self) -> tuple[Array, NDArray[np.intp]]:
        """Places at which regimes are compared, and the regime of each; -1 if it is no row."""
        each = max(PLACES_OF_REGIME, N_PLACES // len(self.masks))
        places, own = [], []
        for i, (rows, mask) in enumerate(zip(self.rows, self.masks, strict=True)):
            # Evenly spaced along the first action that was set.
            order = np.argsort(~np.array(mask), kind="stable")
            distinct = np.unique(rows[:, order], axis=0)[:, np.argsort(order)]
            spaced = np.unique(np.linspace(0, len(distinct) - 1, each).round().astype(int))
            places.append(distinct[spaced])
            own.append(np.full(len(spaced), i))
        rows, which = np.concatenate(places), np.concatenate(own)
        moved = rows.copy()
        for k in range(len(self.names)):
            values = np.unique(self.values_set(k))
            # Rows are rarely at the settings of several experiments by themselves.
            if 0 < len(values) <= MAX_VALUES:
                column = (self.coordinates[k], self.categories[k])
                gaps = np.abs(placed(*column, moved[:, k])[:, None] - placed(*column, values))
                moved[:, k] = values[gaps.argmin(axis=1)]
        changed = moved[(moved != rows).any(axis=1)]
        return (
            np.concatenate([rows, changed]),
            np.concatenate([which, np.full(len(changed), -1)]),
        )

    def _codes(self, points: Array) -> NDArray[np.intp]:
        """Classes of the actions' values, shape (M, K)."""
        at = self.placed(points)
        return np.stack(
            [
                np.searchsorted(edges, column)
                for edges, column in zip(self._edges, at.T, strict=True)
            ],
            axis=1,
        )

    @cached_property
    def _edges(self) -> list[Array]:
        """Edges between classes of each action's values; each level is a class of its own."""
        out = []
        for k, levels in enumerate(self.categories):
            if levels is None:
                regimes = [rows[:, k] for rows in self._transformed]
                out.append(class_edges(regimes, MAX_VALUES, BINS, MAX_NEAR_DISTANCE))
            else:
                at = np.sort(placed(self.coordinates[k], levels, np.array(levels.codes)))
                out.append((at[1:] + at[:-1]) / 2)
        return out

    def described(
        self,
        points: Array,
        target: Mask,
        parents: Sequence[Sequence[int]],
        verdict: Verdict,
    ) -> xr.Dataset:
        """Assemble the result of ``RegimeData.support``."""
        shape = (len(points), len(self.masks), len(self.names))
        measures = ("distance", "share", "joint_distance", "joint_share")
        parts = {name: np.empty(shape) for name in measures}
        # With an unknown graph all actions are measured together, once.
        measured = cache(lambda inputs: self.distances(points, inputs))
        for k, others in enumerate(parents):
            values = *measured((k,)), *measured(tuple(sorted((k, *others))))
            for name, value in zip(measures, values, strict=True):
                parts[name][..., k] = value
        dims = ("point", "regime", "action")
        return xr.Dataset(
            {
                **{name: (dims, values) for name, values in parts.items()},
                "needs_met": (("point", "action"), verdict.needs_met),
                "supported": ("point", verdict.supported),
                "was_set": (("regime", "action"), np.array(self.masks)),
            },
            coords={
                "point": np.arange(len(points)),
                "regime": list(self.labels),
                "action": list(self.names),
                "value": (("point", "action"), decoded_table(points, self.categories)),
                "asked_set": ("action", np.array(target, dtype=bool)),
            },
            attrs={
                "question": mask_label(self.names, target),
                "cut": f"each function flags at most {FLAGGED_SHARE:.0%} of a regime's own "
                "held-out rows",
            },
        )

    @cached_property
    def _transformed(self) -> tuple[Array, ...]:
        # Each regime by itself would take a call per regime and action.
        ends = np.cumsum([len(rows) for rows in self.rows])[:-1]
        return tuple(np.split(self.placed(np.concatenate(self.rows)), ends))

    def placed(self, points: Array) -> Array:
        """Positions of points along each action, shape (M, K)."""
        return self._placed(points, range(len(self.names)))

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

    def _placed(self, points: Array, inputs: Sequence[int]) -> Array:
        columns = [placed(self.coordinates[k], self.categories[k], points[:, k]) for k in inputs]
        return np.stack(columns).T


def regime_quantiles(
    names: Sequence[str], actions: Array, intervened: NDArray[np.bool_], masks: Sequence[Mask]
) -> xr.Dataset:
    """Compute quantiles of each action in each regime.

    Parameters
    ----------
    names : sequence of str, length K
    actions, intervened : ndarray, shape (n, K)
    masks : sequence of masks
        The regimes, in the order of the result.

    Returns
    -------
    Dataset
        ``quantile`` (regime, action, probability), in the actions' units; ``rows`` (regime) and
        ``was_set`` (regime, action).

    Examples
    --------
    >>> masks = [(False,), (True,)]
    >>> actions, intervened = np.arange(8.0)[:, None], np.arange(8)[:, None] > 3
    >>> dict(regime_quantiles(["red"], actions, intervened, masks).sizes)
    {'regime': 2, 'action': 1, 'probability': 7}
    """
    members = [(intervened == mask).all(axis=1) for mask in masks]
    quantiles = [np.quantile(actions[rows], PROBABILITIES, axis=0).T for rows in members]
    return xr.Dataset(
        {
            "quantile": (("regime", "action", "probability"), np.array(quantiles)),
            "rows": ("regime", [int(rows.sum()) for rows in members]),
            "was_set": (("regime", "action"), np.array(masks)),
        },
        coords={
            "regime": [mask_label(names, mask) for mask in masks],
            "action": list(names),
            "probability": list(PROBABILITIES),
        },
    )
