"""Fits in a process of their own."""

import os
import subprocess
import sys

import pytest

FIT = """
import sys, warnings
warnings.simplefilter("ignore")
import jax, numpy as np
import bayes_intgen as bi
from bayes_intgen.inference.density import numpyro_adapter

traced = []
trajectory = numpyro_adapter.nuts_trajectory
from bayes_intgen.inference.sampling import kernel, program_cache
kernel.nuts_trajectory = lambda *a: traced.append(1) or trajectory(*a)
rng = np.random.default_rng(0)
intervened = np.repeat([[False, False], [True, False], [False, True]], 50, axis=0)
actions = rng.normal(size=(150, 2))
outcome = np.sin(actions[:, 0]) - actions[:, 1] + rng.normal(scale=0.1, size=150)
data = bi.RegimeData.from_arrays(actions, outcome, intervened)
posterior = bi.fit(data, draws=40, warmup=30, progress=False)
(ahead,) = program_cache._AHEAD.values()
(first,) = program_cache._FIRST.values()
loaded_ahead = ahead.result() is not None and ahead.result()[0] == first
print(bool(traced), "dask" in sys.modules, "numpyro" in sys.modules, loaded_ahead,
      float(posterior.joint_effect([[1.0, -1.0]]).sum()))
"""


def test_the_second_process_loads_its_program_ahead_and_has_the_same_draws(tmp_path) -> None:
    pytest.importorskip("dask")  # xarray imports it where it is installed
    environment = {**os.environ, "BAYES_INTGEN_CACHE": str(tmp_path / "programs")}
    lines = [
        subprocess.run(
            [sys.executable, "-c", FIT], capture_output=True, text=True, env=environment, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert [" ".join(line[:4]) for line in lines] == [
        "True False True False",
        "False False False True",
    ]
    assert lines[0][4] == lines[1][4]
