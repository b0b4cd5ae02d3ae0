"""Bases of simulators whose standardised causes change actions, effects and outcome."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.special import logit

from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import StructuralCausalModel, random_graph, random_weights

EDGE_PROBABILITY = 0.5
# Multiple of the usual strength of edges, in half of the random models.
STRONG = 3.0


@dataclass(frozen=True, eq=False)
class Confounding:
    """Coefficients of hidden causes and parents.

    Attributes
    ----------
    pull : ndarray, shape (K,)
        Change of an action's linear predictor per standard deviation of its cause.
    between : ndarray, shape (K, K)
        b_kj: change of the linear predictor of A_k per unit of its parent A_j.
    boost : ndarray, shape (K,)
        Relative change of an effect per standard deviation of the cause.
    burden : ndarray, shape (K,)
        Change of the outcome per standard deviation of the cause, at any action.
    level : float
        Mean of the outcome noise.
    noise_sd : float
    """

    pull: Array
    between: Array
    boost: Array
    burden: Array
    level: float
    noise_sd: float


@dataclass(frozen=True, eq=False)
class Confounded(StructuralCausalModel):
    """Causes with mean zero and variance one that modify the effects; Gaussian outcome noise.

        eta_k = start_k + pull_k C_k + sum_j b_kj s_j(A_j)
        f_k(a, c) = effect_k(a) (1 + boost_k c) + burden_k c

    Because of boost_k, the confounding bias depends on the action's value. A subclass defines the
    law of an action given eta_k, the scale of parents s_j, and effect_k, by ``unconfounded``.

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    hidden : Confounding
    """

    names: tuple[str, ...]
    graph: Mapping[str, tuple[str, ...]]
    hidden: Confounding

    def standardised(self, action: int, values: Array) -> Array:
        """Rescaled action s_j(A_j) in the linear predictors of its children, elementwise."""
        return values

    def linear_predictor(
        self, action: int, causes: Array, actions: Array, start: float = 0.0
    ) -> Array:
        """Linear predictor eta_k from cause and parents, shape (n,)."""
        eta = start + self.hidden.pull[action] * causes[:, action]
        for j in self.parents(action):
            eta = eta + self.hidden.between[action, j] * self.standardised(j, actions[:, j])
        return np.asarray(eta)

    def contribution(self, action: int, values: Array, causes: Array) -> Array:
        boosted = self.unconfounded(action, values) * (1 + self.hidden.boost[action] * causes)
        return np.asarray(boosted + self.hidden.burden[action] * causes)

    def draw_causes(self, rows: int, rng: Generator) -> Array:
        return rng.normal(size=(rows, len(self.names)))

    def draw_noise(self, rows: int, rng: Generator) -> Array:
        return rng.normal(self.hidden.level, self.hidden.noise_sd, size=rows)

    @property
    def cause_moments(self) -> tuple[Array, Array]:
        return np.zeros(len(self.names)), np.ones(len(self.names))

    @property
    def noise_mean(self) -> float:
        return self.hidden.level


def random_confounding(
    count: int,
    rng: Generator,
    *,
    pull: tuple[float, float],
    edge: tuple[float, float],
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], Confounding]:
    """Names, graph and random coefficients of a model with ``count`` actions.

    ``pull`` and ``edge`` are the ranges of the coefficients' absolute values. In half of the
    models all edges are three times as strong.
    """
    names, graph = random_graph(count, EDGE_PROBABILITY, rng)
    strength = STRONG if rng.random() < 0.5 else 1.0
    size = random_weights(graph, *edge, rng)
    hidden = Confounding(
        pull=rng.uniform(*pull, count),
        between=strength * size * rng.choice([-1.0, 1.0], (count, count)),
        boost=signed(0.1, 0.4, count, rng),
        burden=signed(0.5, 1.0, count, rng),
        level=float(rng.uniform(-1, 1)),
        noise_sd=float(rng.uniform(0.3, 0.7)),
    )
    return names, graph, hidden


def signed(low: float, high: float, count: int, rng: Generator) -> Array:
    """Draw absolute values uniformly on (low, high), with random signs."""
    return np.asarray(rng.uniform(low, high, count) * rng.choice([-1.0, 1.0], count))


def log_odds_for(share: Array, sd: Array) -> Array:
    """Level m at which E[expit(m + sd Z)] is about ``share``, Z standard normal.

    MacKay's approximation of the integral (Neural Computation 4, 1992).
    """
    return np.asarray(logit(share) * np.sqrt(1 + np.pi * sd**2 / 8))
