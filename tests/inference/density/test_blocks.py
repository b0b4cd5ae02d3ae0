import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import bayes_intgen as bi
from bayes_intgen.inference.density import blocks as module
from bayes_intgen.inference.density.blocks import (
    MAX_PRECISION_RATIO,
    BlockApproximation,
    block_approximation,
    block_statistics,
    expected_acceptance,
    log_marginal_by_blocks,
)
from bayes_intgen.inference.density.expansion_point import ExpansionPoint
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.partition import coefficient_blocks

from _modes import WORLD, at_mode, marginal_posterior

# The models of these tests may have fewer coefficients than need a surrogate.
MIN_COEFFICIENTS = 50

Case = tuple[MarginalPosterior, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def data() -> bi.RegimeData:
    return WORLD.dataset(800, seed=0)


@pytest.fixture(scope="module")
def case(data) -> Case:
    """A posterior, its mode, and approximate draws."""
    return at_mode(data)


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_fit():
    with jax.enable_x64(True), threadpool_limits(1, "blas"):
        yield


def approximate(posterior: MarginalPosterior, at: np.ndarray, **options) -> BlockApproximation:
    """The block approximation about a point."""
    expansion = ExpansionPoint.of(posterior, at)
    rng = np.random.default_rng(3)
    points = rng.multivariate_normal(at, posterior.covariance(at), size=24)
    return block_statistics(expansion, coefficient_blocks(expansion, points), **options)


def surrogate_of(posterior: MarginalPosterior, mode: np.ndarray, points: np.ndarray, **options):
    return block_approximation(
        posterior, mode, points, **{"min_coefficients": MIN_COEFFICIENTS, **options}
    )


def log_ratio(
    posterior: MarginalPosterior, surrogate: BlockApproximation, draws: np.ndarray
) -> np.ndarray:
    return np.array([surrogate.value_and_grad(at)[0] - posterior.value(at) for at in draws])


def with_millions_of_rows() -> tuple[MarginalPosterior, np.ndarray]:
    """Statistics of several million rows, a few hundred thousand of them distinct, and the mode.

    The same few rows again and again would be interpolated, with scales that grow until rounding
    decides where the mode is.
    """
    posterior = marginal_posterior(WORLD.dataset(40_000, seed=0))
    sums = posterior.sums
    more = {name: 20 * getattr(sums, name) for name in ("rows", "xx", "xy", "yy")}
    many = MarginalPosterior(posterior.priors, sums._replace(**more), posterior.terms)
    return many, many.mode(many.start, progress=False)


def test_value_and_gradient_are_exact_at_the_expansion_point(case) -> None:
    posterior, mode, draws = case
    every = np.arange(posterior.size)
    for reference in (mode, draws[0]):
        # Blocks that are strongly dependent.
        expansion = ExpansionPoint.of(posterior, reference)
        surrogate = block_statistics(expansion, [every[::2], every[1::2]])
        value, gradient = surrogate.value_and_grad(reference)
        exact, slope = posterior.value_and_grad(reference)
        # Up to single precision.
        assert value == pytest.approx(exact, abs=0.01)
        np.testing.assert_allclose(gradient, slope, atol=0.05)
    # Negative control: elsewhere they differ.
    gradient, slope = (density.value_and_grad(draws[1])[1] for density in (surrogate, posterior))
    assert np.abs(gradient - slope).max() > 0.2


def test_one_block_of_all_coefficients_is_exact_everywhere(case) -> None:
    posterior, mode, draws = case
    every = np.arange(posterior.size)
    expansion = ExpansionPoint.of(posterior, mode)
    surrogate = block_statistics(expansion, [every])
    for at in draws[:5]:
        value, gradient = surrogate.value_and_grad(at)
        exact, slope = posterior.value_and_grad(at)
        assert value == pytest.approx(exact, abs=0.05)
        np.testing.assert_allclose(gradient, slope, atol=0.3)
    # Negative control: two halves are not.
    halves = block_statistics(expansion, [every[::2], every[1::2]])
    assert np.abs(log_ratio(posterior, halves, draws[:5])).max() > 0.5


def test_gradient_equals_finite_differences(case) -> None:
    posterior, mode, _ = case
    # Differences of values need double precision.
    statistics = approximate(posterior, mode, dtype=np.float64).statistics
    rng = np.random.default_rng(1)
    reference = np.asarray(statistics.log_reference)
    log_sd = (reference + np.log(posterior.sites(mode)["noise_sd"])).ravel()
    at = jnp.asarray(log_sd + 0.5 * rng.normal(size=reference.size))
    log_noise = jnp.log(jnp.asarray(posterior.sites(mode)["noise_sd"]))

    @jax.jit
    def density(log_sd, log_noise):
        return log_marginal_by_blocks(statistics, log_sd, jnp.exp(log_noise))

    slopes, noise_slope = jax.jit(jax.grad(density, argnums=(0, 1)))(at, log_noise)
    for _ in range(5):
        along = rng.normal(size=reference.size)
        step = 1e-5 * jnp.asarray(along)
        change = (density(at + step, log_noise) - density(at - step, log_noise)) / 2e-5
        assert float(slopes @ along) == pytest.approx(float(change), rel=1e-5)
    change = (density(at, log_noise + 1e-6) - density(at, log_noise - 1e-6)) / 2e-6
    assert float(noise_slope) == pytest.approx(float(change), rel=1e-4)


def test_exact_density_accepts_most_draws_of_the_surrogate(case) -> None:
    posterior, mode, draws = case
    surrogate = surrogate_of(posterior, mode, draws[:24])
    assert surrogate is not None
    accepted = expected_acceptance(log_ratio(posterior, surrogate, draws[24:]))
    assert accepted > 0.75
    # Negative control: without the covariances between blocks.
    statistics = surrogate.statistics
    surrogate.statistics = statistics._replace(cross=0 * statistics.cross)
    assert expected_acceptance(log_ratio(posterior, surrogate, draws[24:])) < accepted - 0.02


def test_no_surrogate_if_rejected_too_often_or_not_cheaper(case) -> None:
    posterior, mode, draws = case
    points = draws[:24]
    expansion = ExpansionPoint.of(posterior, mode)
    surrogate = block_statistics(expansion, coefficient_blocks(expansion, points))
    accepted = expected_acceptance(log_ratio(posterior, surrogate, points))
    for minimum, used in ((accepted - 1e-3, True), (accepted + 1e-3, False)):
        result = surrogate_of(posterior, mode, points, min_acceptance_rate=minimum)
        assert (result is not None) == used
    assert surrogate_of(posterior, mode, points, min_coefficients=posterior.size + 1) is None


def test_compiled_density_equals_the_numpy_one(case) -> None:
    posterior, mode, draws = case
    for dtype, digits in ((np.float64, 1e-8), (np.float32, 0.05)):
        surrogate = approximate(posterior, mode, dtype=dtype)
        compiled = surrogate.density
        for at in draws[:3]:
            value, gradient = compiled.value_and_grad(at)
            padded = np.pad(at, (0, compiled.padding))
            other, slope = jax.value_and_grad(compiled.potential(compiled.data))(padded)
            slope = slope[: len(at)]
            assert value == pytest.approx(float(other), abs=digits)
            np.testing.assert_allclose(gradient, slope, atol=digits)
            # Negative control: in single precision they are not identical.
            assert (np.abs(gradient - slope).max() > 1e-8) == (dtype == np.float32)


def test_single_precision_suffices_for_millions_of_rows() -> None:
    posterior, mode = with_millions_of_rows()
    covariance = posterior.covariance(mode)
    draws = np.random.default_rng(0).multivariate_normal(mode, covariance, size=60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        surrogate = surrogate_of(posterior, mode, draws[:24])
    assert surrogate is not None
    assert surrogate.statistics.precision.dtype == np.float32
    compiled = surrogate.density
    padded = np.pad(draws[0], (0, compiled.padding))
    slope = jax.grad(compiled.potential(compiled.data))(padded)[: len(draws[0])]
    np.testing.assert_allclose(compiled.value_and_grad(draws[0])[1], slope, atol=0.2)
    # The cap on precisions costs nothing: double precision without it has about the same values.
    capped = approximate(posterior, mode, dtype=np.float64)
    full = approximate(posterior, mode, dtype=np.float64, max_precision_ratio=np.inf)
    acceptance = expected_acceptance(log_ratio(posterior, full, draws[24:]))
    assert acceptance > 0.5
    assert expected_acceptance(log_ratio(posterior, surrogate, draws[24:])) > 0.5
    ratio = log_ratio(posterior, approximate(posterior, mode), draws[24:])
    assert expected_acceptance(ratio) == pytest.approx(acceptance, abs=0.02)
    assert np.linalg.eigvalsh(full.statistics.precision).max() > 1e6
    for at in draws[:5]:
        values = [each.value_and_grad(at)[0] for each in (capped, full)]
        assert values[0] == pytest.approx(values[1], abs=0.1)
        assert values[0] != values[1]
    # Negative control: single precision without the cap.
    single = approximate(posterior, mode, max_precision_ratio=np.inf)
    ratio = log_ratio(posterior, single, draws[24:])
    assert expected_acceptance(ratio) != pytest.approx(acceptance, abs=0.02)


def test_cap_on_precisions_limits_rounding_of_gradients_under_wide_priors(case) -> None:
    posterior, mode = with_millions_of_rows()
    wide = mode.copy()
    wide[posterior.layout.positions["scale"]] += 2

    def rounding(cap: float) -> float:
        single, double = (
            approximate(posterior, mode, dtype=dtype, max_precision_ratio=cap).value_and_grad(wide)
            for dtype in (np.float32, np.float64)
        )
        return float(np.abs(single[1] - double[1]).max())

    size = np.abs(posterior.value_and_grad(wide)[1]).max()
    assert rounding(MAX_PRECISION_RATIO) < 0.02 * size
    # Negative control: without the cap.
    assert not rounding(np.inf) < 0.02 * size


def test_density_stays_finite_and_close_under_very_wide_priors(monkeypatch) -> None:
    posterior, mode = with_millions_of_rows()
    surrogate = approximate(posterior, mode)
    scales = posterior.layout.positions["scale"]

    def wide(which: np.ndarray, shift: float) -> np.ndarray:
        point = mode.copy()
        point[which] += shift
        return point

    def errors(shift: float) -> np.ndarray:
        """Errors with each scale in turn, and then with all, that much larger than at the mode."""
        at = [wide(which, shift) for which in (*scales, scales)]
        return np.abs(log_ratio(posterior, surrogate, at))

    assert np.log(module.MAX_SD_RATIO) < 3.5
    assert (errors(3.5)[:-1] < 1).all()
    assert np.isfinite(errors(5.0)).all()
    # The log evidence is linear there, and the log prior quadratic.
    (far, slope), (near, other) = (surrogate.value_and_grad(wide(scales, by)) for by in (5.5, 5.0))
    assert far - near == pytest.approx(0.25 * (slope + other)[scales].sum(), rel=1e-6)
    # Negative control: rounding without the maximum.
    monkeypatch.setattr(module, "MAX_SD_RATIO", np.inf)
    assert np.isnan(errors(5.0)).any()


def test_rounding_leaves_the_density_smooth_under_narrow_priors(case, monkeypatch) -> None:
    posterior, mode, _ = case
    covariance = posterior.covariance(mode)
    steps = np.random.default_rng(2).multivariate_normal(0 * mode, covariance, size=6) / 100
    far = mode.copy()
    far[posterior.layout.positions["lengthscale"]] += 1.5
    far[posterior.layout.positions["scale"]] -= 4

    def roughness() -> float:
        single, double = (approximate(posterior, mode, dtype=t) for t in (np.float32, np.float64))
        values = [[each.value_and_grad(far + by)[0] for by in steps] for each in (single, double)]
        return float(np.std(np.subtract(*values)))

    assert roughness() < 0.02
    # Negative control: the form for unchanged priors everywhere.
    monkeypatch.setattr(module, "NARROW_RATIO", 0.0)
    assert roughness() > 0.05


def test_lift_tests_are_part_of_the_surrogate(data) -> None:
    lifted = data.add_lift_test("a1", -0.5, 0.4, effect=0.9, se=0.05)
    posterior, mode, draws = at_mode(lifted)
    surrogate = surrogate_of(posterior, mode, draws[:24])
    assert surrogate is not None
    value, gradient = surrogate.value_and_grad(mode)
    exact, slope = posterior.value_and_grad(mode)
    assert value == pytest.approx(exact, abs=0.05)
    # Pseudo-observations have their weight at the mode for every value of the noise.
    others = np.arange(len(mode)) != posterior.layout.positions["noise_sd"][0]
    np.testing.assert_allclose(gradient[others], slope[others], atol=0.05)
    # Negative control: without the test.
    assert value != pytest.approx(marginal_posterior(data).value(mode), abs=0.5)


def test_expected_acceptance_is_that_of_a_metropolis_step() -> None:
    assert expected_acceptance(np.full(10, 3.0)) == 1
    assert expected_acceptance(np.array([0.0, -np.log(4)])) == pytest.approx((1 + 0.25) / 2)
    assert expected_acceptance(np.array([0.0, 1000.0])) == pytest.approx(0.5)
