"""Covariates that an action changes.

A covariate that changes when an action is set, or that depends on the value to which it was set, is
not pre-treatment. Rank tests compare rows in which the action was set with rows that differ in that
action only, and rows in which it was set with each other. Where rows belong to groups, groups are
the units: rows of a group are not independent, and a regional experiment makes covariates of
regions differ by chance. So are dates.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple, Self

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from bayes_intgen._typing import Array
from bayes_intgen.identification.regimes import masks_of

# Probability of a false alarm for all covariates and actions together (Bonferroni).
FALSE_ALARM = 0.01
# Maximum number of rows that callers need pass.
MAX_ROWS = 20_000
# Minimum correlation of copies.
COPY = 1 - 1e-9
# Number of units below which these are split.
MIN_UNITS = 16
# Size of the pieces of many periods.
PIECE = 25


class Change(NamedTuple):
    """Sign that an action changes a covariate.

    Attributes
    ----------
    covariate, action : int
        Positions.
    by_value : bool
        Whether the covariate depends on the value to which the action was set; otherwise it differs
        where the action was set.
    p : float
        p-value of this test alone.
    """

    covariate: int
    action: int
    by_value: bool
    p: float


def changed_covariates(
    covariates: Array,
    actions: Array,
    has_levels: Sequence[bool],
    intervened: NDArray[np.bool_],
    groups: Array,
    dates: Array,
) -> list[Change]:
    """Covariates that differ where an action was set, or depend on its value there, by rank tests.

    Parameters
    ----------
    covariates : ndarray, shape (n, C)
    actions : ndarray, shape (n, K)
    has_levels : sequence of bool, length C + K
        Whether the values of covariates and actions are codes of levels.
    intervened : ndarray of bool, shape (n, K)
    groups : ndarray, shape (n, G)
        Codes of groups. A change must show for the units of each grouping.
    dates : ndarray, shape (n, D)
        Numbers that grow with time. Dates are units, too; for the value of an action, periods in
        which it did not change.

    Returns
    -------
    list of Change
        Changes that are significant at a joint level of :data:`FALSE_ALARM`.

    Notes
    -----
    A test correlates scores of the covariate with scores of the action, which are ranks or
    indicators of levels. If these vary within units for most of the action, covariances within
    units, of which few are split in pieces, are compared with zero by a t-test, since their
    variances may differ (Ibragimov and Müller 2010), and by a permutation of the rows of each unit;
    the larger p-value counts. Otherwise the means of units are permuted, by the first three moments
    (Mielke and Berry 2007), or those of many periods compared within pieces of time.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> was_set, none = np.arange(200)[:, None] < 100, np.empty((200, 0))
    >>> dose = rng.normal(size=(200, 1))
    >>> mood = rng.normal(size=200) + was_set[:, 0]
    >>> columns = np.stack([mood, rng.normal(size=200), was_set[:, 0] * dose[:, 0]], axis=1)
    >>> found = changed_covariates(columns, dose, [False] * 4, was_set, none, none)
    >>> [(change.covariate, change.by_value) for change in found]
    [(0, False), (2, True)]
    """
    order = np.lexsort(dates.T) if dates.size else slice(None)
    covariates, actions, groups, dates = (
        own[order] for own in (covariates, actions, groups, dates)
    )
    intervened = intervened[order]
    count = covariates.shape[1]
    tests = [(action, False, rows) for action, rows in _comparisons(intervened)]
    tests += [(action, True, rows) for action, rows in _settings(intervened)]
    changes = []
    for action, by_value, rows in tests:
        column = actions[rows, action] if by_value else intervened[rows, action].astype(float)
        values = [
            (value, _units(value if by_value else None, groups[rows], dates[rows]))
            for value in _scores(column, by_value and has_levels[count + action])
        ]
        for i, levels in enumerate(has_levels[:count]):
            scores = list(_scores(covariates[rows, i], levels))
            p = min(
                max(_p_value(score, value, *unit) for unit in units)
                for score, (value, units) in product(scores, values)
            )
            p = min(1.0, p * len(scores) * len(values))
            if p * len(tests) * count < FALSE_ALARM:
                changes.append(Change(i, action, by_value, p))
    return changes


def copied_action(column: Array, actions: Array) -> int | None:
    """Position of the action of which a covariate is a copy, maybe in another unit.

    Examples
    --------
    >>> price = np.array([1.0, 2.5, 2.0])
    >>> copied_action(100 * price, np.stack([price**2, price], axis=1))
    1
    """
    centred = [own - own.mean(axis=0) for own in (column, actions)]
    with np.errstate(all="ignore"):
        a, b = (own / np.linalg.norm(own, axis=0) for own in centred)
        copies = np.flatnonzero(np.abs(a @ b) >= COPY)
    return int(copies[0]) if copies.size else None


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


def _settings(intervened: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Each action with rows in which it was set: those of its most frequent mask.

    Experiments at different places or times may set it to different values.
    """
    masks, which = masks_of(intervened)
    for action, column in enumerate(intervened.T):
        if column.any():
            rows = np.bincount(which[column], minlength=len(masks))
            yield action, which == rows.argmax()


