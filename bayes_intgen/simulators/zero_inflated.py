"""Zero-inflated spend: campaigns that run in some weeks only."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import expit

from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.simulators.confounded import (
    Confounded,
    Confounding,
    log_odds_for,
    random_confounding,
    signed,
)


@dataclass(frozen=True, eq=False)
class ZeroInflated(Confounded):
    """Non-negative actions with many exact zeros, and Hill curves as effects.

    With eta_k linear in the hidden cause and functions of the parents::

        P(A_k = 0) = expit(pause_k - switch_k eta_k), otherwise
        A_k = budget_k exp(eta_k) V_k,  V_k lognormal, or gamma with mean one
        effect_k(a) = size_k a^h / (half_k^h + a^h)

    Parents enter as log(1 + A_j / budget_j) - 0.4. Under do an action is zero with
    probability set_pause_k, otherwise lognormal about its budget.

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    hidden : Confounding
        Coefficients of the hidden causes.
    budget : ndarray, shape (K,)
        Usual spend in rows without a zero.
    pause, switch : ndarray, shape (K,)
        Log odds of a zero at a linear predictor of zero, and their decrease per unit of it.
    chance : ndarray, shape (K,)
        Standard deviation of log V_k, or of V_k where it is gamma.
    gamma : ndarray of bool, shape (K,)
        Whether V_k is gamma rather than lognormal.
    set_pause, set_sd : ndarray, shape (K,)
        Probability of a zero under do, and the standard deviation of the logarithm otherwise.
    size, half, steepness : ndarray, shape (K,)
        Effect at saturation, spend at half of it, and the exponent h.
    """

    budget: Array
    pause: Array
    switch: Array
    chance: Array
    gamma: NDArray[np.bool_]
    set_pause: Array
    set_sd: Array
    size: Array
    half: Array
    steepness: Array

    @classmethod
    @takes_rng
    def random(cls, count: int, seed: Seed) -> Self:
        """A random model with ``count`` actions, with 30 to 60% zeros in observational rows.

        Examples
        --------
        >>> world = bi.simulators.ZeroInflated.random(2, seed=0)
        >>> bool((world.dataset(50, seed=1).actions == 0).any(axis=0).all())
        True
        """
        rng = np.random.default_rng(seed)
        names, graph, hidden = random_confounding(count, rng, pull=(0.3, 0.5), edge=(0.1, 0.25))
        budget = np.exp(rng.uniform(np.log(10), np.log(100), count))
        switch = rng.uniform(2, 4, count)
        return cls(
            names,
            graph,
            hidden,
            budget=budget,
            pause=pauses(rng.uniform(0.35, 0.55, count), switch, hidden),
            switch=switch,
            chance=rng.uniform(0.3, 0.6, count),
            gamma=rng.random(count) < 0.5,
            set_pause=rng.uniform(0.1, 0.3, count),
            set_sd=rng.uniform(0.5, 0.8, count),
            size=signed(1.5, 3, count, rng),
            half=budget * rng.uniform(0.3, 1.2, count),
            steepness=rng.uniform(1, 2, count),
        )

    def standardised(self, action: int, values: Array) -> Array:
        return np.asarray(np.log1p(values / self.budget[action]) - 0.4)

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        eta, sd = self.linear_predictor(action, causes, actions), self.chance[action]
        spends = rng.random(len(causes)) >= expit(self.pause[action] - self.switch[action] * eta)
        if self.gamma[action]:
            share = rng.gamma(1 / sd**2, sd**2, len(causes))
        else:
            share = np.exp(rng.normal(size=len(causes)) * sd)
        return np.where(spends, self.budget[action] * np.exp(eta) * share, 0.0)

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        spends = rng.random(rows) >= self.set_pause[action]
        return np.where(spends, self.draw_set_amount(action, rows, rng), 0.0)

    def draw_set_amount(self, action: int, rows: int, rng: Generator) -> Array:
        """Draw non-zero spend under do, shape (rows,)."""
        return np.asarray(self.budget[action] * np.exp(rng.normal(size=rows) * self.set_sd[action]))

    def unconfounded(self, action: int, values: Array) -> Array:
        power = (np.maximum(values, 0.0) / self.half[action]) ** self.steepness[action]
        return np.asarray(self.size[action] * power / (1 + power))


def pauses(share: Array, switch: Array, hidden: Confounding) -> Array:
    """Log odds of a zero that give approximately this share of zeros."""
    # Standardised parents have a variance of about 0.15.
    eta_sd = np.sqrt(hidden.pull**2 + 0.15 * (hidden.between**2).sum(axis=1))
    return log_odds_for(share, switch * eta_sd)
