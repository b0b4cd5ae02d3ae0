r"""Linkage: identification at a point when every function is a free table over classes of values.

Let the values of each action fall into classes. In every regime the mean outcome is a sum of one
entry per action,

    m(a, R) = sum_k [ s_k(a_k) where k is set, u_k(a_k, a_pa(k)) where it is not ],

with s_k = phi_k and u_k = phi_k + delta_k (the intercept is part of either), and of an entry
psi_jk(a_j, a_k) for each pair of actions that interact, in every regime. A *cell* is a combination
of classes together with the regimes that have rows there; each of its regimes gives one equation in
the entries. The mean under a target mask is a sum of entries too. The rows determine it if and only
if that sum is a linear combination of the equations. With one class per value this test is exact.
It assumes neither smoothness nor any similarity between entries.

Entries of u_k that belong to a single cell are eliminated within that cell, so that few unknowns
remain with an unknown graph, where u_k depends on every action.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Self

import numpy as np
import scipy
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.identification.regimes import Mask, masks_of
from bayes_intgen.identification.verdict import separates

Codes = NDArray[np.intp]
# Entry of a table: whether it is free of confounding (s_k and psi_jk are, u_k is not), the actions
# on which it depends, u_k's own first, and their classes.
Entry = tuple[bool, tuple[int, ...], tuple[int, ...]]
# The same without the classes.
Table = tuple[bool, tuple[int, ...]]

# Threshold of singular values that are zero up to rounding, relative to the largest one.
RANK_TOLERANCE = 1e-7
# The same for eigenvalues of a Gram matrix.
GRAM_TOLERANCE = 1e-10
# The same for coordinates of a sum of entries, per entry.
COORDINATE_TOLERANCE = 1e-6
# Maximum number of shared entries, the cube of which determines the time of the reduction, and
# numbers of adjacent classes that are joined until the entries are not more.
MAX_SHARED_ENTRIES, WIDTHS = 1500, (1, 2, 4)


@dataclass(frozen=True, eq=False)
class Cells:
    """Equations of cells, reduced to the null space of the entries that they leave undetermined.

    Attributes
    ----------
    parents : sequence of sequences of int
        Actions on which the bias of each action may depend.
    pairs : sequence of pairs of int
        Actions that interact.
    masks : sequence of masks
    tables : list of Table
        Those of the regimes.
    has : ndarray of float, shape (regimes, tables)
        Whether the mean under each mask has an entry of each table.
    undetermined : dict from Entry to ndarray, shape (d,)
        Coordinates of each shared entry in the null space of the equations: a sum of entries
        is determined if and only if its coordinates sum to zero.
    dimension : int
        Of that null space.
    widths : ndarray of int, shape (K,)
        Numbers of adjacent classes of each action that are joined.
    """

    parents: Sequence[Sequence[int]]
    pairs: Sequence[tuple[int, int]]
    masks: Sequence[Mask]
    tables: list[Table]
    has: Array
    undetermined: dict[Entry, Array]
    dimension: int
    widths: Codes

    @classmethod
    def of(
        cls,
        parents: Sequence[Sequence[int]],
        masks: Sequence[Mask],
        codes: Codes,
        reached: NDArray[np.bool_],
        pairs: Sequence[tuple[int, int]] = (),
        numeric: Sequence[bool] = (),
    ) -> Self:
        """Reduce the equations of cells.

        Parameters
        ----------
        parents : sequence of sequences of int, length K
        masks : sequence of masks
        codes : ndarray of int, shape (cells, K)
            The class of each action.
        reached : ndarray of bool, shape (cells, regimes)
            Which regimes have rows there.
        pairs : sequence of pairs of int
            Actions that interact.
        numeric : sequence of bool, optional
            Actions whose adjacent classes may be joined where entries are too many.

        Examples
        --------
        >>> masks = [(False, False), (True, False), (False, True)]
        >>> everywhere = np.ones((1, 3), dtype=bool)
        >>> cells = Cells.of([[1], [0]], masks, np.array([[0, 0]]), everywhere)
        >>> nowhere = np.zeros((2, 3), dtype=bool)
        >>> cells.determine(np.array([[0, 0], [0, 1]]), nowhere, (True, True))
        array([ True, False])
        """
        of_masks = [dict.fromkeys(_tables(parents, pairs, mask)) for mask in masks]
        tables = [*dict.fromkeys(chain(*of_masks))]
        has = np.array([[float(table in own) for table in tables] for own in of_masks])
        for width in WIDTHS:
            widths = np.where([*numeric] or [False] * codes.shape[1], width, 1)
            cells, reaching = _merged(codes // widths, reached)
            needed = reaching.astype(float) @ has > 0
            found = _shared_entries(tables, cells, needed)
            if sum(len(entries) for entries, _ in found) <= MAX_SHARED_ENTRIES:
                break
        else:
            # Treating entries as different between cells only makes the answer conservative.
            found = [
                own if len(of) == 1 else ([], np.full(len(cells), -1))
                for (_, of), own in zip(tables, found, strict=True)
            ]
        position, at = _positions(found)
        gram = np.zeros((len(position), len(position)))
        patterns, which = masks_of(np.concatenate([reaching, (at >= 0) & needed], axis=1))
        for i, pattern in enumerate(map(np.array, patterns)):
            equations, shared = has[pattern[: len(masks)]], pattern[len(masks) :]
            # Entries of a single cell are eliminated within it.
            own = equations[:, ~shared & equations.any(axis=0)]
            rest = scipy.linalg.null_space(own.T, RANK_TOLERANCE).T @ equations[:, shared]
            block = rest.T @ rest
            for entries in at[which == i][:, shared]:
                gram[np.ix_(entries, entries)] += block
        null = _null_space_of_gram(gram)
        undetermined = {entry: null[i] for entry, i in position.items()}
        return cls(parents, pairs, masks, tables, has, undetermined, null.shape[1], widths)

    def determine(
        self, codes: Codes, reached: NDArray[np.bool_], target: Mask
    ) -> NDArray[np.bool_]:
        """Test whether the rows determine the mean outcome under a mask, shape (M,).

        Parameters
        ----------
        codes : ndarray of int, shape (M, K)
        reached : ndarray of bool, shape (M, regimes)
            Regimes that have rows at the points themselves, in all actions jointly.
        target : mask
        """
        codes = codes // self.widths
        # Rows elsewhere mostly suffice, or the regimes at the point: the rank test on their masks.
        distinct, which = np.unique(codes, axis=0, return_inverse=True)
        out = self._linked_elsewhere(distinct, target)[which.reshape(-1)]
        out |= separates(self.masks, reached, target, range(len(target)))
        rest = ~out & reached.any(axis=1)
        remaining = np.concatenate([codes, reached], axis=1)[rest]
        distinct, which = np.unique(remaining, axis=0, return_inverse=True)
        count = codes.shape[1]
        determined = [
            self._determines(tuple(row[:count].tolist()), row[count:] > 0, target)
            for row in distinct
        ]
        out[rest] = np.array(determined, dtype=bool)[which.reshape(-1)]
        return out

    def _linked_elsewhere(self, codes: Codes, target: Mask) -> NDArray[np.bool_]:
        """Whether the equations alone determine the mean outcome under a mask, shape (M,)."""
        tables = _tables(self.parents, self.pairs, target)
        total = np.zeros((len(codes), self.dimension + 1))
        # An entry without an equation.
        free_entry = np.append(np.zeros(self.dimension), np.inf)
        for free, of in tables:
            distinct, which = np.unique(codes[:, of], axis=0, return_inverse=True)
            found = [self.undetermined.get((free, of, tuple(c))) for c in distinct.tolist()]
            sums = [free_entry if own is None else np.append(own, 0.0) for own in found]
            total += np.array(sums).reshape(-1, total.shape[1])[which.reshape(-1)]
        return np.linalg.norm(total, axis=1) < COORDINATE_TOLERANCE * len(tables)

    def _determines(self, code: tuple[int, ...], reached: NDArray[np.bool_], target: Mask) -> bool:
        wanted = _tables(self.parents, self.pairs, target)
        equations = self.has[reached]
        used = [*compress(self.tables, equations.any(axis=0))]
        # A point has one entry of each table. Those without coordinates have new ones.
        tables = [*dict.fromkeys([*used, *wanted])]
        entries = [(free, of, tuple(code[j] for j in of)) for free, of in tables]
        found = [*map(self.undetermined.get, entries)]
        known = np.array([np.zeros(self.dimension) if own is None else own for own in found])
        is_new = np.array([own is None for own in found])
        coordinates = np.concatenate([known, np.eye(len(tables))[:, is_new]], axis=1)
        target_sum = np.isin(np.arange(len(tables)), [*map(tables.index, wanted)]) @ coordinates
        tolerance = COORDINATE_TOLERANCE * len(wanted)
        # The tolerance is absolute: equations among the reduced ones are zero up to rounding.
        sums = equations[:, equations.any(axis=0)] @ coordinates[: len(used)]
        _, sizes, right = np.linalg.svd(sums, full_matrices=False)
        span = right[sizes > tolerance]
        return bool(np.linalg.norm(target_sum - span.T @ (span @ target_sum)) < tolerance)


def _merged(codes: Codes, reached: NDArray[np.bool_]) -> tuple[Codes, NDArray[np.bool_]]:
    """Distinct cells, and all regimes that reach each."""
    distinct, which = np.unique(codes, axis=0, return_inverse=True)
    out = np.zeros((len(distinct), reached.shape[1]), dtype=bool)
    np.logical_or.at(out, which.reshape(-1), reached)
    return distinct, out


def _shared_entries(
    tables: Sequence[Table], codes: Codes, needed: NDArray[np.bool_]
) -> list[tuple[list[Entry], Codes]]:
    """Entries of each table that are not eliminated within a cell, and those of cells.

    The latter are positions among the former, shape (cells,), and -1 where an entry is eliminated.
    ``needed`` says whether a cell has an equation with an entry of a table.
    """
    found: list[tuple[list[Entry], Codes]] = []
    for i, (free, of) in enumerate(tables):
        distinct, which = np.unique(codes[:, of], axis=0, return_inverse=True)
        counts = np.bincount(which.reshape(-1), needed[:, i], len(distinct))
        # Sums at other cells may contain these entries; the others occur in one cell only.
        low = len(of) <= min(2, codes.shape[1] - 1) or free
        kept = np.flatnonzero(counts > (0 if low else 1))
        place = np.full(len(distinct), -1)
        place[kept] = np.arange(len(kept))
        entries = [(free, of, tuple(code)) for code in distinct[kept].tolist()]
        found.append((entries, place[which.reshape(-1)]))
    return found


def _positions(found: Sequence[tuple[list[Entry], Codes]]) -> tuple[dict[Entry, int], Codes]:
    """Positions of all shared entries, by entry and by cell, shape (cells, tables)."""
    position = {entry: i for i, entry in enumerate(chain(*(entries for entries, _ in found)))}
    offsets = np.cumsum([0, *(len(entries) for entries, _ in found[:-1])])
    places = np.stack([place for _, place in found], axis=1)
    return position, np.where(places >= 0, places + offsets, -1)


def _tables(
    parents: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int]], mask: Mask
) -> list[Table]:
    """Whether the tables of a regime are free of confounding, and their actions."""
    inputs = [(k,) if was_set else (k, *parents[k]) for k, was_set in enumerate(mask)]
    return [*zip(mask, inputs, strict=True), *((True, pair) for pair in pairs)]


def _null_space_of_gram(gram: Array) -> Array:
    """Orthonormal basis of the null space of a matrix X, from X'X."""
    # The largest eigenvalue of entries of at least zero is at most the largest sum of a row.
    zero = np.abs(gram).sum(axis=1).max(initial=1.0) * GRAM_TOLERANCE
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors[:, values <= zero])
