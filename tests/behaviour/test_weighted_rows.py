"""Rows that are means of n units, which share a hidden cause or do not."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from _kinds import cells_of
from _questions import moments
from _rows import fitted

import bayes_intgen as bi

POINTS = np.random.default_rng(9).normal(size=(40, 2)).clip(-2, 2)
# Variance of the noise of a unit, and of what all units of a row share where both actions are set;
# given the actions it is between 2.2 and 2.4 in the other regimes.
NOISE, SHARED = 9.0, 2.5


def table(shared: bool, seed: int = 1, rows: int = 200) -> pd.DataFrame:
    """Means of n units in each of three regimes; they share hidden causes and a shock, or not."""
    rng = np.random.default_rng(seed)
    number = 3 * rows
    n = np.clip(np.round(np.exp(rng.normal(1.2, 1.2, number))), 1, 60)
    regime = np.arange(number) % 3
    was_set = np.array([[0, 0], [1, 0], [0, 1]], dtype=bool)[regime]
    cause = rng.normal(size=(number, 2)) * shared
    actions = np.where(was_set, 1.3, 1) * rng.normal(size=(number, 2)) + cause * ~was_set
    outcome = np.sin(actions[:, 0]) - 0.7 * actions[:, 1] + cause @ [0.6, 0.4]
    outcome += shared * 1.4 * rng.normal(size=number)
    outcome += np.sqrt(NOISE / n) * rng.normal(size=number)
    labels = np.array(["", "red", "green"])[regime]
    columns = {"red": actions[:, 0], "green": actions[:, 1], "y": outcome, "n": n}
    return pd.DataFrame(columns | {"regime": labels})


def read(frame: pd.DataFrame, weights: str | None = "n", sd: str | None = None) -> bi.RegimeData:
    return bi.RegimeData.from_frame(
        frame, ["red", "green"], "y", "regime", weights=weights, outcome_sd=sd
    )


def fit(data: bi.RegimeData, model: object = None) -> bi.Posterior:
    return fitted(data, model, draws=500)


@cache
def fit_of(shared: bool) -> tuple[pd.DataFrame, bi.Posterior]:
    frame = table(shared, rows=500)
    return frame, fit(read(frame))


def effects(posterior: bi.Posterior) -> tuple[np.ndarray, np.ndarray]:
    return moments(posterior.joint_effect(POINTS))


def surprise(posterior: bi.Posterior, frame: pd.DataFrame) -> tuple[float, float]:
    """Root mean square of standardised outcomes, in rows of few and of many units."""
    tree = posterior.to_arviz(read(frame), rows=None)
    mean, sd = moments(tree["posterior_predictive"].dataset["outcome"])
    z = (frame["y"].to_numpy() - mean) / sd
    few, many = frame["n"] <= 3, frame["n"] >= 20
    return float(np.sqrt(np.mean(z[few] ** 2))), float(np.sqrt(np.mean(z[many] ** 2)))


@pytest.mark.parametrize("shared", [True, False])
def test_rows_of_few_and_of_many_units_are_as_far_from_the_fit_as_it_says(shared: bool) -> None:
    frame, posterior = fit_of(shared)
    # The standard errors are below 0.06.
    assert surprise(posterior, frame) == pytest.approx((1, 1), abs=0.15)


@pytest.mark.parametrize("shared", [True, False])
def test_a_predicted_outcome_is_that_of_one_unit(shared: bool) -> None:
    _, posterior = fit_of(shared)
    expected = np.sqrt(NOISE + shared * SHARED)
    assert float(posterior.outcome(POINTS).std("draw").mean()) == pytest.approx(expected, rel=0.15)


def test_effects_are_those_with_effective_numbers_of_units() -> None:
    frame, posterior = fit_of(shared=True)
    effective = frame.assign(n=frame["n"] / (1 + frame["n"] * 2.3 / NOISE))
    (mean, sd), (expected, _) = effects(posterior), effects(fit(read(effective)))
    assert np.abs(mean - expected).mean() < 0.1 * sd.mean()
    # Negative control: without weights they differ more.
    plain, _ = effects(fit(read(frame, weights=None)))
    assert np.abs(plain - expected).mean() > 0.2 * sd.mean()


def test_weights_pay_where_units_share_nothing() -> None:
    frame, posterior = fit_of(shared=False)
    (_, sd), (_, without) = effects(posterior), effects(fit(read(frame, weights=None)))
    assert sd.mean() < 0.8 * without.mean()


def test_an_equal_number_of_units_changes_nothing() -> None:
    frame = table(shared=True).assign(n=5)
    (mean, sd), (expected, without) = effects(fit(read(frame))), effects(fit(read(frame, None)))
    assert np.abs(mean - expected).max() < 0.05 * sd.mean()
    assert sd == pytest.approx(without, rel=0.05)


def cells(units: int | None) -> pd.DataFrame:
    """Cells of units at 243 settings, which share a cause of standard deviation one."""
    rng, values = np.random.default_rng(1), np.linspace(-2, 2, 9)
    settings = pd.MultiIndex.from_product([values, values, ["", "red", "green"]])
    settings = settings.to_frame(index=False, name=["red", "green", "regime"])
    sizes = rng.integers(1, 12, len(settings)) if units is None else units
    rows = settings.loc[np.repeat(np.arange(len(settings)), sizes)]
    noise = rng.normal(size=len(settings))[rows.index] + rng.normal(size=len(rows))
    rows = rows.assign(y=np.sin(rows["red"]) - 0.7 * rows["green"] + noise)
    return cells_of(rows, ["red", "green", "regime"])


def test_standard_deviations_within_cells_show_what_their_units_share() -> None:
    # Even if all have the same number of units, which says nothing by itself.
    for units in (None, 5):
        posterior = fit(read(cells(units), sd="sd"))
        assert float(posterior.outcome(POINTS[:1]).std()) == pytest.approx(np.sqrt(2), rel=0.15)


def test_updates_have_the_same_variance() -> None:
    frame = table(shared=True)
    earlier, later = frame.iloc[:-45], frame.iloc[-45:]
    updated = fit(read(earlier)).update(read(later), progress=False)
    assert surprise(updated, frame) == pytest.approx((1, 1), abs=0.17)
    (mean, sd), (expected, _) = effects(updated), effects(fit(read(frame)))
    assert np.abs(mean - expected).mean() < 0.25 * sd.mean()


def test_the_program_has_the_same_variance() -> None:
    frame, model = table(shared=True), bi.models.additive(spread="constant")
    relative = fit(read(frame), model).program(read(frame)).relative_sd ** 2
    n = frame["n"].to_numpy()
    # Variance of a row, relative to that of a unit.
    (common, own), *_ = np.linalg.lstsq(np.column_stack([np.ones_like(n), 1 / n]), relative)
    assert common == pytest.approx(2.3 / (2.3 + NOISE), abs=0.1)
    assert common + own == pytest.approx(1)


def test_student_t_noise_has_the_same_variance() -> None:
    frame = table(shared=True, rows=120)
    model = bi.models.additive("linear", noise="student_t")
    few, many = surprise(fit(read(frame), model), frame)
    assert (few, many) == pytest.approx((1, 1), abs=0.25)
