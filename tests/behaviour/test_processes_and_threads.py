"""Fits in threads and forked processes, without a folder for programs, and in settings of JAX."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")

# Every script fits by NUTS, which runs a compiled program.
START = """
import os, sys, warnings
import numpy as np, pandas as pd
import bayes_intgen as bi

rng = np.random.default_rng(0)
red = rng.normal(size=100)
table = pd.DataFrame({"red": red, "y": red + rng.normal(size=100), "regime": ["", "red"] * 50})

def fit(table=table):
    data = bi.RegimeData.from_frame(table, ["red"], "y", "regime")
    linear = bi.models.additive("linear")
    return bi.fit(data, linear, draws=10, warmup=10, chains=1, progress=False)

def draws(fit):
    return fit.tree["posterior"]["noise_sd"].values.sum()

warnings.simplefilter("ignore")
"""
FIT = "print(draws(fit()), 'jax' in sys.modules)"
THREADS = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(3) as pool:
    fits = list(pool.map(lambda _: fit(), range(3)))
print(*{draws(own) for own in fits})
"""
# The first fit fails at once, while a thread loads the program that it would have needed.
FORK = """
import faulthandler
try:
    fit(table.assign(y=table.red / 2))
except bi.DataError:
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(60, exit=True)
        try:
            fit()
            print("fitted", flush=True)
        except bi.BayesIntgenError as error:
            print(error, flush=True)
        os._exit(0)
    print(os.waitpid(child, 0)[1])
"""
NO_HOME = """
import pwd
def of_nobody(user):
    raise KeyError(user)
pwd.getpwuid = of_nobody
"""
READ_ONLY = """
def refuse(*arguments, **options):
    raise OSError(30, "Read-only file system")
os.utime = refuse
"""
# The second fit runs the program that the first one compiled.
SETTINGS = """
import jax
own = {"numpy_rank_promotion": "raise", "numpy_dtype_promotion": "strict",
       "transfer_guard": "disallow"}
for name, value in own.items():
    jax.config.update(f"jax_{name}", value)
with jax.default_matmul_precision("BF16_BF16_F32"):
    print(draws(fit()))
assert own == {name: getattr(jax.config, f"jax_{name}") for name in own}
print(draws(fit()))
"""


def run(code: str, cache: Path | None) -> list[str]:
    """Output of a new process with this folder of compiled programs."""
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    environment["BAYES_INTGEN_CACHE"] = "" if cache is None else str(cache)
    done = subprocess.run(
        [sys.executable, "-c", START + code],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def expected(folder) -> str:
    """Draws of a fit that compiles a program, and writes it to the folder."""
    draws, has_compiled = run(FIT, folder)[0].split()
    assert has_compiled == "True"
    return draws


@pytest.mark.parametrize("first", ["as it was", "of another program"])
def test_threads_fit_at_once(folder, expected, first) -> None:
    """Each starts with the program that the last process needed first."""
    if first == "of another program":
        (folder / "first").write_text("another")
    assert run(THREADS, folder) == [expected]


@POSIX
def test_a_process_forked_while_a_program_is_loaded_does_not_wait_for_it(folder, expected) -> None:
    said, status = run(FORK, folder)
    assert said == "fitted" or 'get_context("spawn")' in said
    assert status == "0"


@POSIX
def test_a_user_without_a_home_can_fit(expected) -> None:
    assert run(NO_HOME + FIT, None) == [f"{expected} True"]


def test_programs_in_a_read_only_folder_are_used(folder, expected) -> None:
    """A process that loads its program needs no JAX."""
    assert run(READ_ONLY + FIT, folder) == [f"{expected} False"]


def test_a_fit_does_not_depend_on_settings_of_the_caller(tmp_path, expected) -> None:
    assert run(SETTINGS, tmp_path) == [expected, expected]
