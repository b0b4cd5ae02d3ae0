"""Counts as actions: calls made, posts published, doses taken in a week."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator

from bayes_intgen._typing import Array
from bayes_intgen.simulators.confounded import Confounded, random_confounding, signed


@dataclass(frozen=True, eq=False)
class Counts(Confounded):
    """Poisson counts whose effects saturate.

        A_k ~ Poisson(usual_k exp(eta_k)),  effect_k(a) = size_k (1 - exp(-a / reach_k))

    Parents enter as log((1 + A_j) / (1 + usual_j)).

    Attributes
    ----------
    names, graph, hidden
        As in :class:`Confounded`.
    usual : ndarray, shape (K,)
        Mean count at a linear predictor of zero.
    set_mean : ndarray, shape (K,)
        Mean of the Poisson counts under do.
    size, reach : ndarray, shape (K,)
        Effect at saturation, and the count with 63% of it.
    """

    usual: Array
    set_mean: Array
    size: Array
    reach: Array

    @classmethod
    def random(cls, count: int, seed: int) -> Self:
        """A random model with ``count`` actions.

        Examples
        --------
        >>> world = bi.simulators.Counts.random(2, seed=0)
        >>> actions = world.dataset(50, seed=1).actions
        >>> bool((actions == actions.round()).all())
        True
        """
        rng = np.random.default_rng(seed)
        names, graph, hidden = random_confounding(count, rng, pull=(0.4, 0.7), edge=(0.1, 0.25))
        usual = np.exp(rng.uniform(np.log(2), np.log(8), count))
        return cls(
            names,
            graph,
            hidden,
            usual=usual,
            set_mean=usual * np.exp(rng.uniform(-0.2, 0.3, count)),
            size=signed(1, 3, count, rng),
            reach=usual * rng.uniform(0.7, 2, count),
        )

    def standardised(self, action: int, values: Array) -> Array:
        return np.asarray(np.log((1 + values) / (1 + self.usual[action])))

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        mean = self.usual[action] * np.exp(self.linear_predictor(action, causes, actions))
        return np.asarray(rng.poisson(mean), dtype=np.float64)

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        return rng.poisson(self.set_mean[action], rows).astype(np.float64)

    def effect_of(self, action: int, values: Array) -> Array:
        return np.asarray(self.size[action] * -np.expm1(-values / self.reach[action]))
