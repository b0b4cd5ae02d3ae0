import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_intgen.inference.gaussian.conditional import Conditional, Conditionals, upper_cholesky
from bayes_intgen.inference.gaussian.evidence import log_marginal, log_marginal_and_draw
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.pseudo_observations import PseudoObservations

RNG = np.random.default_rng(0)
N, P, L = 40, 6, 3
X, Y, W = RNG.normal(size=(N, P)), RNG.normal(size=N) + 2, RNG.uniform(0.5, 2, size=N)
KNOWN_X, KNOWN_Y = RNG.normal(size=(L, P)), RNG.normal(size=L)
KNOWN_SD = np.array([0.01, 0.5, 30.0])
MEAN, LOG_SD, NOISE = RNG.normal(size=P), RNG.normal(size=P), 0.7

both = pytest.mark.parametrize("known", [False, True], ids=["rows", "with pseudo-observations"])


def sums(known: bool) -> SufficientStatistics:
    statistics = SufficientStatistics.over([(X, Y, W)])
    rows = PseudoObservations(KNOWN_X / KNOWN_SD[:, None], KNOWN_Y / KNOWN_SD, np.log(KNOWN_SD))
    return statistics._replace(known=rows) if known else statistics


def conditional_on(known: bool) -> Conditional:
    return Conditional.of(sums(known), MEAN, LOG_SD, NOISE)


def conditionals_on(known: bool, log_sd: np.ndarray, noise: np.ndarray) -> Conditionals:
    bordered = sums(known).centred_at(MEAN).with_outcome_as_column()
    return Conditionals.of(bordered, MEAN, log_sd, noise)


def exact_moments(known: bool) -> tuple[np.ndarray, np.ndarray]:
    x, y, weights = X, Y, W / NOISE**2
    if known:
        x, y = np.concatenate([X, KNOWN_X]), np.concatenate([Y, KNOWN_Y])
        weights = np.concatenate([weights, KNOWN_SD**-2.0])
    covariance = np.linalg.inv((x.T * weights) @ x + np.diag(np.exp(-2 * LOG_SD)))
    return covariance @ (x.T @ (weights * y) + np.exp(-2 * LOG_SD) * MEAN), covariance


@both
def test_moments_equal_those_of_bayesian_regression(known) -> None:
    mean, covariance = exact_moments(known)
    conditional = conditional_on(known)
    np.testing.assert_allclose(conditional.mean, mean, rtol=1e-8)
    np.testing.assert_allclose(conditional.covariance, covariance, rtol=1e-7, atol=1e-13)


@both
def test_several_points_equal_single_ones(known) -> None:
    log_sd, noise = LOG_SD + RNG.normal(size=(3, P)), np.array([0.3, 0.7, 2.0])
    every = conditionals_on(known, log_sd, noise)
    normal = RNG.normal(size=(3, 2, P))
    draws = every.draw(normal)
    for i in range(3):
        one = Conditional.of(sums(known), MEAN, log_sd[i], noise[i])
        assert every.log_evidence[i] == pytest.approx(one.log_evidence, rel=1e-12)
        np.testing.assert_allclose(draws[i], one.draw(normal[i].T).T, rtol=1e-9)
        np.testing.assert_array_equal(every.draw(normal[i], i), draws[i])
        # Negative control: another point.
        assert every.log_evidence[i - 1] != pytest.approx(one.log_evidence, rel=1e-6)


def test_a_point_that_overflows_leaves_the_others_alone() -> None:
    log_sd = np.stack([LOG_SD, LOG_SD + 400, LOG_SD])
    with np.errstate(over="ignore", invalid="ignore"):
        every = conditionals_on(False, log_sd, np.full(3, NOISE))
    assert np.isfinite(every.log_evidence).tolist() == [True, False, True]
    one = conditional_on(False).log_evidence
    np.testing.assert_allclose(every.log_evidence[[0, 2]], one, rtol=1e-12)


