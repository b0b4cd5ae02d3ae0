import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayes_intgen.inference.gaussian.blocked_cholesky import inverse_cholesky
from bayes_intgen.inference.gaussian.evidence import log_marginal
from bayes_intgen.inference.gaussian.sufficient_statistics import (
    CandidateStatistics,
    SufficientStatistics,
)
from bayes_intgen.models.pseudo_observations import PseudoObservations

RNG = np.random.default_rng(0)
N, P = 40, 6
X = RNG.normal(size=(N, P))
Y = RNG.normal(size=N) + 2
W = RNG.uniform(0.5, 2, size=N)
MEAN = RNG.normal(size=P)
LOG_SD = RNG.normal(size=P)
NOISE = 0.7


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def sums() -> SufficientStatistics:
    return SufficientStatistics.over([(X[:15], Y[:15], W[:15]), (X[15:], Y[15:], W[15:])])


def dense(log_sd: np.ndarray, noise: float) -> float:
    covariance = (X * np.exp(2 * log_sd)) @ X.T + np.diag(noise**2 / W)
    return float(multivariate_normal.logpdf(Y, X @ MEAN, covariance))


def test_statistics_add_up_over_batches() -> None:
    whole = SufficientStatistics.over([(X, Y, W)])
    for part, total in zip(sums()[:-1], whole[:-1], strict=True):
        np.testing.assert_allclose(part, total, rtol=1e-13)
    np.testing.assert_allclose(whole.xx, X.T @ np.diag(W) @ X)


def test_candidate_statistics_contain_their_own_products_in_single_precision() -> None:
    rng = np.random.default_rng(5)
    x, y, weights = rng.normal(size=(500, 7)), rng.normal(size=500), rng.uniform(0.5, 2, size=500)
    whole = SufficientStatistics.over([(x, y, weights)])
    statistics = CandidateStatistics.over(x, y, weights, [1, 2])
    of_model = whole.select(np.arange(4))
    for part, expected in zip(statistics.sums[:-1], of_model[:-1], strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-12)
    np.testing.assert_allclose(statistics.cross, whole.xx[4:, :4], atol=1e-3)
    np.testing.assert_allclose(statistics.xy, whole.xy[4:], atol=1e-3)
    for own, columns in zip(statistics.own, (slice(4, 5), slice(5, 7)), strict=True):
        np.testing.assert_allclose(own, whole.xx[columns, columns], atol=1e-3)
    # Negative control: single precision by default, double precision on request.
    assert np.abs(statistics.cross - whole.xx[4:, :4]).max() > 1e-9
    exact = CandidateStatistics.over(x, y, weights, [1, 2], np.float64)
    np.testing.assert_allclose(exact.cross, whole.xx[4:, :4], rtol=1e-11, atol=1e-11)
    halves = [CandidateStatistics.over(x[i::2], y[i::2], weights[i::2], [1, 2]) for i in (0, 1)]
    np.testing.assert_allclose(halves[0].merge(halves[1]).cross, statistics.cross, atol=1e-3)


def test_log_marginal_equals_the_dense_normal_density() -> None:
    value = float(log_marginal(sums().centred_at(MEAN), jnp.asarray(LOG_SD), NOISE))
    assert value == pytest.approx(dense(LOG_SD, NOISE), rel=1e-11)
    # Negative control: the prior mean matters.
    assert abs(float(log_marginal(sums(), jnp.asarray(LOG_SD), NOISE)) - value) > 0.1


def test_gradient_of_log_marginal_equals_that_of_the_dense_density() -> None:
    gradient = jax.grad(lambda s, n: log_marginal(sums().centred_at(MEAN), s, n), argnums=(0, 1))
    towards_log_sd, towards_noise = gradient(jnp.asarray(LOG_SD), NOISE)
    step = 1e-5
    for p in range(P):
        shift = step * np.eye(P)[p]
        expected = (dense(LOG_SD + shift, NOISE) - dense(LOG_SD - shift, NOISE)) / (2 * step)
        assert float(towards_log_sd[p]) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    expected = (dense(LOG_SD, NOISE + step) - dense(LOG_SD, NOISE - step)) / (2 * step)
    assert float(towards_noise) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [1, 48, 49, 131, 464])
def test_blocked_factor_equals_that_of_lapack(size) -> None:
    columns = RNG.normal(size=(2 * size, size)) * RNG.uniform(0.01, 10, size=size)
    matrix = columns.T @ columns + np.eye(size)
    diagonal, inverse = map(np.asarray, inverse_cholesky(jnp.asarray(matrix)))
    factor = np.linalg.cholesky(matrix)
    np.testing.assert_allclose(diagonal, np.diag(factor), rtol=1e-10)
    np.testing.assert_allclose(inverse @ factor, np.eye(size), atol=1e-9)


