"""Approximation of the marginal posterior by blocks of coefficients, against the exact density."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from _marginals import marginal_posterior, of_more_rows
from threadpoolctl import threadpool_limits

import bayes_intgen as bi
from bayes_intgen.inference.density.approximation import (
    Approximation,
    ExpansionPoint,
    block_statistics,
    coefficient_blocks,
    find_mode,
)
from bayes_intgen.inference.density.marginal_posterior import Density, MarginalPosterior
from bayes_intgen.simulators import Ordered, Polynomial

WORLD = Polynomial.random(4, seed=5)
MODEL = bi.models.additive(graph=WORLD.graph)
Case = tuple[MarginalPosterior, np.ndarray, np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_fit():
    with jax.enable_x64(True), threadpool_limits(1, "blas"):
        yield


def at_mode(data: bi.RegimeData) -> Case:
    """A posterior, its mode, and approximate draws."""
    posterior = marginal_posterior(data, MODEL)
    approximation = Approximation.of(posterior, posterior.start, progress=False)
    return posterior, approximation.point, approximation.points(60, np.random.default_rng(0))


@pytest.fixture(scope="module")
def case() -> Case:
    return at_mode(WORLD.dataset(800, seed=0))


def approximate(
    posterior: MarginalPosterior, at: np.ndarray, points: np.ndarray, dtype: type = np.float32
) -> Density:
    expansion = ExpansionPoint.of(posterior, at)
    return block_statistics(expansion, coefficient_blocks(expansion, points), dtype)


def log_ratio(posterior: MarginalPosterior, surrogate: Density, draws: np.ndarray) -> np.ndarray:
    return np.array([surrogate.value_and_grad(at)[0] - posterior.value(at) for at in draws])


def test_value_and_gradient_are_exact_at_the_expansion_point(case) -> None:
    posterior, mode, draws = case
    every = np.arange(posterior.terms.size)
    for reference in (mode, draws[0]):
        # Blocks that are strongly dependent.
        expansion = ExpansionPoint.of(posterior, reference)
        surrogate = block_statistics(expansion, [every[::2], every[1::2]])
        value, gradient = surrogate.value_and_grad(reference)
        exact, slope = posterior.value_and_grad(reference)
        assert value == pytest.approx(exact, abs=0.01)
        np.testing.assert_allclose(gradient, slope, atol=0.05)
    # Negative control: elsewhere they differ.
    gradient, slope = (density.value_and_grad(draws[1])[1] for density in (surrogate, posterior))
    assert np.abs(gradient - slope).max() > 0.2


def test_one_block_of_all_coefficients_is_exact_everywhere(case) -> None:
    posterior, mode, draws = case
    every, expansion = np.arange(posterior.terms.size), ExpansionPoint.of(posterior, mode)
    assert np.abs(log_ratio(posterior, block_statistics(expansion, [every]), draws[:5])).max() < 0.1
    # Negative control: two halves are not.
    halves = block_statistics(expansion, [every[::2], every[1::2]])
    assert np.abs(log_ratio(posterior, halves, draws[:5])).max() > 0.5


def test_blocks_follow_the_density_of_draws_and_larger_ones_better(case) -> None:
    posterior, mode, draws = case
    expansion = ExpansionPoint.of(posterior, mode)
    blocks = (coefficient_blocks(expansion, draws[:24], (size,)) for size in (24, 48, 96))
    surrogates = (block_statistics(expansion, own) for own in blocks)
    errors = [np.std(log_ratio(posterior, own, draws[24:])) for own in surrogates]
    assert errors[2] < errors[1] < errors[0]
    surrogate = approximate(posterior, mode, draws[:24])
    error = np.std(log_ratio(posterior, surrogate, draws[24:]))
    assert error < 0.5
    # Negative control: without the covariances between blocks.
    statistics = surrogate.statistics._replace(cross=0 * surrogate.statistics.cross)
    separate = replace(surrogate, statistics=statistics)
    assert np.std(log_ratio(posterior, separate, draws[24:])) > 1.1 * error


def test_compiled_density_equals_the_numpy_one(case) -> None:
    posterior, mode, draws = case
    for dtype, digits in ((np.float64, 1e-8), (np.float32, 0.05)):
        surrogate = approximate(posterior, mode, draws[:24], dtype)
        for at in draws[:3]:
            value, gradient = surrogate.value_and_grad(at)
            padded = np.pad(at, (0, surrogate.compiled.size - len(at)))
            other, slope = jax.value_and_grad(surrogate.compiled.potential)(padded)
            slope = slope[: len(at)]
            assert value == pytest.approx(float(other), abs=digits)
            np.testing.assert_allclose(gradient, slope, atol=digits)
            # Negative control: in single precision they are not identical.
            assert (np.abs(gradient - slope).max() > 1e-8) == (dtype == np.float32)


def test_single_precision_suffices_for_millions_of_rows_and_wide_priors() -> None:
    # Repetitions of fewer rows would be interpolated, with scales up to where rounding decides.
    posterior = of_more_rows(marginal_posterior(WORLD.dataset(40_000, seed=0), MODEL), 20)
    approximation = Approximation.of(posterior, posterior.start, progress=False)
    mode, draws = approximation.point, approximation.points(40, np.random.default_rng(0))
    both = [approximate(posterior, mode, draws[:24], dtype) for dtype in (np.float32, np.float64)]
    padded = np.pad(draws[24:], ((0, 0), (0, both[0].compiled.size - len(mode))))
    single, double = ([*map(jax.jit(own.compiled.potential), padded)] for own in both)
    # Errors of 0.2 come with divergent trajectories from ten million rows on.
    np.testing.assert_allclose(single, double, atol=0.05)
    scales = posterior.priors.positions["scale"]
    for shift in (2.0, 3.5, 5.0):
        wide = mode.copy()
        wide[scales] += shift
        assert all(np.isfinite(own).all() for own in both[0].value_and_grad(wide))


def test_lift_tests_are_part_of_the_surrogate() -> None:
    data = WORLD.dataset(800, seed=0)
    posterior, mode, draws = at_mode(data.add_lift_test("a1", -0.5, 0.4, effect=0.9, se=0.05))
    value, gradient = approximate(posterior, mode, draws[:24]).value_and_grad(mode)
    exact, slope = posterior.value_and_grad(mode)
    assert value == pytest.approx(exact, abs=0.05)
    # Pseudo-observations have their weight at the mode for every value of the noise.
    others = np.arange(len(mode)) != posterior.priors.positions["noise_sd"]
    np.testing.assert_allclose(gradient[others], slope[others], atol=0.05)
    # Negative control: without the test.
    assert value != pytest.approx(marginal_posterior(data, MODEL).value(mode), abs=0.5)


@pytest.mark.parametrize("size", [0.0, 1e-158, 1e-9], ids=["zero", "tiny", "small"])
def test_nearly_constant_columns_do_no_harm(case, size: float) -> None:
    posterior, mode, draws = case
    factor = np.ones(posterior.terms.size)
    factor[3::7] = size
    sums = posterior.sums._replace(factor=posterior.sums.factor.rescale(np.append(factor, 1)))
    scaled = MarginalPosterior.given(posterior.priors, sums, posterior.terms)
    at = find_mode(scaled, mode, progress=False)
    points = draws[:24] - mode + at
    assert np.std(log_ratio(scaled, approximate(scaled, at, points), points)) < 0.3
    # Negative control: the density itself varies much more over these points.
    assert np.std([scaled.value(point) for point in points]) > 1


@pytest.mark.parametrize("gp", [bi.GP(size=40), bi.GP(lengthscale=bi.LogNormal(4.0, 0.5))])
def test_uninformed_coefficients_belong_to_a_block(gp) -> None:
    rng = np.random.default_rng(0)
    actions = rng.normal(size=(400, 3))
    # The first action was always set: no row informs its bias.
    intervened = np.column_stack([np.ones(400), np.arange(400) >= 200, np.zeros(400)]) > 0
    outcome = actions.sum(axis=1) + rng.normal(size=400)
    data = bi.RegimeData.from_arrays(actions, outcome, intervened, require_observational=False)
    posterior = marginal_posterior(data, bi.models.additive(gp))
    assert (np.diag(posterior.sums.xx) == 0).any()
    expansion = ExpansionPoint.of(posterior, posterior.start)
    dispersion = rng.normal(size=(24, len(posterior.start))) * posterior.priors.flat.sd
    blocks = coefficient_blocks(expansion, posterior.start + dispersion)
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.arange(posterior.terms.size))
    value, _ = block_statistics(expansion, blocks).value_and_grad(posterior.start)
    assert value == pytest.approx(posterior.value(posterior.start), abs=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_intgen.DataWarning")
def test_fits_of_few_levels_do_not_diverge() -> None:
    """Where priors are wide, rounding of the surrogate once made a draw in two hundred diverge."""
    diverging, rejected, draws = 0, 0, 0
    for seed in range(20_500, 20_506):
        world = Ordered.random(3, seed, levels=3)
        posterior = bi.fit(world.dataset(1000, seed), draws=300, progress=False)
        statistics = posterior.tree["sample_stats"]
        diverging += int(statistics["diverging"].sum())
        rejected += int((~statistics["accepted"]).sum())
        draws += statistics["diverging"].size
    assert diverging <= draws / 2000
    # There is a surrogate.
    assert rejected
