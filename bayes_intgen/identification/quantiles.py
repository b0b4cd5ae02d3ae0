"""Quantiles of each action in each regime."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.identification.regimes import Mask, mask_label

# Probabilities of the quantiles per regime and action.
PROBABILITIES = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)


def regime_quantiles(
    names: Sequence[str], actions: Array, intervened: NDArray[np.bool_], masks: Sequence[Mask]
) -> xr.Dataset:
    """Compute quantiles of each action in each regime.

    Parameters
    ----------
    names : sequence of str, length K
    actions, intervened : ndarray, shape (n, K)
    masks : sequence of masks
        The regimes, in the order of the result.

    Returns
    -------
    Dataset
        ``quantile`` (regime, action, probability), in the actions' units; ``rows`` (regime) and
        ``was_set`` (regime, action).

    Examples
    --------
    >>> masks = [(False,), (True,)]
    >>> actions, intervened = np.arange(8.0)[:, None], np.arange(8)[:, None] > 3
    >>> dict(regime_quantiles(["red"], actions, intervened, masks).sizes)
    {'regime': 2, 'action': 1, 'probability': 7}
    """
    members = [(intervened == mask).all(axis=1) for mask in masks]
    quantiles = [np.quantile(actions[rows], PROBABILITIES, axis=0).T for rows in members]
    return xr.Dataset(
        {
            "quantile": (("regime", "action", "probability"), np.array(quantiles)),
            "rows": ("regime", [int(rows.sum()) for rows in members]),
            "was_set": (("regime", "action"), np.array(masks)),
        },
        coords={
            "regime": [mask_label(names, mask) for mask in masks],
            "action": list(names),
            "probability": list(PROBABILITIES),
        },
    )
