from dataclasses import replace

import jax
import numpy as np
import pytest
from _marginals import marginal_posterior, of_more_rows
from numpyro.infer.util import potential_energy

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import QUICK_TOLERANCE, MarginalPosterior
from bayes_intgen.simulators import Polynomial

from conftest import marginal_program


def of_model(data: bi.RegimeData, **options: object) -> MarginalPosterior:
    return marginal_posterior(data, bi.models.additive(intercept=(1.5, 0.3), **options))


MODELS = [
    {},
    {"prior": "spline"},
    {"prior": bi.GP(kernel="matern32"), "bias": {"red": bi.GP(kernel="matern52")}},
]


@pytest.mark.parametrize("model", MODELS, ids=["gp", "spline", "matern"])
@pytest.mark.parametrize("lifted", [False, True])
def test_compiled_and_numpy_densities_are_those_of_the_program(data, model, lifted) -> None:
    if lifted:
        data = data.add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.05)
    posterior = of_model(data, **model)
    rng = np.random.default_rng(0)
    at = posterior.start + rng.normal(size=len(posterior.start)) * 0.7
    value, gradient = posterior.value_and_grad(at)
    with jax.enable_x64(True):

        def of_program(flat):
            sites = posterior.layout.sites(flat)
            return potential_energy(marginal_program, (posterior.priors, posterior.sums), {}, sites)

        expected, slopes = jax.value_and_grad(of_program)(at)
        density = posterior.density
        padded = np.append(at, np.arange(1.0, density.padding + 1))
        compiled_value, compiled_gradient = jax.jit(
            jax.value_and_grad(density.potential(density.data))
        )(padded)
    expected = float(expected)
    assert value == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-8)
    # Sites of the padding are standard normal and change nothing else.
    rest = padded[len(at) :]
    assert float(compiled_value) == pytest.approx(expected + rest @ rest / 2, rel=1e-11)
    np.testing.assert_allclose(compiled_gradient, [*slopes, *rest], rtol=1e-8, atol=1e-8)
    # Negative control: another point.
    assert value != pytest.approx(posterior.value_and_grad(posterior.start)[0], rel=1e-6)


def test_mode_has_zero_gradient_and_the_hessian_of_finite_differences(data) -> None:
    posterior = of_model(data, prior="linear")
    mode = posterior.mode(posterior.start, progress=False)
    lowest, gradient = posterior.value_and_grad(mode)
    assert np.abs(gradient * posterior.prior_sd).max() < 0.05
    rng = np.random.default_rng(1)
    for _ in range(5):
        assert posterior.value_and_grad(mode + 0.3 * rng.normal(size=len(mode)))[0] > lowest
    precision = np.linalg.inv(posterior.covariance(mode))
    step = 1e-4 * np.eye(len(mode))
    second = [
        (posterior.value_and_grad(mode + e)[0] + posterior.value_and_grad(mode - e)[0] - 2 * lowest)
        / 1e-8
        for e in step
    ]
    # Directions that the data do not inform have the prior variance, up to the bound.
    informed = np.array(second) * posterior.prior_sd**2 > 0.8
    assert informed.sum() > 3
    np.testing.assert_allclose(np.diag(precision)[informed], np.array(second)[informed], rtol=0.05)


@pytest.mark.parametrize("prior", ["gp", "spline"])
def test_hessian_is_that_of_differences_of_the_gradient(data, prior) -> None:
    posterior = of_model(data, prior=prior)
    at = posterior.start + 0.3 * np.random.default_rng(2).normal(size=len(posterior.start))
    steps = 1e-5 * np.eye(len(at))
    difference = np.array(
        [posterior.value_and_grad(at + e)[1] - posterior.value_and_grad(at - e)[1] for e in steps]
    )
    scale = np.abs(difference / 2e-5).max()
    np.testing.assert_allclose(posterior.hessian(at), difference / 2e-5, atol=1e-3 * scale)
    # Negative control: another point.
    assert np.abs(posterior.hessian(at + 0.1) - difference / 2e-5).max() > 1e-2 * scale


def test_search_is_equally_exact_in_any_unit_of_the_outcome(data) -> None:
    # Far less noise than the prior expects, for a long search.
    noise = 0.02 * np.random.default_rng(0).normal(size=len(data))
    outcome = np.sin(data.actions).sum(axis=1) + noise
    model = bi.models.additive()

    def of_unit(unit: float) -> MarginalPosterior:
        return marginal_posterior(replace(data, outcome=unit * outcome), model)

    plain = of_unit(1.0)
    # The unit in which the log density is zero where the search starts.
    zero = np.exp(-plain.value(plain.start) / len(data))
    for unit in (1.0, zero, 1e6):
        posterior = of_unit(unit)
        change = posterior.value(posterior.start) - plain.value(plain.start)
        assert change == pytest.approx(len(data) * np.log(unit), abs=1e-6)
        quick, best = (
            posterior.value(posterior.mode(posterior.start, False, tolerance))
            for tolerance in (QUICK_TOLERANCE, 1e-6)
        )
        assert best <= quick < best + 3 * QUICK_TOLERANCE
        assert posterior.value(posterior.start) > best + 500


def test_search_recovers_from_points_without_a_cholesky_factor() -> None:
    # Statistics of billions of rows: steep gradients make for long steps.
    world = Polynomial.random(4, seed=7)
    few = of_model(world.dataset(40_000, seed=0), graph=world.graph)
    posterior = of_more_rows(few, 2e5)
    start = posterior.start
    mode = posterior.mode(start, progress=False)
    # Rounding decides where it ends; another search from there gains next to nothing.
    again = posterior.mode(mode, progress=False)
    before, after, last = (posterior.value(at) for at in (start, mode, again))
    assert before - after > 1e8
    assert after - last < 0.01 * (before - after)
