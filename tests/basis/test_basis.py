import numpy as np
import pytest
from scipy.interpolate import BSpline

import bayes_intgen as bi
from bayes_intgen.basis.basis import (
    Atom,
    HSGPBasis,
    LinearBasis,
    MonomialBasis,
    Parabola,
    PenalisedSpline,
    PiecewiseLinear,
)
from bayes_intgen.basis.combined import KarhunenLoeveBasis
from bayes_intgen.basis.coordinate import Coordinate

RNG = np.random.default_rng(0)
HEAVY = RNG.standard_t(2, size=(4000, 1)) * 3 + 7
OTHER = RNG.uniform(-1, 5, size=(4000, 1))


def coordinate(values: np.ndarray = HEAVY) -> Coordinate:
    return Coordinate.of(values[:, 0])


def hsgp(values: np.ndarray = HEAVY) -> HSGPBasis:
    return HSGPBasis.of(values, coordinate(values), margin=2.0, size=16)


@pytest.mark.parametrize(
    "basis",
    [
        hsgp(),
        LinearBasis.of(HEAVY, coordinate()),
        Parabola.of(HEAVY, coordinate()),
        PenalisedSpline.of(HEAVY, coordinate()),
        MonomialBasis.of(HEAVY, coordinate(), 3),
        PiecewiseLinear.exchangeable(HEAVY, tuple(np.quantile(HEAVY, [0, 0.2, 0.5, 0.9, 1]))),
        PiecewiseLinear.random_walk(HEAVY, tuple(np.quantile(HEAVY, [0, 0.2, 0.5, 0.9, 1]))),
    ],
    ids=lambda b: type(b).__name__,
)
def test_functions_have_mean_zero_over_the_data(basis) -> None:
    matrix = basis.matrix(HEAVY)
    assert matrix.shape == (len(HEAVY), basis.size)
    assert np.linalg.matrix_rank(matrix) == basis.size
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-9 * np.abs(matrix).max())


def test_spline_with_line_spans_the_b_splines() -> None:
    basis = PenalisedSpline.of(OTHER, coordinate(OTHER), intervals=6)
    z = coordinate(OTHER)(OTHER[:, 0])
    raw = BSpline.design_matrix(z, np.array(basis.knots), 3).toarray()
    together = np.column_stack([np.ones(len(z)), z, basis.matrix(OTHER)])
    assert basis.size == raw.shape[1] - 2
    # Straight lines and the rotated functions span the same space as the B-splines.
    assert np.linalg.matrix_rank(np.column_stack([raw, together])) == raw.shape[1]
    assert np.linalg.matrix_rank(together) == raw.shape[1]
    assert basis.matrix(OTHER).var(axis=0).sum() == pytest.approx(1)


def test_spline_prior_is_the_second_difference_penalty() -> None:
    basis = PenalisedSpline.of(OTHER, coordinate(OTHER), intervals=6)
    knots = np.array(basis.knots)
    greville = np.array([knots[i + 1 : i + 4].mean() for i in range(len(knots) - 4)])
    h = np.diff(greville) / np.diff(greville).mean()
    weights = np.random.default_rng(1).normal(size=(2, basis.size))
    roughness = np.sum(np.diff(np.diff(weights @ basis.rotation.T) / h) ** 2, axis=1)
    # beta ~ N(0, I) exactly when the penalty of the function is a multiple of |beta|^2.
    ratios = roughness / np.sum(weights**2, axis=1)
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-6)


def test_karhunen_loeve_basis_reproduces_the_prior_variance() -> None:
    basis = hsgp()
    sd = np.exp(-np.arange(basis.size) / 3)
    whole = ((basis.matrix(HEAVY) * sd) ** 2).sum(axis=1).mean()
    full, few = (KarhunenLoeveBasis.of(HEAVY, basis, sd, size) for size in (basis.size, 4))
    assert (full.matrix(HEAVY) ** 2).sum(axis=1).mean() == pytest.approx(whole)
    sizes = (few.matrix(HEAVY) ** 2).mean(axis=0)
    assert (np.diff(sizes) < 0).all()
    assert 0.9 * whole < sizes.sum() < whole
    gram = few.matrix(HEAVY).T @ few.matrix(HEAVY) / len(HEAVY)
    np.testing.assert_allclose(gram, np.diag(sizes), atol=1e-10)


def test_nearly_coincident_knots_are_merged() -> None:
    values = np.concatenate([np.full((300, 1), 0.3) + 1e-13 * np.arange(300)[:, None], OTHER])
    basis = PenalisedSpline.of(values, coordinate(values))
    inner = np.unique(basis.knots)
    assert np.diff(inner).min() > 1e-3 * np.ptp(inner)
    assert np.isfinite(basis.matrix(values)).all()


def test_spline_of_two_values_raises() -> None:
    two = np.repeat([[0.0], [1.0]], [30, 11], axis=0)
    with pytest.raises(bi.ModelError, match="prior 'linear'"):
        PenalisedSpline.of(two, coordinate(two), degree=1)


def test_atom_is_a_frequent_value_among_others_that_hardly_repeat() -> None:
    spend = np.where(np.arange(1000) % 3 == 0, 0.0, np.exp(RNG.normal(size=1000)))[:, None]
    atom = Atom.of(spend)
    assert atom is not None
    assert atom.value == 0.0
    columns = atom.matrix(spend)
    assert columns.mean() == pytest.approx(0, abs=1e-12)
    assert np.ptp(columns[spend[:, 0] == 0]) == 0
    assert columns[0, 0] - columns[1, 0] == pytest.approx(1)
    # Counts have no atom, nor does a value that is only slightly more frequent.
    assert Atom.of(RNG.poisson(1.5, size=(1000, 1)).astype(float)) is None
    assert Atom.of(np.where(np.arange(1000) < 30, 0.0, RNG.normal(size=1000))[:, None]) is None


KNOTS = (0.0, 1.0, 3.0, 7.0, 8.0)
STEPS = RNG.choice(KNOTS, p=[0.4, 0.1, 0.1, 0.2, 0.2], size=500)[:, None]
AT_KNOTS = np.array(KNOTS)[:, None]


def test_exchangeable_knots_are_equally_far_apart() -> None:
    values = PiecewiseLinear.exchangeable(STEPS, KNOTS).matrix(AT_KNOTS)
    squares = np.sum((values[:, None] - values) ** 2, axis=2)
    np.testing.assert_allclose(squares, 2 - 2 * np.eye(5), rtol=1e-6)


def test_random_walk_has_independent_steps_of_equal_variance() -> None:
    values = PiecewiseLinear.random_walk(STEPS, KNOTS).matrix(AT_KNOTS)
    steps = np.sum(np.diff(values, axis=0) ** 2, axis=1)
    np.testing.assert_allclose(steps, steps[0])
    # Two independent steps have twice the variance of one.
    assert np.sum((values[2] - values[0]) ** 2) == pytest.approx(2 * steps[0])
    covariance = values @ values.T
    assert np.trace(covariance - covariance.mean(axis=0)) / 4 == pytest.approx(1)
