import jax
import numpy as np
import pytest
from numpyro.contrib.hsgp.spectral_densities import (
    spectral_density_matern,
    spectral_density_squared_exponential,
)

import bayes_intgen as bi
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.hsgp import HSGPBasis
from bayes_intgen.basis.karhunen_loeve import KarhunenLoeveBasis
from bayes_intgen.models.mechanisms.components import (
    MARGIN_SIZE,
    random_walk_component,
    scaled_order,
)
from bayes_intgen.models.mechanisms.kernels import log_spectral_sd, spectral_slope
from bayes_intgen.models.mechanisms.mechanism import pairwise

RNG = np.random.default_rng(0)
ACTIONS = RNG.normal(size=(2000, 2)) * [1.0, 100.0]
AXES = [Coordinate.of(ACTIONS[:, k]) for k in range(2)]

KERNELS = {
    "squared_exponential": lambda d: np.exp(-(d**2) / 2),
    "matern32": lambda d: (1 + np.sqrt(3) * d) * np.exp(-np.sqrt(3) * d),
    "matern52": lambda d: (1 + np.sqrt(5) * d + 5 * d**2 / 3) * np.exp(-np.sqrt(5) * d),
}


def pair_components(mechanism, actions, axes):
    """Components of the second action in a function of the first."""
    own, other = (mechanism.marginal_basis(actions[:, [k]], axes[k], MARGIN_SIZE) for k in range(2))
    return pairwise(mechanism, own, other, len(actions))


@pytest.mark.parametrize("kernel", KERNELS)
def test_hsgp_basis_reproduces_the_kernel(kernel) -> None:
    basis = HSGPBasis.of(ACTIONS[:, :1], AXES[0], longest=1.0, shortest=0.1, size=120)
    lengthscale = 1.0
    sd = np.exp(log_spectral_sd(kernel, basis.frequencies, lengthscale))
    low, high = AXES[0].ends
    # Distances between features do not depend on the centring of the basis.
    at = np.linspace(low / 2, high / 2, 7)
    values = AXES[0].centre + AXES[0].spread * 4 * np.sinh(at / 4)
    features = basis.matrix(values[:, None]) * sd
    distance = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    expected = 2 - 2 * KERNELS[kernel](np.abs(at[:, None] - at[None]) / lengthscale)
    np.testing.assert_allclose(distance, expected, atol=0.02)


@pytest.mark.parametrize("kernel", KERNELS)
def test_spectral_densities_and_slopes_match_numpyro(kernel) -> None:
    frequency, step = np.linspace(0.01, 5, 40), 1e-6
    nu = {"matern32": 1.5, "matern52": 2.5}.get(kernel)
    for lengthscale in (0.3, 1.0, 2.5):
        with jax.enable_x64(True):
            density = (
                spectral_density_squared_exponential(1, frequency[:, None], 1.0, lengthscale)
                if nu is None
                else spectral_density_matern(1, nu, frequency[:, None], 1.0, lengthscale)
            )
        log_sd = log_spectral_sd(kernel, frequency, lengthscale)
        np.testing.assert_allclose(log_sd, np.log(np.asarray(density)) / 2, rtol=1e-9, atol=1e-12)
        ends = [log_spectral_sd(kernel, frequency, lengthscale * np.exp(s)) for s in (step, -step)]
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(
            spectral_slope(kernel, frequency, lengthscale), slope, rtol=1e-6, atol=1e-8
        )


def test_log_spectral_density_does_not_underflow() -> None:
    log_sd = log_spectral_sd("squared_exponential", np.array([50.0]), 60.0)
    assert log_sd[0] == pytest.approx(-((50 * 60) ** 2) / 4, rel=1e-5)


@pytest.mark.parametrize(
    "mechanism",
    [bi.GP(), bi.Spline(), bi.Polynomial(), bi.Linear()],
    ids=lambda m: type(m).__name__,
)
def test_components_of_another_action_depend_on_it(mechanism) -> None:
    pair = ACTIONS.copy()
    for component in pair_components(mechanism, pair, AXES):
        assert 1 in component.inputs
        columns = component.basis.matrix(pair[:, component.inputs])
        moved = pair.copy()
        moved[:, 1] = moved[::-1, 1]
        assert not np.allclose(component.basis.matrix(moved[:, component.inputs]), columns)
        assert component.basis.size == columns.shape[1]


