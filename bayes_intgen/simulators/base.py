"""Base of all simulators: sample rows in any regime and compute the true effects.

    C_k := W_k,   A_k := g_k(C_k, A_pa(k), V_k),   Y := f_1(A_1, C_1) + ... + f_K(A_K, C_K) + U

A model is an immutable value: sampling takes a random generator and changes no state.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from bayes_intgen._arguments import seed_number, whole_number
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.data.queries import checked_points
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.regimes import regime_label
from bayes_intgen.text.messages import refuse_unknown_actions

Regime = Sequence[str]
RowCounts = int | Mapping[tuple[str, ...], int]


class StructuralCausalModel(ABC):
    """Actions with a graph, one hidden cause per action, and an additive outcome.

    Attributes
    ----------
    names : tuple of str, length K
        The actions, parents before children.
    graph : mapping from action to its parents
    """

    names: tuple[str, ...]
    graph: Mapping[str, tuple[str, ...]]

    @abstractmethod
    def draw_causes(self, rows: int, rng: Generator) -> Array:
        """Draw the hidden causes C, shape (rows, K)."""

    @abstractmethod
    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        """Draw an observed A_k, shape (rows,), from causes and preceding actions."""

    @abstractmethod
    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        """Draw A_k under do(A_k), shape (rows,)."""

    @abstractmethod
    def contribution(self, action: int, values: Array, causes: Array) -> Array:
        """Contribution f_k(a_k, c_k), elementwise."""

    @abstractmethod
    def draw_noise(self, rows: int, rng: Generator) -> Array:
        """Draw the outcome noise U, shape (rows,)."""

    @abstractmethod
    def unconfounded(self, action: int, values: Array) -> Array:
        """Mean contribution E[f_k(a_k, C_k)] over the marginal law of C_k, elementwise."""

    @property
    @abstractmethod
    def cause_moments(self) -> tuple[Array, Array]:
        """Means and standard deviations of the causes, each of shape (K,)."""

    def interaction(self, actions: Array) -> Array:
        """Non-additive part of the mean outcome, shape (n,); zero by default."""
        return np.zeros(len(actions))

    @property
    def noise_mean(self) -> float:
        """Mean of the outcome noise U."""
        return 0.0

    def sample(
        self, regime: Regime, rows: int, rng: Generator, shift: Array | float = 0.0
    ) -> tuple[Array, Array]:
        """Sample rows of one regime.

        Parameters
        ----------
        regime : sequence of str
            The intervened actions; empty for observational rows.
        rows : int
        rng : Generator
        shift : ndarray, shape (rows, K), optional
            Shift of the causes in the eyes of those who set the actions outside experiments.

        Returns
        -------
        actions : ndarray, shape (rows, K)
        outcome : ndarray, shape (rows,)

        Raises
        ------
        ModelError
            Where the regime names an unknown action.

        Examples
        --------
        >>> model = bi.simulators.Linear.random(2, seed=0)
        >>> actions, outcome = model.sample(["a1"], 5, np.random.default_rng(0))
        >>> actions.shape, outcome.shape
        ((5, 2), (5,))
        """
        was_set = self.mask(regime)
        causes = self.draw_causes(rows, rng)
        perceived = causes + shift
        actions = np.zeros((rows, len(self.names)))
        outcome = self.draw_noise(rows, rng)
        for k in range(len(self.names)):
            if was_set[k]:
                actions[:, k] = self.draw_setting(k, rows, rng)
            else:
                actions[:, k] = self.draw_action(k, perceived, actions, rng)
            outcome = outcome + self.contribution(k, actions[:, k], causes[:, k])
        return actions, outcome + self.interaction(actions)

    @takes_rng
    def dataset(
        self,
        rows: RowCounts,
        seed: Seed,
        regimes: Iterable[Regime] | None = None,
    ) -> RegimeData:
        """Sample a data set with rows of several regimes.

        Parameters
        ----------
        rows : int, or mapping from regime to int
            Rows per regime: one number for all, or a number for each.
        seed : int
        regimes : iterable of regimes, optional
            Where ``rows`` is one number; by default the observational regime and the single
            interventions.

        Raises
        ------
        ModelError
            Where a regime names an unknown action or has no positive number of rows, or regimes are
            given twice.

        Examples
        --------
        >>> bi.simulators.Linear.random(2, seed=0).dataset(10, seed=1)
        RegimeData: 30 rows, outcome 'outcome', actions 'a1', 'a2'
          observational  10
          do(a1)         10
          do(a2)         10
        >>> bi.simulators.Linear.random(2, seed=0).dataset({(): 20, ("a1", "a2"): 5}, seed=1)
        RegimeData: 25 rows, outcome 'outcome', actions 'a1', 'a2'
          observational  20
          do(a1, a2)     5
        """
        if isinstance(rows, Mapping):
            if regimes is not None:
                raise ModelError("rows name the regimes already; omit regimes, or give one number")
            regimes, counts = [*rows], [*rows.values()]
        else:
            regimes = [*single_interventions(self.names)] if regimes is None else [*regimes]
            counts = [rows] * len(regimes)
        if not regimes:
            raise ModelError("there are no regimes; give at least one, () for observational rows")
        for regime, count in zip(regimes, counts, strict=True):
            whole_number(count, f"rows of {regime_label(regime)}", 1)
        rng = np.random.default_rng(seed_number(seed))
        pieces = [self.sample(r, n, rng) for r, n in zip(regimes, counts, strict=True)]
        return RegimeData.from_arrays(
            np.concatenate([actions for actions, _ in pieces]),
            np.concatenate([outcome for _, outcome in pieces]),
            np.repeat([self.mask(regime) for regime in regimes], counts, axis=0),
            self.names,
            require_observational=False,
        )

    def joint_effect(self, points: ArrayLike) -> Array:
        """Joint effect E[Y | do(points)], shape (M,), for points of shape (M, K).

        Examples
        --------
        >>> bi.simulators.Linear.random(2, seed=0).joint_effect([[0.0, 1.0]]).shape
        (1,)
        """
        values = checked_points(points, self.names)
        effects = sum(self.mean_contributions(values).T)
        return np.asarray(effects + self.noise_mean + self.interaction(values))

    def mean_contributions(self, values: Array) -> Array:
        """Mean contribution E[f_k(a_k, C_k)] of each action, shape (n, K)."""
        return np.stack([self.unconfounded(k, a) for k, a in enumerate(values.T)], axis=1)

    def mask(self, regime: Regime) -> NDArray[np.bool_]:
        """Intervention mask R of a regime, shape (K,)."""
        if isinstance(regime, str):
            raise ModelError(f"a regime is a sequence of actions; write [{regime!r}]")
        refuse_unknown_actions(regime, self.names, ModelError, "regime: ")
        return np.array([name in regime for name in self.names])

    def parents(self, action: int) -> list[int]:
        """Positions of the parents of A_k."""
        return [self.names.index(name) for name in self.graph[self.names[action]]]


def single_interventions(names: Sequence[str]) -> list[Regime]:
    """Regimes of observational rows and of each action alone."""
    return [(), *((name,) for name in names)]


def random_graph(
    count: int,
    probability: float,
    rng: Generator,
    names: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Draw each edge A_j -> A_k, j < k, with this probability; names default to a1, a2, ..."""
    if count < 1:
        raise ModelError(f"a model needs at least one action, not {count}")
    labels = tuple(names or (f"a{k + 1}" for k in range(count)))
    edges = np.tril(rng.random((count, count)) < probability, -1)
    parents = {labels[k]: tuple(labels[j] for j in np.flatnonzero(edges[k])) for k in range(count)}
    return labels, parents


def random_weights(
    graph: Mapping[str, tuple[str, ...]], low: float, high: float, rng: Generator
) -> Array:
    """Draw b_kj uniformly on (low, high) where A_j is a parent of A_k, else zero; shape (K, K)."""
    is_parent = np.array([[name in parents for name in graph] for parents in graph.values()])
    between = np.zeros(is_parent.shape)
    between[is_parent] = rng.uniform(low, high, is_parent.sum())
    return between