def _scores(column: Array, levels: bool) -> Iterator[Array]:
    if levels:
        codes = np.unique(column)
        # Of two indicators, one determines the other.
        yield from ((column == code).astype(float) for code in codes[len(codes) == 2 :])
    else:
        # Twice the ranks are whole numbers, whose sums are exact.
        yield 2 * scipy.stats.rankdata(column)


def _units(value: Array | None, groups: Array, dates: Array) -> list[tuple[NDArray[np.int_], bool]]:
    """Units of each grouping; days, or periods in which their mean of a value is the same.

    With each, whether they are such periods, from one to the next of which a value may drift.
    """
    units = [(np.unique(own, return_inverse=True)[1], False) for own in groups.T]
    for own in dates.T:
        _, day, counts = np.unique(own, return_inverse=True, return_counts=True)
        if value is not None:
            mean = np.bincount(day, value) / counts
            day = np.cumsum(np.diff(mean, prepend=mean[0]) != 0)[day]
        units.append((day, value is not None))
    return units or [(np.arange(len(groups)), False)]


def _p_value(score: Array, value: Array, unit: NDArray[np.int_], drifts: bool) -> float:
    """Two-sided p-value of a correlation of two scores."""
    sums = _Sums.of(score, value, unit)
    if sums.vary:
        # A t-test of few units has no power.
        pieces = _Sums.of(score, value, _pieces(unit, -(-MIN_UNITS // len(sums.products))))
        return (pieces if pieces.vary else sums).p_value()
    sizes = np.bincount(unit)
    score, value = (np.bincount(unit, own) / sizes for own in (score, value))
    if drifts and len(sizes) >= 4 * MIN_UNITS:
        count = max(MIN_UNITS, len(sizes) // PIECE)
        return _Sums.of(score, value, _pieces(np.zeros(len(sizes), dtype=int), count)).p_value()
    return _p_between(score, value)


def _pieces(unit: NDArray[np.int_], count: int) -> NDArray[np.int_]:
    """Consecutive pieces of about equal size, some of each unit."""
    order, sizes = np.argsort(unit, kind="stable"), np.bincount(unit)
    place = np.arange(len(unit)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    pieces = np.empty_like(unit)
    pieces[order] = count * unit[order] + count * place // sizes[unit[order]]
    return np.unique(pieces, return_inverse=True)[1]


class _Sums(NamedTuple):
    """Sums of products of two scores about their means within units in which one of them varies.

    Attributes
    ----------
    products : ndarray, shape (u,)
    variances : ndarray, shape (u,)
        Variances in permutations of the rows of a unit.
    vary : bool
        Whether the action varies within units for most of its rows.
    """

    products: Array
    variances: Array
    vary: bool

    @classmethod
    def of(cls, score: Array, value: Array, unit: NDArray[np.int_]) -> Self:
        sizes = np.bincount(unit)
        a, b = (own - (np.bincount(unit, own) / sizes)[unit] for own in (score, value))
        squares = [np.bincount(unit, own**2) for own in (a, b)]
        varies = squares[1] > 0
        vary = varies.any() and 2 * value[varies[unit]].sum() >= value.sum()
        variances = np.prod(squares, axis=0)[varies] / (sizes[varies] - 1)
        return cls(np.bincount(unit, a * b)[varies], variances, bool(vary))

    def p_value(self) -> float:
        count, total = len(self.products), abs(self.products.sum())
        if count < 2 or not total > 0:
            return 1.0
        spread = self.products.std(ddof=1) * np.sqrt(count)
        p = 2 * stdtr(count - 1, -total / spread) if spread > 0 else 0.0
        return float(max(p, 2 * ndtr(-total / np.sqrt(self.variances.sum()))))


def _p_between(score: Array, value: Array) -> float:
    """P-value of a correlation of means of units."""
    count = len(score)
    a, b = value - value.mean(), score - score.mean()
    variance = (a**2).sum() * (b**2).sum() / max(count - 1, 1)
    if count < 3 or not variance > 0:
        return 1.0
    third = (a**3).sum() * (b**3).sum() * count / ((count - 1) * (count - 2))
    z, skew = (a @ b) / np.sqrt(variance), third / variance**1.5
    tails = scipy.stats.pearson3.sf(z, skew), scipy.stats.pearson3.cdf(z, skew)
    return float(min(1.0, 2 * min(tails)))
