import jax
import numpy as np
import pytest
from numpyro.contrib.hsgp.spectral_densities import (
    spectral_density_matern,
    spectral_density_squared_exponential,
)

import bayes_intgen as bi
from bayes_intgen.bases import Coordinate, Sines
from bayes_intgen.mechanisms import log_spectral_sd, paired, spectral_slope

RNG = np.random.default_rng(0)
ACTIONS = RNG.normal(size=(2000, 2)) * [1.0, 100.0]
AXES = [Coordinate.of(ACTIONS[:, k]) for k in range(2)]

KERNELS = {
    "squared_exponential": lambda d: np.exp(-(d**2) / 2),
    "matern32": lambda d: (1 + np.sqrt(3) * d) * np.exp(-np.sqrt(3) * d),
    "matern52": lambda d: (1 + np.sqrt(5) * d + 5 * d**2 / 3) * np.exp(-np.sqrt(5) * d),
}


def both(mechanism, actions, axes):
    """What the second action adds to a function of the first."""
    own, other = (mechanism.margin(actions[:, [k]], axes[k]) for k in range(2))
    return paired(mechanism, own, other)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_basis_reproduces_the_kernel(kernel) -> None:
    sines = Sines.of(ACTIONS[:, :1], AXES[0], size=120)
    lengthscale = 1.0
    sd = np.exp(log_spectral_sd(kernel, sines.frequencies, lengthscale))
    low, high = AXES[0].ends
    # Differences from the middle of the range: centring cancels in them.
    at = np.linspace(low / 2, high / 2, 7)
    values = AXES[0].centre + AXES[0].spread * 4 * np.sinh(at / 4)
    features = sines.matrix(values[:, None]) * sd
    distance = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    expected = 2 - 2 * KERNELS[kernel](np.abs(at[:, None] - at[None]) / lengthscale)
    np.testing.assert_allclose(distance, expected, atol=0.02)


@pytest.mark.parametrize("kernel", KERNELS)
def test_spectral_densities_are_the_librarys_and_their_slopes_theirs(kernel) -> None:
    frequency, step = np.linspace(0.01, 5, 40), 1e-6
    nu = {"matern32": 1.5, "matern52": 2.5}.get(kernel)
    for lengthscale in (0.3, 1.0, 2.5):
        with jax.enable_x64(True):
            density = (
                spectral_density_squared_exponential(1, frequency[:, None], 1.0, lengthscale)
                if nu is None
                else spectral_density_matern(1, nu, frequency[:, None], 1.0, lengthscale)
            )
        found = log_spectral_sd(kernel, frequency, lengthscale)
        np.testing.assert_allclose(found, np.log(np.asarray(density)) / 2, rtol=1e-9, atol=1e-12)
        ends = [log_spectral_sd(kernel, frequency, lengthscale * np.exp(s)) for s in (step, -step)]
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(
            spectral_slope(kernel, frequency, lengthscale), slope, rtol=1e-6, atol=1e-8
        )


def test_a_density_that_underflows_has_a_logarithm() -> None:
    found = log_spectral_sd("squared_exponential", np.array([50.0]), 60.0)
    assert found[0] == pytest.approx(-((50 * 60) ** 2) / 4, rel=1e-5)


@pytest.mark.parametrize(
    "mechanism",
    [bi.GP(), bi.Spline(), bi.Polynomial(), bi.Linear()],
    ids=lambda m: type(m).__name__,
)
def test_what_another_action_adds_depends_on_that_action(mechanism) -> None:
    pair = ACTIONS.copy()
    parts = both(mechanism, pair, AXES)
    for part in parts:
        assert 1 in part.inputs
        columns = part.basis.matrix(pair[:, part.inputs])
        moved = pair.copy()
        moved[:, 1] = moved[::-1, 1]
        assert not np.allclose(part.basis.matrix(moved[:, part.inputs]), columns)
        assert part.basis.size == columns.shape[1]


def test_nothing_depends_on_units() -> None:
    for mechanism in (bi.GP(), bi.Spline(), bi.Polynomial(), bi.Linear()):
        for factor in (1e-6, 1e6):
            scaled = ACTIONS * factor
            axes = [Coordinate.of(scaled[:, k]) for k in range(2)]
            here, there = (both(mechanism, *at) for at in ((ACTIONS, AXES), (scaled, axes)))
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
        (lambda: bi.Spline(intervals=1), "at least 2 intervals"),
        (lambda: bi.Polynomial(degree=0), "degree 1"),
        (lambda: bi.LogNormal(0.0, 1.0), "positive median"),
    ],
)
def test_senseless_settings_are_refused(build, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        build()
