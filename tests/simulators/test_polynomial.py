from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bayes_intgen.simulators import Polynomial
from bayes_intgen.simulators.polynomial import LAWS, NOISE_SD, density, draw, in_last, quadratic


@pytest.mark.parametrize("law", LAWS)
def test_densities_of_the_laws(law: str) -> None:
    sd = 0.3
    scale = {"gaussian": sd, "uniform": 2 * np.sqrt(3) * sd, "logistic": sd * np.sqrt(3) / np.pi}
    expected = {
        "gaussian": stats.norm(scale=scale["gaussian"]),
        "uniform": stats.uniform(-np.sqrt(3) * sd, scale["uniform"]),
        "logistic": stats.logistic(scale=scale["logistic"]),
    }[law]
    at = np.array([-1.3, -0.3, 0.0, 0.2, 0.7, 500.0])
    np.testing.assert_allclose(density(law, sd, at), expected.pdf(at))
    draws = draw(law, sd, 2000, np.random.default_rng(0))
    assert stats.kstest(draws, expected.cdf).pvalue > 1e-3


def test_the_square_of_a_normal_is_chi_squared() -> None:
    """A = v^2: both roots count, and the density has a pole at zero."""
    square = np.array([0.0, 0, 0, 0, 0, 1])
    model = replace(
        Polynomial.random(1, seed=0), action_coefficients=(square,), action_laws=("gaussian",)
    )
    values = np.array([-0.01, 1e-6, 1e-3, 0.01, 0.1])
    blank = np.zeros((len(values), 1))
    target = stats.chi2.pdf(values, 1, scale=NOISE_SD**2)
    np.testing.assert_allclose(model.action_density(0, values, blank, blank), target)


@pytest.mark.parametrize("curvature", [0.0, 1e-14, -1e-9])
def test_a_straight_line_is_the_limit_of_a_curve(curvature: float) -> None:
    line = np.array([0.2, 0.0, -0.5, 0, 0, curvature])
    model = replace(
        Polynomial.random(1, seed=0), action_coefficients=(line,), action_laws=("logistic",)
    )
    values = np.array([0.1, 0.2, 0.3])
    blank = np.zeros((3, 1))
    target = density("logistic", 0.5 * NOISE_SD, values - 0.2)
    np.testing.assert_allclose(model.action_density(0, values, blank, blank), target, rtol=1e-6)


def test_the_polynomial_in_its_last_variable() -> None:
    rng = np.random.default_rng(0)
    variables = [rng.normal(size=20) for _ in range(4)]
    coefficients = rng.normal(size=15)
    constant, slope, curvature = in_last(coefficients, variables[:-1])
    v = variables[-1]
    np.testing.assert_allclose(
        constant + slope * v + curvature * v**2, quadratic(coefficients, variables)
    )
