import numpy as np
import pytest

from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.models.noise_shape import FREQUENCIES, NoiseShape, estimate_noise_shape
from bayes_intgen.models.sinh_arcsinh import SinhArcsinh
from bayes_intgen.models.variance_function import estimate_variance_function

MASKS = np.array([[False, False], [True, False], [False, True]])


def noise(mask: np.ndarray, law: str, rng: np.random.Generator, normal_sd=0.4) -> np.ndarray:
    """Noise to which each set action adds a skewed or heavy-tailed part, shape (n,)."""
    parts = {
        "gamma": lambda: rng.gamma(0.7, size=mask.shape) - 0.7,
        "t": lambda: 0.7 * rng.standard_t(3, size=mask.shape),
        "normal": lambda: rng.normal(size=mask.shape),
    }[law]()
    return (mask * parts).sum(axis=1) + normal_sd * rng.normal(size=len(mask))


def estimated(law: str, rows: int, seed: int, normal_sd=0.4):
    """Estimate from observational rows and rows with one action set, and the residuals' scale."""
    rng = np.random.default_rng(seed)
    intervened = np.repeat(MASKS, rows, axis=0)
    actions = rng.normal(size=intervened.shape)
    residual = noise(intervened, law, rng, normal_sd)
    coordinates = tuple(Coordinate.of(column) for column in actions.T)
    spread = estimate_variance_function(actions, intervened, residual**2, coordinates).spread
    scale = np.sqrt(np.mean(residual**2 / spread(actions, intervened)))
    features = spread.features(actions, intervened)
    return spread, estimate_noise_shape(features, residual / scale, spread), scale


@pytest.mark.parametrize("law", ["gamma", "t"])
def test_the_shape_under_both_actions_follows_from_single_ones(law) -> None:
    points, both = np.zeros((1, 2)), np.ones((1, 2), dtype=bool)
    errors = []
    for seed in range(6):
        spread, estimate, scale = estimated(law, 3000, seed)
        values = estimate.values @ spread.dense_features(points, both)[0]
        rng = np.random.default_rng(100 + seed)
        draws = noise(np.ones((200_000, 2), dtype=bool), law, rng) / scale
        low, high = (np.log(np.exp(1j * t * draws).mean()) for t in FREQUENCIES)
        errors.append(values / [-low.real, low.imag if law == "gamma" else 1, -high.real])
    mean = np.mean(errors, axis=0)
    assert mean[0] == pytest.approx(1, abs=0.12)
    assert mean[2] == pytest.approx(1, abs=0.15)
    # Skewed parts turn the characteristic function, symmetric parts do not.
    assert mean[1] == pytest.approx(1 if law == "gamma" else 0, abs=0.3 if law == "gamma" else 0.05)


def test_laws_of_both_actions_have_the_quantiles_of_the_noise() -> None:
    points, both = np.zeros((1, 2)), np.ones((1, 2), dtype=bool)
    at = [0.025, 0.25, 0.75, 0.975]
    ends = []
    for seed in range(6):
        spread, estimate, scale = estimated("gamma", 3000, seed, 0.6)
        shape = NoiseShape(estimate.values, np.zeros((1, *estimate.values.shape)))
        law = shape.laws(spread.dense_features(points, both), spread(points, both))
        rng = np.random.default_rng(seed)
        draws = noise(np.ones((50_000, 2), bool), "gamma", rng, 0.6) / scale
        ends.append(law.cdf(np.quantile(draws, at)[:, None, None])[:, 0, 0])
        # Negative control: a normal law of the same variance.
        sd = np.log(draws.std())
        normal = SinhArcsinh(*(np.array([x]) for x in (sd, 0.0, 0.0)))
        assert normal.cdf(np.quantile(draws, [0.025])) > 0.06
    np.testing.assert_allclose(np.mean(ends, axis=0), at, atol=0.025)


def test_spread_of_draws_matches_the_error_of_the_estimate() -> None:
    points, both = np.zeros((1, 2)), np.ones((1, 2), dtype=bool)
    values, spreads = [], []
    for seed in range(30):
        spread, estimate, _ = estimated("gamma", 500, seed)
        features = spread.dense_features(points, both)[0]
        values.append(estimate.values @ features)
        moved = estimate.draw((200,), np.random.default_rng(seed)) @ features
        spreads.append(moved.std(axis=0))
    ratio = np.std(values, axis=0) / np.sqrt(np.mean(np.square(spreads), axis=0))
    # Thirty repetitions: 13%, and the variance function varies too.
    assert ((ratio > 0.6) & (ratio < 1.5)).all()
