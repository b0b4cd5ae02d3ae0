import os
import re
import signal
import time
import warnings
from dataclasses import replace
from threading import Event, Thread

import jax
import numpy as np
import pytest
from _rows import fitted, moments

import bayes_intgen as bi

POINTS = np.array([[0.0, 0.0], [0.5, 1.25], [-0.5, -1.25]])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chains": 0}, "chains must be a whole number of at least 1"),
        ({"draws": 2}, "draws must be a whole number of at least 4"),
        ({"draws": 10.5}, "draws must be a whole number"),
        ({"seed": None}, "seed must be a whole number"),
        ({"target_accept": 1.0}, "target_accept must lie between 0 and 1"),
        ({"warmup": 1}, "warmup must be a whole number of at least 10"),
        ({"method": "vi"}, "unknown method 'vi'"),
    ],
)
def test_invalid_settings_raise(data, settings, message) -> None:
    with pytest.raises(bi.ModelError, match=message):
        bi.fit(data, progress=False, **settings)


def test_other_types_of_data_and_models_raise(data) -> None:
    with pytest.raises(bi.DataError, match="must be a RegimeData, not ndarray"):
        bi.fit(data.actions)
    with pytest.raises(bi.ModelError, match="must be a Model, not str"):
        bi.fit(data, "gp")


def test_an_outcome_without_noise_raises(data) -> None:
    exact = replace(data, outcome=data.actions @ [1.0, -1.0])
    with pytest.raises(bi.DataError, match="determine outcome 'intensity' all but exactly"):
        bi.fit(exact, bi.models.additive("linear"), progress=False)


def test_names_of_dimensions_and_numpy_integers_are_accepted(data) -> None:
    names = ("scale", "chain")
    renamed = bi.RegimeData.from_arrays(data.actions, data.outcome, data.intervened, names)
    settings = {"draws": np.int64(20), "warmup": np.int32(50), "seed": np.uint8(3)}
    model = bi.models.additive(bi.GP(size=np.int64(6)))
    effect = fitted(renamed, model, **settings).joint_effect(POINTS)
    np.testing.assert_array_equal(effect["scale"], POINTS[:, 0])
    # Settings of JAX are restored.
    assert not jax.config.jax_enable_x64


# A signal to the process ends the wait of its main thread. One to another thread does not, like a
# signal that comes just before the main thread waits.
@pytest.mark.parametrize(
    "send",
    [lambda number: os.kill(os.getpid(), number), signal.raise_signal],
    ids=["process", "thread"],
)
def test_an_interrupt_stops_all_chains(data, tmp_path, send) -> None:
    ended, began = Event(), []
    # So many draws would take minutes.
    settings = {"draws": 400_000, "progress": False, "checkpoint": tmp_path / "sums"}

    def interrupt() -> None:
        # The checkpoint is written before sampling.
        while not ((tmp_path / "sums").exists() or ended.is_set()):
            time.sleep(0.01)
        ended.wait(2)
        began.append(time.monotonic())
        if not ended.is_set():
            send(signal.SIGINT)

    thread = Thread(target=interrupt)
    # Processes that run tests in parallel ignore interrupts.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            bi.fit(data, bi.models.additive("linear"), **settings)
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGINT, handler)
    assert time.monotonic() - began[0] < 30


# With so few rows a level has no experiments.
@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
@pytest.mark.parametrize("prior", ["gp", "spline", "polynomial", "linear"])
def test_few_rows_with_discrete_actions_give_wide_intervals_about_the_truth(prior) -> None:
    rng, rows = np.random.default_rng(8), 16
    actions = np.stack([rng.integers(0, 2, rows), np.where(rng.random(rows) < 0.7, 0, 5)], axis=1)
    intervened = np.zeros((rows, 2), dtype=bool)
    intervened[8:12, 0] = intervened[12:, 1] = True
    data = bi.RegimeData.from_arrays(actions, actions[:, 0] + rng.normal(size=rows), intervened)
    mean, sd = moments(fitted(data, bi.models.additive(prior)).joint_effect(actions))
    assert (np.abs(mean - actions[:, 0]) < 4 * sd).all()
    # Four rows of a regime with unit noise leave a standard error of a half.
    assert ((sd > 0.5) & (sd < 2)).all()


@pytest.fixture(scope="module")
def laplace(data) -> bi.Posterior:
    with warnings.catch_warnings(action="error", category=bi.SamplingWarning):
        return fitted(data)


def test_pareto_k_takes_the_place_of_divergences(laplace, tmp_path) -> None:
    statistics = laplace.tree["sample_stats"]
    assert "diverging" not in statistics
    assert 0 < statistics.attrs["importance_ess"] <= statistics.attrs["proposals"]
    line = f"Importance weights: Pareto k {statistics.attrs['pareto_k']:.2f} (at most 0.7)"
    assert line in str(laplace)
    assert "1,000 importance draws" in repr(laplace)
    assert not any(word in str(laplace) for word in ("R-hat", "ivergen", "chain"))
    laplace.report(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for words in (line, "1,000 importance draws", '<th scope="row">method</th><td>laplace</td>'):
        assert words in page
    assert not any(word in page for word in ("R-hat", "divergent", "warmup", "NumPyro", "chains"))


@pytest.mark.parametrize(
    ("k", "ess", "message"),
    [
        (0.83, 900.0, r"^Pareto k is 0\.83, above 0\.7.*method=.nuts."),
        (0.3, 57.0, r"^the importance weights .* are worth 57 draws.*method=.nuts."),
    ],
)
def test_unreliable_weights_are_named_with_the_remedy(laplace, k, ess, message) -> None:
    tree = laplace.tree.copy()
    tree["sample_stats"].attrs = {"pareto_k": k, "importance_ess": ess, "proposals": 4000}
    report = bi.report_identification(bi.Posterior(tree))
    (problem,) = report.problems
    assert re.match(message, problem)
    assert problem[1:] in str(report).replace("\n    ", " ")
