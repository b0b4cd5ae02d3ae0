"""Support: how far a question lies from the rows that would have to answer it.

The mean outcome is a sum of functions of few actions (`bayes_intgen.decomposition`), and a
function is known where rows in which it acts have been:

- where action k is set in the question, phi_k needs a_k near values that rows have with k set;
- where it is observed, phi_k + delta_k needs (a_k, a_pa(k)) near rows with k not set, jointly;
  with an unknown graph that is all actions.

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

**Levels.** A value that is none of an action's levels is far from every row, and unordered levels
are infinitely far from each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bayes_intgen.bases import Array, Coordinate
from bayes_intgen.categories import Categories, decoded_table
from bayes_intgen.certificates import mask_label
from bayes_intgen.decomposition import Decomposition, parents_of
from bayes_intgen.gates import InRegime
from bayes_intgen.identification import Mask, regime_weights
from bayes_intgen.questions import checked_mask, checked_points
from bayes_intgen.streams import generator

if TYPE_CHECKING:
    from bayes_intgen.regimes import RegimeData

# Rows of each regime that stand for all of its rows.
REFERENCE_ROWS = 500
NEAREST = 3
# Share of a regime's own rows that one function flags.
FLAGGED = 0.01
NEAR = 0.25
# Stands for an infinite distance, that between unordered levels: of infinities there is no
# difference.
INFINITE = 1e9
# Probabilities of the quantiles that the picture of coverage is drawn from.
COVERAGE = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)


class Need(NamedTuple):
    """A function that a question asks about: of which actions, and which regimes show it.

    Attributes
    ----------
    action : int
        The action whose contribution it is.
    inputs : tuple of int
    regimes : tuple of int
        Positions of regimes, any of which will do.
    """

    action: int
    inputs: tuple[int, ...]
    regimes: tuple[int, ...]


def needs(parents: Sequence[Sequence[int]], masks: Sequence[Mask], target: Mask) -> list[Need]:
    """What the additive model asks of the regimes about a target regime.

    Examples
    --------
    >>> masks = [(False, False), (True, False), (False, True)]
    >>> needs([[], [0]], masks, (True, False))
    [Need(action=0, inputs=(0,), regimes=(1,)), Need(action=1, inputs=(1, 0), regimes=(0, 1))]
    """
    return [
        Need(
            k,
            (k,) if was_set else (k, *parents[k]),
            tuple(i for i, mask in enumerate(masks) if mask[k] == was_set),
        )
        for k, was_set in enumerate(target)
    ]


def needs_of_terms(terms: Decomposition, masks: Sequence[Mask], target: Mask) -> list[Need]:
    """As :func:`needs`, for the terms of a fit: what its functions take says what they need.

    A regression on all actions needs all of them jointly: in any regime where it is one for
    all, in every regime with a weight where each has its own.
    """
    if any(term.role == "regression" for term in terms.terms):
        every = tuple(range(len(terms.names)))
        wanted = [tuple(range(len(masks)))]
        if any(isinstance(term.gate, InRegime) for term in terms.terms):
            used = [target] if target in masks else list(masks)
            weights = regime_weights(used, target)
            wanted = [
                (masks.index(mask),)
                for mask, weight in zip(used, weights or (), strict=False)
                if weight
            ] or [()]
        return [Need(k, every, regimes) for regimes in wanted for k in every]
    return needs(parents_of_terms(terms), masks, target)


def parents_of_terms(terms: Decomposition) -> list[list[int]]:
    """Actions that the contribution of each action takes besides its own."""
    found: list[set[int]] = [set() for _ in terms.names]
    for term in terms.terms:
        if term.action is not None:
            found[term.action] |= set(term.inputs) - {term.action}
    return [sorted(others) for others in found]


@dataclass(frozen=True, eq=False)
class Seen:
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
    def of(cls, data: "RegimeData", coordinates: tuple[Coordinate, ...] | None = None) -> Self:
        """From rows in memory; coordinates are those of the rows where they are left out."""
        if coordinates is None:
            coordinates = tuple(Coordinate.of(column) for column in data.actions.T)
        rng = generator(0, "support")
        masks = tuple(data.regimes)
        rows = []
        for mask in masks:
            own = np.flatnonzero((data.intervened == mask).all(axis=1))
            if len(own) > REFERENCE_ROWS:
                own = np.sort(rng.choice(own, REFERENCE_ROWS, replace=False))
            rows.append(data.actions[own])
        return cls(data.names, coordinates, masks, tuple(rows), data.categories)

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
        at = self._placed(points)[:, list(inputs)]
        distance, share = np.full((2, len(points), len(self.masks)), np.nan)
        for i, rows in enumerate(self._squashed):
            own = rows[:, list(inputs)]
            tree = KDTree(own)
            nearest = min(NEAREST, len(own))
            distance[:, i] = tree.query(at, k=[nearest])[0][:, 0]
            # The nearest of a row's neighbours is the row itself.
            apart = np.sort(tree.query(own, k=[min(NEAREST + 1, len(own))])[0][:, 0])
            as_far = len(own) - np.searchsorted(apart, distance[:, i], side="left")
            share[:, i] = (1 + as_far) / (1 + len(own))
        return np.where(distance < INFINITE / 2, distance, np.inf), share

    def holds(self, points: Array, inputs: Sequence[int]) -> NDArray[np.bool_]:
        """Whether points lie within what each regime saw, shape (M, regimes)."""
        distance, share = self.distances(points, inputs)
        cut = np.array([max(FLAGGED, 1 / (1 + len(rows))) for rows in self.rows])
        # Shares are multiples of 1 / (1 + rows): the tolerance is for rounding alone.
        within = (share > cut + 1e-9) | (distance <= NEAR)
        for k in inputs:
            seen = self.coordinates[k]
            within &= ((points[:, k] >= seen.low) & (points[:, k] <= seen.high))[:, None]
            levels = self.categories[k]
            if levels is not None:
                within &= levels.holds(points[:, k])[:, None]
        return np.asarray(within)

    def answers(self, points: Array, wanted: Sequence[Need]) -> NDArray[np.bool_]:
        """Whether what a question needs of each action is supported, shape (M, K)."""
        found: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        out = np.ones(points.shape, dtype=bool)
        for need in wanted:
            inputs = tuple(sorted(need.inputs))
            if inputs not in found:
                found[inputs] = self.holds(points, inputs)
            out[:, need.action] &= found[inputs][:, list(need.regimes)].any(axis=1)
        return out

    def described(
        self,
        points: Array,
        target: Sequence[bool],
        wanted: Sequence[Need],
        parents: Sequence[Sequence[int]],
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
        held = self.answers(points, wanted)
        dims = ("point", "regime", "action")
        return xr.Dataset(
            {
                **{name: (dims, values) for name, values in parts.items()},
                "needs_met": (("point", "action"), held),
                "supported": ("point", held.all(axis=1)),
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
        return tuple(self._placed(rows) for rows in self.rows)

    def _placed(self, points: Array) -> Array:
        columns = zip(self.coordinates, self.categories, points.T, strict=True)
        return np.stack([_placed(*column) for column in columns], axis=1)


def _placed(coordinate: Coordinate, levels: Categories | None, values: Array) -> Array:
    """Where the values of one action lie on the axis along which distances are measured."""
    if levels is None or levels.ordered:
        return coordinate.squashed(values)
    return np.asarray(INFINITE * np.searchsorted(levels.codes, values))


_MEASURES = ("distance", "share", "joint_distance", "joint_share")


def support(
    data: "RegimeData",
    points: Any,
    intervened: Sequence[str] | None = None,
    graph: Mapping[str, Sequence[str]] | None = None,
) -> xr.Dataset:
    """As ``RegimeData.support``, of which this is the body.

    Examples
    --------
    >>> support(data, [[0.1, 0.2], [0.1, 9.0]]).supported.to_numpy()
    array([ True, False])
    """
    target = checked_mask(data.names if intervened is None else intervened, data.names)
    values = checked_points(points, data.names, data.categories)
    seen = Seen.of(data)
    known = None if graph is None else {child: tuple(found) for child, found in graph.items()}
    parents = parents_of(data.names, known)
    asked = tuple(target.tolist())
    return seen.described(values, asked, needs(parents, seen.masks, asked), parents)


def coverage(data: "RegimeData") -> xr.Dataset:
    """Quantiles of each action in each regime: what the picture of coverage draws.

    Returns
    -------
    Dataset
        ``quantile`` (regime, action, probability), in the actions' units; ``rows`` (regime) and
        ``was_set`` (regime, action).

    Examples
    --------
    >>> dict(coverage(data).sizes)
    {'regime': 3, 'action': 2, 'probability': 7}
    """
    masks = list(data.regimes)
    quantiles = [
        np.quantile(data.actions[(data.intervened == mask).all(axis=1)], COVERAGE, axis=0).T
        for mask in masks
    ]
    return xr.Dataset(
        {
            "quantile": (("regime", "action", "probability"), np.array(quantiles)),
            "rows": ("regime", list(data.regimes.values())),
            "was_set": (("regime", "action"), np.array(masks)),
        },
        coords={
            "regime": [data.label(mask) for mask in masks],
            "action": list(data.names),
            "probability": list(COVERAGE),
        },
    )
