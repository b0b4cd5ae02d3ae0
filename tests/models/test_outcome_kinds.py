import numpy as np
import pytest
from scipy import stats

from bayes_intgen.data.outcome_kind import outcome_kind
from bayes_intgen.models.outcome_kinds import (
    count_cdf,
    count_quantiles,
    draw_binary,
    draw_counts,
)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 1], "binary"),
        ([0, 1, 2], "count"),
        ([1, 2, 1], "continuous"),
        ([0, 1, -1], "continuous"),
        ([0, 1, 0.5], "continuous"),
        ([0, 1, 2, 50_000], "continuous"),
    ],
)
def test_kind_follows_from_the_values(values, kind) -> None:
    assert outcome_kind(np.array(values, dtype=float), None) == kind


def test_probabilities_outside_their_range_are_clipped() -> None:
    rng = np.random.default_rng(0)
    draws = draw_binary(np.tile([-0.3, 0.25, 1.4], (20_000, 1)), rng).mean(axis=0)
    np.testing.assert_allclose(draws, [0, 0.25, 1], atol=0.015)


CASES = [(4.0, 4.0), (4.0, 9.0), (4.0, 2.0), (0.3, 0.28), (0.05, 0.4), (60.0, 20.0)]


@pytest.mark.parametrize(("mean", "variance"), CASES)
def test_counts_have_mean_and_variance(mean, variance) -> None:
    draws = draw_counts(np.full(200_000, mean), variance, np.random.default_rng(1))
    assert draws.min() >= 0
    assert draws.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / len(draws)))
    assert draws.var() == pytest.approx(variance, rel=0.06)


@pytest.mark.parametrize(("mean", "variance"), CASES)
def test_distribution_function_is_that_of_draws(mean, variance) -> None:
    at = np.arange(-1, 12.0)
    draws = draw_counts(np.full(100_000, mean), variance, np.random.default_rng(2))
    expected = (draws[:, None] <= at).mean(axis=0)
    below = count_cdf(np.full(len(at), mean), np.full(len(at), variance), at)
    # Trials that are no whole number are interpolated in two ways.
    np.testing.assert_allclose(below, expected, atol=0.02)
    # Negative control: another variance.
    if mean == 4:
        other = count_cdf(np.full(len(at), mean), np.full(len(at), 4 * variance), at)
        assert np.abs(other - expected).max() > 0.05


def test_limits_are_poisson_negative_binomial_and_binomial() -> None:
    at = np.arange(0, 15.0)
    of = lambda mean, variance: count_cdf(np.full(15, mean), np.full(15, variance), at)  # noqa: E731
    np.testing.assert_allclose(of(5.0, 5.0), stats.poisson.cdf(at, 5), atol=1e-5)
    np.testing.assert_allclose(of(5.0, 10.0), stats.nbinom.cdf(at, 5, 0.5), atol=1e-12)
    np.testing.assert_allclose(of(5.0, 2.5), stats.binom.cdf(at, 10, 0.5), atol=1e-12)


def test_quantiles_are_the_least_counts_with_a_probability() -> None:
    mean = np.array([[0.2, 5.0], [0.4, 7.0]])
    variance = np.array([[0.2, 9.0], [0.5, 4.0]])
    p = [0.05, 0.5, 0.9]
    quantiles = count_quantiles(mean, variance, p)
    for row, probability in zip(quantiles, p, strict=True):
        assert (count_cdf(mean, variance, row).mean(axis=0) >= probability).all()
        assert (count_cdf(mean, variance, row - 1).mean(axis=0) < probability).all()
