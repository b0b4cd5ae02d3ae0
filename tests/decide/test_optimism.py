"""The optimism of a choice among noisy gains against the truth, in simulated estimates."""

import numpy as np
import pytest

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.decide.grid import Grid
from bayes_intgen.decide.problem import Problem

ACTIONS, LEVELS, DRAWS, REPEATS = 6, 4, 200, 60


class Tables:
    """Effects of the levels of each action, estimated with unit errors, and draws around these."""

    def __init__(self, size: float, rng: np.random.Generator) -> None:
        self.components = tuple((k,) for k in range(ACTIONS))
        shape = (ACTIONS, LEVELS)
        self.truth = size * rng.normal(size=shape)
        self.estimate = self.truth + rng.normal(size=shape)
        self.tables = self.estimate + rng.normal(size=(DRAWS, *shape))

    @property
    def parts(self) -> tuple["Tables", ...]:
        return (self,) * ACTIONS

    def draws(self, points: Array) -> Array:
        return self.tables[:, np.arange(ACTIONS), points.astype(int)].sum(axis=2)


def excess_and_optimism(size: float, seed: int) -> tuple[float, float, float, float]:
    """By how much the best plan is overrated, and what is expected, in standard deviations.

    Then what would be expected if the estimate were the truth, and the spread of what is left.
    """
    surface = Tables(size, np.random.default_rng([seed, 11]))
    levels = Categories.of_labels(["a", "b", "c", "d"], ordered=False)
    values, start = (np.arange(4.0),) * ACTIONS, np.zeros(ACTIONS)
    problem = Problem((levels,) * ACTIONS, values, (0.0,) * ACTIONS, None, start, None)
    grid = Grid(problem, surface, LEVELS)
    best = grid.choices(np.inf, gains=[own.mean(axis=0, keepdims=True) for own in grid.gains])
    gain, every = grid.gains_of(best)[:, 0], np.arange(ACTIONS)
    true = float((surface.truth[every, best[0]] - surface.truth[:, 0]).sum())
    of_draws = grid.choices(np.inf)
    gains, error = grid.gains_of(of_draws), grid.error_of_choice(of_draws, np.inf)
    errors = np.diag(gains - gains.mean(axis=0)) / gains.std(axis=0).clip(1e-9)
    excess = (float(gain.mean()) - true) / float(gain.std())
    return excess, error.optimism, float(errors.mean()), error.spread


@pytest.mark.parametrize("size", [0.0, 0.7, 2.0])
def test_optimism_is_the_excess_of_chosen_gains(size: float) -> None:
    scores = np.array([excess_and_optimism(size, i) for i in range(REPEATS)])
    excess, optimism, naive, spread = scores.T
    error = excess.std() / np.sqrt(REPEATS)
    assert abs(excess.mean() - optimism.mean()) < 3 * error
    # Negative controls: choices are overrated, and more than if the estimate were the truth.
    assert excess.mean() > 4 * error
    if size == 0:
        assert naive.mean() < excess.mean() - 3 * error
    # What is left varies as the spread says; a choice adds to it.
    left = (excess - optimism) / spread
    assert abs(left.std() - 1) < 3 / np.sqrt(2 * REPEATS)
    if size == 2:
        assert spread.mean() > 1.03
