"""The search for the best plan against brute force, on surfaces with many optima."""

import numpy as np
import pytest

from bayes_intgen._typing import Array
from bayes_intgen.basis.categories import Categories
from bayes_intgen.decide.grid import combinations
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
