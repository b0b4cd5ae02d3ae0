import jax
import numpy as np
import pytest
from numpyro.contrib.hsgp.laplacian import eigenfunctions
from scipy.interpolate import BSpline

import bayes_intgen as bi
from bayes_intgen.bases import (
    Constant,
    Coordinate,
    Evaluation,
    Joined,
    PenalisedSpline,
    Powers,
    Principal,
    Products,
    Sines,
    Slope,
)

RNG = np.random.default_rng(0)
HEAVY = RNG.standard_t(2, size=(4000, 1)) * 3 + 7
OTHER = RNG.uniform(-1, 5, size=(4000, 1))


def coordinate(values: np.ndarray = HEAVY) -> Coordinate:
    return Coordinate.of(values[:, 0])


def test_a_coordinate_is_standard_in_the_middle_and_drawn_in_at_the_tails() -> None:
    scale = coordinate()
    near = scale.centre + np.array([-0.5, 0.0, 0.5]) * scale.spread
    np.testing.assert_allclose(scale(near), [-0.5, 0, 0.5], rtol=0.01)
    far = Coordinate(0.0, 1.0, -100.0, 100.0)
    assert far(np.array([20.0]))[0] == pytest.approx(4 * np.arcsinh(5))
    assert far(np.array([1e6]))[0] == far(np.array([100.0]))[0]


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_a_coordinate_does_not_depend_on_units(factor: float) -> None:
    np.testing.assert_allclose(
        coordinate(HEAVY * factor)(HEAVY[:, 0] * factor), coordinate()(HEAVY[:, 0]), rtol=1e-9
    )


def test_a_budget_that_is_mostly_zero_has_a_spread() -> None:
    values = np.where(np.arange(100) < 90, 0.0, 10.0)
    assert Coordinate.of(values).spread == pytest.approx(0.1 * values.std())


@pytest.mark.parametrize(
    "basis",
    [
        Sines.of(HEAVY, coordinate()),
        Slope.of(HEAVY, coordinate()),
        PenalisedSpline.of(HEAVY, coordinate()),
        Powers.of(HEAVY, coordinate(), 3),
    ],
    ids=lambda b: type(b).__name__,
)
def test_functions_average_zero_over_the_data(basis) -> None:
    matrix = basis.matrix(HEAVY)
    assert matrix.shape == (len(HEAVY), basis.size)
    assert np.linalg.matrix_rank(matrix) == basis.size
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-9 * np.abs(matrix).max())


def test_sines_are_numpyros_eigenfunctions() -> None:
    basis = Sines.of(HEAVY, coordinate())
    low, high = coordinate().ends
    z = coordinate()(HEAVY[:, 0]) - (low + high) / 2
    with jax.enable_x64(True):
        expected = np.asarray(eigenfunctions(z, basis.box, basis.size))
    np.testing.assert_allclose(basis.matrix(HEAVY), expected - expected.mean(axis=0), atol=1e-12)


def test_a_spline_spans_the_b_splines_and_penalises_curvature_only() -> None:
    basis = PenalisedSpline.of(OTHER, coordinate(OTHER), intervals=6)
    z = coordinate(OTHER)(OTHER[:, 0])
    raw = BSpline.design_matrix(z, np.array(basis.knots), 3).toarray()
    together = np.column_stack([np.ones(len(z)), z, basis.matrix(OTHER)])
    assert basis.size == raw.shape[1] - 2
    # Straight lines and the rotated functions together span exactly what B-splines span.
    assert np.linalg.matrix_rank(np.column_stack([raw, together])) == raw.shape[1]
    assert np.linalg.matrix_rank(together) == raw.shape[1]
    assert basis.matrix(OTHER).var(axis=0).sum() == pytest.approx(1)


def test_the_prior_of_a_spline_is_the_second_difference_penalty() -> None:
    basis = PenalisedSpline.of(OTHER, coordinate(OTHER), intervals=6)
    knots = np.array(basis.knots)
    greville = np.array([knots[i + 1 : i + 4].mean() for i in range(len(knots) - 4)])
    h = np.diff(greville) / np.diff(greville).mean()
    weights = np.random.default_rng(1).normal(size=basis.size)
    heights = basis.rotation @ weights
    roughness = np.sum(np.diff(np.diff(heights) / h) ** 2)
    # beta ~ N(0, I) exactly when the penalty of the function is a multiple of |beta|^2.
    others = np.random.default_rng(2).normal(size=basis.size)
    again = np.sum(np.diff(np.diff(basis.rotation @ others) / h) ** 2)
    assert roughness / (weights @ weights) == pytest.approx(again / (others @ others), rel=1e-6)