def test_components_do_not_depend_on_units() -> None:
    for mechanism in (bi.GP(), bi.Spline(), bi.Polynomial(), bi.Linear()):
        for factor in (1e-6, 1e6):
            scaled = ACTIONS * factor
            axes = [Coordinate.of(scaled[:, k]) for k in range(2)]
            here, there = (
                pair_components(mechanism, *at) for at in ((ACTIONS, AXES), (scaled, axes))
            )
            for own, other in zip(here, there, strict=True):
                np.testing.assert_allclose(
                    np.abs(own.basis.matrix(ACTIONS[:, own.inputs])),
                    np.abs(other.basis.matrix(scaled[:, other.inputs])),
                    atol=1e-6,
                )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: bi.GP(kernel="cubic"), "kernel 'cubic'"),
        (lambda: bi.GP(size=1), "at least 2"),
        (lambda: bi.Spline(intervals=1), "intervals must be a whole number of at least 2"),
        (lambda: bi.Polynomial(degree=0), "degree must be a whole number of at least 1"),
        (lambda: bi.LogNormal(0.0, 1.0), "positive median"),
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
    column = values[:, None]
    basis = mechanism.marginal_basis(column, Coordinate.of(values), MARGIN_SIZE)
    matrix = basis.matrix(column)
    line = Coordinate.of(values)(values)
    line = (line - line.mean()) / line.std()
    # Prior standard deviation of the basis's projection on a straight line.
    slope_sd = np.sqrt(np.sum((line @ matrix / len(values)) ** 2))
    assert 0.1 < slope_sd < 3
    assert matrix.std(axis=0).max() < 3


def test_resolution_grows_with_the_rows() -> None:
    few, many = 10_000, 1_000_000
    assert bi.GP().pair_order(many) > bi.GP().pair_order(few) == 4
    assert scaled_order(12, many) > scaled_order(12, few) == 12
    column = ACTIONS[:, :1]
    sizes = [bi.Spline().main_effect(column, AXES[0], rows)[1].basis.size for rows in (few, many)]
    assert sizes[1] > sizes[0]
    assert bi.Spline(intervals=12).main_effect(column, AXES[0], many)[1].basis.size == sizes[0]


def test_finer_random_walk_follows_a_step() -> None:
    column = np.sort(RNG.normal(size=2000))[:, None]
    step = (column[:, 0] > 0.3).astype(float)
    design = np.column_stack(
        [np.ones(2000), random_walk_component(column, AXES[0]).basis.matrix(column)]
    )
    left = step - design @ np.linalg.lstsq(design, step)[0]
    rough = left.std()
    smooth = np.column_stack(
        [np.ones(2000), bi.GP().marginal_basis(column, AXES[0], 5).matrix(column)]
    )
    left = step - smooth @ np.linalg.lstsq(smooth, step)[0]
    assert rough < 0.6 * left.std()


def test_levels_have_one_value_per_level() -> None:
    column = RNG.integers(0, 4, 300).astype(float)[:, None]
    (component,) = bi.Levels(ordered=False).main_effect(column, Coordinate.of(column[:, 0]), 300)
    at = component.basis.matrix(np.arange(4.0)[:, None])
    assert np.linalg.matrix_rank(np.column_stack([np.ones(4), at])) == 4
    assert bi.Levels().finer(column, Coordinate.of(column[:, 0])) is None
    few = bi.Levels().marginal_basis(RNG.integers(0, 9, 300).astype(float)[:, None], AXES[0], 5)
    assert isinstance(few, KarhunenLoeveBasis)
    assert few.size == 5
    with pytest.raises(bi.ModelError, match="at most 50 distinct values"):
        bi.Levels().main_effect(ACTIONS[:, :1], AXES[0], 2000)
