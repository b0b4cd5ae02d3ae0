from dataclasses import replace

import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.density.log_density import ProgramDensity, energy_of
from bayes_intgen.inference.density.marginal_posterior import NEAR, MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.models.variance_function import Homoscedastic
from bayes_intgen.simulators import Polynomial

from conftest import marginal_program


def collapsed(data: bi.RegimeData, **model: object) -> MarginalPosterior:
    chosen = bi.models.additive(intercept=(1.5, 0.3), **model)
    terms = chosen.decompose(data)
    return MarginalPosterior.of(
        chosen, terms, sufficient_statistics(data, terms, Homoscedastic(), progress=False)
    )


MODELS = [
    {},
    {"prior": "spline"},
    {"prior": bi.GP(kernel="matern32"), "bias": {"red": bi.GP(kernel="matern52")}},
]


@pytest.mark.parametrize("model", MODELS, ids=["gp", "spline", "matern"])
@pytest.mark.parametrize("lifted", [False, True])
def test_what_is_walked_and_its_closed_form_are_the_program(data, model, lifted) -> None:
    if lifted:
        data = data.add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.05)
    posterior = collapsed(data, **model)
    rng = np.random.default_rng(0)
    at = posterior.start + rng.normal(size=len(posterior.start)) * 0.7
    value, gradient = posterior.energy(at)
    with jax.enable_x64(True):
        arguments = posterior.priors, posterior.sums
        expected, slopes = ProgramDensity(marginal_program, arguments, posterior.layout).energy(at)
        density = posterior.density
        value_walked, slopes_walked = energy_of(density.potential, density.data, at)
    assert value == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-8)
    # What is walked has padded arrays: that changes nothing.
    assert value_walked == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(slopes_walked, slopes, rtol=1e-8, atol=1e-8)
    # Negative control: the other point's.
    assert value != pytest.approx(posterior.energy(posterior.start)[0], rel=1e-6)


def test_the_mode_and_the_curvature_there(data) -> None:
    posterior = collapsed(data, prior="linear")
    mode = posterior.mode(posterior.start, progress=False)
    lowest, gradient = posterior.energy(mode)
    assert np.abs(gradient * posterior.prior_sd).max() < 0.05
    rng = np.random.default_rng(1)
    for _ in range(5):
        assert posterior.energy(mode + 0.3 * rng.normal(size=len(mode)))[0] > lowest
    precision = np.linalg.inv(posterior.covariance(mode))
    step = 1e-4 * np.eye(len(mode))
    second = [
        (posterior.energy(mode + e)[0] + posterior.energy(mode - e)[0] - 2 * lowest) / 1e-8
        for e in step
    ]
    # Directions that the data leave alone are as wide as the prior, up to the cut.
    known = np.array(second) * posterior.prior_sd**2 > 0.8
    assert known.sum() > 3
    np.testing.assert_allclose(np.diag(precision)[known], np.array(second)[known], rtol=0.05)


def test_a_search_ends_as_near_to_the_mode_in_any_unit_of_the_outcome(data) -> None:
    # Less noise than is expected: the search has a long way to go.
    noise = 0.02 * np.random.default_rng(0).normal(size=len(data))
    outcome = np.sin(data.actions).sum(axis=1) + noise
    model = bi.models.additive()

    def of_unit(unit: float) -> MarginalPosterior:
        scaled = replace(data, outcome=unit * outcome)
        terms = model.decompose(scaled)
        return MarginalPosterior.of(
            model, terms, sufficient_statistics(scaled, terms, Homoscedastic(), False)
        )

    plain = of_unit(1.0)
    # The unit in which the log density is zero where the search starts.
    zero = np.exp(-plain.value(plain.start) / len(data))
    for unit in (1.0, zero, 1e6):
        posterior = of_unit(unit)
        change = posterior.value(posterior.start) - plain.value(plain.start)
        assert change == pytest.approx(len(data) * np.log(unit), abs=1e-6)
        near, best = (
            posterior.value(posterior.mode(posterior.start, False, tolerance))
            for tolerance in (NEAR, 1e-6)
        )
        assert best <= near < best + 3 * NEAR
        assert posterior.value(posterior.start) > best + 500


def test_a_search_that_strays_where_rounding_leaves_no_factor_finds_its_way_back() -> None:
    # As of rows by the million million: steps of the search are as long as its slopes are steep.
    world = Polynomial.random(4, seed=5)
    few = collapsed(world.dataset(800, seed=0), graph=world.graph)
    sums = few.sums
    each = {name: 1e7 * getattr(sums, name) for name in ("rows", "xx", "xy", "yy")}
    posterior = MarginalPosterior(few.priors, sums._replace(**each), few.terms)
    start = few.mode(few.start, progress=False)
    mode = posterior.mode(start, progress=False)
    # Rounding decides where it ends; another search from there has next to nothing to add.
    again = posterior.mode(mode, progress=False)
    before, after, last = (posterior.value(at) for at in (start, mode, again))
    assert before - after > 1e8
    assert after - last < 0.01 * (before - after)


def test_a_draw_with_nothing_to_compile_has_the_moments_of_the_coefficients(data) -> None:
    posterior = collapsed(data, prior="linear")
    flat = posterior.mode(posterior.start, progress=False)
    count = 4000
    normal = np.random.default_rng(0).standard_normal((count, posterior.density.given_size))
    draws = np.stack([posterior.draw(flat, numbers) for numbers in normal])
    mean, covariance = posterior.moments(posterior.sites(flat))
    own, padding = np.split(draws, [posterior.size], axis=1)
    np.testing.assert_array_equal(padding, normal[:, posterior.size :])
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(own.mean(axis=0) - mean) < 4 * sd / np.sqrt(count)).all()
    correlation = covariance / np.outer(sd, sd)
    assert (np.abs(np.corrcoef(own.T) - correlation) < 4.5 / np.sqrt(count)).all()
    np.testing.assert_allclose(own.std(axis=0), sd, rtol=4 / np.sqrt(2 * count))


def test_a_point_of_other_terms_starts_where_they_ended(data) -> None:
    posterior = collapsed(data)
    fewer = MarginalPosterior.of(
        bi.models.additive(intercept=(1.5, 0.3)),
        posterior.terms.without({"phi(red)"}),
        posterior.sums,
    )
    sites = fewer.sites(fewer.start + 0.1)
    found = posterior.point(sites, fewer.terms)
    new = posterior.layout.positions["scale"][posterior.terms.scaled.index("phi(red)")]
    expected = posterior.start + 0.1
    expected[new] = posterior.start[new]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
