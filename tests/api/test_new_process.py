"""Fits in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIT = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
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
libraries = {"jax", "numpyro", "dask"} & set(sys.modules)
print(float(posterior.joint_effect([[1.0, -1.0]]).sum()), "traced" if traced else "loaded",
      "ahead" if loaded_ahead else "in time", *sorted(libraries))
"""


def fit_in_new_process(folder: Path, before: str = "", after: str = "") -> tuple[str, str]:
    """Sum of draws, and the other words that the process prints."""
    environment = {**os.environ, "BAYES_INTGEN_CACHE": str(folder)}
    command = [sys.executable, "-u", "-W", "ignore", "-c", before + FIT + after]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=True, timeout=60
    )
    assert done.stderr == ""
    draws, rest = done.stdout.strip().split(maxsplit=1)
    return draws, rest


def test_the_second_process_loads_its_program_ahead_and_has_the_same_draws(tmp_path) -> None:
    draws, rest = fit_in_new_process(tmp_path / "programs")
    assert rest == "traced in time jax numpyro"
    assert fit_in_new_process(tmp_path / "programs") == (draws, "loaded ahead")


@pytest.mark.parametrize("function", ["__init__", "__call__"])
def test_programs_that_jaxlib_cannot_run_are_compiled_again(tmp_path, function) -> None:
    """As with a jaxlib of another interface."""
    draws, _ = fit_in_new_process(tmp_path / "programs")
    other_jaxlib = (
        "from bayes_intgen.inference.sampling import loaded_program\n"
        f"loaded_program.LoadedProgram.{function} = lambda *args: loaded_program.no_such_name\n"
    )
    again = fit_in_new_process(tmp_path / "programs", other_jaxlib)
    assert again == (draws, "traced ahead jax numpyro")


def test_a_process_with_other_settings_of_jax_has_its_own_programs(tmp_path) -> None:
    draws, _ = fit_in_new_process(tmp_path / "programs")
    setting = "import jax; jax.config.update('jax_default_matmul_precision', 'float32')\n"
    for words in ("traced in time", "loaded ahead"):
        assert fit_in_new_process(tmp_path / "programs", setting)[1].startswith(words)
    assert fit_in_new_process(tmp_path / "programs")[0] == draws


def test_a_process_forked_from_one_that_has_loaded_programs_raises(tmp_path) -> None:
    """Their threads do not survive the fork."""
    fork = """
import os
child = os.fork()
if not child:
    try:
        bi.fit(data, draws=40, warmup=30, progress=False)
    except bi.BayesIntgenError as error:
        print(error)
    os._exit(0)
os.waitpid(child, 0)
"""
    fit_in_new_process(tmp_path / "programs")
    _, rest = fit_in_new_process(tmp_path / "programs", after=fork)
    assert rest.startswith("loaded ahead\nthis process was forked")
    assert 'get_context("spawn")' in rest
