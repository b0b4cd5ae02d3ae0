import numpy as np
import pytest
from scipy import optimize, special

from bayes_intgen.models.roots import increasing_roots


def test_roots_equal_those_of_brent() -> None:
    rng = np.random.default_rng(0)
    shift, steepness = rng.normal(scale=100, size=40), np.exp(rng.normal(scale=4, size=40))

    def function(x):
        return special.ndtr(steepness * (x - shift)) - 0.3

    roots = increasing_roots(function, np.full(40, -1.0), np.full(40, 1.0), 1e-12)
    for i, root in enumerate(roots):
        expected = optimize.brentq(
            lambda x, i=i: special.ndtr(steepness[i] * (x - shift[i])) - 0.3, -1e5, 1e5, xtol=1e-13
        )
        # The function is known to some 1e-15, where its slope is at least 0.3 times its steepness.
        assert abs(root - expected) < 1e-12 + 1e-14 / steepness[i]


def test_flat_parts_and_jumps_have_the_point_of_the_change_of_sign() -> None:
    def staircase(x):
        return np.clip(np.floor(x) + 0.5, -0.5, 0.5)

    assert abs(increasing_roots(staircase, np.array([-40.0]), np.array([3.0]), 1e-12)[0]) < 1e-11


def test_brackets_are_widened_by_powers_of_two() -> None:
    evaluations = []

    def function(x):
        evaluations.append(x.copy())
        return np.tanh(x - 1e6)

    root = increasing_roots(function, np.array([0.0]), np.array([1.0]), 1e-9)
    np.testing.assert_allclose(root, 1e6, rtol=1e-14)
    assert len(evaluations) < 100


def test_a_function_without_a_root_is_an_error() -> None:
    with np.errstate(over="ignore"), pytest.raises(ArithmeticError, match="no bracket"):
        increasing_roots(lambda x: np.full(x.shape, 0.5), np.zeros(1), np.ones(1), 1e-9)
