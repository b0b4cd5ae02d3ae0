import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import lognorm, norm

from bayes_intgen.targets import Target


def program(observed: jax.Array) -> None:
    centre = numpyro.sample("centre", dist.Normal(0.0, 2.0).expand((2,)).to_event(1))
    sd = numpyro.sample("sd", dist.LogNormal(0.5, 1.0))
    numpyro.deterministic("variance", sd**2)
    with numpyro.plate("row", len(observed)):
        numpyro.sample("y", dist.Normal(centre, 1.0).to_event(1), obs=observed)


OBSERVED = np.array([[1.0, 0.0], [2.0, -1.0], [0.5, 3.0]])


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def target() -> Target:
    return Target(program, (OBSERVED,), {"sd": np.array(0.5), "centre": np.zeros(2)})


def test_the_density_is_the_programs_on_the_unconstrained_scale() -> None:
    at = np.array([0.3, -0.7, 0.9])  # centre, then log sd
    centre, sd = at[:2], np.exp(at[2])
    expected = (
        norm.logpdf(centre, 0, 2).sum()
        + norm.logpdf(OBSERVED, centre, 1).sum()
        + lognorm.logpdf(sd, 1.0, scale=np.exp(0.5))
        + at[2]
    )
    value, gradient = target().gradient(at)
    assert -value == pytest.approx(expected, rel=1e-12)
    step = 1e-6
    slopes = [
        (target().gradient(at + e)[0] - target().gradient(at - e)[0]) / (2 * step)
        for e in step * np.eye(3)
    ]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6)


def test_mode_curvature_and_sites() -> None:
    found = target()
    mode = found.mode(found.start, progress=False)
    precision = 1 / 4 + 3
    np.testing.assert_allclose(mode, [*OBSERVED.sum(axis=0) / precision, 0.5], atol=1e-3)
    covariance = found.covariance(mode, np.array([2.0, 2.0, 1.0]))
    np.testing.assert_allclose(covariance, np.diag([1 / precision, 1 / precision, 1]), rtol=1e-4)
    sites = found.constrain(np.tile(mode, (4, 5, 1)))
    assert {name: v.shape for name, v in sites.items()} == {
        "centre": (4, 5, 2), "sd": (4, 5), "variance": (4, 5),
    }  # fmt: skip
    np.testing.assert_allclose(sites["variance"], np.exp(2 * mode[2]))
    assert {name: index.tolist() for name, index in found.positions.items()} == {
        "centre": [0, 1], "sd": [2],
    }  # fmt: skip


def test_the_same_shapes_compile_once() -> None:
    calls = []

    def counted(observed: jax.Array) -> None:
        calls.append(None)
        program(observed)

    start = {"sd": np.array(0.5), "centre": np.zeros(2)}
    first, again = (Target(counted, (OBSERVED + i,), start) for i in range(2))
    one = first.gradient(first.start)[0]
    traced = len(calls)
    assert again.gradient(again.start)[0] != one
    assert len(calls) == traced > 0
    other = Target(counted, (OBSERVED[:2],), start)
    other.gradient(other.start)
    assert len(calls) > traced
    assert jnp.isfinite(one)
