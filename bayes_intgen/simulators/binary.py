"""Actions that are on or off: treatments, switches, messages sent or not."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator
from scipy.special import expit

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.confounded import Confounded, log_odds_for, random_confounding, signed
from bayes_intgen.simulators.ordered import as_level


@dataclass(frozen=True, eq=False)
class Binary(Confounded):
    """Actions 0 and 1.

        P(A_k = 1) = expit(usual_k + eta_k),  effect_k(a) = size_k a

    Parents enter as A_j less their observational share of ones.

    Attributes
    ----------
    names, graph, hidden
        As in :class:`Confounded`.
    share : ndarray, shape (K,)
        Approximate observational share of ones.
    usual : ndarray, shape (K,)
        Log odds at a linear predictor of zero.
    set_share : ndarray, shape (K,)
        Probability of a one under do.
    size : ndarray, shape (K,)
        Effect of a one.
    """

    share: Array
    usual: Array
    set_share: Array
    size: Array

    @classmethod
    def random(cls, count: int, seed: int, *, share: tuple[float, float] = (0.3, 0.7)) -> Self:
        """A random model with ``count`` actions.

        Parameters
        ----------
        count : int
        seed : int
        share : tuple of two floats
            Range of the share of ones, in observational rows (approximately) and under do;
            (0.05, 0.1) makes ones rare.

        Raises
        ------
        ModelError
            For a range that does not lie within (0, 1).

        Examples
        --------
        >>> world = bi.simulators.Binary.random(2, seed=0)
        >>> np.unique(world.dataset(50, seed=1).actions)
        array([0., 1.])
        """
        low, high = share
        if not 0 < low <= high < 1:
            raise ModelError(f"share must be a range within (0, 1), low before high, not {share!r}")
        rng = np.random.default_rng(seed)
        names, graph, hidden = random_confounding(count, rng, pull=(1, 2), edge=(0.7, 1.2))
        shares = rng.uniform(low, high, count)
        sd = np.sqrt(hidden.pull**2 + hidden.between**2 @ (shares * (1 - shares)))
        return cls(
            names,
            graph,
            hidden,
            share=shares,
            usual=log_odds_for(shares, sd),
            set_share=rng.uniform(low, high, count),
            size=signed(0.5, 1.5, count, rng),
        )

    def standardised(self, action: int, values: Array) -> Array:
        return np.asarray(values - self.share[action])

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        chance = expit(self.usual[action] + self.linear_predictor(action, causes, actions))
        return np.asarray(rng.random(len(causes)) < chance, dtype=np.float64)

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        return np.asarray(rng.random(rows) < self.set_share[action], dtype=np.float64)

    def effect_of(self, action: int, values: Array) -> Array:
        return np.asarray(self.size[action] * as_level(self.names[action], values, 2))
