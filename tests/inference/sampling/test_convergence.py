import numpy as np
import pytest

from bayes_intgen.inference.sampling.convergence import (
    additional_draws,
    shortfall,
    shortfalls,
)


def chains(slow: tuple[int, ...], count: int) -> np.ndarray:
    """Draws of three quantities, some of which are autocorrelated, shape (4, count, 3)."""
    noise = np.random.default_rng(0).normal(size=(4, count, 3))
    draws = noise.copy()
    for i in range(1, count):
        draws[:, i, slow] = 0.95 * draws[:, i - 1, slow] + 0.3 * noise[:, i, slow]
    return draws


def test_stopping_rule_follows_the_quantity_that_is_slowest_so_far() -> None:
    first, second, third = (chains(slow, n) for slow, n in (((1,), 300), ((2,), 400), ((), 450)))
    assert (shortfalls(first) > 1).tolist() == [False, True, False]
    short, slow = shortfall(first, np.zeros(0, dtype=bool))
    assert short == shortfalls(first)[1]
    # Once it suffices, the others must too.
    short, slow = shortfall(second, slow)
    assert short == pytest.approx(shortfalls(second)[2])
    enough, _ = shortfall(third, slow)
    assert enough <= 1
    assert additional_draws(enough, 450, 25) == 0
