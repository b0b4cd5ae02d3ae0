import numpy as np
import pytest
from arviz_stats.base import array_stats

from bayes_intgen.inference.density.importance import smoothed_weights


@pytest.mark.parametrize("count", [40, 225, 226, 1000])
@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 4.0])
def test_weights_and_pareto_k_agree_with_arviz(count, scale) -> None:
    for seed in range(5):
        log_ratio = scale * np.random.default_rng(seed).standard_t(5, size=count)
        weights, pareto_k = smoothed_weights(log_ratio + 7)
        log_weights, expected = array_stats.psislw(-log_ratio)
        assert pareto_k == pytest.approx(float(expected), abs=1e-9)
        np.testing.assert_allclose(weights, np.exp(log_weights), rtol=1e-8, atol=1e-15)


def test_draws_without_density_have_no_weight() -> None:
    log_ratio = np.random.default_rng(0).normal(size=100)
    log_ratio[:30] = -np.inf
    weights, _ = smoothed_weights(log_ratio)
    assert (weights[:30] < 1e-300).all()
    assert weights[30:].min() > 0


def test_equal_weights_are_not_smoothed() -> None:
    weights, pareto_k = smoothed_weights(np.zeros(100))
    np.testing.assert_allclose(weights, 0.01)
    assert np.isnan(pareto_k)