def test_principal_functions_reproduce_the_prior_variance() -> None:
    basis = Sines.of(HEAVY, coordinate())
    sd = np.exp(-np.arange(basis.size) / 3)
    whole = ((basis.matrix(HEAVY) * sd) ** 2).sum(axis=1).mean()
    full = Principal.of(HEAVY, basis, sd, basis.size)
    few = Principal.of(HEAVY, basis, sd, 4)
    assert (full.matrix(HEAVY) ** 2).sum(axis=1).mean() == pytest.approx(whole)
    sizes = (few.matrix(HEAVY) ** 2).mean(axis=0)
    assert (np.diff(sizes) < 0).all()
    assert 0.9 * whole < sizes.sum() < whole
    gram = few.matrix(HEAVY).T @ few.matrix(HEAVY) / len(HEAVY)
    np.testing.assert_allclose(gram, np.diag(sizes), atol=1e-10)


def test_products_keep_the_smooth_ones_and_use_each_input() -> None:
    first = Principal.of(
        HEAVY,
        Sines.of(HEAVY, coordinate()),
        np.ones(8 + 12)[: Sines.of(HEAVY, coordinate()).size],
        4,
    )
    own = Sines.of(OTHER, coordinate(OTHER))
    second = Principal.of(OTHER, own, np.ones(own.size), 4)
    products = Products((first, second), order=4)
    both = np.concatenate([HEAVY, OTHER], axis=1)
    left, right = first.matrix(HEAVY), second.matrix(OTHER)
    expected = [left[:, i] * right[:, j] for i in range(4) for j in range(4) if i + j < 4]
    np.testing.assert_allclose(products.matrix(both), np.stack(expected, axis=1))
    assert products.size == 10


def test_joined_bases_stand_side_by_side() -> None:
    slope, sines = Slope.of(HEAVY, coordinate()), Sines.of(HEAVY, coordinate())
    joined = Joined(slope, sines)
    np.testing.assert_array_equal(joined.matrix(HEAVY)[:, 1:], sines.matrix(HEAVY))
    assert joined.size == 1 + sines.size


def test_knots_that_all_but_coincide_become_one() -> None:
    values = np.concatenate([np.full((300, 1), 0.3) + 1e-13 * np.arange(300)[:, None], OTHER])
    basis = PenalisedSpline.of(values, coordinate(values))
    inner = np.unique(basis.knots)
    assert np.diff(inner).min() > 1e-3 * np.ptp(inner)
    assert np.isfinite(basis.matrix(values)).all()


def test_a_spline_needs_values_to_bend_between() -> None:
    two = np.repeat([[0.0], [1.0]], [30, 11], axis=0)
    with pytest.raises(bi.ModelError, match="prior 'linear'"):
        PenalisedSpline.of(two, coordinate(two), degree=1)


def test_functions_evaluated_once_are_those_of_each_basis() -> None:
    both = np.concatenate([HEAVY, OTHER], axis=1)
    sines, slope = Sines.of(HEAVY, coordinate()), Slope.of(OTHER, coordinate(OTHER))
    few = Principal.of(HEAVY, sines, np.ones(sines.size), 3)
    evaluated = Evaluation(both)
    for basis, inputs in [
        (Constant(), ()),
        (sines, (0,)),
        (slope, (1,)),
        (few, (0,)),
        (Joined(slope, slope), (1,)),
        (Products((Joined(Constant(), few), slope), 3), (0, 1)),
        (Products((slope, few), 3), (1, 0)),
    ]:
        expected = basis.matrix(both[:, inputs])
        np.testing.assert_allclose(evaluated(basis, inputs).T, expected, atol=1e-12)


def test_products_of_three_keep_the_smooth_ones() -> None:
    slope = Slope.of(OTHER, coordinate(OTHER))
    own = Joined(Constant(), Powers.of(OTHER, coordinate(OTHER), 2))
    products = Products((own, slope, slope), 2)
    x = slope.matrix(OTHER)[:, 0]
    powers = own.matrix(OTHER)
    expected = np.stack([powers[:, 0] * x * x, powers[:, 1] * x * x], axis=1)
    np.testing.assert_allclose(products.matrix(OTHER[:, [0, 0, 0]]), expected, rtol=1e-12)
