"""Checks of stated truths against rows that the model samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from scipy.stats import rankdata

from bayes_intgen._typing import Array
from bayes_intgen.simulators import StructuralCausalModel
from bayes_intgen.simulators.violations import Violation


def misfit(
    model: StructuralCausalModel,
    regime: Sequence[str],
    truth: Callable[[Array], Array] | None = None,
    rows: int = 2000,
    draws: int = 3000,
) -> float:
    """Largest |mean of residual times h(actions)| over its standard error, over several h.

    The residual is the outcome less ``effect(actions, regime)``, or less ``truth``.
    """
    actions, outcome = model.sample(regime, rows, np.random.default_rng(1))
    # A choice by actions leaves E[residual | actions]; the tails have few effective draws.
    low, high = np.quantile(actions, [0.02, 0.98], axis=0)
    # The ends belong to it: with few levels, all rows lie there.
    inside = ((actions >= low) & (actions <= high)).all(axis=1)
    estimate = model.effect(actions[inside], regime, draws, seed=2)
    finite = np.isfinite(estimate.error)
    assert finite.mean() > 0.9
    actions, outcome, error = (
        actions[inside][finite],
        outcome[inside][finite],
        estimate.error[finite],
    )
    residual = outcome - (estimate.value[finite] if truth is None else truth(actions))
    ranks = rankdata(actions, axis=0) / len(actions)
    waves = np.cos(np.pi * ranks)
    weights = [np.ones(len(ranks)), *waves.T, *np.cos(2 * np.pi * ranks).T]
    # Main effects hide an interaction of standardised actions.
    weights += [one * other for one, other in combinations(waves.T, 2)]
    worst = 0.0
    for weight in weights:
        product = residual * weight
        # The points share their draws: errors of the truth may all have one sign.
        spread = np.hypot(product.std() / np.sqrt(len(product)), (error * np.abs(weight)).mean())
        worst = max(worst, abs(product.mean()) / spread)
    return float(worst)


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


def density_misfit(model: StructuralCausalModel, rows: int = 50_000) -> float:
    """Largest |share of draws less that of the stated density| over its standard error.

    Atoms are compared with the density at the value, other draws with its integral over
    bins between quantiles.
    """
    rng = np.random.default_rng(0)
    bins, cells, worst = 10, 2000, 0.0

    def compare(share: float, stated: float) -> None:
        nonlocal worst
        worst = max(worst, abs(share - stated) / np.sqrt(max(stated * (1 - stated), 1e-9) / rows))

    for k in range(len(model.names)):
        causes = np.repeat(model.draw_causes(1, rng), rows, axis=0)
        actions = np.repeat(model.sample((), 1, rng)[0], rows, axis=0)
        draws = model.draw_action(k, causes, actions, rng)
        values, counts = np.unique(draws, return_counts=True)
        # Fewer than 25 are not near normal.
        often = counts >= 25
        atoms = values[often]
        for atom, count in zip(atoms, counts[often], strict=True):
            mass = model.action_density(k, np.array([atom]), causes[:1], actions[:1])[0]
            compare(count / rows, mass)
        others = draws[~np.isin(draws, atoms)]
        if len(others) < 100 * bins:
            continue
        for low, high in pairwise(np.quantile(others, np.linspace(0, 1, bins + 1))):
            middle = low + (np.arange(cells) + 0.5) / cells * (high - low)
            density = model.action_density(k, middle, causes[:cells], actions[:cells])
            compare(len(others) / bins / rows, density.mean() * (high - low))
    return worst
