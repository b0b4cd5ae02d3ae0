"""Checks of stated truths against rows that the model samples."""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.simulators import StructuralCausalModel


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
    kept = ((actions > low) & (actions < high)).all(axis=1)
    found = model.effect(actions[kept], regime, draws, seed=2)
    known = np.isfinite(found.error)
    assert known.mean() > 0.9
    actions, outcome, error = actions[kept][known], outcome[kept][known], found.error[known]
    residual = outcome - (found.value[known] if truth is None else truth(actions))
    ranks = actions.argsort(axis=0).argsort(axis=0) / len(actions)
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
