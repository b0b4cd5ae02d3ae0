"""What each of many small groups usually does: shrunken means of its actions, as covariates.

Groups that differ in their usual actions and in their outcomes confound all actions at once. Where
groups are few, indicators of them are among the causes of each action. With few rows in each of
many groups, the means of its actions stand for a group (Mundlak, Econometrica 1978). They are
shrunken to their expectation given the data, since means of few rows are noisy.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import DataError

# Minimum variance between groups, and within them, relative to that of the action.
MIN_SHARE = 1e-6


def with_group_means[Own: Observations](data: Own) -> Own:
    """Add covariates; see :meth:`bayes_intgen.RegimeData.with_group_means`."""
    unit, columns = data.fine_group, data.columns
    if unit is None:
        raise DataError(
            "no grouping has more than 64 groups; the indicators of fewer groups are among the "
            "causes of actions already"
        )
    actions, grouping = varying_actions(data, unit), columns.every[columns.fine_grouping or 0]
    if not actions:
        raise DataError(
            f"no action has numbers or ordered levels that vary in a group of {grouping!r} where "
            "it was not set, so that means are the actions themselves"
        )
    names = tuple(mean_name(data.names[k], grouping) for k in actions)
    repeated = set(names) & {*data.names, *columns.every}
    if repeated:
        raise DataError(f"the data have a column {min(repeated)!r} already")
    means = GroupMoments(data, unit, actions).means()[unit]
    count = len(columns.names)
    covariates = np.column_stack([data.covariates[:, :count], means, data.covariates[:, count:]])
    categories = (*columns.categories, *(None for _ in names))
    columns = replace(columns, names=(*columns.names, *names), categories=categories)
    return replace(data, covariates=covariates, columns=columns)


def mean_name(action: str, grouping: str) -> str:
    """Name of the covariate.

    Examples
    --------
    >>> mean_name("dose", "patient")
    'mean dose of patient'
    """
    return f"mean {action} of {grouping}"


def varying_actions(data: Observations, unit: NDArray[np.int_]) -> list[int]:
    """Positions of the actions of numbers or ordered levels that vary in groups, where not set.

    The mean of an action that never does is the action itself.
    """

    def varies(k: int) -> bool:
        free = ~data.intervened[:, k]
        values = np.unique(np.stack([unit[free], data.actions[free, k]]), axis=1)
        return bool(values.shape[1] > len(np.unique(unit[free])))

    ordered = (own is None or own.ordered or len(own.labels) == 2 for own in data.categories)
    return [k for k, is_ordered in enumerate(ordered) if is_ordered and varies(k)]


class GroupMoments:
    """Sums over the rows of each group in which an action was not set, and what they estimate.

    Attributes
    ----------
    sums, counts : ndarray, shape (G, K)
        Sums of the centred and scaled actions of each group, and numbers of their rows.
    between : ndarray, shape (K, K)
        Covariance of what groups usually do.
    within : ndarray, shape (K,)
        Variance of the actions in a group.
    z : ndarray, shape (K,)
        Score statistic of the variance between groups.
    """

    def __init__(self, data: Observations, unit: NDArray[np.int_], actions: list[int]) -> None:
        free = ~data.intervened[:, actions]
        values = np.zeros(free.shape)
        for i, k in enumerate(actions):
            column, rows = data.actions[:, k], free[:, i]
            # Levels have units, too, on which no other action may depend.
            numbers = data.categories[k] is None
            column = Coordinate.of(column)(column) if numbers else column / column[rows].std()
            values[rows, i] = column[rows] - column[rows].mean()
        self.sums, self.counts = np.zeros((2, unit.max() + 1, len(actions)))
        np.add.at(self.sums, unit, values)
        np.add.at(self.counts, unit, free)
        # Of pairs of different rows of a group, in which only the group is in common.
        products = self.sums.T @ self.sums - values.T @ values
        both = free.T.astype(float) @ free
        pairs = self.counts.T @ self.counts - both
        variance = np.diag(values.T @ values) / np.maximum(np.diag(both), 1)
        spread = np.maximum(np.sqrt(2 * np.diag(pairs)) * variance, 1e-300)
        self.z = np.where(np.diag(pairs) > 0, np.diag(products) / spread, 0.0)
        own, vectors = np.linalg.eigh(products / np.maximum(pairs, 1))
        least = MIN_SHARE * variance.max()
        self.between = (vectors * np.maximum(own, least)) @ vectors.T
        self.within = np.maximum(variance - np.diag(self.between), least)

    def means(self) -> Array:
        """Expected values of what groups usually do, given their rows: an array (G, K).

        Normal between and within groups; an action that was set in all rows of a group is inferred
        from the others.
        """
        present = self.counts > 0
        mean = self.sums / np.maximum(self.counts, 1)
        error = np.where(present, self.within / np.maximum(self.counts, 1), np.inf)
        # Divided by the error, whose inverse is zero where there are no rows.
        precision = 1 / error
        system = np.eye(len(self.within)) + precision[:, :, None] * self.between
        solved = np.linalg.solve(system, (precision * mean)[:, :, None])[:, :, 0]
        return np.asarray(solved @ self.between)
