"""Which coefficients to integrate out together: groups of terms that know of each other.

Integrating all coefficients out at once costs the cube of their number; in groups, the cube of the
largest group's. `blocks` neglects what posterior covariances K between groups do
in second order: with its T, and m the posterior mean, tr(T K T K) / 4 of the log determinant and
m' T K T K T m / 2 of the quadratic form, in units of the noise. Terms that share most of that
belong together.
"""

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.expansion_point import ExpansionPoint

# Sizes of groups, from small to large: the first that keeps together what should be is taken.
SIZES = (24, 32, 40, 48, 56, 64, 80, 96)
# Log density that two terms may share and be in different groups. Where it was twice as much,
# chains came, far from the reference point, to where the terms that are kept fall without end.
MAX_SHARED = 0.025


def groups_of(reference: ExpansionPoint, points: Array) -> list[NDArray[np.int_]]:
    """Coefficients that are integrated out together: whole terms, every one in one group.

    Parameters
    ----------
    reference : ExpansionPoint
    points : ndarray, shape (point, D)
        Hyperparameters, scattered as draws of them are expected to be.

    Returns
    -------
    list of ndarray of int
        No larger than the first of ``SIZES`` with which no two terms in different groups share
        more than ``MAX_SHARED``; than the last where that is so with none. A term that is larger
        than that sets the size.

    Raises
    ------
    LinAlgError
        Where numbers overflow at one of the points.
    """
    terms, every = reference.posterior.terms, np.arange(reference.posterior.size)
    columns = [every[terms.columns[term.name]] for term in terms.terms]
    of_term = np.stack([np.isin(every, own) for own in columns], axis=1).astype(float)
    shared = of_term.T @ reference.second_order_remainder(points) @ of_term
    if not np.isfinite(shared).all():
        raise np.linalg.LinAlgError("what terms share cannot be told")
    sizes = of_term.sum(axis=0)
    for most in SIZES:
        chosen = partition(shared, sizes, max(most, int(sizes.max())))
        apart = shared.copy()
        for group in chosen:
            apart[np.ix_(group, group)] = 0
        if apart.max() <= MAX_SHARED:
            break
    return [np.concatenate([columns[i] for i in group]) for group in chosen]


def partition(shared: Array, sizes: Array, most: int) -> list[list[int]]:
    """Groups of bounded size of which no two members share much with each other.

    One after the other those two groups are joined, of all that fit together, whose members share
    most.

    Parameters
    ----------
    shared : ndarray, shape (n, n)
        How much any two of n share: symmetric, finite, not negative.
    sizes : ndarray, shape (n,)
    most : int
        Largest sum of sizes in a group of more than one.

    Examples
    --------
    >>> shared = np.array([[0, 1, 9, 0], [1, 0, 0, 5], [9, 0, 0, 0], [0, 5, 0, 0]])
    >>> partition(shared, np.ones(4), most=3)
    [[0, 2], [1, 3]]
    """
    left, sizes = shared.astype(float), sizes.astype(float)
    np.fill_diagonal(left, -np.inf)
    groups = [[i] for i in range(len(sizes))]
    while True:
        left[sizes[:, None] + sizes > most] = -np.inf
        one, other = sorted(divmod(int(left.argmax()), len(sizes)))
        if left[one, other] < 0:
            return [group for group in groups if group]
        groups[one] += groups[other]
        groups[other] = []
        sizes[one] += sizes[other]
        left[one] = np.maximum(left[one], left[other])
        left[:, one] = left[one]
        left[one, one] = -np.inf
        # What has been joined fits nowhere.
        sizes[other] = np.inf
