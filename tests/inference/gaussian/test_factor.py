"""Linear Gaussian algebra, against dense matrices of the rows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import multivariate_normal

from bayes_intgen.inference.density.marginal_posterior import log_evidence
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.gaussian.factor import GaussianFactor
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.terms import PseudoObservations

RNG = np.random.default_rng(0)
N, P, L = 40, 6, 3
X, Y, W = RNG.normal(size=(N, P)), RNG.normal(size=N) + 2, RNG.uniform(0.5, 2, size=N)
KNOWN_X, KNOWN_Y = RNG.normal(size=(L, P)), RNG.normal(size=L)
KNOWN_SD = np.array([0.01, 0.5, 30.0])
MEAN, LOG_SD, NOISE = RNG.normal(size=P), RNG.normal(size=P), 0.7

both = pytest.mark.parametrize("known", [False, True], ids=["rows", "with pseudo-observations"])


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def sums(known: bool) -> SufficientStatistics:
    statistics = SufficientStatistics.over(X[:15], Y[:15], W[:15])
    statistics = statistics.merge(SufficientStatistics.over(X[15:], Y[15:], W[15:]))
    rows = PseudoObservations(KNOWN_X / KNOWN_SD[:, None], KNOWN_Y / KNOWN_SD, np.log(KNOWN_SD))
    return statistics._replace(known=rows) if known else statistics


def dense(known: bool, noise: float = NOISE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Design matrix, outcomes and variances of all rows."""
    if not known:
        return X, Y, noise**2 / W
    variance = jnp.concatenate([noise**2 / W, KNOWN_SD**2])
    return np.concatenate([X, KNOWN_X]), np.concatenate([Y, KNOWN_Y]), variance


def dense_density(known: bool, log_sd: np.ndarray, log_noise: float) -> jax.Array:
    x, y, variance = dense(known, jnp.exp(log_noise))
    covariance = (x * jnp.exp(2 * log_sd)) @ x.T + jnp.diag(variance)
    return multivariate_normal.logpdf(y, x @ MEAN, covariance)


@both
@pytest.mark.parametrize("noise", [0.07, NOISE, 7.0])
def test_log_evidence_and_its_gradient_are_those_of_a_normal_density(known, noise) -> None:
    at = jnp.asarray(LOG_SD), jnp.log(noise)
    statistics = sums(known).centred_at(MEAN)

    def density(log_sd: jax.Array, log_noise: float) -> jax.Array:
        return log_evidence(statistics, log_sd, jnp.exp(log_noise))

    value, slopes = jax.value_and_grad(density, (0, 1))(*at)
    expected, expected_slopes = jax.value_and_grad(partial(dense_density, known), (0, 1))(*at)
    assert float(value) == pytest.approx(float(expected), rel=1e-9)
    for one, other in zip(slopes, expected_slopes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)
    numpy_value, towards_log_sd, towards_noise = statistics.evidence_and_slopes(LOG_SD, noise)
    assert numpy_value == pytest.approx(float(value), rel=1e-11)
    conditional = Conditional.of(statistics, MEAN, LOG_SD, noise)
    assert conditional.posterior.log_integral == numpy_value
    np.testing.assert_allclose(towards_log_sd, slopes[0], rtol=1e-7, atol=1e-8)
    assert towards_noise == pytest.approx(float(slopes[1]), rel=1e-7)
    # Negative control: the prior mean matters.
    assert abs(float(log_evidence(sums(known), jnp.asarray(LOG_SD), noise)) - float(value)) > 0.1


@both
def test_coefficients_have_the_moments_of_bayesian_regression(known) -> None:
    x, y, variance = dense(known)
    precision = np.diag(np.exp(-2 * LOG_SD))
    covariance = np.linalg.inv((x.T / variance) @ x + precision)
    mean = covariance @ (x.T @ (y / variance) + precision @ MEAN)
    centred = sums(known).centred_at(MEAN)
    conditional = Conditional.of(centred, MEAN, LOG_SD, NOISE)
    np.testing.assert_allclose(conditional.mean, mean, rtol=1e-8)
    np.testing.assert_allclose(conditional.covariance, covariance, rtol=1e-7, atol=1e-13)
    root = conditional.root
    np.testing.assert_allclose(root @ root.T, covariance, rtol=1e-7, atol=1e-13)
    # Draws in JAX are the same function of the same random numbers.
    normal, sd = RNG.normal(size=P), jnp.exp(jnp.asarray(LOG_SD))
    steps = centred.posterior(sd, NOISE, jnp).factorise(jnp).draw(jnp.asarray(normal))
    np.testing.assert_allclose(MEAN + sd * steps, mean + root @ normal, rtol=1e-8, atol=1e-10)


@both
def test_several_points_equal_single_ones_and_one_that_overflows_spoils_no_other(known) -> None:
    log_sd, noise = LOG_SD + RNG.normal(size=(3, P)), np.array([0.3, 0.7, 2.0])
    centred = sums(known).centred_at(MEAN)
    every = Conditional.of(centred, MEAN, log_sd, noise)
    normal, evidence = RNG.normal(size=(3, 2, P)), every.posterior.log_integral
    draws = every.draw(normal)
    for i in range(3):
        one = Conditional.of(centred, MEAN, log_sd[i], noise[i])
        assert evidence[i] == pytest.approx(one.posterior.log_integral, rel=1e-12)
        np.testing.assert_allclose(draws[i], one.draw(normal[i]), rtol=1e-9)
        # Negative control: another point.
        assert evidence[i - 1] != pytest.approx(one.posterior.log_integral, rel=1e-6)
    far = log_sd + np.array([[0], [400], [0]])
    with np.errstate(over="ignore", invalid="ignore"):
        spoilt = Conditional.of(centred, MEAN, far, noise).posterior.log_integral
    assert np.isfinite(spoilt).tolist() == [True, False, True]
    np.testing.assert_allclose(spoilt[[0, 2]], evidence[[0, 2]], rtol=1e-12)


