"""Step size of NUTS from the acceptance rates of a warmup.

Dual averaging varies the step size until the average acceptance rate is the target. Since the rate
falls faster than linearly, it is higher at the average of these step sizes: 0.9 with a target of
0.8. A model of the rate is therefore fitted to the iterations of all chains.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from bayes_intgen._typing import Array

# The acceptance rate is 2 Phi(-c e^p) at step size e. In many dimensions p is 2 for trajectories of
# fixed length (Beskos, Pillai, Roberts, Sanz-Serna and Stuart, Bernoulli 2013). For 21 posteriors
# of actions' contributions 2.5 gives step sizes that are 2 +- 3% too small, 2 and 3 such that are
# 6% too small and 1% too large.
EXPONENT = 2.5
# Bounds of average acceptance rates, and the largest ratio to the average step size.
RATES, MAX_RATIO = (0.01, 0.99), 2.0
# Share of the iterations at the start, whose step sizes are far from the others.
BURN_IN = 0.2


def step_size_with_rate(target: float, step_sizes: Array, acceptance_rates: Array) -> float:
    """Estimate the step size at which the average acceptance rate is a target.

    Parameters
    ----------
    target : float
        In (0, 1).
    step_sizes, acceptance_rates : ndarray, shape (chain, iteration)
        Of the iterations of an adapting warmup.

    Examples
    --------
    >>> sizes = np.array([[0.2, 0.4, 0.8, 0.4]])
    >>> rates = 2 * ndtr(-(sizes**2.5))
    >>> round(step_size_with_rate(0.8, sizes, rates), 3)
    0.577
    """
    start = int(BURN_IN * step_sizes.shape[1])
    sizes, rates = step_sizes[:, start:].ravel(), acceptance_rates[:, start:].ravel()
    usual = float(np.exp(np.mean(np.log(sizes))))
    powers, mean = (sizes / usual) ** EXPONENT, float(np.clip(np.mean(rates), *RATES))

    def excess(log_c: float) -> float:
        return float(np.mean(2 * ndtr(-np.exp(log_c) * powers))) - mean

    c = np.exp(brentq(excess, -20.0, 20.0))
    ratio = (-ndtri(target / 2) / c) ** (1 / EXPONENT)
    return usual * float(np.clip(ratio, 1 / MAX_RATIO, MAX_RATIO))
