import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import DTypeLike
from threadpoolctl import threadpool_limits

import bayes_intgen as bi
from bayes_intgen.inference.density import blocks as module
from bayes_intgen.inference.density.blocks import (
    BlockApproximation,
    block_approximation,
    block_statistics,
    expected_acceptance,
    log_marginal_by_groups,
)
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.log_density import energy_of
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import groups_of

from _modes import WORLD, at_mode, collapsed


@pytest.fixture(scope="module")
def data() -> bi.RegimeData:
    return WORLD.dataset(800, seed=0)


@pytest.fixture(scope="module")
def found(data) -> tuple[MarginalPosterior, np.ndarray, np.ndarray]:
    return at_mode(data)


@pytest.fixture(autouse=True)
def _any_size(monkeypatch) -> None:
    monkeypatch.setattr(module, "LEAST_SIZE", 50)


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_fit():
    with jax.enable_x64(True), threadpool_limits(1, "blas"):
        yield


def about(
    posterior: MarginalPosterior, at: np.ndarray, dtype: DTypeLike = np.float32
) -> BlockApproximation:
    """The density by groups about a point."""
    reference = ExpansionPoint.of(posterior, at)
    rng = np.random.default_rng(3)
    points = rng.multivariate_normal(at, posterior.covariance(at), size=24)
    return block_statistics(reference, groups_of(reference, points), dtype)


def log_ratio(
    posterior: MarginalPosterior, close: BlockApproximation, draws: np.ndarray
) -> np.ndarray:
    return np.array([close.energy(at)[0] - posterior.value(at) for at in draws])


def of_many_rows(posterior: MarginalPosterior) -> tuple[MarginalPosterior, np.ndarray]:
    """The same, and a mode of it, as of several million rows."""
    sums = posterior.sums
    more = {name: 1e3 * getattr(sums, name) for name in ("rows", "xx", "xy", "yy")}
    many = MarginalPosterior(posterior.priors, sums._replace(**more), posterior.terms)
    # One search from so far away comes to a halt before it is there.
    return many, many.mode(many.mode(many.start, progress=False), progress=False)


def test_value_and_gradient_are_the_exact_ones_at_the_reference_point(found) -> None:
    posterior, mode, draws = found
    every = np.arange(posterior.size)
    for reference in (mode, draws[0]):
        # Groups that know much of each other.
        close = block_statistics(ExpansionPoint.of(posterior, reference), [every[::2], every[1::2]])
        value, gradient = close.energy(reference)
        exact, slope = posterior.energy(reference)
        # Up to single precision.
        assert value == pytest.approx(exact, abs=0.01)
        np.testing.assert_allclose(gradient, slope, atol=0.05)
    # Negative control: elsewhere they are not.
    assert np.abs(close.energy(draws[1])[1] - posterior.energy(draws[1])[1]).max() > 0.2


def test_one_group_of_all_coefficients_is_exact_everywhere(found) -> None:
    posterior, mode, draws = found
    every = np.arange(posterior.size)
    reference = ExpansionPoint.of(posterior, mode)
    close = block_statistics(reference, [every])
    for at in draws[:5]:
        value, gradient = close.energy(at)
        exact, slope = posterior.energy(at)
        assert value == pytest.approx(exact, abs=0.05)
        np.testing.assert_allclose(gradient, slope, atol=0.3)
    # Negative control: two halves are not.
    halves = block_statistics(reference, [every[::2], every[1::2]])
    assert np.abs(log_ratio(posterior, halves, draws[:5])).max() > 0.5


def test_the_gradient_is_that_of_the_value(found) -> None:
    posterior, mode, _ = found
    # In single precision differences of values would say nothing.
    groups = about(posterior, mode, np.float64).groups
    rng = np.random.default_rng(1)
    reference = np.asarray(groups.log_reference)
    log_sd = (reference + np.log(posterior.sites(mode)["noise_sd"])).ravel()
    at = jnp.asarray(log_sd + 0.5 * rng.normal(size=reference.size))
    log_noise = jnp.log(jnp.asarray(posterior.sites(mode)["noise_sd"]))

    @jax.jit
    def density(log_sd, log_noise):
        return log_marginal_by_groups(groups, log_sd, jnp.exp(log_noise))

    slopes, of_noise = jax.jit(jax.grad(density, argnums=(0, 1)))(at, log_noise)
    for _ in range(5):
        along = rng.normal(size=reference.size)
        step = 1e-5 * jnp.asarray(along)
        change = (density(at + step, log_noise) - density(at - step, log_noise)) / 2e-5
        assert float(slopes @ along) == pytest.approx(float(change), rel=1e-5)
    change = (density(at, log_noise + 1e-6) - density(at, log_noise - 1e-6)) / 2e-6
    assert float(of_noise) == pytest.approx(float(change), rel=1e-4)


def test_the_exact_density_accepts_most_of_what_the_groups_give(found) -> None:
    posterior, mode, draws = found
    close = block_approximation(posterior, mode, draws[:24])
    assert close is not None
    accepted = expected_acceptance(log_ratio(posterior, close, draws[24:]))
    assert accepted > 0.75
    # Negative control: without what couples the groups.
    close.groups = close.groups._replace(cross=0 * close.groups.cross)
    assert expected_acceptance(log_ratio(posterior, close, draws[24:])) < accepted - 0.02


