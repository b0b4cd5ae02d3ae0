"""Smallest sets of further experiments that would identify a target."""

from collections.abc import Iterator, Mapping
from itertools import islice
from math import comb, gcd

from bayes_intgen.identification.masks import Mask, regime_weights

Vector = list[int]
MAX_SETS = 20
# Sets of one size that are tried before the search settles for one that cannot be thinned.
MAX_SETS_TRIED = 5000


def null_space_of_regimes(
    regimes: Mapping[Mask, int], count: int
) -> tuple[list[Mask], list[Vector]]:
    """Regimes that span all of them, and a basis of what none of them shows.

    A direction (g, e_1, ..., e_K) is blind where ``g + sum_k R_k e_k`` is zero for every mask
    R in the data: levels can move along it unseen. The directions start as the unit vectors,
    and every regime that sees some of them uses one up, to clear the others. Each that is left
    has an entry to itself, so that no blind direction involves only some of its actions.
    """
    blind = [[int(i == j) for j in range(count + 1)] for i in range(count + 1)]
    independent = []
    for mask in regimes:
        seen = project(blind, mask)
        used = next((i for i, value in enumerate(seen) if value), None)
        if used is None:
            continue
        independent.append(mask)
        blind = [
            _scaled([seen[used] * x - seen[i] * y for x, y in zip(row, blind[used], strict=True)])
            for i, row in enumerate(blind)
            if i != used
        ]
    return independent, blind


def project(blind: list[Vector], mask: Mask) -> Vector:
    """What a regime sees of each blind direction: nothing but zeros where it is answered."""
    counted = (True, *mask)
    return [sum(x for x, counts in zip(row, counted, strict=True) if counts) for row in blind]


def _scaled(row: Vector) -> Vector:
    divisor = gcd(*row)
    return [x // divisor for x in row]


def missing_experiments(
    independent: list[Mask], blind: list[Vector], target: Mask
) -> tuple[tuple[Mask, ...], ...]:
    """Sets of experiments that would identify a target that is not identified."""
    count = len(target)
    # The actions of the target first, and observational rows after single actions.
    order = sorted(range(count), key=lambda k: not target[k])
    experiments = [tuple(j == k for j in range(count)) for k in order] + [(False,) * count]
    # Modulo the data an experiment is what it sees of the blind directions.
    gains = [(mask, project(blind, mask)) for mask in experiments]
    gains = [(mask, gain) for mask, gain in gains if any(gain)]
    simple = _smallest(gains, project(blind, target), independent, target)
    if len(simple[0]) > 1:
        return ((target,), *simple)[:MAX_SETS]
    others = [group for group in simple if group != (target,)]
    return (*others[: MAX_SETS - 1], (target,))


def _smallest(
    gains: list[tuple[Mask, Vector]], wanted: Vector, independent: list[Mask], target: Mask
) -> list[tuple[Mask, ...]]:
    """Smallest sets of experiments that, with the data, span the target."""
    candidates = [mask for mask, _ in gains]
    weights = regime_weights([*independent, *candidates], target)
    assert weights is not None  # single experiments and observational rows span everything
    new = weights[len(independent) :]
    # Weights of this kind use experiments that are independent given the data, so each of them
    # is needed. If all candidates are independent, no other set will do.
    needed = tuple(mask for mask, weight in zip(candidates, new, strict=True) if weight)
    if len(gains) == len(wanted):
        return [needed]
    for size in range(1, len(needed) + 1):
        if comb(len(gains), size) > MAX_SETS_TRIED:
            break
        found = list(islice(_spanning(gains, wanted, size), MAX_SETS))
        if found:
            return found
    return [needed]


def _spanning(
    gains: list[tuple[Mask, Vector]], wanted: Vector, size: int
) -> Iterator[tuple[Mask, ...]]:
    """Sets of ``size`` experiments whose gains span ``wanted``; no smaller set does."""
    for i, (mask, gain) in enumerate(gains):
        pivot = next((p for p, value in enumerate(gain) if value), None)
        if pivot is None:
            continue
        left = _without(wanted, gain, pivot)
        if size == 1:
            if not any(left):
                yield (mask,)
            continue
        later = [(other, _without(row, gain, pivot)) for other, row in gains[i + 1 :]]
        yield from ((mask, *rest) for rest in _spanning(later, left, size - 1))


def _without(row: Vector, gain: Vector, pivot: int) -> Vector:
    """A multiple of ``row`` less a multiple of ``gain``, zero at the pivot."""
    if row[pivot] == 0:
        return row
    return [gain[pivot] * x - row[pivot] * y for x, y in zip(row, gain, strict=True)]
