import numpy as np

from bayes_intgen.inference.sampling.convergence import (
    additional_draws,
    shortfalls,
)


def chains(slow: tuple[int, ...], count: int) -> np.ndarray:
    """Draws of three quantities, some of which are autocorrelated, shape (4, count, 3)."""
    noise = np.random.default_rng(0).normal(size=(4, count, 3))
    draws = noise.copy()
    for i in range(1, count):
        draws[:, i, slow] = 0.95 * draws[:, i - 1, slow] + 0.3 * noise[:, i, slow]
    return draws


def test_stopping_rule_follows_the_slowest_quantity() -> None:
    slow, fast = chains((1,), 300), chains((), 450)
    assert (shortfalls(slow) > 1).tolist() == [False, True, False]
    assert additional_draws(float(shortfalls(slow).max()), 300, 25) > 0
    assert additional_draws(float(shortfalls(fast).max()), 450, 25) == 0
