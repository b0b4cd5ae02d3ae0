"""Experiments at two or a few doses, for actions that are continuous in observational rows."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError
from bayes_intgen.simulators.confounded import signed
from bayes_intgen.simulators.normal_actions import NormalActions, standard_actions


@dataclass(frozen=True, eq=False)
class FewDoses(NormalActions):
    """Normal actions with a few values under do.

        effect_k(a) = size_k tanh(slope_k (a - middle_k))

    Attributes
    ----------
    names, graph, hidden, action_sd
        As in :class:`NormalActions`.
    doses : ndarray, shape (K, D)
        Values under do, equally likely.
    size, slope, middle : ndarray, shape (K,)
        Half of the total change, its steepness, and the value at its midpoint.
    """

    doses: Array
    size: Array
    slope: Array
    middle: Array

    @classmethod
    def random(cls, count: int, seed: int, *, doses: int = 4) -> Self:
        """A random model with ``count`` actions.

        Parameters
        ----------
        count : int
        seed : int
        doses : int
            Values under do, at least two, about evenly spread over the mean +- 1.5 standard
            deviations.

        Raises
        ------
        ModelError
            For fewer than two doses.

        Examples
        --------
        >>> world = bi.simulators.FewDoses.random(2, seed=0, doses=3)
        >>> actions, _ = world.sample(["a1"], 50, np.random.default_rng(0))
        >>> len(np.unique(actions[:, 0])), len(np.unique(actions[:, 1]))
        (3, 50)
        """
        if doses < 2:
            raise ModelError(f"doses must be at least 2, not {doses}")
        rng = np.random.default_rng(seed)
        names, graph, hidden, action_sd = standard_actions(count, rng)
        # Jitter of under half a step keeps the doses in order.
        jitter = rng.uniform(-1, 1, (count, doses)) / (doses - 1)
        return cls(
            names,
            graph,
            hidden,
            action_sd,
            doses=np.linspace(-1.5, 1.5, doses) + jitter,
            size=signed(0.7, 1.5, count, rng),
            slope=rng.uniform(0.5, 1.2, count),
            middle=rng.uniform(-0.5, 0.5, count),
        )

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return rng.choice(self.doses[action], rows)

    def effect_of(self, action: int, values: Array) -> Array:
        shape = np.tanh(self.slope[action] * (values - self.middle[action]))
        return np.asarray(self.size[action] * shape)
