"""Fixtures shared by the tests and by the examples in docstrings."""

import os
import shutil
import tempfile
from pathlib import Path

import jax
import matplotlib
import numpy as np
import numpyro
import pytest

import bayes_intgen as bi
from bayes_intgen import cli
from bayes_intgen.inference.density.marginal_posterior import log_evidence
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.hyperpriors import Hyperpriors
from bayes_intgen.models.program import hyperparameters

matplotlib.use("agg")

NAMES = ("red", "green")
CACHE = pytest.StashKey[tempfile.TemporaryDirectory]()
# Browser in which pages of reports are used.
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


def pytest_configure(config: pytest.Config) -> None:
    """Share compiled programs between the processes of a run, and lines of the same width."""
    os.environ["COLUMNS"] = "100"
    if not hasattr(config, "workerinput"):
        config.stash[CACHE] = tempfile.TemporaryDirectory()
        os.environ["JAX_COMPILATION_CACHE_DIR"] = config.stash[CACHE].name
        jax.config.update("jax_compilation_cache_dir", config.stash[CACHE].name)
        # Small programs too, which JAX would compile again in each process.
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def pytest_unconfigure(config: pytest.Config) -> None:
    if CACHE in config.stash:
        config.stash[CACHE].cleanup()


def confounded_rows(rows: int, seed: int) -> bi.RegimeData:
    """Two actions, red moving green, each with a hidden cause; rows in each of 3 regimes.

    intensity = sin(red) + c_red + green / 2 + c_green + noise. The joint effect is
    sin(red) + green / 2.
    """
    rng = np.random.default_rng(seed)
    pieces = []
    for was_set in ((False, False), (True, False), (False, True)):
        cause = rng.normal(scale=0.5, size=(rows, 2))
        red, green = rng.normal(size=(2, rows))
        red = red if was_set[0] else cause[:, 0] + red * 0.8
        green = green if was_set[1] else 0.5 * red + cause[:, 1] + green * 0.5
        outcome = np.sin(red) + green / 2 + cause.sum(axis=1) + rng.normal(scale=0.2, size=rows)
        pieces.append((np.stack([red, green], axis=1), outcome, np.tile(was_set, (rows, 1))))
    actions, outcome, intervened = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return bi.RegimeData.from_arrays(actions, outcome, intervened, NAMES, outcome_name="intensity")


def joint_truth(points: np.ndarray) -> np.ndarray:
    """The joint effect in :func:`confounded_rows`."""
    return np.sin(points[:, 0]) + points[:, 1] / 2


def marginal_program(priors: Hyperpriors, sums: SufficientStatistics) -> None:
    """NumPyro program over the hyperparameters alone; the noise must be Gaussian."""
    log_sd, noise_sd = hyperparameters(priors)
    numpyro.factor("outcome", log_evidence(sums.centred_at(priors.mean), log_sd, noise_sd))


@pytest.fixture(scope="session")
def data() -> bi.RegimeData:
    return confounded_rows(300, seed=0)


@pytest.fixture(scope="session")
def posterior(data: bi.RegimeData) -> bi.Posterior:
    return bi.fit(data, seed=0, draws=250, progress=False)


@pytest.fixture(autouse=True)
def _in_examples(request: pytest.FixtureRequest) -> None:
    """Give examples in docstrings a data set, a posterior and an empty folder."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    space = request.getfixturevalue("doctest_namespace")
    folder: Path = request.getfixturevalue("tmp_path")
    space.update(bi=bi, np=np, folder=folder)
    for name in ("data", "posterior"):
        space[name] = request.getfixturevalue(name)


@pytest.fixture
def run(capsys):
    """Run a command line in this process; gives what it prints."""

    def run(*words: object, code: int = 0) -> object:
        assert cli.main([*map(str, words)]) == code
        return capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium with its driver: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for option in (*OPTIONS.split(), f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()
