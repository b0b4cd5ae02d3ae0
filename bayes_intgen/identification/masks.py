"""Which interventions the regimes in the data answer: the rank test on masks.

For fixed actions the mean outcome is affine in the mask R (Kekić et al. 2025,
arXiv 2506.04945, eq. for E[Y | a, R]; here for any masks), so the effect under a
target mask R* is identified when (1, R*) is a combination of the rows (1, R) of the
regimes that were observed.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Mask = tuple[bool, ...]


def masks_of(intervened: NDArray[np.bool_]) -> tuple[list[Mask], NDArray[np.intp]]:
    """The masks that occur among rows, and which of them each row has.

    Parameters
    ----------
    intervened : ndarray of bool, shape (n, K)

    Returns
    -------
    list of tuple of bool, in lexicographic order
    ndarray of int, shape (n,)

    Examples
    --------
    >>> masks_of(np.array([[True, False], [False, False], [True, False]]))
    ([(False, False), (True, False)], array([1, 0, 1]))
    """
    # Sorted as bytes of eight actions each: row by row takes ten times as long.
    packed = np.ascontiguousarray(np.packbits(intervened, axis=1))
    codes = packed.view(f"V{packed.shape[1]}")[:, 0]
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    return [tuple(mask) for mask in intervened[first].tolist()], which


def regime_order(mask: Mask) -> tuple[int, list[bool]]:
    """Sort key of regimes: fewest interventions first, then in the order of the actions."""
    return sum(mask), [not was_set for was_set in mask]


def regime_weights(masks: Sequence[Mask], target: Mask) -> tuple[Fraction, ...] | None:
    """Exact weights that combine observed regimes into the target regime.

    Parameters
    ----------
    masks : sequence of tuple of bool, each of length K
        The regimes present in the data.
    target : tuple of bool, length K
        The regime asked about.

    Returns
    -------
    tuple of Fraction, or None
        One weight a mask with ``sum_r w_r (1, R_r) = (1, R*)``; None where no such
        weights exist and the data alone do not identify the target.

    Examples
    --------
    >>> masks = [(False, False), (True, False), (False, True)]
    >>> [int(weight) for weight in regime_weights(masks, (True, True))]
    [-1, 1, 1]
    """
    unknowns = len(masks)
    rows = [[Fraction(1)] * unknowns + [Fraction(1)]]
    for k, wanted in enumerate(target):
        rows.append([Fraction(int(mask[k])) for mask in masks] + [Fraction(int(wanted))])

    pivots: list[int] = []
    for column in range(unknowns):
        rank = len(pivots)
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column] != 0), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        head = rows[rank][column]
        rows[rank] = [value / head for value in rows[rank]]
        for i, row in enumerate(rows):
            if i != rank and row[column] != 0:
                factor = row[column]
                rows[i] = [a - factor * b for a, b in zip(row, rows[rank], strict=True)]
        pivots.append(column)

    if any(row[-1] != 0 for row in rows[len(pivots) :]):
        return None
    weights = [Fraction(0)] * unknowns
    for i, column in enumerate(pivots):
        weights[column] = rows[i][-1]
    return tuple(weights)


def is_identified(masks: Sequence[Mask], target: Mask) -> bool:
    """Whether the observed regimes determine the mean outcome under ``target``.

    The test is sharp, and no graph over the actions identifies more: the module
    :mod:`bayes_intgen.certificates` has the proof.

    Examples
    --------
    >>> is_identified([(True, False), (False, True)], (True, True))
    False
    """
    return regime_weights(masks, target) is not None
