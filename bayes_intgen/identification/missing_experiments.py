"""Smallest sets of further experiments that would identify a target."""

from collections.abc import Iterator, Mapping
from itertools import islice
from math import comb
from operator import and_

from bayes_intgen.identification.masks import Mask, project, regime_weights
from bayes_intgen.identification.null_space import Vector

# Maximum number of sets returned.
MAX_SETS = 20
# Maximum number of sets of one size tried before the search settles for one irreducible set.
MAX_SETS_TRIED = 5000


def missing_experiments(
    independent: list[Mask], gains: Mapping[Mask, Vector], wanted: Vector, target: Mask
) -> tuple[tuple[Mask, ...], ...]:
    """Find sets of experiments that would identify a target that is not identified.

    Parameters
    ----------
    independent : list of mask
        Regimes that span those in the data.
    gains : mapping from mask to list of int
        From :func:`gains_of_experiments`.
    wanted : list of int
        Projection of the target on the null space of the regimes.
    target : mask
    """
    # The actions of the target first, and observational rows after single actions.
    ordered = sorted(gains, key=lambda mask: not any(map(and_, mask, target)) + (not any(mask)))
    simple = _smallest([(mask, gains[mask]) for mask in ordered], wanted, independent, target)
    if len(simple[0]) > 1:
        return ((target,), *simple)[:MAX_SETS]
    others = [group for group in simple if group != (target,)]
    return (*others[: MAX_SETS - 1], (target,))


def gains_of_experiments(basis: list[Vector], count: int) -> dict[Mask, Vector]:
    """Projections on the null space of the regimes, which are experiments modulo the data.

    Of experiments on one action and of observational rows, unless the data determine them.
    """
    single = [tuple(j == k for j in range(count)) for k in range(count)]
    gains = {mask: project(basis, mask) for mask in (*single, (False,) * count)}
    return {mask: gain for mask, gain in gains.items() if any(gain)}


def _smallest(
    gains: list[tuple[Mask, Vector]], wanted: Vector, independent: list[Mask], target: Mask
) -> list[tuple[Mask, ...]]:
    """Find the smallest sets of experiments that span the target together with the data."""
    if alone := list(islice(_spanning(gains, wanted, 1), MAX_SETS)):
        return alone
    candidates = [mask for mask, _ in gains]
    weights = regime_weights([*independent, *candidates], target)
    assert weights is not None  # single experiments and observational rows span everything
    new = weights[len(independent) :]
    # The experiments with a weight are independent given the data, so each of them is needed.
    # If all candidates are independent, no other set identifies the target.
    needed = tuple(mask for mask, weight in zip(candidates, new, strict=True) if weight)
    if len(gains) == len(wanted):
        return [needed]
    for size in range(2, len(needed) + 1):
        if comb(len(gains), size) > MAX_SETS_TRIED:
            break
        sets = list(islice(_spanning(gains, wanted, size), MAX_SETS))
        if sets:
            return sets
    return [needed]


def _spanning(
    gains: list[tuple[Mask, Vector]], wanted: Vector, size: int
) -> Iterator[tuple[Mask, ...]]:
    """Yield sets of ``size`` experiments whose gains span ``wanted``, if no smaller set does."""
    for i, (mask, gain) in enumerate(gains):
        pivot = next((p for p, value in enumerate(gain) if value), None)
        if pivot is None:
            continue
        rest = _cleared(wanted, gain, pivot)
        if size == 1:
            if not any(rest):
                yield (mask,)
            continue
        later = [(other, _cleared(row, gain, pivot)) for other, row in gains[i + 1 :]]
        yield from ((mask, *others) for others in _spanning(later, rest, size - 1))


def _cleared(row: Vector, gain: Vector, pivot: int) -> Vector:
    """Subtract a multiple of ``gain`` from a multiple of ``row``, so that the pivot is zero."""
    if row[pivot] == 0:
        return row
    return [gain[pivot] * x - row[pivot] * y for x, y in zip(row, gain, strict=True)]