def test_a_density_that_is_not_close_is_not_walked(found, monkeypatch) -> None:
    posterior, mode, draws = found
    reference = ExpansionPoint.of(posterior, mode)
    close = block_statistics(reference, groups_of(reference, draws[:24]))
    accepted = expected_acceptance(log_ratio(posterior, close, draws[:24]))
    for least, walked in ((accepted - 1e-3, True), (accepted + 1e-3, False)):
        monkeypatch.setattr(module, "LEAST_ACCEPTED", least)
        assert (block_approximation(posterior, mode, draws[:24]) is not None) == walked
    monkeypatch.setattr(module, "LEAST_SIZE", posterior.size + 1)
    assert block_approximation(posterior, mode, draws[:24]) is None


def test_what_is_compiled_has_the_value_and_the_gradient_in_closed_form(found) -> None:
    posterior, mode, draws = found
    for dtype, digits in ((np.float64, 1e-8), (np.float32, 0.05)):
        close = about(posterior, mode, dtype)
        compiled = close.density
        for at in draws[:3]:
            value, gradient = close.energy(at)
            theirs, slope = energy_of(compiled.potential, compiled.data, at)
            assert value == pytest.approx(theirs, abs=digits)
            np.testing.assert_allclose(gradient, slope, atol=digits)
            # Negative control: in single precision they are not the same.
            assert (np.abs(gradient - slope).max() > 1e-8) == (dtype == np.float32)


def test_single_precision_will_do_however_many_the_rows(found, monkeypatch) -> None:
    posterior, mode = of_many_rows(found[0])
    covariance = posterior.covariance(mode)
    draws = np.random.default_rng(0).multivariate_normal(mode, covariance, size=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close = block_approximation(posterior, mode, draws[:24])
    assert close is not None
    assert close.groups.precision.dtype == np.float32
    compiled = close.density
    _, slope = energy_of(compiled.potential, compiled.data, draws[0])
    np.testing.assert_allclose(close.energy(draws[0])[1], slope, atol=0.2)
    assert expected_acceptance(log_ratio(posterior, close, draws[24:])) > 0.75
    # What is cut is not missed: in double precision the same is true without.
    some = about(posterior, mode, np.float64)
    monkeypatch.setattr(module, "BEST_KNOWN", np.inf)
    every = about(posterior, mode, np.float64)
    assert np.linalg.eigvalsh(every.groups.precision).max() > 1e6
    for at in draws[:5]:
        assert some.energy(at)[0] == pytest.approx(every.energy(at)[0], abs=0.1)
        assert some.energy(at)[0] != every.energy(at)[0]
    # Negative control: single precision without the cut.
    single = about(posterior, mode)
    assert not expected_acceptance(log_ratio(posterior, single, draws[24:])) > 0.75


def test_rounding_leaves_derivatives_where_priors_have_become_wide(found, monkeypatch) -> None:
    posterior, mode = of_many_rows(found[0])
    wide = mode.copy()
    wide[posterior.layout.positions["scale"]] += 2

    def rounding() -> float:
        single, double = (about(posterior, mode, t) for t in (np.float32, np.float64))
        return float(np.abs(single.energy(wide)[1] - double.energy(wide)[1]).max())

    size = np.abs(posterior.energy(wide)[1]).max()
    assert rounding() < 0.02 * size
    # Negative control: with nothing cut.
    monkeypatch.setattr(module, "BEST_KNOWN", np.inf)
    assert not rounding() < 0.02 * size


def test_rounding_leaves_the_density_smooth_where_priors_have_become_narrow(
    found, monkeypatch
) -> None:
    posterior, mode, _ = found
    covariance = posterior.covariance(mode)
    steps = np.random.default_rng(2).multivariate_normal(0 * mode, covariance, size=6) / 100
    far = mode.copy()
    far[posterior.layout.positions["lengthscale"]] += 1.5
    far[posterior.layout.positions["scale"]] -= 3

    def roughness() -> float:
        close = about(posterior, mode)
        smooth = about(posterior, mode, np.float64)
        noise = [close.energy(far + by)[0] - smooth.energy(far + by)[0] for by in steps]
        return float(np.std(noise))

    assert roughness() < 0.02
    # Negative control: everywhere the form that is for priors as they were.
    monkeypatch.setattr(module, "NARROW", 0.0)
    assert roughness() > 0.05


def test_what_lift_tests_say_is_within(data) -> None:
    lifted = data.add_lift_test("a1", -0.5, 0.4, effect=0.9, se=0.05)
    posterior, mode, draws = at_mode(lifted)
    close = block_approximation(posterior, mode, draws[:24])
    assert close is not None
    value, gradient = close.energy(mode)
    exact, slope = posterior.energy(mode)
    assert value == pytest.approx(exact, abs=0.05)
    # The test counts as if the noise were as it is at the mode.
    others = np.arange(len(mode)) != posterior.layout.positions["noise_sd"][0]
    np.testing.assert_allclose(gradient[others], slope[others], atol=0.05)
    # Negative control: without the test.
    assert value != pytest.approx(collapsed(data).value(mode), abs=0.5)


def test_the_expected_acceptance_is_that_of_a_metropolis_step() -> None:
    assert expected_acceptance(np.full(10, 3.0)) == 1
    assert expected_acceptance(np.array([0.0, -np.log(4)])) == pytest.approx((1 + 0.25) / 2)
    assert expected_acceptance(np.array([0.0, 1000.0])) == pytest.approx(0.5)
