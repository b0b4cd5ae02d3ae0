import numpy as np
import pytest

from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.models.variance_function import (
    KNOTS,
    drawn_deviations,
    estimate_variance_function,
    variances_of_groups,
)


def variance_of(actions, intervened):
    return 0.5 + intervened[:, 0] * (1 + actions[:, 0] ** 2) / 2 + (1 - intervened[:, 1])


def rows(n: int, seed: int, dependent: bool):
    """Residuals with a known variance: 0.5 + R_1 (1 + z^2) / 2 + (1 - R_2) where dependent."""
    rng = np.random.default_rng(seed)
    actions = rng.normal(size=(n, 2)) * [1.0, 50.0]
    intervened = rng.random((n, 2)) < 0.5
    variance = variance_of(actions, intervened) if dependent else np.full(n, 2.0)
    coordinates = tuple(Coordinate.of(actions[:, k]) for k in range(2))
    return actions, intervened, rng.normal(size=n) * np.sqrt(variance), variance, coordinates


@pytest.mark.parametrize("dependent", [True, False])
def test_estimate_recovers_the_variance_function(dependent: bool) -> None:
    actions, intervened, residuals, variance, coordinates = rows(20_000, 0, dependent)
    spread, _ = estimate_variance_function(actions, intervened, residuals**2, coordinates)
    estimate = spread(actions, intervened)
    assert estimate.mean() == pytest.approx(1)
    ratio = estimate * residuals.var() / variance
    # 29 knot values, from seven knots and both gates of two actions: error about sqrt(2 * 29 / n).
    assert np.sqrt(np.mean((ratio - 1) ** 2)) < 1.5 * np.sqrt(2 * 29 / 20_000)
    # Negative control: a constant variance is far off if the true variance is not constant.
    constant = np.sqrt(np.mean((residuals.var() / variance - 1) ** 2))
    assert (constant > 0.3) == dependent


@pytest.mark.parametrize(("equal", "dependent"), [(450, False), (300, True), (499, False)])
def test_coinciding_knots_share_a_value(equal: int, dependent: bool) -> None:
    actions, intervened, residuals, _, _ = rows(500, 2, dependent)
    actions[:equal, 0] = 0.0
    coordinates = tuple(Coordinate.of(actions[:, k]) for k in range(2))
    spread, _ = estimate_variance_function(actions, intervened, residuals**2, coordinates)
    assert len(np.unique(spread.knots[0])) < len(KNOTS)
    assert np.isfinite(spread(actions, intervened)).all()
    # The function is that of the features by which it was estimated.
    by_features = spread.features(actions, intervened) @ spread.knot_values
    np.testing.assert_allclose(spread(actions, intervened), by_features, rtol=1e-13)
    # Negative control: inverted masks change the variance.
    assert not np.allclose(spread(actions, ~intervened), by_features)


def test_spread_of_variance_draws_matches_their_error() -> None:
    """Standardised errors over repetitions have a root mean square near one."""
    points = np.array([[0.0, 0.0], [1.0, 50.0], [-1.0, 0.0]])
    masks = np.array([[True, True], [True, False], [False, False]])
    truth = np.array([1.0, 2.5, 1.5])
    ratios = []
    for seed in range(40):
        actions, intervened, residuals, _, coordinates = rows(2000, seed, True)
        own = actions, intervened, residuals**2, coordinates
        spread, covariance = estimate_variance_function(*own)
        deviations = drawn_deviations(covariance, (400,), np.random.default_rng(seed))
        draws = np.log(spread.drawn(points, masks, deviations))
        np.testing.assert_allclose(np.exp(draws.mean(axis=0)), spread(points, masks), rtol=0.1)
        # Relative to the mean over rows, because the common factor is sampled elsewhere.
        centre = np.log(truth / np.mean(variance_of(actions, intervened)))
        ratios.append((draws.mean(axis=0) - centre) / draws.std(axis=0))
    # 120 ratios, three at a time correlated: their root mean square is 1 to within 0.15 or so.
    assert 0.7 < np.sqrt(np.mean(np.square(ratios))) < 1.35


@pytest.mark.parametrize(("rows", "groups"), [(3, 50), (20, 50), (40, 24)])
def test_equal_noise_of_groups_is_no_evidence_whatever_its_tails(rows: int, groups: int) -> None:
    rng, codes = np.random.default_rng(0), np.repeat(np.arange(groups), rows)
    for draw in (
        rng.standard_normal,
        lambda n: rng.standard_t(4, n),
        lambda n: rng.exponential(size=n) - 1,
    ):
        noise = [draw(len(codes)) ** 2 for _ in range(10)]
        assert all(variances_of_groups(codes, own, groups) is None for own in noise)
    # Negative control.
    assert variances_of_groups(codes, noise[0] * np.exp(codes % 2 * 4), groups) is not None
