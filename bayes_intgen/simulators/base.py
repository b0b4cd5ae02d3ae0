"""What every structural causal model here offers: rows in any regime, and the truth.

    C_k := W_k,   A_k := g_k(C_k, A_pa(k), V_k),   Y := f_1(A_1, C_1) + ... + f_K(A_K, C_K) + U

A model is a value: sampling takes a random generator and changes nothing, and how an action
is set under do(.) belongs to the model, not to an earlier call.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_intgen.bases import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.regimes import RegimeData
from bayes_intgen.streams import generator
from bayes_intgen.validation import OBSERVATIONAL

Regime = Sequence[str]

# Floats in the largest array that weighting builds: what fits a cache takes a quarter of the time.
CHUNK = 100_000
# With fewer effective draws a ratio of means is not near normal, nor its error known.
FEWEST_EFFECTIVE = 10


class Estimate(NamedTuple):
    """A number known by Monte Carlo, with its standard error.

    Attributes
    ----------
    value : ndarray, shape (M,)
        NaN at points that the model cannot produce.
    error : ndarray, shape (M,)
        Standard error; infinite where under ten draws (effectively) agree with the point.
        Points that are evaluated together share their draws, and so may err together.
    """

    value: Array
    error: Array


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
    def action_density(self, action: int, values: Array, causes: Array, actions: Array) -> Array:
        """Density of A_k at ``values``, shape (n,), where nobody sets it, elementwise.

        It is given the causes and the actions, shapes (n, K), of which its own and its
        parents count.
        """

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
    @abstractmethod
    def cause_moments(self) -> tuple[Array, Array]:
        """Means and standard deviations of the causes, each of shape (K,)."""

    def interaction(self, actions: Array) -> Array:
        """What the outcome has beyond the sum of contributions, shape (n,).

        Zero unless the model is there to break the assumption.
        """
        return np.zeros(len(actions))

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
        return actions, outcome + self.interaction(actions)

    def dataset(
        self,
        rows: int | Mapping[tuple[str, ...], int],
        seed: int,
        regimes: Iterable[Regime] | None = None,
    ) -> RegimeData:
        """Data with given numbers of rows in each regime.

        Parameters
        ----------
        rows : int, or mapping from regime to int
            Rows in each regime: one number for all, or a number for each.
        seed : int
        regimes : iterable of regimes, optional
            By default the regimes that ``rows`` names; where it is one number, nothing
            set, and each action set alone.

        Raises
        ------
        ModelError
            Where a regime names no action, has no number of rows or fewer than one.

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
        chosen = self._regimes(rows) if regimes is None else list(regimes)
        counts = [self._rows_of(regime, rows) for regime in chosen]
        if not chosen:
            raise ModelError("there are no regimes; name one at least, () for nothing set")
        rng = np.random.default_rng(seed)
        pieces = [self.sample(r, n, rng) for r, n in zip(chosen, counts, strict=True)]
        return RegimeData.from_arrays(
            np.concatenate([actions for actions, _ in pieces]),
            np.concatenate([outcome for _, outcome in pieces]),
            np.repeat([self.mask(regime) for regime in chosen], counts, axis=0),
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
        values = self.checked(points)
        parts = [self.unconfounded(k, values[:, k]) for k in range(len(self.names))]
        return np.asarray(sum(parts) + self.noise_mean + self.interaction(values))

    def confounding_bias(
        self, action: int, points: ArrayLike, draws: int = 20_000, seed: int = 0
    ) -> Estimate:
        """E[f_k(a_k, C_k) | a_k, a_pa(k)] - E[f_k(a_k, C_k)], by weighted draws of C_k.

        Parameters
        ----------
        action : int
            Position k of the action.
        points : array_like, shape (M, K)
            Values of all actions, of which a_k and its parents count.
        draws : int
            Draws of C_k, the same for all points.
        seed : int

        Returns
        -------
        Estimate

        Raises
        ------
        ModelError
            On points of another shape, and where there is no such action.

        Examples
        --------
        >>> model = bi.simulators.Polynomial.random(2, seed=0)
        >>> actions, _ = model.sample((), 3, np.random.default_rng(0))
        >>> model.confounding_bias(0, actions).value.shape
        (3,)
        """
        if not 0 <= action < len(self.names):
            raise ModelError(
                f"there is no action {action}; positions run from 0 to {len(self.names) - 1}"
            )
        values = self.checked(points)
        # A stream of its own for each action keeps the errors of their sum independent.
        causes = self.draws_of_causes(draws, seed, stream=action)
        found = self.weighted(values, causes, [action], [action])
        return Estimate(found.value - self.unconfounded(action, values[:, action]), found.error)

    def effect(
        self, points: ArrayLike, intervened: Regime, draws: int = 20_000, seed: int = 0
    ) -> Estimate:
        """E[Y | do(a_S), the other actions as given], S the ``intervened`` actions.

        Parameters
        ----------
        points : array_like, shape (M, K)
            Values of all actions, set or not.
        intervened : sequence of str
            The actions that are set; empty for none.
        draws : int
            Draws of the cause of each action that is not set.
        seed : int

        Returns
        -------
        Estimate
            Exact, with errors of zero, where all actions are set.

        Raises
        ------
        ModelError
            On points of another shape, and where ``intervened`` names no action.

        Examples
        --------
        >>> model = bi.simulators.Polynomial.random(2, seed=0)
        >>> actions, _ = model.sample(["a1"], 3, np.random.default_rng(0))
        >>> model.effect(actions, ["a1"]).value.shape
        (3,)
        >>> model.effect(actions, ["a1", "a2"]).error
        array([0., 0., 0.])
        """
        unset = np.flatnonzero(~self.mask(intervened))
        biases = [self.confounding_bias(int(k), points, draws, seed) for k in unset]
        value = self.joint_effect(points)
        return Estimate(
            np.asarray(value + sum(bias.value for bias in biases)),
            np.sqrt(np.zeros_like(value) + sum(bias.error**2 for bias in biases)),
        )

    def outcome_variance(self, points: ArrayLike) -> Array:
        """Var(Y | do(points)), shape (M,), for points of shape (M, K).

        Examples
        --------
        >>> bool((bi.simulators.Linear.random(2, seed=0).outcome_variance([[0.0, 1.0]]) > 0).all())
        True
        """
        values = self.checked(points)
        parts = [self.unconfounded_variance(k, values[:, k]) for k in range(len(self.names))]
        return np.asarray(sum(parts) + self.noise_variance)

    def mask(self, regime: Regime) -> NDArray[np.bool_]:
        """The mask R of a regime, shape (K,)."""
        if isinstance(regime, str):
            raise ModelError(f"a regime is a sequence of actions; write [{regime!r}]")
        for name in regime:
            if name not in self.names:
                raise ModelError(
                    f"the regime names {name!r}, which is no action; "
                    f"the actions are {', '.join(map(repr, self.names))}"
                )
        return np.array([name in regime for name in self.names])

    def parents(self, action: int) -> list[int]:
        """Positions of the parents of A_k."""
        return [self.names.index(name) for name in self.graph[self.names[action]]]

    def checked(self, points: ArrayLike) -> Array:
        """Points as an array of shape (M, K); ModelError where they are not."""
        try:
            values = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ModelError(f"points must be a rectangular array of numbers ({error})") from error
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise ModelError(
                f"points must have shape (points, {len(self.names)}), one column for each of "
                f"{', '.join(map(repr, self.names))}, not {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ModelError("points hold NaN or infinite cells; drop or fill those rows")
        return values

    def draws_of_causes(self, draws: int, seed: int, stream: int) -> Array:
        """Causes for weighting, shape (draws, K), the same for the same seed and stream."""
        if draws < 1:
            raise ModelError(f"draws must be at least 1, not {draws}; the default is 20_000")
        return self.draw_causes(draws, generator(seed, "causes", stream))

    def weighted(
        self, points: Array, causes: Array, seen: Sequence[int], wanted: Sequence[int]
    ) -> Estimate:
        """Mean of the sum of the ``wanted`` contributions given the ``seen`` actions.

        Draws of the causes, shape (draws, K), are weighted by the density of the seen
        actions and the weights normalised; the error is that of a ratio of means.
        """
        draws, count = causes.shape
        value, error = np.zeros(len(points)), np.zeros(len(points))
        step = max(1, CHUNK // (draws * count))
        for start in range(0, len(points), step):
            piece = points[start : start + step]
            actions = np.repeat(piece, draws, axis=0)
            tiled = np.tile(causes, (len(piece), 1))
            weights, total = np.ones(len(actions)), np.zeros(len(actions))
            for k in seen:
                weights = weights * self.action_density(k, actions[:, k], tiled, actions)
            for k in wanted:
                total = total + self.contribution(k, actions[:, k], tiled[:, k])
            inside = slice(start, start + len(piece))
            value[inside], error[inside] = _ratio(
                weights.reshape(-1, draws), total.reshape(-1, draws)
            )
        return Estimate(value, error)

    def _regimes(self, rows: int | Mapping[tuple[str, ...], int]) -> list[Regime]:
        if isinstance(rows, Mapping):
            return list(rows)
        return [(), *((name,) for name in self.names)]

    def _rows_of(self, regime: Regime, rows: int | Mapping[tuple[str, ...], int]) -> int:
        wanted = self.mask(regime)
        label = f"do({', '.join(regime)})" if wanted.any() else OBSERVATIONAL
        if isinstance(rows, Mapping):
            found = [n for key, n in rows.items() if np.array_equal(self.mask(key), wanted)]
            if len(found) != 1:
                raise ModelError(f"rows names the regime {label} {len(found)} times; name it once")
            number = found[0]
        else:
            number = rows
        if not isinstance(number, int | np.integer) or number < 1:
            raise ModelError(
                f"the regime {label} cannot have {number!r} rows; give a whole number of at "
                "least one, or leave the regime out"
            )
        return int(number)


def _ratio(weights: Array, values: Array) -> tuple[Array, Array]:
    """Weighted means of the rows of ``values``, and their standard errors."""
    total = weights.sum(axis=1)
    # A weight can only be infinite on a set of measure zero; NaN then says so.
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = weights / total[:, None]
        mean = (shares * values).sum(axis=1)
        error = np.sqrt((shares**2 * (values - mean[:, None]) ** 2).sum(axis=1))
        effective = 1 / (shares**2).sum(axis=1)
    # One draw with all the weight would pass for an error of zero.
    return mean, np.where(effective >= FEWEST_EFFECTIVE, error, np.inf)


def random_graph(
    count: int,
    probability: float,
    rng: np.random.Generator,
    names: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Names, by default ``a1``, ``a2``, ..., and each edge A_j -> A_k, j < k, at random."""
    if count < 1:
        raise ModelError(f"a model needs at least one action, not {count}")
    labels = tuple(names or (f"a{k + 1}" for k in range(count)))
    edges = np.tril(rng.random((count, count)) < probability, -1)
    parents = {labels[k]: tuple(labels[j] for j in np.flatnonzero(edges[k])) for k in range(count)}
    return labels, parents


def normal_density(values: Array) -> Array:
    """Density of a standard normal."""
    return np.asarray(np.exp(-0.5 * values**2) / np.sqrt(2 * np.pi))


def random_weights(
    names: Sequence[str],
    graph: Mapping[str, tuple[str, ...]],
    low: float,
    high: float,
    rng: np.random.Generator,
) -> Array:
    """b_kj uniform on (low, high) where A_j is a parent of A_k, else zero; shape (K, K)."""
    between = np.zeros((len(names), len(names)))
    for k, name in enumerate(names):
        for parent in graph[name]:
            between[k, names.index(parent)] = rng.uniform(low, high)
    return between
