"""Defects that are known for long, mended or not: each test states what is right."""

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

LAPLACE = {"method": "laplace", "progress": False, "draws": 300}


def test_a_fit_takes_the_rows_of_one_day() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["dose", "y"])
    frame["regime"] = np.tile(["", "dose"], 100)
    frame["season"] = np.repeat(["summer", "winter"], 100)

    def read(rows: pd.DataFrame) -> bi.RegimeData:
        return bi.RegimeData.from_frame(rows, ["dose"], "y", "regime", covariates=["season"])

    posterior = bi.fit(read(frame), **LAPLACE)
    # Six patients, all with one dose in one season.
    day = frame.iloc[-6:].assign(dose=1.0)
    updated = posterior.update(read(day), progress=False)
    assert int(updated.tree["constant_data"]["rows"].sum()) == 206


def covered_beyond_experiments(seed: int) -> float:
    """Coverage of 90% intervals beyond the experiments, where slopes change at random values."""
    rng = np.random.default_rng([seed, 46])
    was_set = np.repeat([[0, 0], [1, 0], [0, 1]], 20_000, axis=0).astype(bool)
    cause = rng.normal(size=(60_000, 2))
    actions = np.where(
        was_set, rng.uniform(-1.5, 1.5, (60_000, 2)), cause + rng.normal(size=(60_000, 2))
    )
    bends, changes = rng.uniform(-3.5, 3.5, (2, 2)), rng.normal(size=(2, 2))
    slopes = rng.normal(size=2)

    def effect(actions: np.ndarray) -> np.ndarray:
        """Bends twice along each action, anywhere in the range of the history."""
        bent = (changes * np.maximum(actions[:, None] - bends, 0)).sum(axis=1)
        return (actions * slopes + bent).sum(axis=1)

    outcome = effect(actions) + cause.sum(axis=1) + rng.normal(size=60_000)
    posterior = bi.fit(bi.RegimeData.from_arrays(actions, outcome, was_set), **LAPLACE)
    far = np.concatenate([np.linspace(-3.5, -2, 6), np.linspace(2, 3.5, 6)])[:, None]
    points = np.concatenate([far * [1, 0], far * [0, 1]])
    with pytest.warns(bi.SupportWarning):
        draws = posterior.joint_effect(points)
    low, high = draws.quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
    truth, beyond = effect(points), ~draws["supported"].to_numpy()
    return float(np.mean(((low <= truth) & (truth <= high))[beyond]))


def test_intervals_beyond_the_support_of_many_rows_are_wide() -> None:
    assert np.mean([covered_beyond_experiments(seed) for seed in range(6)]) >= 0.8


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_a_drug_that_nobody_took_before_its_trial() -> None:
    rng, rows = np.random.default_rng(0), 300
    frame = pd.DataFrame({"dose": rng.normal(size=3 * rows), "age": rng.normal(size=3 * rows)})
    frame["regime"] = np.repeat(["", "treated", "dose"], rows)
    frame["treated"] = np.where(frame["regime"] == "treated", rng.integers(0, 2, 3 * rows), 0)
    frame["y"] = frame["treated"] + frame["dose"] + frame["age"] + rng.normal(size=3 * rows)
    names = ["treated", "dose"]
    data = bi.RegimeData.from_frame(frame, names, "y", "regime", covariates=["age"])
    change = bi.fit(data, **LAPLACE).contrast({"treated": 1, "dose": 0}, {"treated": 0, "dose": 0})
    assert abs(float(change.mean()) - 1) < 4 * float(change.std())
