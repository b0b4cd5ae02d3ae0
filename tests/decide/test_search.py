"""The search for the best plan against brute force, and the optimism of its choice."""

import numpy as np
import pytest

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.decide.grid import Grid, combinations
from bayes_intgen.decide.problem import Problem
from bayes_intgen.decide.search import Search


class Waves:
    """Joint surface of sines in each action, their products in one pair, and draws of both."""

    def __init__(self, count: int, draws: int, interacts: bool, rng: np.random.Generator) -> None:
        self.components: tuple[tuple[int, ...], ...] = tuple((k,) for k in range(count))
        if interacts:
            self.components = ((0, 1), *self.components[2:])
        self.interacts = interacts
        self.frequency = rng.uniform(1, 9, (count, 3))
        self.phase = rng.uniform(0, 6, (count, 3))
        centre = rng.normal(size=(count, 3))
        self.weight = centre + 0.3 * rng.normal(size=(draws, count, 3))
        self.product = rng.normal() + 0.3 * rng.normal(size=draws)

    def draws(self, points: Array) -> Array:
        features = np.sin(points[:, :, None] * self.frequency + self.phase)
        out = np.einsum("mkf,skf->sm", features, self.weight)
        if self.interacts:
            out = out + self.product[:, None] * np.sin(3 * points[:, 0] * points[:, 1])
        return out

    @property
    def parts(self) -> tuple["Waves", ...]:
        return (self,) * len(self.frequency)

    def mean(self, points: Array) -> Array:
        return self.draws(points).mean(axis=0)


def random_problem(count: int, rng: np.random.Generator) -> Problem:
    """A decision with a budget; half of the time the last action has four levels with prices."""
    with_levels = rng.random() < 0.5
    levels = Categories.of_labels(["a", "b", "c", "d"], ordered=False)
    categories = (*(None,) * (count - 1), levels if with_levels else None)
    values = [np.linspace(0.0, 1.0, 101)] * (count - 1)
    values.append(np.arange(4.0) if with_levels else np.linspace(0.0, 1.0, 101))
    rates = rng.choice([0.0, 1.0], count, p=[0.2, 0.8]) * rng.uniform(0.2, 2, count)
    costs = rates.tolist()
    if with_levels:
        costs[-1] = dict(zip("abcd", rng.uniform(0, 1, 4), strict=True))
        rates[-1] = 0.0
    budget = float(rng.uniform(0.3, 0.8) * (rates.sum() + with_levels) + with_levels)
    return Problem(categories, tuple(values), tuple(costs), budget, np.zeros(count), None)


def brute_force(problem: Problem, size: int) -> Array:
    """All affordable plans on a fine grid."""
    values = [
        np.linspace(own[0], own[-1], size) if levels is None else own
        for own, levels in zip(problem.candidates, problem.categories, strict=True)
    ]
    plans = combinations(values)
    return plans[problem.cost(plans) <= problem.budget]


@pytest.mark.parametrize(("count", "size", "repeats"), [(2, 300, 20), (3, 45, 10), (4, 17, 5)])
def test_no_plan_on_a_fine_grid_is_better(count: int, size: int, repeats: int) -> None:
    gaps = []
    for seed in range(repeats):
        rng = np.random.default_rng([seed, count])
        surface, problem = Waves(count, 5, seed % 2 == 1, rng), random_problem(count, rng)
        plan = Search(problem, surface).best()
        assert problem.cost(plan[None])[0] <= problem.budget + 1e-6
        values = surface.mean(brute_force(problem, size))
        gaps.append((values.max() - surface.mean(plan[None])[0]) / np.ptp(values))
    assert max(gaps) < 1e-3


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


def excess_and_optimism(size: float, seed: int) -> tuple[float, float, float]:
    """By how much the best plan is overrated, and what is expected, in standard deviations.

    Last what would be expected if the estimate were the truth.
    """
    surface = Tables(size, np.random.default_rng([seed, 11]))
    levels = Categories.of_labels(["a", "b", "c", "d"], ordered=False)
    values, start = (np.arange(4.0),) * ACTIONS, np.zeros(ACTIONS)
    problem = Problem((levels,) * ACTIONS, values, (0.0,) * ACTIONS, None, start, None)
    grid = Grid(problem, surface, LEVELS)
    best = grid.choices(None, gains=[own.mean(axis=0, keepdims=True) for own in grid.gains])
    gain, every = grid.gains_of(best)[:, 0], np.arange(ACTIONS)
    true = float((surface.truth[every, best[0]] - surface.truth[:, 0]).sum())
    of_draws = grid.choices(None)
    gains = grid.gains_of(of_draws)
    errors = np.diag(gains - gains.mean(axis=0)) / gains.std(axis=0).clip(1e-9)
    excess = (float(gain.mean()) - true) / float(gain.std())
    return excess, grid.optimism(of_draws, None), float(errors.mean())


@pytest.mark.parametrize("size", [0.0, 0.7, 2.0])
def test_optimism_is_the_excess_of_chosen_gains(size: float) -> None:
    excess, optimism, naive = np.array([excess_and_optimism(size, i) for i in range(REPEATS)]).T
    error = excess.std() / np.sqrt(REPEATS)
    assert abs(excess.mean() - optimism.mean()) < 3 * error
    # Negative controls: choices are overrated, and more than if the estimate were the truth.
    assert excess.mean() > 4 * error
    if size == 0:
        assert naive.mean() < excess.mean() - 3 * error
