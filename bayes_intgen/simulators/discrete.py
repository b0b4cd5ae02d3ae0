"""Actions with few values: switches that are on or off, ordered levels, and counts."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import expit

from bayes_intgen._arguments import whole_number
from bayes_intgen._random import Seed, takes_rng
from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.confounded import Confounded, log_odds_for, random_confounding, signed


@dataclass(frozen=True, eq=False)
class Binary(Confounded):
    """Actions 0 and 1: treatments, switches, messages sent or not.

        P(A_k = 1) = expit(usual_k + eta_k),  effect_k(a) = size_k a

    Parents enter as A_j less their observational share of ones.

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    hidden : Confounding
        Coefficients of the hidden causes.
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
    @takes_rng
    def random(cls, count: int, seed: Seed, *, share: tuple[float, float] = (0.3, 0.7)) -> Self:
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

    def unconfounded(self, action: int, values: Array) -> Array:
        return np.asarray(self.size[action] * as_level(self.names[action], values, 2))


@dataclass(frozen=True, eq=False)
class Ordered(Confounded):
    """Levels 0, 1, ..., L - 1, cut from a latent scale: grades, dose steps, answers.

        A_k = number of cuts of k below eta_k + chance

    with logistic chance. Parents enter as A_j / (L - 1) - 1/2. Under do all levels are
    equally likely.

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    hidden : Confounding
        Coefficients of the hidden causes.
    cuts : ndarray, shape (K, L - 1)
        Increasing.
    effects : ndarray, shape (K, L)
        Effect of each level, zero at level 0.
    """

    cuts: Array
    effects: Array

    @classmethod
    @takes_rng
    def random(cls, count: int, seed: Seed, *, levels: int = 3, monotone: bool = True) -> Self:
        """A random model with ``count`` actions.

        Parameters
        ----------
        count : int
        seed : int
        levels : int
            Levels per action, at least two.
        monotone : bool
            Whether effects are monotone in the level, in uneven steps; otherwise they are
            independent.

        Raises
        ------
        ModelError
            For fewer than two levels.

        Examples
        --------
        >>> world = bi.simulators.Ordered.random(2, seed=0, levels=4)
        >>> np.unique(world.dataset(50, seed=1).actions)
        array([0., 1., 2., 3.])
        """
        whole_number(levels, "levels", 2)
        rng = np.random.default_rng(seed)
        names, graph, hidden = random_confounding(count, rng, pull=(1, 2), edge=(0.7, 1.2))
        # A rough variance of standardised parents is enough: shares need not be exact.
        sd = np.sqrt(hidden.pull**2 + (hidden.between**2).sum(axis=1) / 8)
        shares = rng.dirichlet(np.full(levels, 10.0), count)
        steps = rng.dirichlet(np.full(levels - 1, 1.5), count)
        size = signed(0.7, 2, count, rng)[:, None]
        effects = steps.cumsum(axis=1) if monotone else rng.normal(size=(count, levels - 1))
        return cls(
            names,
            graph,
            hidden,
            cuts=log_odds_for(shares.cumsum(axis=1)[:, :-1], sd[:, None]),
            effects=size * np.pad(effects, ((0, 0), (1, 0))),
        )

    def standardised(self, action: int, values: Array) -> Array:
        return np.asarray(values / self.cuts.shape[1] - 0.5)

    def draw_action(self, action: int, causes: Array, actions: Array, rng: Generator) -> Array:
        latent = self.linear_predictor(action, causes, actions) + rng.logistic(size=len(causes))
        return np.asarray(np.searchsorted(self.cuts[action], latent), dtype=np.float64)

    def draw_setting(self, action: int, rows: int, rng: Generator) -> Array:
        return rng.integers(0, self.effects.shape[1], rows).astype(np.float64)

    def unconfounded(self, action: int, values: Array) -> Array:
        level = as_level(self.names[action], values, self.effects.shape[1])
        return np.asarray(self.effects[action, level])


@dataclass(frozen=True, eq=False)
class Counts(Confounded):
    """Poisson counts whose effects saturate: calls made, posts published, doses in a week.

        A_k ~ Poisson(usual_k exp(eta_k)),  effect_k(a) = size_k (1 - exp(-a / reach_k))

    Parents enter as log((1 + A_j) / (1 + usual_j)).

    Attributes
    ----------
    names, graph
        As in :class:`StructuralCausalModel`.
    hidden : Confounding
        Coefficients of the hidden causes.
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
    @takes_rng
    def random(cls, count: int, seed: Seed) -> Self:
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

    def unconfounded(self, action: int, values: Array) -> Array:
        return np.asarray(self.size[action] * -np.expm1(-values / self.reach[action]))


def as_level(name: str, values: Array, count: int) -> NDArray[np.intp]:
    """Convert values to integer levels 0..count - 1, or raise ModelError."""
    unknown = ~np.isin(values, np.arange(count))
    if unknown.any():
        raise ModelError(
            f"action {name!r} has the levels 0 to {count - 1}, not {values[unknown][0]:g}; "
            "pass levels only"
        )
    return values.astype(np.intp)
