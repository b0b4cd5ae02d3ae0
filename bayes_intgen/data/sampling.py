"""Random samples of rows, balanced over the regimes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.identification.masks import masks_of


def balanced_sample(
    actions: Array,
    intervened: NDArray[np.bool_],
    categories: Sequence[Categories | None],
    unit: NDArray[np.int_] | None,
    rows: int,
) -> NDArray[np.bool_]:
    """Whether each row is in a sample of about ``rows`` rows, shape (N,).

    The sample contains the rows at the extremes of each action and one row per level.

    Parameters
    ----------
    actions, intervened : ndarray, shape (N, K)
    categories : sequence of Categories or None, length K
    unit : ndarray of int, shape (N,), optional
        Units whose rows are sampled together.
    rows : int

    Examples
    --------
    >>> intervened = np.zeros((10, 1), dtype=bool)
    >>> balanced_sample(np.arange(10.0)[:, None], intervened, [None], None, 4)[[0, 9]]
    array([ True,  True])
    """
    rng = generator(0, "sample")
    priority = rng.random(len(actions)) if unit is None else rng.random(unit.max() + 1)[unit]
    masks, which = masks_of(intervened)
    members = [np.flatnonzero(which == i) for i in range(len(masks))]
    sampled = np.zeros(len(actions), dtype=bool)
    for own, count in zip(members, even_shares([len(m) for m in members], rows), strict=True):
        sampled[own[np.argsort(priority[own], kind="stable")[:count]]] = True
    sampled[actions.argmin(axis=0)] = sampled[actions.argmax(axis=0)] = True
    for column, levels in zip(actions.T, categories, strict=True):
        if levels is not None:
            codes, first = np.unique(column, return_index=True)
            sampled[first[levels.covers(codes)]] = True
    return sampled


def batch_ends(unit: NDArray[np.int_] | None, count: int, rows: int) -> list[int]:
    """Ends of consecutive batches of about ``rows`` rows that do not divide runs of a unit.

    Examples
    --------
    >>> batch_ends(None, 5, 2)
    [0, 2, 4, 5]
    >>> batch_ends(np.array([0, 0, 0, 1, 1]), 5, 2)
    [0, 3, 5]
    """
    ends = list(range(0, count, rows))
    if unit is not None:
        starts = np.concatenate([[0], np.flatnonzero(np.diff(unit)) + 1, [count]])
        ends = np.unique(starts[np.searchsorted(starts, ends)]).tolist()
    return [*ends, count] if ends[-1] < count else ends


def even_shares(counts: Sequence[int], rows: int) -> list[int]:
    """Split a number of rows over regimes, as equally as their sizes ``counts`` allow.

    Examples
    --------
    >>> even_shares([2, 10], 8)
    [2, 6]
    """
    shares = [0] * len(counts)
    smallest_first = sorted(range(len(counts)), key=lambda i: counts[i])
    for remaining, i in zip(range(len(counts), 0, -1), smallest_first, strict=True):
        shares[i] = min(counts[i], rows // remaining)
        rows -= shares[i]
    return shares
