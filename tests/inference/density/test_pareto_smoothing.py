import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy.stats import genpareto

from bayes_intgen.inference.density.pareto_smoothing import generalised_pareto, smoothed_weights


@pytest.mark.parametrize("count", [40, 225, 226, 1000])
@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 4.0])
def test_weights_and_pareto_k_agree_with_arviz(count, scale) -> None:
    for seed in range(5):
        log_ratio = scale * np.random.default_rng(seed).standard_t(5, size=count)
        weights, pareto_k = smoothed_weights(log_ratio + 7)
        log_weights, expected = array_stats.psislw(-log_ratio)
        assert pareto_k == pytest.approx(float(expected), abs=1e-9)
        np.testing.assert_allclose(weights, np.exp(log_weights), rtol=1e-8, atol=1e-15)


def test_weights_keep_the_order_of_the_ratios() -> None:
    log_ratio = np.random.default_rng(0).exponential(0.3, size=1000)
    weights, pareto_k = smoothed_weights(log_ratio)
    assert weights.sum() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(log_ratio)]) >= 0).all()
    # The exponential of an exponential variable of mean 0.3 has Pareto tails with k = 0.3.
    assert abs(pareto_k - 0.3) < 0.25
    assert abs(smoothed_weights(3 * log_ratio)[1] - 0.9) < 0.35


def test_shape_and_scale_are_those_of_the_distribution() -> None:
    values = np.sort(genpareto.rvs(0.4, scale=2.0, size=20_000, random_state=0))
    shape, scale = generalised_pareto(values)
    # Standard errors of the maximum likelihood estimates: (1 + k) / root n, and about as much.
    assert abs(shape - 0.4) < 4 * 1.4 / np.sqrt(20_000)
    assert abs(scale / 2 - 1) < 4 * np.sqrt(2.8 / 20_000)


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
