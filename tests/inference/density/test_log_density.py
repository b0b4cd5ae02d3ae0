import os
import subprocess
import sys

import pytest

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
"""


@pytest.mark.slow
def test_sampling_uses_the_cpu_if_the_default_device_is_another() -> None:
    # One CPU, presented to JAX as two devices, stands for a CPU and an accelerator.
    flags = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "BAYES_INTGEN_CACHE": "off",
    }
    subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS], check=True, env=os.environ | flags)
