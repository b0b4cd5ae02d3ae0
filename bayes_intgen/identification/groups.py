"""Groups of rows that occur under one mask only.

The level of such a group and the level of a bias enter the same rows, so that the likelihood does
not tell them apart: the prior does, by which groups are exchangeable.
"""

import numpy as np
from numpy.typing import NDArray

from bayes_intgen.identification.masks import masks_of


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
