from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy.special import digamma, polygamma
from scipy.stats import norm

from bayes_intgen.inference.density.approximation import Approximation
from bayes_intgen.inference.density.importance import (
    MAX_PROPOSALS,
    ImportanceDraws,
    smoothed_weights,
    weighted_draws,
)
from bayes_intgen.inference.settings import (
    PARETO_K_LIMIT,
    ImportanceDiagnostics,
    SamplerSettings,
    Techniques,
)

# Logarithms of gamma variables: skewed to the left like the logarithms of scales.
SHAPES = np.array([2.0, 2.0, 4.0, 10.0])


def log_gamma(at: np.ndarray) -> float:
    return float(np.sum(np.exp(at) - SHAPES * at))


class Toy(NamedTuple):
    """Target without coefficients."""

    value: Callable[[np.ndarray], float]

    def evaluate(self, points, counts, rng) -> tuple[np.ndarray, np.ndarray]:
        return np.array([self.value(at) for at in points]), np.zeros((len(points), counts.max(), 0))


def normal_at(point: np.ndarray, covariance: np.ndarray, value=log_gamma) -> Approximation:
    return Approximation(point, covariance, Toy(value))


AT_MODE = normal_at(np.log(SHAPES), np.diag(1 / SHAPES))


def draws_of(approximation: Approximation, adapts: bool = True) -> ImportanceDraws:
    settings = SamplerSettings(progress=False, techniques=Techniques(adapted_proposals=adapts))
    rng = np.random.default_rng(0)
    return weighted_draws(approximation.density, approximation, settings, rng)


def estimate(draws: ImportanceDraws, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and its standard error."""
    mean = draws.weights @ values
    return mean, np.sqrt(draws.weights**2 @ (values - mean) ** 2)


def test_moments_of_a_skewed_density_unlike_those_of_its_laplace_approximation(monkeypatch) -> None:
    monkeypatch.setattr("bayes_intgen.inference.settings.MIN_ESS", 1000)
    draws = draws_of(AT_MODE)
    assert draws.diagnostics.is_reliable
    mean = digamma(SHAPES)
    limit = -norm.ppf(0.0005 / (2 * len(SHAPES)))
    first, error = estimate(draws, draws.points)
    assert (np.abs(first - mean) < limit * error).all()
    # Negative control: the mode, about which the approximation draws.
    assert (np.abs(AT_MODE.point - mean) > limit * error)[SHAPES < 3].all()
    second, error = estimate(draws, (draws.points - mean) ** 2)
    assert (np.abs(second - polygamma(1, SHAPES)) < limit * error).all()


def test_heavy_tails_exceed_the_limit_of_pareto_k() -> None:
    size = 12

    def cauchy(at: np.ndarray) -> float:
        return 0.5 * (1 + size) * float(np.log1p(at @ at))

    narrow = normal_at(np.zeros(size), np.eye(size) / (1 + size), cauchy)
    # Without adaptation, which would widen the proposal.
    diagnostics = draws_of(narrow, adapts=False).diagnostics
    assert diagnostics.pareto_k > PARETO_K_LIMIT
    assert not diagnostics.is_reliable
    assert diagnostics.proposals == MAX_PROPOSALS


def test_regions_without_density_have_no_weight() -> None:
    def truncated(at: np.ndarray) -> float:
        return 0.5 * float(at @ at) if at[0] > 0 else np.nan

    draws = draws_of(normal_at(np.array([0.5, 0.0]), np.eye(2), truncated))
    outside = draws.points[:, 0] <= 0
    assert outside.any()
    assert draws.weights[outside].sum() < 1e-12
    assert np.isneginf(draws.log_density[outside]).all()


@pytest.mark.parametrize("count", [40, 225, 226, 1000])
@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 4.0])
def test_weights_and_pareto_k_agree_with_arviz(count, scale) -> None:
    for seed in range(5):
        log_ratio = scale * np.random.default_rng(seed).standard_t(5, size=count)
        weights, pareto_k = smoothed_weights(log_ratio + 7)
        log_weights, expected = array_stats.psislw(-log_ratio)
        assert pareto_k == pytest.approx(float(expected), abs=1e-9)
        np.testing.assert_allclose(weights, np.exp(log_weights), rtol=1e-8, atol=1e-15)


def test_equal_weights_are_not_smoothed() -> None:
    weights, pareto_k = smoothed_weights(np.zeros(100))
    np.testing.assert_allclose(weights, 0.01)
    assert np.isnan(pareto_k)


def test_resampling_repeats_draws_in_proportion_to_their_weights() -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(50, 0.3))
    points, density, none = np.zeros((50, 1)), np.zeros(50), np.zeros((50, 1, 0))
    diagnostics = ImportanceDiagnostics(0.1, 300.0, 50)
    index = ImportanceDraws(points, density, weights, none, diagnostics).resample(1000, rng)
    counts = np.bincount(index, minlength=50)
    assert (np.abs(counts - 1000 * weights) < 1).all()
    # In random order: the chains of a fit are alike.
    assert abs(np.corrcoef(index, np.arange(1000))[0, 1]) < 0.2
