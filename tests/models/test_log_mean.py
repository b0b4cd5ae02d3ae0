import numpy as np
import pytest

from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.models.log_mean import estimate_log_mean
from bayes_intgen.models.sparse_features import SparseFeatures
from bayes_intgen.models.variance_function import Homoscedastic, estimate_variance_function

MASKS = np.array([[False, False], [True, False], [False, True]])
ROWS = 3000
# Shape of the gamma law of each hidden cause, and its slope.
SHAPE, SLOPES = 4.0, np.array([0.7, 0.5])


def cumulant(t: np.ndarray) -> np.ndarray:
    """Cumulant generating function of a standardised gamma variable."""
    root = np.sqrt(SHAPE)
    return -t * root - SHAPE * np.log1p(-t / root)


def residuals_of(rng: np.random.Generator, gamma: bool):
    """Actions, masks and noise of the logarithm, to which an action adds its cause where set.

    Where it was not set the action shows half of its cause.
    """
    masks = np.repeat(MASKS, ROWS, axis=0)
    causes = rng.gamma(SHAPE, size=masks.shape) - SHAPE
    causes = causes / np.sqrt(SHAPE) if gamma else rng.normal(size=masks.shape)
    noise = (causes * SLOPES * np.where(masks, 1.0, 0.5)).sum(axis=1)
    return rng.normal(size=masks.shape), masks, noise


def constant(rows: int) -> SparseFeatures:
    """Features of a constant variance."""
    return Homoscedastic().features(np.zeros((rows, 0)), np.zeros((rows, 0), dtype=bool))


def estimated(rng: np.random.Generator, gamma: bool):
    """Estimate, variance function in the outcome's units, and mean square of the noise."""
    actions, masks, noise = residuals_of(rng, gamma)
    scale = float(np.mean(noise**2))
    coordinates = tuple(Coordinate.of(column) for column in actions.T)
    spread = estimate_variance_function(actions, masks, noise**2, coordinates).spread
    features, variance = spread.features(actions, masks), scale * spread(actions, masks)
    estimate = estimate_log_mean(features, noise, variance, scale * spread.knot_values)
    return estimate, spread, scale


def at_joint(estimate, spread, scale) -> tuple[np.ndarray, np.ndarray]:
    """Half the variance, and the log mean, with both actions set."""
    points = np.random.default_rng(9).normal(size=(200, 2))
    all_set = np.ones(points.shape, dtype=bool)
    half = scale * spread(points, all_set) / 2
    return half, half + spread.features(points, all_set) @ estimate.values


def test_log_mean_under_a_mask_without_rows_is_that_of_the_law() -> None:
    fits = [estimated(np.random.default_rng(seed), gamma=True) for seed in range(4)]
    truth = cumulant(SLOPES).sum()
    half, total = (np.mean(parts) for parts in zip(*(at_joint(*f) for f in fits), strict=True))
    assert total == pytest.approx(truth, abs=0.035)
    # Negative control: a normal law with the same variance.
    assert half < truth - 0.06


def test_normal_noise_needs_no_difference_and_the_covariance_says_how_well_it_is_known() -> None:
    scores = []
    for seed in range(12):
        estimate, spread, _ = estimated(np.random.default_rng([seed, 1]), gamma=False)
        point = np.zeros((1, 2))
        feature = spread.dense_features(point, np.ones((1, 2), dtype=bool))[0]
        sd = np.sqrt(feature @ estimate.covariance @ feature)
        assert abs(estimate.slope) < 0.05
        scores.append(feature @ estimate.values / sd)
    # Shrinkage towards zero makes scores smaller than normal ones.
    assert 0.2 < np.std(scores) < 1.4
    assert abs(np.mean(scores)) < 1.0


def test_an_outlier_moves_the_estimate_little() -> None:
    rng = np.random.default_rng(3)
    noise = 0.8 * rng.normal(size=2000)
    features, variance = constant(2000), np.full(2000, 0.64)
    knots = np.array([0.64])
    before = estimate_log_mean(features, noise, variance, knots)
    outlier = estimate_log_mean(features, np.append(noise[1:], 12 * 0.8), variance, knots)
    assert abs(before.values[0]) < 0.05
    # The sample mean of the exponential moves by log(1 + e^9.3 / 2000).
    assert 0 < outlier.values[0] - before.values[0] < 0.5 * np.log1p(np.exp(9.6 - 0.32) / 2000)


def test_errors_of_the_mean_move_the_estimate_if_the_noise_is_skewed() -> None:
    """Over data sets, the log mean of residuals grows with the mean of the noise by the slope."""
    rng = np.random.default_rng(4)
    noise = 0.7 * (rng.gamma(SHAPE, size=(1500, 400)) - SHAPE) / np.sqrt(SHAPE)
    level = noise.mean(axis=1)
    residual = noise - level[:, None]
    log_mean = np.log(np.exp(residual).mean(axis=1))
    expected = np.polyfit(level, log_mean, 1)[0]
    one = constant(noise.size)
    variance = np.full(noise.size, 0.49)
    estimate = estimate_log_mean(one, noise.ravel(), variance, np.array([0.49]))
    assert estimate.slope == pytest.approx(expected, abs=0.05)
    assert expected > 0.2
    moved = estimate.draw((3,), np.full((3, 1), 2.0), np.random.default_rng(0))
    still = estimate.draw((3,), None, np.random.default_rng(0))
    np.testing.assert_allclose(moved - still, 2 * estimate.slope)