@both
def test_evidence_and_gradient_equal_those_of_jax(known) -> None:
    def density(log_sd: jax.Array, log_noise: jax.Array) -> jax.Array:
        return log_marginal(sums(known).centred_at(MEAN), log_sd, jnp.exp(log_noise))

    with jax.enable_x64(True):
        value, slopes = jax.value_and_grad(density, argnums=(0, 1))(
            jnp.asarray(LOG_SD), jnp.log(NOISE)
        )
        # Negative control: other noise.
        other = float(density(jnp.asarray(LOG_SD), jnp.log(NOISE) + 1e-4))
    conditional = conditional_on(known)
    assert conditional.log_evidence == pytest.approx(float(value), rel=1e-12)
    assert conditional.log_evidence != pytest.approx(other, rel=1e-12)
    towards_log_sd, towards_noise = conditional.gradient()
    np.testing.assert_allclose(towards_log_sd, np.asarray(slopes[0]), rtol=1e-9, atol=1e-10)
    assert towards_noise == pytest.approx(float(slopes[1]), rel=1e-9)


@both
def test_draws_with_the_evidence_have_the_exact_moments(known) -> None:
    count = 20_000
    normal = np.random.default_rng(1).standard_normal((count, P))
    with jax.enable_x64(True):
        centred, log_sd = sums(known).centred_at(MEAN), jnp.asarray(LOG_SD)
        draw = jax.vmap(lambda normal: log_marginal_and_draw(centred, log_sd, NOISE, normal)[1])
        draws = MEAN[:, None] + np.asarray(draw(jnp.asarray(normal))).T
    mean, covariance = exact_moments(known)
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=1) - mean) < 4 * sd / np.sqrt(count)).all()
    correlation = covariance / np.outer(sd, sd)
    # The standard error of a sample correlation is at most 1 / sqrt(n).
    assert (np.abs(np.corrcoef(draws) - correlation) < 4.5 / np.sqrt(count)).all()
    np.testing.assert_allclose(draws.std(axis=1), sd, rtol=4 / np.sqrt(2 * count))


@both
def test_draws_and_evidence_agree_with_the_conditional(known) -> None:
    rng = np.random.default_rng(2)
    log_sd, noise_sd = LOG_SD + 0.3 * rng.normal(size=(5, P)), NOISE * np.exp(rng.normal(size=5))
    normal = rng.standard_normal((5, P))
    with jax.enable_x64(True):
        centred = sums(known).centred_at(MEAN)
        results = [
            [*map(np.asarray, log_marginal_and_draw(centred, *map(jnp.asarray, arguments)))]
            for arguments in zip(log_sd, noise_sd, normal, strict=True)
        ]
    for i, (log_density, draw) in enumerate(results):
        own = Conditional.of(sums(known), MEAN, log_sd[i], noise_sd[i])
        assert float(log_density) == pytest.approx(own.log_evidence, rel=1e-12)
        expected = own.mean - MEAN + own.root @ normal[i]
        np.testing.assert_allclose(draw, expected, rtol=1e-9, atol=1e-12)
        # Negative control: the noise of other hyperparameters.
        other = Conditional.of(sums(known), MEAN, log_sd[i], noise_sd[i - 1])
        assert float(log_density) != pytest.approx(other.log_evidence, rel=1e-6)
        assert np.abs(draw - other.mean + MEAN - other.root @ normal[i]).max() > 1e-3


def test_vanishing_scale_removes_its_column() -> None:
    vanishing = LOG_SD.copy()
    vanishing[2] = -700
    keep = np.arange(P) != 2
    whole = Conditional.of(sums(False), 0 * MEAN, vanishing, NOISE)
    reduced = Conditional.of(
        SufficientStatistics.over([(X[:, keep], Y, W)]), np.zeros(P - 1), LOG_SD[keep], NOISE
    )
    assert whole.log_evidence == pytest.approx(reduced.log_evidence, rel=1e-12)
    towards_log_sd, _ = whole.gradient()
    np.testing.assert_allclose(towards_log_sd[keep], reduced.gradient()[0], rtol=1e-9)
    assert towards_log_sd[2] == 0


def test_factor_uses_jitter_against_rounding_and_nan_beyond_it() -> None:
    matrix = np.cov(RNG.normal(size=(5, 20)))
    factor = upper_cholesky(matrix)
    np.testing.assert_allclose(factor.T @ factor, matrix, rtol=1e-12)
    np.testing.assert_array_equal(factor, np.triu(factor))
    # Singular up to rounding: the second row is twice the first.
    singular = np.array([[1.0, 2.0], [2.0, 4.0 - 1e-15]])
    factor = upper_cholesky(singular)
    np.testing.assert_allclose(factor.T @ factor, singular, rtol=1e-12)
    assert np.isnan(upper_cholesky(-matrix)).all()
