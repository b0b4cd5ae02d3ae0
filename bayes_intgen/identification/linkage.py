r"""Identification at a point: what cells with rows determine when every function is a free table.

Let the values of each action fall into classes. In every regime the mean outcome is a sum of one
entry per action,

    m(a, R) = sum_k [ s_k(a_k) where k is set, u_k(a_k, a_pa(k)) where it is not ],

with s_k = phi_k and u_k = phi_k + delta_k (the intercept is part of either). A *cell* is a
combination of classes together with the regimes that have rows there; each of its regimes gives
one equation in the entries. A question is a sum of entries too, and the rows determine its answer
if and only if that sum is a combination of the equations. With one class per value this test is
exact. Nothing is assumed to be smooth, and no two entries are assumed to be alike.

Entries of u_k that belong to one cell alone are eliminated within that cell, so that with an
unknown graph, where u_k depends on every action, few unknowns are left.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.identification.masks import Mask, is_identified

Codes = NDArray[np.intp]
# Entry of a table: whether the action is set, the action, and the classes of its inputs.
Entry = tuple[bool, int, tuple[int, ...]]

# Singular values below this share of the largest one are zero but for rounding.
RANK_TOLERANCE = 1e-7
# Entries that cells may share: their number cubed decides how long the reduction takes.
MAX_SHARED = 1500


class Cells:
    """The equations that cells give, reduced to what they leave undetermined.

    Attributes
    ----------
    parents : list of list of int
        Actions on which the bias of each action may depend.
    masks : list of masks
    undetermined : dict from Entry to ndarray, shape (d,)
        Coordinates of each shared entry in the null space of the equations: a sum of entries
        is determined where its coordinates add up to zero.
    """

    def __init__(
        self,
        parents: Sequence[Sequence[int]],
        masks: Sequence[Mask],
        undetermined: dict[Entry, Array],
        dimension: int,
    ) -> None:
        self.parents = [list(others) for others in parents]
        self.masks = list(masks)
        self.undetermined = undetermined
        self._dimension = dimension

    @classmethod
    def of(
        cls,
        parents: Sequence[Sequence[int]],
        masks: Sequence[Mask],
        codes: Codes,
        reached: NDArray[np.bool_],
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

        Examples
        --------
        >>> masks = [(False, False), (True, False), (False, True)]
        >>> everywhere = np.ones((1, 3), dtype=bool)
        >>> cells = Cells.of([[1], [0]], masks, np.array([[0, 0]]), everywhere)
        >>> nowhere = np.zeros((2, 3), dtype=bool)
        >>> cells.determine(np.array([[0, 0], [0, 1]]), nowhere, (True, True))
        array([ True, False])
        """
        merged: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        for code, here in zip(map(tuple, codes.tolist()), reached, strict=True):
            merged[code] = merged[code] | here if code in merged else here
        terms = {
            code: [_entries(parents, code, mask) for mask, rows in zip(masks, here, strict=True)
                   if rows]
            for code, here in merged.items()
        }  # fmt: skip
        cells_of: dict[Entry, int] = {}
        for equations in terms.values():
            for entry in {entry for equation in equations for entry in equation}:
                cells_of[entry] = cells_of.get(entry, 0) + 1
        # Questions at other cells may ask for these; the rest is known to one cell alone.
        count = codes.shape[1]
        shared = [
            entry
            for entry, times in cells_of.items()
            if times > 1 or len(entry[2]) <= min(2, count - 1) or entry[0]
        ]
        if len(shared) > MAX_SHARED:
            # Entries that are taken to differ between cells only make the answer conservative.
            shared = [entry for entry in shared if len(entry[2]) == 1]
        position = {entry: i for i, entry in enumerate(shared)}
        gram = np.zeros((len(shared), len(shared)))
        eliminations: dict[bytes, Array] = {}
        for equations in terms.values():
            local = sorted(
                {entry for equation in equations for entry in equation} - position.keys()
            )
            inside = np.zeros((len(equations), len(local)))
            outside: dict[int, Array] = {}
            for i, equation in enumerate(equations):
                for entry in equation:
                    if entry in position:
                        column = outside.setdefault(position[entry], np.zeros(len(equations)))
                        column[i] = 1.0
                    else:
                        inside[i, local.index(entry)] = 1.0
            key = repr(inside.shape).encode() + inside.tobytes()
            if key not in eliminations:
                eliminations[key] = _null_space(inside.T)
            kept = eliminations[key]
            if not outside or not kept.shape[1]:
                continue
            at = list(outside)
            rest = kept.T @ np.stack([outside[i] for i in at], axis=1)
            gram[np.ix_(at, at)] += rest.T @ rest
        null = _null_space_of_gram(gram)
        return cls(parents, masks, {entry: null[i] for entry, i in position.items()}, null.shape[1])

    def determine(
        self, codes: Codes, reached: NDArray[np.bool_], target: Mask
    ) -> NDArray[np.bool_]:
        """Whether the rows determine the mean outcome under a mask, shape (M,).

        Parameters
        ----------
        codes : ndarray of int, shape (M, K)
        reached : ndarray of bool, shape (M, regimes)
            Regimes that have rows at the points themselves, in all actions jointly.
        target : mask
        """
        patterns, which = np.unique(reached, axis=0, return_inverse=True)
        # Mostly the regimes at the point itself are enough: the rank test on their masks.
        here = [
            bool(pattern.any())
            and is_identified([m for m, there in zip(self.masks, pattern, strict=True) if there],
                              target)
            for pattern in patterns
        ]  # fmt: skip
        out = np.array(here, dtype=bool)[which.reshape(-1)]
        rest = ~out
        asked = np.concatenate([codes, reached], axis=1)[rest]
        different, which = np.unique(asked, axis=0, return_inverse=True)
        count = codes.shape[1]
        answers = [
            self._determines(tuple(row[:count].tolist()), row[count:] > 0, target)
            for row in different
        ]
        out[rest] = np.array(answers, dtype=bool)[which.reshape(-1)]
        return out

    def _determines(self, code: tuple[int, ...], reached: NDArray[np.bool_], target: Mask) -> bool:
        wanted = _entries(self.parents, code, target)
        equations = [
            _entries(self.parents, code, mask)
            for mask, rows in zip(self.masks, reached, strict=True)
            if rows
        ]
        new = sorted(
            {entry for terms in (wanted, *equations) for entry in terms} - self.undetermined.keys()
        )

        def coordinates(entries: list[Entry]) -> Array:
            vector = np.zeros(self._dimension + len(new))
            for entry in entries:
                if entry in self.undetermined:
                    vector[: self._dimension] += self.undetermined[entry]
                else:
                    vector[self._dimension + new.index(entry)] += 1.0
            return vector

        question = coordinates(wanted)
        tolerance = 1e-6 * len(wanted)
        if not equations:
            return bool(np.linalg.norm(question) < tolerance)
        known = np.stack([coordinates(equation) for equation in equations])
        # Equations that are among the reduced ones are zero but for rounding: an absolute cut.
        _, sizes, right = np.linalg.svd(known, full_matrices=False)
        span = right[sizes > tolerance]
        return bool(np.linalg.norm(question - span.T @ (span @ question)) < tolerance)


