"""Doses with early saturation: Emax and Hill curves that rise steeply from zero."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.simulators.confounded import random_confounding, signed
from bayes_intgen.simulators.zero_inflated import ZeroInflated, pauses


@dataclass(frozen=True, eq=False)
class Steep(ZeroInflated):
    """Non-negative actions with effects that rise steeply from zero.

    Half of an effect is reached at 5 to 20% of the usual dose. Observational doses are gamma
    distributed with mass close to zero; under do they are uniform up to twice the usual dose.
    In half of the random models 15 to 35% of the doses are exactly zero, in the others none.

    Attributes as in :class:`ZeroInflated`; ``set_sd`` is unused.
    """

    @classmethod
    def random(cls, count: int, seed: int, *, hill: bool = False) -> Self:
        """A random model with ``count`` actions.

        Parameters
        ----------
        count : int
        seed : int
        hill : bool
            Whether curves have exponents between 1.5 and 3 (Hill) rather than one (Emax).

        Examples
        --------
        >>> world = bi.simulators.Steep.random(2, seed=0)
        >>> half, whole = world.joint_effect([world.half, 1e6 * world.budget]) - world.noise_mean
        >>> bool(np.isclose(2 * half, whole))
        True
        """
        rng = np.random.default_rng(seed)
        names, graph, hidden = random_confounding(count, rng, pull=(0.3, 0.5), edge=(0.1, 0.25))
        budget = np.exp(rng.uniform(np.log(10), np.log(100), count))
        switch = rng.uniform(2, 4, count)
        has_zeros = rng.random() < 0.5
        share = rng.uniform(0.15, 0.35, count)
        return cls(
            names,
            graph,
            hidden,
            budget=budget,
            pause=pauses(share, switch, hidden) if has_zeros else np.full(count, -np.inf),
            switch=switch,
            chance=rng.uniform(0.7, 1, count),
            gamma=np.ones(count, dtype=bool),
            set_pause=share if has_zeros else np.zeros(count),
            set_sd=np.zeros(count),
            size=signed(1, 2, count, rng),
            half=budget * rng.uniform(0.05, 0.2, count),
            steepness=rng.uniform(1.5, 3, count) if hill else np.ones(count),
        )

    def draw_set_amount(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.uniform(0, 2 * self.budget[action], rows)
