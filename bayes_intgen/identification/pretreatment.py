"""Covariates that change when an action is set.

A covariate whose distribution changes when an action is set is not pre-treatment. Rank tests
compare rows in which the action was set with rows that differ in that action only. Where rows
belong to groups, groups are the units: rows of a group are not independent, and a regional
experiment makes covariates of regions differ by chance.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr

from bayes_intgen._typing import Array
from bayes_intgen.identification.regimes import masks_of

# Probability of a false alarm for all covariates and actions together (Bonferroni).
FALSE_ALARM = 0.01


class Change(NamedTuple):
    """Change of a covariate when an action is set.

    Attributes
    ----------
    covariate, action : int
        Positions.
    p : float
        p-value of this pair alone.
    """

    covariate: int
    action: int
    p: float


def changed_covariates(
    covariates: Array, has_levels: Sequence[bool], intervened: NDArray[np.bool_], groups: Array
) -> list[Change]:
    """Covariates whose distribution changes when an action is set, by rank tests.

    Parameters
    ----------
    covariates : ndarray, shape (n, C)
    has_levels : sequence of bool, length C
        Whether the values are codes of levels.
    intervened : ndarray of bool, shape (n, K)
    groups : ndarray, shape (n, G)
        Codes of groups. A change must show for the units of each grouping.

    Returns
    -------
    list of Change
        Changes that are significant at a joint level of :data:`FALSE_ALARM`.

    Notes
    -----
    If most rows in which an action was set belong to groups that also have other rows, means are
    compared within each group, and a t-test is applied to the differences of the groups, which may
    have different variances (Ibragimov and Müller 2010). Otherwise the units are groups, or rows
    without groups, and the test is a permutation test of their mean scores, by its first three
    moments (Mielke and Berry 2007). Scores are ranks, or indicators of levels.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> was_set = np.arange(200)[:, None] < 100
    >>> mood = rng.normal(size=200) + was_set[:, 0]
    >>> columns = np.stack([mood, rng.normal(size=200)], axis=1)
    >>> [change.covariate for change in changed_covariates(columns, [False] * 2, was_set,
    ...                                                    np.empty((200, 0)))]
    [0]
    """
    compared = list(_comparisons(intervened))
    pairs = len(compared) * covariates.shape[1]
    changes = []
    for action, rows in compared:
        was_set = intervened[rows, action]
        units = [np.unique(own, return_inverse=True)[1] for own in groups[rows].T]
        units = units or [np.arange(len(was_set))]
        for i, levels in enumerate(has_levels):
            scores = list(_scores(covariates[rows, i], levels))
            p = min(
                (max(_p_value(score, was_set, unit) for unit in units) for score in scores),
                default=1.0,
            )
            p = min(1.0, p * len(scores))
            if p * pairs < FALSE_ALARM:
                changes.append(Change(i, action, p))
    return changes


def _comparisons(intervened: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Each action with the rows to compare: those whose masks differ in that action only.

    Without such pairs of masks, all rows.
    """
    masks, which = masks_of(intervened)
    for action in np.flatnonzero(intervened.any(axis=0) & ~intervened.all(axis=0)):
        others = [mask[:action] + mask[action + 1 :] for mask in masks]
        counts = Counter(others)
        both = np.array([counts[mask] == 2 for mask in others])
        yield int(action), both[which] if both.any() else np.ones(len(which), dtype=bool)


def _scores(column: Array, levels: bool) -> Iterator[Array]:
    if levels:
        codes = np.unique(column)
        # The last indicator is determined by the others.
        yield from ((column == code).astype(float) for code in codes[: max(len(codes) - 1, 1)])
    else:
        yield scipy.stats.rankdata(column) / len(column)


def _p_value(score: Array, was_set: NDArray[np.bool_], unit: NDArray[np.int_]) -> float:
    """Two-sided p-value of a difference in mean score between rows that were set and others."""
    sizes, set_rows = np.bincount(unit), np.bincount(unit, was_set)
    mixed = (set_rows > 0) & (set_rows < sizes)
    if mixed.sum() > 1 and 2 * set_rows[mixed].sum() >= was_set.sum():
        return _p_within(score, was_set, unit, mixed)
    return _p_between(np.bincount(unit, score) / sizes, set_rows / sizes)


def _p_within(
    score: Array, was_set: NDArray[np.bool_], unit: NDArray[np.int_], mixed: NDArray[np.bool_]
) -> float:
    sizes, set_rows = np.bincount(unit)[mixed], np.bincount(unit, was_set)[mixed]
    total, of_set = np.bincount(unit, score)[mixed], np.bincount(unit, score * was_set)[mixed]
    change = of_set / set_rows - (total - of_set) / (sizes - set_rows)
    if not change.any():
        return 1.0
    spread = change.std(ddof=1) / np.sqrt(len(change))
    p = 2 * stdtr(len(change) - 1, -abs(change.mean()) / spread) if spread > 0 else 0.0
    # No test of rows within groups has a smaller p-value than one over their arrangements.
    arrangements = gammaln(sizes + 1) - gammaln(set_rows + 1) - gammaln(sizes - set_rows + 1)
    return float(max(p, 2 * np.exp(-arrangements.sum())))


def _p_between(score: Array, share: Array) -> float:
    count = len(score)
    a, b = share - share.mean(), score - score.mean()
    variance = (a**2).sum() * (b**2).sum() / max(count - 1, 1)
    if count < 3 or not variance > 0:
        return 1.0
    third = (a**3).sum() * (b**3).sum() * count / ((count - 1) * (count - 2))
    z, skew = (a @ b) / np.sqrt(variance), third / variance**1.5
    return float(
        min(1.0, 2 * min(scipy.stats.pearson3.sf(z, skew), scipy.stats.pearson3.cdf(z, skew)))
    )
