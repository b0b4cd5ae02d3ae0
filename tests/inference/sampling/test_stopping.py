from unittest.mock import patch

import numpy as np
import pytest

from bayes_intgen.inference.sampling.convergence import (
    Convergence,
    StoppingRule,
    shortfalls,
)


def chains(slow: tuple[int, ...], count: int) -> np.ndarray:
    """Draws of three quantities, some of which are autocorrelated, shape (4, count, 3)."""
    noise = np.random.default_rng(0).normal(size=(4, count, 3))
    draws = noise.copy()
    for i in range(1, count):
        draws[:, i, slow] = 0.95 * draws[:, i - 1, slow] + 0.3 * noise[:, i, slow]
    return draws


def test_shortfall_is_that_of_the_slowest_quantity() -> None:
    draws = chains((1,), 300)
    each = shortfalls(draws)
    assert (each > 1).tolist() == [False, True, False]
    assert shortfalls(draws).max() == each.max()


def test_slow_quantities_are_assessed_first_and_all_before_the_end() -> None:
    rule = StoppingRule()
    assessed = []

    def of(draws: np.ndarray) -> Convergence:
        assessed.append(draws.shape[2])
        return original(draws)

    original = Convergence.of
    with patch.object(Convergence, "of", of):
        assert rule.shortfall(chains((1,), 300)) == shortfalls(chains((1,), 300)).max() > 1
        # While the slow one is short, it alone decides.
        assessed.clear()
        assert rule.shortfall(chains((1,), 350)) > 1
        assert assessed == [1]
        # Once it suffices, the others must too.
        assessed.clear()
        other = chains((2,), 400)
        assert rule.shortfall(other) == pytest.approx(shortfalls(other)[2])
        assert assessed[:2] == [1, 3]
    assert rule.shortfall(chains((), 400)) <= 1
