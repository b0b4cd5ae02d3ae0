"""Base of simulators whose standardised causes scale effects and shift the outcome."""

from abc import abstractmethod

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.simulators.base import StructuralCausalModel


class EffectModification(StructuralCausalModel):
    """Causes with mean zero and variance one that modify the effects; Gaussian outcome noise.

        f_k(a, c) = effect_k(a) (1 + boost_k c) + burden_k c

    Because of boost_k, the confounding bias depends on the action's value.
    """

    @property
    @abstractmethod
    def noise(self) -> tuple[float, float]:
        """Mean and standard deviation of the outcome noise."""

    def draw_causes(self, rows: int, rng: np.random.Generator) -> Array:
        return rng.normal(size=(rows, len(self.names)))

    def draw_noise(self, rows: int, rng: np.random.Generator) -> Array:
        return rng.normal(*self.noise, size=rows)

    @property
    def cause_moments(self) -> tuple[Array, Array]:
        return np.zeros(len(self.names)), np.ones(len(self.names))

    @property
    def noise_mean(self) -> float:
        return self.noise[0]
