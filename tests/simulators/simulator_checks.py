"""Outcomes under do, from the sampling of a model."""

from dataclasses import dataclass

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.simulators import StructuralCausalModel
from bayes_intgen.simulators.violations import Violation


@dataclass(frozen=True, eq=False)
class FixedSettings(Violation):
    """A model in which do(A_k) sets one value."""

    values: Array

    def draw_setting(self, action: int, rows: int, rng: np.random.Generator) -> Array:
        return np.full(rows, self.values[action])


def outcomes_under_do(
    model: StructuralCausalModel, point: Array, rows: int, rng: np.random.Generator
) -> Array:
    """Outcomes with all actions set to the point, from the model's own sampling."""
    actions, outcome = FixedSettings(model, 0.0, point).sample(model.names, rows, rng)
    np.testing.assert_array_equal(actions, np.tile(point, (rows, 1)))
    return outcome
