"""What every structural causal model here offers: rows in any regime, and the truth.

    C_k := W_k,   A_k := g_k(C_k, A_pa(k), V_k),   Y := f_1(A_1, C_1) + ... + f_K(A_K, C_K) + U

A model is a value: sampling takes a random generator and changes nothing, and how an action
is set under do(.) belongs to the model, not to an earlier call.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen.bases import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.regimes import RegimeData

Regime = Sequence[str]


class StructuralCausalModel(ABC):
    """Actions, their graph, a hidden cause of each, and an additive outcome.

    Attributes
    ----------
    names : tuple of str, length K
        The actions, parents before children.
    graph : mapping from action to its parents
    """

    names: tuple[str, ...]
    graph: Mapping[str, tuple[str, ...]]

    @abstractmethod
    def draw_causes(self, rows: int, rng: np.random.Generator) -> Array:
        """Hidden causes C, shape (rows, K)."""

    @abstractmethod
    def draw_action(
        self, action: int, causes: Array, actions: Array, rng: np.random.Generator
    ) -> Array:
        """A_k where nobody sets it, shape (rows,), from causes and the actions before it."""

    @abstractmethod
    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        """A_k under do(A_k), shape (rows,)."""

    @abstractmethod
    def contribution(self, action: int, values: Array, causes: Array) -> Array:
        """f_k(a_k, c_k), elementwise."""

    @abstractmethod
    def draw_noise(self, rows: int, rng: np.random.Generator) -> Array:
        """Outcome noise U, shape (rows,)."""

    @abstractmethod
    def unconfounded(self, action: int, values: Array) -> Array:
        """E[f_k(a_k, C_k)], C_k following its own law, elementwise."""

    @abstractmethod
    def unconfounded_variance(self, action: int, values: Array) -> Array:
        """Var f_k(a_k, C_k), C_k following its own law, elementwise."""

    @property
    def noise_mean(self) -> float:
        """E[U]."""
        return 0.0

    @property
    @abstractmethod
    def noise_variance(self) -> float:
        """Var U."""

    def sample(self, regime: Regime, rows: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Rows of one regime.

        Parameters
        ----------
        regime : sequence of str
            The actions that are set from outside; empty for none.
        rows : int
        rng : Generator

        Returns
        -------
        actions : ndarray, shape (rows, K)
        outcome : ndarray, shape (rows,)

        Raises
        ------
        ModelError
            Where the regime names no action.

        Examples
        --------
        >>> model = bi.simulators.Linear.random(2, seed=0)
        >>> actions, outcome = model.sample(["a1"], 5, np.random.default_rng(0))
        >>> actions.shape, outcome.shape
        ((5, 2), (5,))
        """
        was_set = self.mask(regime)
        causes = self.draw_causes(rows, rng)
        actions = np.zeros((rows, len(self.names)))
        outcome = self.draw_noise(rows, rng)
        for k in range(len(self.names)):
            actions[:, k] = (
                self.draw_setting(k, rows, rng)
                if was_set[k]
                else self.draw_action(k, causes, actions, rng)
            )
            outcome = outcome + self.contribution(k, actions[:, k], causes[:, k])
        return actions, outcome

    def dataset(self, rows: int, seed: int, regimes: Iterable[Regime] | None = None) -> RegimeData:
        """Data with the same number of rows in each regime.

        Parameters
        ----------
        rows : int
            Rows in each regime.
        seed : int
        regimes : iterable of regimes, optional
            By default nothing set, and each action set alone.

        Examples
        --------
        >>> bi.simulators.Linear.random(2, seed=0).dataset(10, seed=1)
        RegimeData: 30 rows, outcome 'outcome', actions 'a1', 'a2'
          observational  10
          do(a1)         10
          do(a2)         10
        """
        chosen = [(), *((name,) for name in self.names)] if regimes is None else list(regimes)
        rng = np.random.default_rng(seed)
        pieces = [self.sample(regime, rows, rng) for regime in chosen]
        return RegimeData.from_arrays(
            np.concatenate([actions for actions, _ in pieces]),
            np.concatenate([outcome for _, outcome in pieces]),
            np.repeat([self.mask(regime) for regime in chosen], rows, axis=0),
            self.names,
            require_observational=False,
        )

    def joint_effect(self, points: ArrayLike) -> Array:
        """E[Y | do(points)], shape (M,), for points of shape (M, K).

        Examples
        --------
        >>> bi.simulators.Linear.random(2, seed=0).joint_effect([[0.0, 1.0]]).shape
        (1,)
        """
        values = np.asarray(points, dtype=np.float64)
        parts = [self.unconfounded(k, values[:, k]) for k in range(len(self.names))]
        return np.asarray(sum(parts) + self.noise_mean)

    def outcome_variance(self, points: ArrayLike) -> Array:
        """Var(Y | do(points)), shape (M,), for points of shape (M, K).

        Examples
        --------
        >>> bool((bi.simulators.Linear.random(2, seed=0).outcome_variance([[0.0, 1.0]]) > 0).all())
        True
        """
        values = np.asarray(points, dtype=np.float64)
        parts = [self.unconfounded_variance(k, values[:, k]) for k in range(len(self.names))]
        return np.asarray(sum(parts) + self.noise_variance)

    def mask(self, regime: Regime) -> NDArray[np.bool_]:
        """The mask R of a regime, shape (K,)."""
        for name in regime:
            if name not in self.names:
                raise ModelError(f"the regime names {name!r}, which is no action")
        return np.array([name in regime for name in self.names])


def random_graph(
    count: int, probability: float, rng: np.random.Generator
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Names ``a1``, ``a2``, ... and a graph with each edge a_j -> a_k, j < k, at random."""
    names = tuple(f"a{k + 1}" for k in range(count))
    edges = np.tril(rng.random((count, count)) < probability, -1)
    parents = {names[k]: tuple(names[j] for j in np.flatnonzero(edges[k])) for k in range(count)}
    return names, parents
