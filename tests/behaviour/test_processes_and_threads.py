"""Fits in threads and processes, with and without kept programs, and in settings of JAX."""

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
    return bi.fit(data, linear, draws=20, warmup=20, chains=1, progress=False)

def draws(fit):
    return fit.tree["posterior"]["noise_sd"].values.sum()

warnings.simplefilter("ignore")
"""
# Only a process that compiles its program needs NumPyro.
FIT = "print(draws(fit()), 'numpyro' in sys.modules)"
THREADS = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    fits = list(pool.map(lambda _: fit(), range(8)))
print(*{draws(own) for own in fits})
"""
FORK_AND_SPAWN = """
import faulthandler
from multiprocessing import get_context

def in_child(action):
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(60, exit=True)
        action()
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)

def refused():
    try:
        fit()
    except bi.BayesIntgenError as error:
        print(error, flush=True)

try:
    fit(table.assign(y=table.red / 2))
except bi.DataError:
    in_child(lambda: print(draws(fit()), flush=True))
fit()
in_child(refused)
with get_context("spawn").Pool(1) as pool:
    pool.apply(exec, (os.environ["CODE"], {}))
"""
NO_HOME = """
import pwd
def of_nobody(user):
    raise KeyError(user)
pwd.getpwuid = of_nobody
"""
READ_ONLY = """
import pathlib
def open_to_read(path, mode="r", *arguments, own=pathlib.Path.open, **options):
    if {*mode} & {*"wxa+"}:
        raise OSError(30, "Read-only file system")
    return own(path, mode, *arguments, **options)
pathlib.Path.open = open_to_read
"""
# The second fit runs the program that the first one compiled.
SETTINGS = """
import jax
own = {"numpy_rank_promotion": "raise", "numpy_dtype_promotion": "strict",
       "transfer_guard": "disallow", "threefry_partitionable": False}
for name, value in own.items():
    jax.config.update(f"jax_{name}", value)
with jax.default_matmul_precision("BF16_BF16_F32"), jax.default_device(jax.devices()[-1]):
    print(draws(fit()))
assert own == {name: getattr(jax.config, f"jax_{name}") for name in own}
print(draws(fit()))
"""


def run(code: str, cache: Path | None, **variables: str) -> list[str]:
    """Output of a new process with this folder of compiled programs."""
    without = ("HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR")
    environment = {k: v for k, v in os.environ.items() if k not in without} | variables
    if cache is not None:
        environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    done = subprocess.run(
        [sys.executable, "-c", START + code],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.bayes-intgen"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("programs") / "new"


@pytest.fixture(scope="module")
def expected(folder) -> str:
    """Draws of a fit that compiles a program, and writes it to the folder."""
    # JAX keeps the program in its own cache, too.
    (output,) = run(FIT, folder, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")
    draws, has_compiled = output.split()
    assert has_compiled == "True"
    assert kept_in(folder)
    return draws


def test_a_new_process_loads_the_program(folder, expected) -> None:
    assert run(FIT, folder) == [f"{expected} False"]


def test_a_damaged_program_is_compiled_and_kept_again(folder, expected, tmp_path) -> None:
    damaged = {}
    for file in kept_in(folder):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / file.name).write_bytes(content)
        damaged[file.name] = bytes(content)
    assert run(FIT, tmp_path) == [f"{expected} True"]
    assert damaged
    assert all((tmp_path / name).read_bytes() != own for name, own in damaged.items())


def test_a_program_from_the_cache_of_jax_is_not_kept(folder, expected, tmp_path) -> None:
    """Such an executable lacks parts when JAX serialises it again."""
    for file in folder.glob("jit_advance*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert run(FIT, tmp_path) == [f"{expected} True"]
    assert not kept_in(tmp_path)


# Without kept programs every thread compiles.
@pytest.mark.parametrize("is_kept", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_threads_fit_at_once(folder, expected, tmp_path, is_kept) -> None:
    assert run(THREADS, folder if is_kept else tmp_path) == [expected]


@POSIX
def test_forked_and_spawned_processes_fit_or_say_why_not(folder, expected) -> None:
    """After a fit that failed, a child fits; the threads of JAX do not survive a later fork."""
    code = START + "print(draws(fit()), flush=True)"
    own, status, said, other, spawned = run(FORK_AND_SPAWN, folder, CODE=code)
    assert own == spawned == expected
    assert 'get_context("spawn")' in said
    assert status == other == "0"


@POSIX
def test_a_user_without_a_home_can_fit(expected) -> None:
    assert run(NO_HOME + FIT, None) == [f"{expected} True"]


def test_nothing_is_kept_unless_the_variable_of_jax_is_set(expected, tmp_path) -> None:
    assert run(FIT, None, HOME=str(tmp_path)) == [f"{expected} True"]
    assert not list(tmp_path.iterdir())


def test_a_read_only_folder_is_used(folder, expected, tmp_path) -> None:
    assert run(READ_ONLY + FIT, folder) == [f"{expected} False"]
    assert run(READ_ONLY + FIT, tmp_path) == [f"{expected} True"]


def test_a_fit_does_not_depend_on_settings_of_the_caller(folder, expected, tmp_path) -> None:
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    assert run(SETTINGS, tmp_path, **devices) == [expected, expected]
    # Programs that were compiled under them serve processes without them.
    assert run(FIT, tmp_path, **devices) == [f"{expected} False"]
