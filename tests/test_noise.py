import numpy as np
import pytest

from bayes_intgen.bases import Coordinate
from bayes_intgen.noise import KNOTS, Spread


def rows(n: int, seed: int, dependent: bool):
    """Residuals with a known variance: 0.5 + R_1 (1 + z^2) / 2 + (1 - R_2) where dependent."""
    rng = np.random.default_rng(seed)
    actions = rng.normal(size=(n, 2)) * [1.0, 50.0]
    intervened = rng.random((n, 2)) < 0.5
    variance = np.full(n, 2.0)
    if dependent:
        z = actions[:, 0]
        variance = 0.5 + intervened[:, 0] * (1 + z**2) / 2 + (1 - intervened[:, 1])
    coordinates = tuple(Coordinate.of(actions[:, k]) for k in range(2))
    return actions, intervened, rng.normal(size=n) * np.sqrt(variance), variance, coordinates


@pytest.mark.parametrize("dependent", [True, False])
def test_the_variance_function_is_recovered(dependent: bool) -> None:
    actions, intervened, residuals, variance, coordinates = rows(20_000, 0, dependent)
    spread = Spread.of(actions, intervened, residuals, coordinates)
    estimate = spread(actions, intervened)
    assert estimate.mean() == pytest.approx(1)
    ratio = estimate * residuals.var() / variance
    # Seven knots and both gates of two actions, 29 heights: about sqrt(2 * 29 / n) apart.
    assert np.sqrt(np.mean((ratio - 1) ** 2)) < 1.5 * np.sqrt(2 * 29 / 20_000)
    # Negative control: one variance for all rows misses by far where it depends.
    constant = np.sqrt(np.mean((residuals.var() / variance - 1) ** 2))
    assert (constant > 0.3) == dependent


def test_it_is_positive_and_does_not_depend_on_units() -> None:
    actions, intervened, residuals, _, coordinates = rows(300, 1, True)
    one = Spread.of(actions, intervened, residuals, coordinates)
    scaled = tuple(Coordinate.of(actions[:, k] * 1e-6) for k in range(2))
    other = Spread.of(actions * 1e-6, intervened, residuals * 1e5, scaled)
    far = np.array([[1e3, -1e6], [0.0, 0.0]])
    masks = np.array([[True, False], [False, True]])
    assert (one(far, masks) > 0).all()
    # The optimiser stops at slightly different points.
    np.testing.assert_allclose(one(far, masks), other(far * 1e-6, masks), rtol=1e-2)


def test_many_equal_values_share_a_height() -> None:
    actions, intervened, residuals, _, _ = rows(500, 2, False)
    actions[:450, 0] = 0.0
    coordinates = tuple(Coordinate.of(actions[:, k]) for k in range(2))
    spread = Spread.of(actions, intervened, residuals, coordinates)
    assert len(np.unique(spread.knots[0])) < len(KNOTS)
    assert np.isfinite(spread(actions, intervened)).all()