def test_a_power_of_the_likelihood_is_that_of_as_many_rows() -> None:
    once = SufficientStatistics.over(X, Y, W)
    twice, squared = once.merge(once), once.power(2.0)
    assert squared.rows == twice.rows
    np.testing.assert_allclose(squared.factor.matrix, twice.factor.matrix)
    assert squared.factor.log_scale == pytest.approx(twice.factor.log_scale)


def test_pseudo_observations_are_no_rows_whose_variance_scales_with_the_noise() -> None:
    rows = (KNOWN_X, KNOWN_Y, NOISE**2 / KNOWN_SD**2)
    mixed = sums(False).merge(SufficientStatistics.over(*rows)).centred_at(MEAN)
    for noise, equal in ((NOISE, True), (7.0, False)):
        value = float(log_evidence(mixed, jnp.asarray(LOG_SD), noise))
        assert (abs(value - dense_density(True, LOG_SD, np.log(noise))) < 1e-6) == equal


def test_coefficients_with_a_prior_of_nearly_zero_are_absent() -> None:
    keep = np.arange(P) != 2
    vanishing = np.where(keep, LOG_SD, -700)
    one, slopes, _ = sums(False).evidence_and_slopes(vanishing, NOISE)
    selected = sums(False).select(np.flatnonzero(keep))
    other, other_slopes, _ = selected.evidence_and_slopes(LOG_SD[keep], NOISE)
    assert one == pytest.approx(other, rel=1e-12)
    np.testing.assert_allclose(slopes[keep], other_slopes, rtol=1e-9)
    value, gradient = jax.value_and_grad(lambda s: log_evidence(sums(False), s, NOISE))(vanishing)
    assert float(value) == pytest.approx(other, rel=1e-12)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("noise", [1e-3, 1e-9, 1e-12])
def test_fits_without_residuals_have_a_density_at_any_noise(noise) -> None:
    coefficients = RNG.normal(size=P)
    exact = SufficientStatistics.over(X, X @ coefficients, W)
    conditional = Conditional.of(exact, np.zeros(P), LOG_SD, noise)
    np.testing.assert_allclose(conditional.mean, coefficients, rtol=1e-3)
    # Less noise has more density, until rounding leaves residuals.
    value, _, slope = exact.evidence_and_slopes(LOG_SD, noise)
    assert slope == pytest.approx(P - N, rel=0.1) if noise > 1e-6 else np.isfinite(slope)
    assert np.isfinite(value)


def assert_same(one: GaussianFactor, other: GaussianFactor) -> None:
    np.testing.assert_allclose(one.matrix, other.matrix, rtol=1e-9, atol=1e-9)
    assert one.log_scale == pytest.approx(other.log_scale)


def test_operations_on_factors_commute() -> None:
    factor = sums(True).posterior(np.exp(LOG_SD), NOISE)
    eliminated, kept = np.array([1, 4]), np.array([0, 3])
    reduced, regression = factor.eliminate(eliminated)
    # Columns of the others are numbered anew.
    both = np.sort([*eliminated, *kept])
    assert_same(
        reduced.select(np.array([0, 2])),
        factor.select(both).eliminate(np.searchsorted(both, eliminated))[0],
    )
    assert_same(reduced, factor.eliminate(np.array([1]))[0].eliminate(np.array([3]))[0])
    units = RNG.uniform(0.5, 2, size=P + 1)
    units[eliminated] = 1
    others = np.setdiff1d(np.arange(P + 1), eliminated)
    assert_same(reduced.rescale(units[others]), factor.rescale(units).eliminate(eliminated)[0])
    # Elimination leaves the integral, the mean, and the distribution of all coefficients.
    whole, part = factor.factorise(), reduced.factorise()
    assert part.log_integral == pytest.approx(whole.log_integral)
    np.testing.assert_allclose(part.mean, whole.mean[others[:-1]], rtol=1e-9)
    normal = RNG.normal(size=(100, 2))
    draws = regression.draw(np.tile(part.mean[:, None], 100), normal.T).T
    expected = whole.mean[eliminated] + normal @ np.linalg.inv(regression.factor)
    np.testing.assert_allclose(draws, expected, rtol=1e-9)


@pytest.mark.parametrize("correlation", [0.5, 1 + 2e-5], ids=["definite", "rounded"])
def test_unexplained_share_of_rounded_sums(correlation: float) -> None:
    """Sums in single precision of columns that nearly coincide need not be definite."""
    matrix = np.array([[1, correlation, 0.6], [correlation, 1, 0.6], [0.6, 0.6, 1.0]])
    sums = SufficientStatistics(100.0, GaussianFactor(matrix, 0.0))
    assert sums.unexplained == pytest.approx(1 - 2 * 0.36 / (1 + correlation), abs=1e-4)
