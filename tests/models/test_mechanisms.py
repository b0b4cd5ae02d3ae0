import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.basis.basis import HSGPBasis
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.models.mechanisms.mechanism import MARGIN_SIZE, Column, log_spectral_sd

RNG = np.random.default_rng(0)
ACTIONS = RNG.normal(size=(2000, 2)) * [1.0, 100.0]
AXES = [Coordinate.of(ACTIONS[:, k]) for k in range(2)]

KERNELS = {
    "squared_exponential": lambda d: np.exp(-(d**2) / 2),
    "matern32": lambda d: (1 + np.sqrt(3) * d) * np.exp(-np.sqrt(3) * d),
    "matern52": lambda d: (1 + np.sqrt(5) * d + 5 * d**2 / 3) * np.exp(-np.sqrt(5) * d),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_hsgp_basis_reproduces_the_kernel(kernel) -> None:
    basis = HSGPBasis.of(ACTIONS[:, :1], AXES[0], margin=1.5, size=120)
    sd = np.exp(log_spectral_sd(kernel, basis.frequencies, 1.0))
    low, high = AXES[0].ends
    # Distances between features do not depend on the centring of the basis.
    at = np.linspace(low / 2, high / 2, 7)
    values = AXES[0].centre + AXES[0].spread * 4 * np.sinh(at / 4)
    features = basis.matrix(values[:, None]) * sd
    distance = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    expected = 2 - 2 * KERNELS[kernel](np.abs(at[:, None] - at[None]))
    np.testing.assert_allclose(distance, expected, atol=0.02)


def test_gp_follows_a_sigmoid_over_actions_set_uniformly() -> None:
    actions = np.random.default_rng(1).uniform(-3, 3, size=(3000, 1))
    components = bi.GP().main_effect(Column.of(actions[:, 0]))
    functions = np.column_stack([np.ones(3000), *(c.basis.matrix(actions) for c in components)])
    curve = np.arctan(1.5 * actions[:, 0])
    residual = curve - functions @ np.linalg.lstsq(functions, curve, rcond=1e-10)[0]
    assert residual.std() < 0.003 * curve.std()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: bi.GP(kernel="cubic"), "kernel 'cubic'"),
        (lambda: bi.GP(size=1), "at least 2"),
        (lambda: bi.Spline(intervals=1), "intervals must be a whole number of at least 2"),
        (lambda: bi.Polynomial(degree=0), "degree must be a whole number of at least 1"),
        (lambda: bi.LogNormal(0.0, 1.0), "positive median"),
        (lambda: bi.Seasonal(period=0), "period must be positive"),
        (lambda: bi.Trend(size=2.5), "size must be a whole number of at least 1"),
        (lambda: bi.Adstock(rate=1.5), "rate"),
        (lambda: bi.Adstock(rate=-0.1), "rate"),
        (lambda: bi.Adstock(delay=-1), "delay"),
        (lambda: bi.Adstock(length=0), "length"),
    ],
)
def test_invalid_settings_raise(build, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        build()


SHORT_RANGES = {
    "binary": RNG.integers(0, 2, 1500).astype(float),
    "rare binary": (RNG.random(1500) < 0.05).astype(float),
    "three levels": RNG.integers(0, 3, 1500).astype(float),
    "uniform": RNG.random(1500),
    "clipped": np.clip(RNG.normal(size=1500), -1, 1),
    "normal": RNG.normal(size=1500),
    "counts": RNG.poisson(2.0, 1500).astype(float),
    "spend": np.where(RNG.random(1500) < 0.5, 0.0, np.exp(RNG.normal(size=1500))),
}


@pytest.mark.parametrize("mechanism", [bi.GP(), bi.Spline()], ids=["gp", "spline"])
@pytest.mark.parametrize("values", SHORT_RANGES.values(), ids=list(SHORT_RANGES))
def test_marginal_basis_represents_a_slope_on_any_range(mechanism, values) -> None:
    """Without a line, odd functions would lack prior variance on a range below the lengthscale."""
    matrix = mechanism.marginal_basis(Column.of(values), MARGIN_SIZE).matrix(values[:, None])
    line = Coordinate.of(values)(values)
    line = (line - line.mean()) / line.std()
    # Prior standard deviation of the basis's projection on a straight line.
    slope_sd = np.sqrt(np.sum((line @ matrix / len(values)) ** 2))
    assert 0.1 < slope_sd < 3
    assert matrix.std(axis=0).max() < 3
