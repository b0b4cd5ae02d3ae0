"""Random linear models with lognormal noises, as published with arXiv 2506.04945."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator

from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import StructuralCausalModel, random_graph, random_weights

EDGE_PROBABILITY = 0.5


@dataclass(frozen=True, eq=False)
class Linear(StructuralCausalModel):
    """A_k = gamma_k C_k + sum_j b_kj A_j + V_k and f_k(a, c) = alpha_k a + beta_k c.

    All noises and all settings under do are lognormal, exp(s Z) with Z standard normal.

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    alpha, beta, gamma : ndarray, shape (K,)
        Uniform on (0.5, 1.5) in random models.
    between : ndarray, shape (K, K)
        b_kj, uniform on (-0.5, 0.5) on the edges of random models.
    cause_sd, action_sd, setting_sd : ndarray, shape (K,)
        The s of C_k, V_k and do(A_k), uniform on (0.5, 1.5) in random models.
    noise_sd : float
        The s of U.
    """

    names: tuple[str, ...]
    graph: Mapping[str, tuple[str, ...]]
    alpha: Array
    beta: Array
    gamma: Array
    between: Array
    cause_sd: Array
    action_sd: Array
    setting_sd: Array
    noise_sd: float

    @classmethod
    @takes_rng
    def random(cls, count: int, seed: Seed) -> Self:
        """A random model with ``count`` actions.

        Examples
        --------
        >>> Linear.random(3, seed=0).names
        ('a1', 'a2', 'a3')
        """
        rng = np.random.default_rng(seed)
        names, graph = random_graph(count, EDGE_PROBABILITY, rng)
        between = random_weights(graph, -0.5, 0.5, rng)
        alpha, beta, gamma, cause_sd, action_sd, setting_sd = rng.uniform(0.5, 1.5, (6, count))
        noise_sd = float(rng.uniform(0.5, 1.5))
        return cls(
            names, graph, alpha, beta, gamma, between, cause_sd, action_sd, setting_sd, noise_sd
        )

    def draw_causes(self, rows: int, rng: Generator) -> Array:
        return np.asarray(np.exp(rng.normal(size=(rows, len(self.names))) * self.cause_sd))

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        own = np.exp(rng.normal(size=len(causes)) * self.action_sd[action])
        # Actions that come later are still zero and have no weight.
        return np.asarray(
            self.gamma[action] * causes[:, action] + actions @ self.between[action] + own
        )

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        return np.asarray(np.exp(rng.normal(size=rows) * self.setting_sd[action]))

    def contribution(self, action: int, values: Array, causes: Array) -> Array:
        return np.asarray(self.alpha[action] * values + self.beta[action] * causes)

    def draw_noise(self, rows: int, rng: Generator) -> Array:
        return np.exp(rng.normal(size=rows) * self.noise_sd)

    def unconfounded(self, action: int, values: Array) -> Array:
        mean = np.exp(self.cause_sd[action] ** 2 / 2)
        return np.asarray(self.alpha[action] * values + self.beta[action] * mean)

    @property
    def cause_moments(self) -> tuple[Array, Array]:
        squares = self.cause_sd**2
        return np.exp(squares / 2), np.sqrt(np.exp(squares) * np.expm1(squares))

    @property
    def noise_mean(self) -> float:
        return float(np.exp(self.noise_sd**2 / 2))
