"""Stopping rule of the sampler: enough effective draws, and chains that agree."""

import math

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.sampling.convergence import ESS_LIMIT, RHAT_LIMIT, effective_draws, rhat

# Draws per chain, if they are as many as it takes.
MIN_DRAWS, MAX_DRAWS = 200, 2000
# Factor by which their number grows at most before convergence is assessed again.
MAX_GROWTH = 1.25


def additional_draws(quantities: Array, block_size: int) -> int:
    """Number of further draws per chain, in whole blocks, after those of shape (chain, draw, Q)."""
    done = quantities.shape[1]
    short = shortfall(quantities)
    if short <= 1:
        return 0
    # Few draws exaggerate: one excursion of one chain may count as a hundred draws.
    blocks = math.ceil((min(short, MAX_GROWTH) - 1) * done / block_size)
    return int(max(min(blocks * block_size, MAX_DRAWS - done), 0))


def shortfall(draws: Array) -> float:
    """Ratio of the number of draws that convergence takes to the number of these draws.

    At most one if these suffice, and infinite if it cannot be estimated.

    Parameters
    ----------
    draws : ndarray, shape (chain, draw, quantity)
    """
    if not np.isfinite(draws).all():
        return np.inf
    short = ESS_LIMIT / float(effective_draws(draws).min())
    if len(draws) > 1:
        # R-hat - 1 falls as the number of draws grows.
        short = max(short, (float(rhat(draws).max()) - 1) / (RHAT_LIMIT - 1))
    return short if np.isfinite(short) else np.inf
