"""Base of simulators whose actions are normal in observational rows."""

from dataclasses import dataclass, replace

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.simulators.confounded import Confounded, Confounding, random_confounding


@dataclass(frozen=True, eq=False)
class NormalActions(Confounded):
    """A_k = eta_k + chance, normal with mean zero and variance one.

    Attributes
    ----------
    names, graph, hidden
        As in :class:`Confounded`.
    action_sd : ndarray, shape (K,)
        Standard deviation of chance.
    """

    action_sd: Array

    def draw_action(
        self, action: int, causes: Array, actions: Array, rng: np.random.Generator
    ) -> Array:
        chance = rng.normal(size=len(causes)) * self.action_sd[action]
        return np.asarray(self.linear_predictor(action, causes, actions) + chance)


def standard_actions(
    count: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], Confounding, Array]:
    """Names, graph, coefficients and chance's sd of a model whose actions have variance one."""
    names, graph, hidden = random_confounding(count, rng, pull=(0.6, 1), edge=(0.3, 0.5))
    pull, between, sd = hidden.pull.copy(), hidden.between.copy(), rng.uniform(0.5, 0.8, count)
    # Each action as a linear combination of all causes and all chances, parents first.
    loadings = np.zeros((count, 2 * count))
    for k in range(count):
        row = between[k] @ loadings
        row[[k, count + k]] += pull[k], sd[k]
        size = np.linalg.norm(row)
        loadings[k] = row / size
        pull[k], between[k], sd[k] = pull[k] / size, between[k] / size, sd[k] / size
    return names, graph, replace(hidden, pull=pull, between=between), sd
