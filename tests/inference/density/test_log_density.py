import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import lognorm, norm

from bayes_intgen.inference.density.log_density import FlatLayout, ProgramDensity, value_and_grad


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


LAYOUT = FlatLayout.of({"sd": np.array(0.5), "centre": np.zeros(2)})


def density() -> ProgramDensity:
    return ProgramDensity(program, (OBSERVED,), LAYOUT)


def evaluate(target: ProgramDensity, at: np.ndarray) -> tuple[float, np.ndarray]:
    return value_and_grad(target.potential, target.arguments, at)


def test_density_is_that_of_the_program_on_the_unconstrained_scale() -> None:
    at = np.array([0.3, -0.7, 0.9])  # centre, then log sd
    centre, sd = at[:2], np.exp(at[2])
    expected = (
        norm.logpdf(centre, 0, 2).sum()
        + norm.logpdf(OBSERVED, centre, 1).sum()
        + lognorm.logpdf(sd, 1.0, scale=np.exp(0.5))
        + at[2]
    )
    value, gradient = evaluate(density(), at)
    assert -value == pytest.approx(expected, rel=1e-12)
    step = 1e-6
    slopes = [
        (evaluate(density(), at + e)[0] - evaluate(density(), at - e)[0]) / (2 * step)
        for e in step * np.eye(3)
    ]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6)


def test_flat_vectors_split_into_sites_and_back() -> None:
    flat = np.tile([0.3, -0.7, 0.9], (4, 5, 1))
    sites = density().constrain(flat)
    assert {name: v.shape for name, v in sites.items()} == {
        "centre": (4, 5, 2), "sd": (4, 5), "variance": (4, 5),
    }  # fmt: skip
    np.testing.assert_allclose(sites["variance"], np.exp(2 * 0.9))
    assert {name: index.tolist() for name, index in LAYOUT.positions.items()} == {
        "centre": [0, 1], "sd": [2],
    }  # fmt: skip
    unconstrained = LAYOUT.sites(flat)
    np.testing.assert_array_equal(unconstrained["centre"], sites["centre"])
    np.testing.assert_allclose(np.exp(unconstrained["sd"]), sites["sd"])
    one = {name: values[1, 2] for name, values in unconstrained.items()}
    np.testing.assert_array_equal(LAYOUT.flat(one), flat[1, 2])


def test_programs_of_the_same_shapes_compile_once() -> None:
    calls = []

    def counted(observed: jax.Array) -> None:
        calls.append(None)
        program(observed)

    first, again = (ProgramDensity(counted, (OBSERVED + i,), LAYOUT) for i in range(2))
    one = evaluate(first, np.zeros(3))[0]
    traced = len(calls)
    assert evaluate(again, np.zeros(3))[0] != one
    assert len(calls) == traced > 0
    other = ProgramDensity(counted, (OBSERVED[:2],), LAYOUT)
    evaluate(other, np.zeros(3))
    assert len(calls) > traced
    assert jnp.isfinite(one)


IN_ANOTHER_PROCESS = """
import jax
import numpy as np

import bayes_intgen as bi
from bayes_intgen.inference.sampling import kernel, program_cache
from bayes_intgen.simulators import Linear

first, other = jax.devices()
data = Linear.random(2, seed=0).dataset(60, seed=0)
model = bi.models.additive("linear")
settings = {"draws": 20, "warmup": 20, "chains": 2, "progress": False}


devices = set()
run = program_cache._JAXProgram.__call__


def recorded(self, arguments):
    devices.update(self.compiled.runtime_executable().local_devices())
    return run(self, arguments)


program_cache._JAXProgram.__call__ = recorded


def effect(**options):
    fit = bi.fit(data, model, **settings, **options)
    return fit.joint_effect([[0.1, 0.2]]).to_numpy()


expected = effect()
kernel._compiled_program.cache_clear()
with jax.default_device(other):
    assert jax.numpy.zeros(1).devices() == {other}
    np.testing.assert_array_equal(effect(), expected)
    assert devices == {first}, devices
    # The full program runs where JAX does.
    effect(collapse=False)
    assert devices == {first, other}, devices
"""


@pytest.mark.slow
def test_sampling_uses_the_cpu_if_the_default_device_is_another() -> None:
    # One CPU, presented to JAX as two devices, stands for a CPU and an accelerator.
    flags = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "BAYES_INTGEN_CACHE": "off",
    }
    subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS], check=True, env=os.environ | flags)
