"""Regimes and their masks, and the rank test: targets that the masks of the regimes span.

For fixed actions the mean outcome is affine in the mask R (Kekić et al. 2025,
arXiv 2506.04945, equation for E[Y | a, R]; here for any masks). The effect under a target mask R*
is therefore identified if and only if (1, R*) is a linear combination of the rows (1, R) of the
observed regimes. The proof is in docs/explanation/method.md.

The level of a group that occurs under one mask only and the level of a bias enter the same rows, so
that the likelihood does not tell them apart: the prior does, by which groups are exchangeable.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import compress
from math import gcd, sumprod

import numpy as np
from numpy.typing import NDArray

Mask = tuple[bool, ...]
Vector = list[int]


def masks_of(intervened: NDArray[np.bool_]) -> tuple[list[Mask], NDArray[np.intp]]:
    """Find the distinct masks of rows, and the position of each row's mask among them.

    Parameters
    ----------
    intervened : ndarray of bool, shape (n, K)

    Returns
    -------
    masks : list of tuple of bool
        In lexicographic order.
    which : ndarray of int, shape (n,)

    Examples
    --------
    >>> masks_of(np.array([[True, False], [False, False], [True, False]]))
    ([(False, False), (True, False)], array([1, 0, 1]))
    """
    # Imported where there are rows: the help of the command line needs no tables.
    import pandas as pd

    # Hashing eight actions at once takes a fraction of the time of sorting, and has no order.
    which = np.zeros(len(intervened), dtype=np.intp)
    for byte in np.packbits(intervened, axis=1).T:
        which, distinct = pd.factorize(256 * which + byte)
    first = np.empty(len(distinct), dtype=np.intp)
    # What is written last stays.
    first[which[::-1]] = np.arange(len(which))[::-1]
    masks = [tuple(mask) for mask in intervened[first].tolist()]
    order = sorted(range(len(masks)), key=masks.__getitem__)
    return [masks[i] for i in order], np.argsort(order)[which]


def regime_order(mask: Mask) -> tuple[int, list[bool]]:
    """Sort key of regimes: fewest interventions first, then in the order of the actions."""
    return sum(mask), [not was_set for was_set in mask]


def in_regime_order(counts: Mapping[Mask, int]) -> dict[Mask, int]:
    """Sort masks with their numbers of rows, fewest interventions first."""
    return dict(sorted(counts.items(), key=lambda item: regime_order(item[0])))


def null_space_of_regimes(masks: Sequence[Mask], count: int) -> tuple[list[int], list[Vector]]:
    """Compute a basis of the directions (g, e_1, ..., e_K) that no regime informs.

    Along such a direction ``g + sum_k R_k e_k`` is zero for every mask R in the data, so levels
    can change along it without any change of the means. Returns the positions of masks that span
    all of them, and the basis.
    """
    return null_space([(True, *mask) for mask in masks], count + 1)


def project(basis: list[Vector], mask: Mask) -> Vector:
    """Change of the mean under a mask along each null direction; zeros where it is identified."""
    return evaluate(basis, (True, *mask))


def regime_weights(masks: Sequence[Mask], target: Mask) -> tuple[Fraction, ...] | None:
    """Compute exact weights that combine observed regimes into the target regime.

    Parameters
    ----------
    masks : sequence of tuple of bool, each of length K
        The regimes in the data.
    target : tuple of bool, length K

    Returns
    -------
    tuple of Fraction, or None
        One weight per mask with ``sum_r w_r (1, R_r) = (1, R*)``; None where no such
        weights exist and the data alone do not identify the target.

    Examples
    --------
    >>> masks = [(False, False), (True, False), (False, True)]
    >>> [int(weight) for weight in regime_weights(masks, (True, True))]
    [-1, 1, 1]
    """
    return _weights(masks, target)[0]


def _weights(masks: Sequence[Mask], target: Mask) -> tuple[tuple[Fraction, ...] | None, bool]:
    """:func:`regime_weights`, and whether there are no others: masks are linearly independent."""
    independent, basis = null_space_of_regimes(masks, len(target))
    if any(project(basis, target)):
        return None, False
    columns = [masks[i] for i in independent] + [target]
    # The one linear relation between the target and masks that are independent.
    _, (relation,) = null_space([[True] * len(columns), *zip(*columns, strict=True)], len(columns))
    weights = [Fraction(0)] * len(masks)
    for i, share in zip(independent, relation, strict=False):
        weights[i] = Fraction(-share, relation[-1])
    return tuple(weights), len(independent) == len(masks)


def spanned(masks: Sequence[Mask], patterns: Sequence[Mask], target: Mask) -> NDArray[np.bool_]:
    """Whether some of the regimes determine the mean under ``target``, for several such sets.

    Parameters
    ----------
    masks : sequence of tuple of bool
        Distinct regimes.
    patterns : sequence of tuple of bool, one for each mask
        Which regimes are in each set.
    target : mask

    Examples
    --------
    >>> masks = [(False, False), (True, False), (False, True)]
    >>> spanned(masks, [(True, True, True), (False, True, True)], (True, True))
    array([ True, False])
    """
    weights, is_only_one = _weights(masks, target)
    if weights is None:
        return np.zeros(len(patterns), dtype=bool)
    # The one null space mostly answers for all sets.
    out = np.array(patterns)[:, np.array(weights) != 0].all(axis=1)
    if not is_only_one:
        for i in np.flatnonzero(~out).tolist():
            out[i] = is_identified(list(compress(masks, patterns[i])), target)
    return np.asarray(out)


def combined_regimes(masks: Sequence[Mask], target: Mask) -> dict[Mask, Fraction]:
    """Nonzero weights of a target that is identified; its own rows alone, if there are any.

    Examples
    --------
    >>> combined_regimes([(False,), (True,)], (True,))
    {(True,): Fraction(1, 1)}
    """
    if target in masks:
        return {target: Fraction(1)}
    weights = regime_weights(masks, target) or ()
    return {mask: weight for mask, weight in zip(masks, weights, strict=False) if weight}


def is_identified(masks: Sequence[Mask], target: Mask) -> bool:
    """Whether the observed regimes determine the mean outcome under ``target``.

    The test is sharp, and no graph over the actions identifies more: docs/explanation/method.md.

    Examples
    --------
    >>> is_identified([(True, False), (False, True)], (True, True))
    False
    """
    _, basis = null_space_of_regimes(masks, len(target))
    return not any(project(basis, target))


def regime_label(actions: Sequence[str]) -> str:
    """Label of a regime, from the actions that it sets.

    Examples
    --------
    >>> regime_label(["red", "green"]), regime_label([])
    ('do(red, green)', 'observational')
    """
    return f"do({', '.join(actions)})" if actions else "observational"


def mask_label(names: Sequence[str], mask: Sequence[bool]) -> str:
    """Label of a regime, from its mask.

    Examples
    --------
    >>> mask_label(["red", "green"], [False, True])
    'do(green)'
    """
    return regime_label([name for name, was_set in zip(names, mask, strict=True) if was_set])


def null_space(equations: Sequence[Sequence[int]], size: int) -> tuple[list[int], list[Vector]]:
    """Basis of the integer vectors at which linear equations vanish.

    The basis starts as the ``size`` unit vectors. Each equation that does not vanish on it uses up
    the first vector at which it does not, to clear the others.

    Returns
    -------
    independent : list of int
        Positions of the first equations that span all of them.
    basis : list of list of int
        Each vector has one entry that is zero in all others.

    Examples
    --------
    >>> null_space([[1, 1, 0], [2, 2, 0], [0, 1, 1]], 3)
    ([0, 2], [[1, -1, 1]])
    """
    basis = [[int(i == j) for j in range(size)] for i in range(size)]
    independent = []
    for position, equation in enumerate(equations):
        values = evaluate(basis, equation)
        used = next((i for i, value in enumerate(values) if value), None)
        if used is None:
            continue
        independent.append(position)
        # With one action set at a time few vectors change.
        basis = [
            _reduced([values[used] * x - value * y for x, y in zip(row, basis[used], strict=True)])
            if value
            else row
            for i, (row, value) in enumerate(zip(basis, values, strict=True))
            if i != used
        ]
    return independent, basis


def evaluate(basis: Sequence[Vector], equation: Sequence[int]) -> Vector:
    """Values of an equation at each vector of a basis."""
    return [int(sumprod(row, equation)) for row in basis]


def _reduced(row: Vector) -> Vector:
    divisor = gcd(*row)
    return [x // divisor for x in row]


def groups_under_one_mask(
    codes: NDArray[np.float64], intervened: NDArray[np.bool_]
) -> tuple[int, int]:
    """Count the groups that occur under one mask only, and all groups.

    Parameters
    ----------
    codes : ndarray, shape (n,)
        Group of each row.
    intervened : ndarray of bool, shape (n, K)

    Examples
    --------
    >>> groups_under_one_mask(np.array([0.0, 0.0, 1.0]), np.array([[False], [True], [True]]))
    (1, 2)
    """
    _, which = masks_of(intervened)
    pairs = np.unique(np.stack([codes, which]), axis=1)
    _, masks = np.unique(pairs[0], return_counts=True)
    return int((masks == 1).sum()), len(masks)


def rest_on_exchangeability(under_one_mask: int, groups: int) -> bool:
    """Whether most groups occur under one mask only."""
    return 2 * under_one_mask >= groups
