"""Actions with a few ordered levels: grades, dose steps, answers on a scale."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.confounded import Confounded, log_odds_for, random_confounding, signed


@dataclass(frozen=True, eq=False)
class Ordered(Confounded):
    """Levels 0, 1, ..., L - 1, cut from a latent scale.

        A_k = number of cuts of k below eta_k + chance

    with logistic chance. Parents enter as A_j / (L - 1) - 1/2. Under do all levels are
    equally likely.

    Attributes
    ----------
    names, graph, hidden
        As in :class:`Confounded`.
    cuts : ndarray, shape (K, L - 1)
        Increasing.
    effects : ndarray, shape (K, L)
        Effect of each level, zero at level 0.
    """

    cuts: Array
    effects: Array

    @classmethod
    def random(cls, count: int, seed: int, *, levels: int = 3, monotone: bool = True) -> Self:
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
        if levels < 2:
            raise ModelError(f"levels must be at least 2, not {levels}")
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

    def effect_of(self, action: int, values: Array) -> Array:
        level = as_level(self.names[action], values, self.effects.shape[1])
        return np.asarray(self.effects[action, level])


def as_level(name: str, values: Array, count: int) -> NDArray[np.intp]:
    """Convert values to integer levels 0..count - 1, or raise ModelError."""
    unknown = ~np.isin(values, np.arange(count))
    if unknown.any():
        raise ModelError(
            f"action {name!r} has the levels 0 to {count - 1}, not {values[unknown][0]:g}; "
            "pass levels only"
        )
    return values.astype(np.intp)
