"""Defects that are known for long, mended or not: each test states what is right."""

import numpy as np
import pandas as pd
import pytest
from _rows import covered, fitted, moments, one_at_a_time

import bayes_intgen as bi


def test_a_fit_takes_the_rows_of_one_day() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["dose", "y"])
    frame["regime"] = np.tile(["", "dose"], 100)
    frame["season"] = np.repeat(["summer", "winter"], 100)
    frame["clinic"] = np.resize(["b", "c", "d"], 200)

    def read(rows: pd.DataFrame) -> bi.RegimeData:
        columns = {"covariates": ["season"], "groups": ["clinic"]}
        return bi.RegimeData.from_frame(rows, ["dose"], "y", "regime", **columns)

    # Six patients, all with one dose in one season, of a clinic that sorts before the others.
    day = frame.iloc[-6:].assign(dose=1.0, clinic="a")
    updated = fitted(read(frame)).update(read(day), progress=False)
    assert int(updated.tree["constant_data"]["rows"].sum()) == 206
    tree = updated.to_arviz(read(pd.concat([frame, day])), rows=5)
    assert np.isfinite(tree["log_likelihood"]["outcome"]).all()


def covered_beyond_experiments(seed: int) -> float:
    """Coverage of 90% intervals beyond the experiments, where slopes change at random values."""
    rng, was_set = np.random.default_rng([seed, 46]), one_at_a_time(2, 20_000)
    cause, shape = rng.normal(size=was_set.shape), was_set.shape
    actions = np.where(was_set, rng.uniform(-1.5, 1.5, shape), cause + rng.normal(size=shape))
    bends, changes = rng.uniform(-3.5, 3.5, (2, 2)), rng.normal(size=(2, 2))
    slopes = rng.normal(size=2)

    def effect(actions: np.ndarray) -> np.ndarray:
        """Bends twice along each action, anywhere in the range of the history."""
        bent = (changes * np.maximum(actions[:, None] - bends, 0)).sum(axis=1)
        return (actions * slopes + bent).sum(axis=1)

    outcome = effect(actions) + cause.sum(axis=1) + rng.normal(size=60_000)
    posterior = fitted(bi.RegimeData.from_arrays(actions, outcome, was_set), draws=300)
    far = np.concatenate([np.linspace(-3.5, -2, 6), np.linspace(2, 3.5, 6)])[:, None]
    points = np.concatenate([far * [1, 0], far * [0, 1]])
    with pytest.warns(bi.SupportWarning):
        draws = posterior.joint_effect(points)
    return float(np.mean(covered(draws, effect(points))[~draws["supported"].to_numpy()]))


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
    mean, sd = moments(fitted(data, draws=300).contrast([[1, 0]], [[0, 0]]))
    assert abs(mean - 1) < 4 * sd
