"""Stopping rule of the sampler: enough effective draws, and chains that agree."""

import math

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.inference.sampling.convergence import ESS_LIMIT, RHAT_LIMIT, Convergence

# Minimum and maximum draws per chain, if their number is not fixed.
MIN_DRAWS, MAX_DRAWS = 200, 2000
# Maximum growth factor of the number of draws between two assessments of convergence.
MAX_GROWTH = 1.25


def additional_draws(short: float, done: int, block_size: int) -> int:
    """Decide how many draws per chain to add, in whole blocks, to those that are done.

    Parameters
    ----------
    short : float
        Their :func:`shortfall`.
    done, block_size : int

    Examples
    --------
    >>> additional_draws(1.1, 200, 25)
    25
    """
    if short <= 1:
        return 0
    # Few draws exaggerate the shortfall: one excursion of one chain may cost a hundred draws.
    blocks = math.ceil((min(short, MAX_GROWTH) - 1) * done / block_size)
    return int(max(min(blocks * block_size, MAX_DRAWS - done), 0))


class StoppingRule:
    """Estimate how many more draws convergence needs, again and again as draws are added.

    Quantities that have not converged are assessed first: most of the time they decide.
    """

    def __init__(self) -> None:
        self._slow: NDArray[np.bool_] | None = None

    def shortfall(self, draws: Array) -> float:
        """Estimate the :func:`shortfall` of draws, shape (chain, draw, quantity)."""
        if self._slow is not None:
            short = shortfall(draws[..., self._slow])
            if short > 1:
                return short
        each = shortfalls(draws)
        self._slow = each > 1
        return float(each.max())


def shortfall(draws: Array) -> float:
    """Estimate the ratio of the number of draws that convergence needs to the present number.

    At most one if these suffice, and infinite if it cannot be estimated.

    Parameters
    ----------
    draws : ndarray, shape (chain, draw, quantity)
    """
    return float(shortfalls(draws).max())


def shortfalls(draws: Array) -> Array:
    """Estimate the :func:`shortfall` of every quantity, shape (quantity,)."""
    if not np.isfinite(draws).all():
        return np.full(draws.shape[2], np.inf)
    assessed = Convergence.of(draws)
    # R-hat - 1 is about inversely proportional to the number of draws. R-hat is NaN for a quantity
    # that never changes, and for a single chain.
    excess = np.nan_to_num(assessed.rhat, nan=1.0) - 1
    short = np.maximum(ESS_LIMIT / assessed.ess, excess / (RHAT_LIMIT - 1))
    return np.where(np.isfinite(short), short, np.inf)
