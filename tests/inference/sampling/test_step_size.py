"""Step size of NUTS from the acceptance rates of a warmup."""

import numpy as np
import pytest
from scipy.special import ndtr

import bayes_intgen as bi
from bayes_intgen.inference.sampling.step_size import (
    BURN_IN,
    EXPONENT,
    MAX_RATIO,
    step_size_with_rate,
)


def warmup(best: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Step sizes that vary, and noisy rates of the model with rate 0.8 at ``best``."""
    sizes = best * np.exp(0.4 * rng.normal(size=(4, 500)))
    rates = 2 * ndtr(-0.2533 * (sizes / best) ** EXPONENT)
    return sizes, np.clip(rates + 0.1 * rng.normal(size=sizes.shape), 0, 1)


def test_the_step_size_of_the_target_rate_is_recovered() -> None:
    sizes, rates = warmup(0.35, np.random.default_rng(0))
    assert step_size_with_rate(0.8, sizes, rates) == pytest.approx(0.35, rel=0.03)
    # Larger targets need smaller steps.
    assert step_size_with_rate(0.95, sizes, rates) < 0.25
    # Iterations at the start do not count.
    start = int(BURN_IN * sizes.shape[1])
    changed = rates.copy()
    changed[:, :start] = 0
    assert step_size_with_rate(0.8, sizes, changed) == step_size_with_rate(0.8, sizes, rates)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_extreme_rates_change_the_step_size_by_a_bounded_factor(rate: float) -> None:
    sizes = np.full((1, 3), 0.4)
    step = step_size_with_rate(0.8, sizes, np.full(sizes.shape, rate))
    assert step == pytest.approx(0.4 * MAX_RATIO if rate else 0.4 / MAX_RATIO)


def test_draws_have_about_the_target_acceptance_rate() -> None:
    data = bi.simulators.Polynomial.random(1, seed=3).dataset(300, seed=1)
    for target in (0.8, 0.95):
        rates = []
        # Step sizes come from 25 iterations, and rates vary by 0.06 and 0.02 between fits.
        for seed in range(8):
            fit = bi.fit(data, draws=200, chains=2, target_accept=target, progress=False, seed=seed)
            statistics = fit.tree["sample_stats"].dataset
            # The fit is so small that NUTS runs on the density itself.
            assert statistics["accepted"].all()
            rates.append(float(statistics["acceptance_rate"].mean()))
        # The average of dual averaging's step sizes would give 0.9 and 0.98.
        assert np.mean(rates) == pytest.approx(target, abs=0.05 if target < 0.9 else 0.02)
