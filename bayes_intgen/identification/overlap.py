"""Support: whether rows near a question identify its answer, and how far from it they lie.

The mean outcome is a sum of functions of few actions (`bayes_intgen.decomposition`). A point is
supported under a target mask where three conditions hold:

- **Closeness.** An action that is set has its value near rows in which it was set. For an action
  that is observed, (a_k, a_pa(k)) is jointly near rows in which it was not set; with an unknown
  graph these are all actions.
- **Separation.** At a value of action k, phi_k and the biases that depend on it, delta_k and
  delta_j of every j that k may move, enter a regime with coefficients 1, 1 - R_k and 1 - R_j. The
  regimes with rows near the value must span the target's coefficients: the rank test of
  `bayes_intgen.identification.masks`, restricted to the regimes that reach the value. For example,
  setting k to a value that it never takes by itself says nothing about the biases of the actions
  that it moves there, so their sum with phi_k is known and phi_k is not.
- **Linkage.** These regimes must reach the value together with the same values of the other
  actions, and such places must be linked to each other. `linkage` tests this exactly
  for functions that are free tables over classes of values, at up to 300 places taken from the
  rows and at the point itself. Each of at most 30 values is a class; otherwise these are twelfths
  of the rows, cut where the rows of a regime end or leave a gap.

The conditions are conservative: they take no function to be smooth beyond the cut below.

**Distance.** Each action is measured in its squashed coordinate (:class:`Coordinate`: robust
standard deviations of the action, long tails drawn in), so that units do not matter. The
distance from a regime is that to the third nearest of at most 500 of its rows, for one action
alone, or for several in the Euclidean norm of their coordinates.

**Cut.** How far is far is decided by the regime's own rows. The share of them that lie at least
as far from the others, (1 + number) / (1 + rows), is a conformal p value (Vovk, Gammerman and
Shafer 2005): a new row of the regime has a share of at most s with probability s, whatever the
rows' law. A question is beyond a regime's support where the share is at most 1%, so one in a
hundred of the regime's own held-out rows would be flagged by each function that it is asked
about (with fewer than 100 rows, one in their number plus one). Two exceptions: what lies within
0.25 of three rows is never far (a third of the shortest lengthscale that a basis resolves: a
gap between two set levels is no hole), and what lies outside the observed range of an action
always is.

**Levels.** A level is near rows at this very level only, and each level is a class of its own.
Unordered levels are infinitely far from each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories, Label, decoded_table
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.identification.certificates import settings_of
from bayes_intgen.identification.labels import mask_label
from bayes_intgen.identification.linkage import Cells, classes
from bayes_intgen.identification.masks import Mask, masks_of, regime_order
from bayes_intgen.identification.requirements import Requirement
from bayes_intgen.identification.verdict import Verdict, separates

# Rows of each regime that stand for all of its rows.
REFERENCE_ROWS = 500
NEAREST = 3
# The logarithmic scale of an action that starts at zero sets in here, as a share of its spread.
# That of a fit sets in closer to zero, and would bring large values too near to each other.
DISTANCE_EDGE = 0.15
# Share of a regime's own rows that one function flags.
FLAGGED = 0.01
NEAR = 0.25
# Stands for an infinite distance, that between unordered levels: of infinities there is no
# difference.
INFINITE = 1e9
# Places, taken from the rows, at which regimes are compared.
PLACES = 300
# Actions with at most this many values keep them apart; others are cut into quantile bins.
MAX_LEVELS_APART = 30
BINS = 12


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """A few rows of each regime, which stand for what it saw.

    Attributes
    ----------
    names : tuple of str, length K
    coordinates : tuple of Coordinate, length K
    masks : tuple of masks
    rows : tuple of ndarray, shape (at most 500, K)
        Actions of rows drawn at random from each regime, in their own units.
    categories : tuple of Categories or None, length K
    """

    names: tuple[str, ...]
    coordinates: tuple[Coordinate, ...]
    masks: tuple[Mask, ...]
    rows: tuple[Array, ...]
    categories: tuple[Categories | None, ...]

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

        Coordinates are those of the rows where they are left out.
        """
        if coordinates is None:
            coordinates = tuple(Coordinate.of(column) for column in actions.T)
        rng = generator(0, "support")
        masks, which = masks_of(intervened)
        order = sorted(range(len(masks)), key=lambda i: regime_order(masks[i]))
        rows = []
        for i in order:
            own = np.flatnonzero(which == i)
            if len(own) > REFERENCE_ROWS:
                own = np.sort(rng.choice(own, REFERENCE_ROWS, replace=False))
            rows.append(actions[own])
        return cls(names, coordinates, tuple(masks[i] for i in order), tuple(rows), categories)

    @classmethod
    def of_dataset(
        cls,
        stored: xr.Dataset,
        coordinates: tuple[Coordinate, ...],
        categories: tuple[Categories | None, ...],
    ) -> Self:
        """From what :meth:`to_dataset` gave."""
        masks = stored["intervened"].to_numpy() > 0
        which, rows = stored["regime_of"].to_numpy(), stored["reference"].to_numpy()
        return cls(
            tuple(map(str, stored["action"].to_numpy())),
            coordinates,
            tuple(tuple(mask) for mask in masks.tolist()),
            tuple(rows[which == i] for i in range(len(masks))),
            categories,
        )

    def to_dataset(self) -> xr.Dataset:
        """The rows as one array, each with the position of its regime."""
        which = np.repeat(np.arange(len(self.rows)), [len(rows) for rows in self.rows])
        return xr.Dataset(
            {
                "reference": (("reference_row", "action"), np.concatenate(self.rows)),
                "regime_of": ("reference_row", which),
                "intervened": (("regime", "action"), np.array(self.masks, dtype=np.int8)),
            },
            coords={
                "reference_row": np.arange(len(which)),
                "regime": list(self.labels),
                "action": list(self.names),
            },
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The regimes in words."""
        return tuple(mask_label(self.names, mask) for mask in self.masks)

    def distances(self, points: Array, inputs: Sequence[int]) -> tuple[Array, Array]:
        """How far points are from each regime in some of the actions.

        Parameters
        ----------
        points : ndarray, shape (M, K)
        inputs : sequence of int

        Returns
        -------
        distance : ndarray, shape (M, regimes)
            To the third nearest row, in the actions' squashed coordinates.
        share : ndarray, shape (M, regimes)
            Of the regime's own rows that lie at least as far from the others.
        """
        at = self.placed(points)[:, list(inputs)]
        distance, share = np.full((2, len(points), len(self.masks)), np.nan)
        for i, (tree, apart) in enumerate(self._trees(tuple(inputs))):
            nearest = min(NEAREST, len(apart))
            distance[:, i] = tree.query(at, k=[nearest])[0][:, 0]
            as_far = len(apart) - np.searchsorted(apart, distance[:, i], side="left")
            share[:, i] = (1 + as_far) / (1 + len(apart))
        return np.where(distance < INFINITE / 2, distance, np.inf), share

    def _trees(self, inputs: tuple[int, ...]) -> list[tuple[KDTree, Array]]:
        """The rows of each regime in some actions, and how far each is from the others."""
        if inputs not in self._known_trees:
            trees = []
            for rows in self._squashed:
                own = rows[:, list(inputs)]
                tree = KDTree(own)
                # The nearest of a row's neighbours is the row itself.
                apart = tree.query(own, k=[min(NEAREST + 1, len(own))])[0][:, 0]
                trees.append((tree, np.sort(apart)))
            self._known_trees[inputs] = trees
        return self._known_trees[inputs]

    def covers(self, points: Array, inputs: Sequence[int]) -> NDArray[np.bool_]:
        """Whether points lie within what each regime saw, shape (M, regimes)."""
        distance, share = self.distances(points, inputs)
        cut = np.array([max(FLAGGED, 1 / (1 + len(rows))) for rows in self.rows])
        # Shares are multiples of 1 / (1 + rows): the tolerance is for rounding alone.
        within = (share > cut + 1e-9) | (distance <= NEAR)
        for k in inputs:
            seen = self.coordinates[k]
            within &= ((points[:, k] >= seen.low) & (points[:, k] <= seen.high))[:, None]
            if self.categories[k] is not None:
                # No level stands for another, however close the two are.
                within &= np.stack([np.isin(points[:, k], rows[:, k]) for rows in self.rows], 1)
        return np.asarray(within & np.isfinite(distance))

    def meets(self, points: Array, wanted: Sequence[Requirement]) -> NDArray[np.bool_]:
        """Whether what a question needs of each action is supported, shape (M, K)."""
        found: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        out = np.ones(points.shape, dtype=bool)
        for need in wanted:
            inputs = tuple(sorted(need.inputs))
            if inputs not in found:
                found[inputs] = self.covers(points, inputs)
            out[:, need.action] &= found[inputs][:, list(need.regimes)].any(axis=1)
        return out

    def verdict(
        self,
        points: Array,
        target: Mask,
        wanted: Sequence[Requirement],
        parents: Sequence[Sequence[int]] | None,
    ) -> Verdict:
        """Test the conditions of support at points.

        Parameters
        ----------
        points : ndarray, shape (M, K)
        target : mask
        wanted : sequence of Requirement
            The rows that have to be close.
        parents : sequence of sequences of int, or None
            Actions on which each bias may depend; None for a regression, of which closeness
            is all that is asked.
        """
        close = self.meets(points, wanted)
        separated = np.ones(points.shape, dtype=bool)
        without_setting = np.ones(points.shape, dtype=bool)
        linked = np.ones(len(points), dtype=bool)
        if parents is None or not len(points):
            return Verdict(close, separated, linked, without_setting)
        observed = ~np.array(self.masks)
        for k in range(len(self.names)):
            reached = self.covers(points, (k,))
            separated[:, k] = separates(self.masks, reached, target, k, parents)
            without_setting[:, k] = (reached & observed[:, k]).any(axis=1)
        # A point that fails elsewhere keeps the blame there.
        tested = (close & separated).all(axis=1)
        if tested.any():
            at = points[tested]
            linked[tested] = self.linked(at, target, parents)
        return Verdict(close, separated, linked, without_setting)

    def linked(
        self, points: Array, target: Mask, parents: Sequence[Sequence[int]]
    ) -> NDArray[np.bool_]:
        """The condition of linkage alone, shape (M,)."""
        count = len(self.names)
        reached = self.covers(points, range(count))
        # In many dimensions what is near jointly may lie beyond the ends of one action.
        for k in range(count):
            reached &= self.covers(points, (k,))
        return self._cells(parents).determine(self._codes(points), reached, target)

    def settings(self) -> dict[str, tuple[Label, ...]]:
        """As :func:`bayes_intgen.identification.certificates.settings_of`, for these rows."""
        masks = np.repeat(np.array(self.masks), [len(rows) for rows in self.rows], axis=0)
        return settings_of(self.names, np.concatenate(self.rows), masks, self.categories)

    def _cells(self, parents: Sequence[Sequence[int]]) -> Cells:
        key = tuple(map(tuple, parents))
        if key not in self._known_cells:
            places, own = self._places
            reached = self.covers(places, range(len(self.names)))
            # Regimes that nearly touch are not linked: what is near a point need not be.
            for i, seen in enumerate(self.rows):
                inside = (places >= seen.min(axis=0)) & (places <= seen.max(axis=0))
                reached[:, i] &= inside.all(axis=1)
            rows = own >= 0
            reached[rows, own[rows]] = True
            self._known_cells[key] = Cells.of(parents, self.masks, self._codes(places), reached)
        return self._known_cells[key]

    @cached_property
    def _places(self) -> tuple[Array, NDArray[np.intp]]:
        """Places at which regimes are compared, and the regime of which each is a row, or -1."""
        each = max(1, PLACES // len(self.masks))
        places, own = [], []
        for i, rows in enumerate(self.rows):
            different = np.unique(rows, axis=0)
            chosen = different[
                np.unique(np.linspace(0, len(different) - 1, each).round().astype(int))
            ]
            places.append(chosen)
            own.append(np.full(len(chosen), i))
        rows, which = np.concatenate(places)[:PLACES], np.concatenate(own)[:PLACES]
        moved = rows.copy()
        for k in range(len(self.names)):
            was_set = [rows[:, k] for rows, mask in zip(self.rows, self.masks, strict=True)
                       if mask[k]]  # fmt: skip
            values = np.unique(np.concatenate(was_set)) if was_set else np.empty(0)
            # Rows are rarely at the settings of several experiments by themselves.
            if 0 < len(values) <= MAX_LEVELS_APART:
                column = (self.coordinates[k], self.categories[k])
                gaps = np.abs(placed(*column, moved[:, k])[:, None] - placed(*column, values))
                moved[:, k] = values[gaps.argmin(axis=1)]
        changed = moved[(moved != rows).any(axis=1)]
        return (
            np.concatenate([rows, changed]),
            np.concatenate([which, np.full(len(changed), -1)]),
        )

    def _codes(self, points: Array) -> NDArray[np.intp]:
        """The class of each action's value, shape (M, K)."""
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
        """Edges between classes of each action's values, none of which straddles a border.

        A border is where the rows of a regime end, or where they leave a gap. Each level of an
        action that has some is a class of its own.
        """
        out = []
        for k, values in enumerate(np.concatenate(self._squashed).T):
            levels = self.categories[k]
            if levels is not None:
                at = np.sort(placed(self.coordinates[k], levels, np.array(levels.codes)))
                out.append((at[1:] + at[:-1]) / 2)
                continue
            edges = classes(values, MAX_LEVELS_APART, BINS)
            borders = [np.empty(0)]
            for rows in self._squashed:
                own = np.sort(rows[:, k])
                wide = np.diff(own) > 2 * NEAR
                borders += [own[:1], own[:-1][wide], own[1:][wide], own[-1:]]
            if len(np.unique(values)) > MAX_LEVELS_APART:
                edges = np.union1d(edges, _apart(np.unique(np.concatenate(borders)), NEAR / 2))
            out.append(edges)
        return out

    @cached_property
    def _known_trees(self) -> dict[tuple[int, ...], list[tuple[KDTree, Array]]]:
        return {}

    @cached_property
    def _known_cells(self) -> dict[tuple[tuple[int, ...], ...], Cells]:
        return {}

    def described(
        self,
        points: Array,
        target: Mask,
        parents: Sequence[Sequence[int]],
        verdict: Verdict,
    ) -> xr.Dataset:
        """What ``RegimeData.support`` returns."""
        shape = (len(points), len(self.masks), len(self.names))
        parts = {name: np.empty(shape) for name in _MEASURES}
        known: dict[tuple[int, ...], tuple[Array, Array]] = {}
        for k in range(len(self.names)):
            jointly = tuple(sorted((k, *parents[k])))
            for before, inputs in (("", (k,)), ("joint_", jointly)):
                if inputs not in known:
                    known[inputs] = self.distances(points, inputs)
                for name, values in zip(("distance", "share"), known[inputs], strict=True):
                    parts[before + name][..., k] = values
        held = verdict.needs_met
        dims = ("point", "regime", "action")
        return xr.Dataset(
            {
                **{name: (dims, values) for name, values in parts.items()},
                "needs_met": (("point", "action"), held),
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
                "cut": f"each function flags at most {FLAGGED:.0%} of a regime's own held-out rows",
            },
        )

    @cached_property
    def _squashed(self) -> tuple[Array, ...]:
        return tuple(self.placed(rows) for rows in self.rows)

    def placed(self, points: Array) -> Array:
        """Positions of points, shape (M, K), on the line of each action; see :func:`placed`."""
        columns = zip(self.coordinates, self.categories, points.T, strict=True)
        return np.stack([placed(*column) for column in columns], axis=1)


def _apart(values: Array, gap: float) -> Array:
    """Sorted values without those that follow another one closely."""
    kept: list[float] = []
    for value in values.tolist():
        if not kept or value - kept[-1] > gap:
            kept.append(value)
    return np.array(kept)


def placed(coordinate: Coordinate, levels: Categories | None, values: Array) -> Array:
    """Positions of an action's values on a line; their differences are distances between values.

    Distances of one action are defined here and nowhere else. Levels without an order are so far
    apart that none is near another.
    """
    if levels is None or levels.ordered:
        if coordinate.edge:
            coordinate = replace(coordinate, edge=DISTANCE_EDGE * coordinate.spread)
        return coordinate.transform(values)
    return np.asarray(INFINITE * np.searchsorted(levels.codes, values))


_MEASURES = ("distance", "share", "joint_distance", "joint_share")
