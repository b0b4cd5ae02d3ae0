import numpy as np
import pytest

from bayes_intgen.basis.basis import PiecewiseLinear

RNG = np.random.default_rng(0)
KNOTS = (0.0, 1.0, 3.0, 7.0, 8.0)
ROWS = RNG.choice(KNOTS, p=[0.4, 0.1, 0.1, 0.2, 0.2], size=500)[:, None]


def at_knots(basis: PiecewiseLinear) -> np.ndarray:
    return basis.matrix(np.array(KNOTS)[:, None])


def test_exchangeable_knots_are_equally_far_apart() -> None:
    values = at_knots(PiecewiseLinear.exchangeable(ROWS, KNOTS))
    for i in range(5):
        for j in range(i):
            assert np.sum((values[i] - values[j]) ** 2) == pytest.approx(2)


def test_random_walk_has_independent_steps_of_equal_variance() -> None:
    values = at_knots(PiecewiseLinear.random_walk(ROWS, KNOTS))
    steps = np.sum(np.diff(values, axis=0) ** 2, axis=1)
    np.testing.assert_allclose(steps, steps[0])
    # Two independent steps have twice the variance of one.
    assert np.sum((values[2] - values[0]) ** 2) == pytest.approx(2 * steps[0])
    covariance = values @ values.T
    assert np.trace(covariance - covariance.mean(axis=0)) / 4 == pytest.approx(1)


def test_both_constructions_agree_for_two_levels() -> None:
    both = [
        build(np.array([[0.0], [1.0]]), (0.0, 1.0)).matrix(np.array([[0.0], [1.0]]))
        for build in (PiecewiseLinear.exchangeable, PiecewiseLinear.random_walk)
    ]
    np.testing.assert_allclose(np.abs(np.diff(both[0], axis=0)), np.abs(np.diff(both[1], axis=0)))


def test_functions_are_linear_between_knots_and_constant_beyond() -> None:
    basis = PiecewiseLinear.random_walk(ROWS, KNOTS)
    at = np.array([[2.0], [-5.0], [0.0], [8.0], [99.0]])
    middle, before, first, last, after = basis.matrix(at)
    np.testing.assert_allclose(middle, at_knots(basis)[1:3].mean(axis=0))
    np.testing.assert_array_equal(before, first)
    np.testing.assert_array_equal(after, last)
