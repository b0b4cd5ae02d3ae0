import jax
import numpy as np
import pytest
from _marginals import marginal_posterior, of_more_rows
from numpyro.infer.util import potential_energy

import bayes_intgen as bi
from bayes_intgen.inference.density.approximation import find_mode
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.simulators import Polynomial

from conftest import marginal_program


def of_model(data: bi.RegimeData, **options: object) -> MarginalPosterior:
    return marginal_posterior(data, bi.models.additive(intercept=(1.5, 0.3), **options))


MATERN = {"prior": bi.GP(kernel="matern32"), "bias": {"red": bi.GP(kernel="matern52")}}


@pytest.mark.parametrize(
    ("model", "lifted"), [({}, False), ({}, True), ({"prior": "spline"}, True), (MATERN, False)]
)
def test_compiled_and_numpy_densities_are_those_of_the_program(data, model, lifted) -> None:
    if lifted:
        data = data.add_lift_test("red", -0.5, 0.5, effect=0.9, se=0.05)
    target, rng = of_model(data, **model), np.random.default_rng(0)
    at = target.start + 0.7 * rng.normal(size=len(target.start))
    value, gradient = target.value_and_grad(at)
    with jax.enable_x64(True):

        def of_program(flat):
            sites = {n: flat[i] for n, i in target.priors.positions.items()}
            return potential_energy(marginal_program, (target.priors, target.sums), {}, sites)

        expected, slopes = jax.value_and_grad(of_program)(at)
        padded = np.append(at, np.arange(1.0, target.compiled.size - len(at) + 1))
        of_vector = type(target.compiled)
        compiled = jax.jit(jax.value_and_grad(of_vector.potential, argnums=1))
        compiled_value, compiled_gradient = compiled(target.compiled, padded)
        normal = rng.normal(size=len(target.compiled.mean))
        drawn_value, drawn = jax.jit(of_vector.potential_and_draw)(target.compiled, padded, normal)
    expected = float(expected)
    assert float(drawn_value) == pytest.approx(float(compiled_value), rel=1e-11)
    size = target.terms.size
    (of_conditional,) = target.conditional(target.sites(at)).draw(normal[None, :size])
    np.testing.assert_allclose(drawn[:size], of_conditional, rtol=1e-7, atol=1e-7)
    assert value == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-8, atol=1e-8)
    # Sites of the padding are standard normal and change nothing else.
    rest = padded[len(at) :]
    assert float(compiled_value) == pytest.approx(expected + rest @ rest / 2, rel=1e-11)
    np.testing.assert_allclose(compiled_gradient, [*slopes, *rest], rtol=1e-8, atol=1e-8)
    # Negative control: another point.
    assert value != pytest.approx(target.value_and_grad(target.start)[0], rel=1e-6)


@pytest.mark.parametrize("prior", ["gp", "spline"])
def test_hessian_is_that_of_differences_of_the_gradient(data, prior) -> None:
    target = of_model(data, prior=prior)
    at = target.start + 0.3 * np.random.default_rng(2).normal(size=target.start.size)
    steps = 1e-5 * np.eye(len(at))
    ahead, behind = ([target.value_and_grad(at + e)[1] for e in own] for own in (steps, -steps))
    expected = np.subtract(ahead, behind) / 2e-5
    scale = np.abs(expected).max()
    np.testing.assert_allclose(target.hessian(at), expected, atol=1e-3 * scale)
    # Negative control: another point.
    assert np.abs(target.hessian(at + 0.1) - expected).max() > 1e-2 * scale


def test_search_recovers_from_points_without_a_cholesky_factor() -> None:
    # Statistics of billions of rows: steep gradients make for long steps.
    world = Polynomial.random(4, seed=7)
    few = of_model(world.dataset(40_000, seed=0), graph=world.graph)
    target = of_more_rows(few, 2e5)
    start = target.start
    mode = find_mode(target, start, progress=False)
    # Rounding decides where it ends; another search from there gains next to nothing.
    again = find_mode(target, mode, progress=False)
    before, after, last = (target.value(at) for at in (start, mode, again))
    assert before - after > 1e8
    assert after - last < 0.01 * (before - after)


def test_densities_of_similar_size_share_compiled_programs(data) -> None:
    """Whatever their kernels and the numbers of their scales and lengthscales."""

    def program(**options: object) -> object:
        return jax.tree.map(np.shape, of_model(data, **options).compiled)

    gp = program()
    assert gp == program(**MATERN) == program(prior="spline", bias={"red": bi.GP()})
    # Negative control: far fewer coefficients.
    assert gp != program(prior="linear")