def classes(values: Array, most_levels: int, bins: int) -> Array:
    """Edges between classes of an action's values: one class per level, or quantile bins.

    Parameters
    ----------
    values : ndarray, shape (n,)
    most_levels : int
        With at most this many distinct values each is a class of its own.
    bins : int
        Number of quantile bins otherwise.

    Examples
    --------
    >>> classes(np.array([0.0, 1.0, 1.0, 3.0]), 10, 4)
    array([0.5, 2. ])
    """
    different = np.unique(values)
    if len(different) <= most_levels:
        return np.asarray((different[1:] + different[:-1]) / 2)
    return np.unique(np.quantile(values, np.arange(1, bins) / bins))


def _entries(parents: Sequence[Sequence[int]], code: tuple[int, ...], mask: Mask) -> list[Entry]:
    """The entries whose sum is the mean outcome in a cell."""
    return [
        (True, k, (code[k],)) if was_set else (False, k, (code[k], *(code[j] for j in parents[k])))
        for k, was_set in enumerate(mask)
    ]


def _null_space(matrix: Array) -> Array:
    """Orthonormal vectors that a matrix sends to zero, as columns."""
    if not matrix.size:
        return np.eye(matrix.shape[1])
    _, values, right = np.linalg.svd(matrix)
    rank = int((values > RANK_TOLERANCE * values[0]).sum())
    return np.asarray(right[rank:].T)


def _null_space_of_gram(gram: Array) -> Array:
    """The null space of a matrix X from X'X."""
    if not gram.size:
        return np.zeros((0, 0))
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors[:, values <= max(values[-1], 1.0) * 1e-10])
