"""Partition of the coefficients into blocks that are nearly independent a posteriori.

Agglomerative clustering of terms with a size cap: the dependence of two terms is their share of
the log density that `blocks` neglects (the second-order remainder; see docs/method.md).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.expansion_point import ExpansionPoint

# Maximum numbers of coefficients in a block, tried in this order.
SIZES = (24, 32, 40, 48, 56, 64, 80, 96)
# Maximum log density neglected between two terms in different blocks. With twice as much, chains
# far from the expansion point reached regions where the first-order terms fall without bound.
MAX_NEGLECTED = 0.025


def coefficient_blocks(
    expansion: ExpansionPoint,
    points: Array,
    sizes: Sequence[int] = SIZES,
    max_neglected: float = MAX_NEGLECTED,
) -> list[NDArray[np.int_]]:
    """Partition the coefficients into blocks of whole terms.

    Parameters
    ----------
    expansion : ExpansionPoint
    points : ndarray, shape (point, D)
        Hyperparameters dispersed like the expected draws.
    sizes : sequence of int
        Maximum sizes of a block. The first is taken with which no two terms in different blocks
        exceed ``max_neglected``, or the last if there is none. Larger terms raise the maximum to
        their own size.
    max_neglected : float

    Returns
    -------
    list of ndarray of int
        Indices of the coefficients in each block.

    Raises
    ------
    LinAlgError
        If numbers overflow at one of the points.
    """
    terms, every = expansion.posterior.terms, np.arange(expansion.posterior.size)
    columns = [every[terms.columns[term.name]] for term in terms.terms]
    of_term = np.stack([np.isin(every, own) for own in columns], axis=1).astype(float)
    dependence = of_term.T @ expansion.second_order_remainder(points) @ of_term
    if not np.isfinite(dependence).all():
        raise np.linalg.LinAlgError("the dependence between terms overflows")
    counts = of_term.sum(axis=0)
    for size in sizes:
        clusters = partition(dependence, counts, max(size, int(counts.max())))
        between = dependence.copy()
        for cluster in clusters:
            between[np.ix_(cluster, cluster)] = 0
        if between.max() <= max_neglected:
            break
    return [np.concatenate([columns[i] for i in cluster]) for cluster in clusters]


def partition(dependence: Array, sizes: Array, max_size: int) -> list[list[int]]:
    """Cluster items by single linkage, with a cap on the size of a cluster.

    The two most dependent clusters that fit together are merged, repeatedly.

    Parameters
    ----------
    dependence : ndarray, shape (n, n)
        Dependence of any two items: symmetric, finite, not negative.
    sizes : ndarray, shape (n,)
    max_size : int
        Maximum total size of a cluster of several items.

    Examples
    --------
    >>> dependence = np.array([[0, 1, 9, 0], [1, 0, 0, 5], [9, 0, 0, 0], [0, 5, 0, 0]])
    >>> partition(dependence, np.ones(4), max_size=3)
    [[0, 2], [1, 3]]
    """
    linkage, sizes = dependence.astype(float), sizes.astype(float)
    np.fill_diagonal(linkage, -np.inf)
    clusters = [[i] for i in range(len(sizes))]
    while True:
        linkage[sizes[:, None] + sizes > max_size] = -np.inf
        one, other = sorted(divmod(int(linkage.argmax()), len(sizes)))
        if linkage[one, other] < 0:
            return [cluster for cluster in clusters if cluster]
        clusters[one] += clusters[other]
        clusters[other] = []
        sizes[one] += sizes[other]
        linkage[one] = np.maximum(linkage[one], linkage[other])
        linkage[:, one] = linkage[one]
        linkage[one, one] = -np.inf
        # A merged cluster fits nowhere.
        sizes[other] = np.inf
