"""Bounded actions, such as shares, with uniform settings under do."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bayes_intgen._typing import Array
from bayes_intgen.simulators.confounded import signed
from bayes_intgen.simulators.normal_actions import NormalActions, standard_actions

# Log odds per unit of the latent variable, and units of it across the interval.
SLOPE, WIDTH = 1.5, 4.0


@dataclass(frozen=True, eq=False)
class UniformDesign(NormalActions):
    """Actions in [0, 1]: a transformed normal latent variable, uniform under do.

        A_k = expit(1.5 latent_k), or latent_k / 4 + 1/2 clipped to [0, 1]
        effect_k(a) = size_k tanh(slope_k (a - middle_k))

    Clipped actions are exactly 0 or 1 in a few percent of the rows. Parents enter as
    sqrt(12) (A_j - 1/2).

    Attributes
    ----------
    names, graph, hidden, action_sd
        As in :class:`NormalActions`, for the latent variable.
    clipped : ndarray of bool, shape (K,)
        Whether the latent variable is clipped rather than transformed by expit.
    size, slope, middle : ndarray, shape (K,)
        Half of the total change, its steepness, and the value at its midpoint.
    """

    clipped: NDArray[np.bool_]
    size: Array
    slope: Array
    middle: Array

    @classmethod
    def random(cls, count: int, seed: int) -> Self:
        """A random model with ``count`` actions, some of them clipped.

        Examples
        --------
        >>> world = bi.simulators.UniformDesign.random(2, seed=0)
        >>> actions = world.dataset(50, seed=1).actions
        >>> bool(((actions >= 0) & (actions <= 1)).all())
        True
        """
        rng = np.random.default_rng(seed)
        names, graph, hidden, action_sd = standard_actions(count, rng)
        return cls(
            names,
            graph,
            hidden,
            action_sd,
            clipped=rng.random(count) < 0.3,
            size=signed(0.7, 1.5, count, rng),
            slope=rng.uniform(1.5, 4, count),
            middle=rng.uniform(0.3, 0.7, count),
        )

    def standardised(self, action: int, values: Array) -> Array:
        return np.asarray(np.sqrt(12) * (values - 0.5))

    def draw_action(
        self, action: int, causes: Array, actions: Array, rng: np.random.Generator
    ) -> Array:
        latent = super().draw_action(action, causes, actions, rng)
        return np.asarray(
            np.clip(latent / WIDTH + 0.5, 0, 1) if self.clipped[action] else expit(SLOPE * latent)
        )

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.random(rows)

    def effect_of(self, action: int, values: Array) -> Array:
        shape = np.tanh(self.slope[action] * (values - self.middle[action]))
        return np.asarray(self.size[action] * shape)