def test_log_marginal_of_many_coefficients_equals_the_dense_normal_density() -> None:
    size = 130
    x, log_sd = RNG.normal(size=(N, size)), RNG.normal(size=size)
    value = float(log_marginal(SufficientStatistics.over([(x, Y, W)]), jnp.asarray(log_sd), NOISE))
    covariance = (x * np.exp(2 * log_sd)) @ x.T + np.diag(NOISE**2 / W)
    expected = multivariate_normal.logpdf(Y, np.zeros(N), covariance)
    assert value == pytest.approx(float(expected), rel=1e-9)


def test_vanishing_scale_removes_its_column() -> None:
    vanishing = LOG_SD.copy()
    vanishing[2] = -700
    value, gradient = jax.value_and_grad(lambda s: log_marginal(sums(), s, NOISE))(
        jnp.asarray(vanishing)
    )
    keep = np.arange(P) != 2
    reduced = SufficientStatistics.over([(X[:, keep], Y, W)])
    expected = log_marginal(reduced, jnp.asarray(LOG_SD[keep]), NOISE)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    assert np.isfinite(np.asarray(gradient)).all()


L = 3
KNOWN_X, KNOWN_Y = RNG.normal(size=(L, P)), RNG.normal(size=L)
KNOWN_SD = np.array([0.01, 0.5, 30.0])


def with_known() -> SufficientStatistics:
    known = PseudoObservations(KNOWN_X / KNOWN_SD[:, None], KNOWN_Y / KNOWN_SD, np.log(KNOWN_SD))
    return sums()._replace(known=known)


def dense_with_known(log_sd: np.ndarray, noise: float) -> float:
    x = np.concatenate([X, KNOWN_X])
    variance = np.concatenate([noise**2 / W, KNOWN_SD**2])
    covariance = (x * np.exp(2 * log_sd)) @ x.T + np.diag(variance)
    return float(multivariate_normal.logpdf(np.concatenate([Y, KNOWN_Y]), x @ MEAN, covariance))


def test_pseudo_observations_do_not_scale_with_the_noise() -> None:
    for noise in (0.07, NOISE, 7.0):
        value = float(log_marginal(with_known().centred_at(MEAN), jnp.asarray(LOG_SD), noise))
        assert value == pytest.approx(dense_with_known(LOG_SD, noise), rel=1e-9)
    # Negative control: ordinary rows that agree at one value of the noise.
    mixed = SufficientStatistics.over([(X, Y, W), (KNOWN_X, KNOWN_Y, NOISE**2 / KNOWN_SD**2)])
    at_noise = float(log_marginal(mixed.centred_at(MEAN), jnp.asarray(LOG_SD), NOISE))
    assert at_noise == pytest.approx(dense_with_known(LOG_SD, NOISE), rel=1e-9)
    at_other = float(log_marginal(mixed.centred_at(MEAN), jnp.asarray(LOG_SD), 7.0))
    assert abs(at_other - dense_with_known(LOG_SD, 7.0)) > 1


def test_gradient_with_pseudo_observations_equals_that_of_the_dense_density() -> None:
    gradient = jax.grad(
        lambda s, n: log_marginal(with_known().centred_at(MEAN), s, n), argnums=(0, 1)
    )
    towards_log_sd, towards_noise = gradient(jnp.asarray(LOG_SD), NOISE)
    step = 1e-5
    for p in range(P):
        shift = step * np.eye(P)[p]
        ends = dense_with_known(LOG_SD + shift, NOISE), dense_with_known(LOG_SD - shift, NOISE)
        expected = (ends[0] - ends[1]) / (2 * step)
        assert float(towards_log_sd[p]) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    ends = dense_with_known(LOG_SD, NOISE + step), dense_with_known(LOG_SD, NOISE - step)
    assert float(towards_noise) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


def test_padding_and_selection_apply_to_pseudo_observations() -> None:
    wide = with_known().padded(P + 3)
    padded = float(
        log_marginal(wide.centred_at(np.pad(MEAN, (0, 3))), jnp.pad(LOG_SD, (0, 3)), NOISE)
    )
    assert padded == pytest.approx(dense_with_known(LOG_SD, NOISE), rel=1e-9)
    back = wide.select(np.arange(P))
    np.testing.assert_array_equal(back.known.matrix, with_known().known.matrix)
