"""Defects that are known and not mended yet: each test states what is right."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

LAPLACE = {"method": "laplace", "progress": False, "draws": 300}


def width(effect: object) -> float:
    low, high = (effect.quantile(p, ("chain", "draw")) for p in (0.05, 0.95))
    return float((high - low).mean())


@pytest.mark.xfail(strict=True, reason="planned rows do not have the power of the likelihood")
def test_as_many_rows_again_halve_the_variance_with_outliers() -> None:
    rng = np.random.default_rng(0)
    was_set = np.repeat([[False], [True]], 400, axis=0)
    dose, noise = rng.normal(size=(800, 1)), rng.normal(size=800)
    far = rng.random(800) < 0.05
    noise[far] += rng.choice([-1, 1], far.sum()) * rng.uniform(5, 50, far.sum())
    data = bi.RegimeData.from_arrays(dose, dose[:, 0] + noise, was_set, ["dose"])
    model = bi.models.additive("linear", noise="student_t")
    posterior = bi.fit(data, model, chains=1, warmup=150, draws=300, progress=False)
    points = [[-1.0], [0.0], [1.0]]
    half = width(posterior.joint_effect(points)) / np.sqrt(2)
    # All 400 rows of the experiment; without outliers it says 450.
    assert posterior.rows_for(half, points) > 340


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


@pytest.mark.xfail(strict=True, reason="axes of the report have numbers of days")
def test_axes_of_the_report_have_dates(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    day = pd.Timestamp("2023-06-01") + pd.to_timedelta(rng.integers(0, 300, 240), "D")
    frame = pd.DataFrame({"tv": rng.normal(size=240), "day": day})
    frame["regime"] = np.tile(["", "tv"], 120)
    frame["y"] = frame["tv"] + (day - day.min()).days / 150 + rng.normal(size=240)
    data = bi.RegimeData.from_frame(frame, ["tv"], "y", "regime", covariates=["day"])
    bi.fit(data, **LAPLACE).report(tmp_path / "report.html")
    ticks = re.findall(r'<text class="x"[^>]*>([^<]*)<', (tmp_path / "report.html").read_text())
    assert ticks
    # Of the days since 1970.
    assert not [tick for tick in ticks if re.fullmatch(r"19[.,\s]?[5-9]\d\d", tick)]


def share_covered(posterior: bi.Posterior, points: np.ndarray, truth: np.ndarray) -> float:
    """Share of points whose 90% interval contains the truth; all lie beyond the support."""
    with pytest.warns(bi.SupportWarning):
        effect = posterior.joint_effect(points)
    low, high = (effect.quantile(p, ("chain", "draw")).to_numpy() for p in (0.05, 0.95))
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.xfail(strict=True, reason="intervals beyond the support of many rows are too narrow")
def test_intervals_beyond_the_support_of_many_rows_are_wide() -> None:
    rng = np.random.default_rng(1)
    was_set = np.repeat([[0, 0], [1, 0], [0, 1]], 20_000, axis=0).astype(bool)
    cause = rng.normal(size=(60_000, 2))
    actions = np.where(
        was_set, rng.uniform(-1.5, 1.5, (60_000, 2)), cause + rng.normal(size=(60_000, 2))
    )

    def effect(actions: np.ndarray) -> np.ndarray:
        """Falls where no experiment was, in the range of the history."""
        return (actions - 1.5 * np.maximum(actions - 1.5, 0)).sum(axis=1)

    outcome = effect(actions) + cause.sum(axis=1) + rng.normal(size=60_000)
    posterior = bi.fit(bi.RegimeData.from_arrays(actions, outcome, was_set), **LAPLACE)
    points = np.array([[2.2, 0], [3, 0], [3.5, 0], [0, 2.2], [0, 3], [0, 3.5]])
    assert share_covered(posterior, points, effect(points)) >= 0.5


@pytest.mark.xfail(strict=True, reason="products revert to the mean at far corners")
def test_intervals_at_far_corners_of_an_interaction_are_wide() -> None:
    rng = np.random.default_rng(1)
    was_set = np.repeat([[0, 0], [1, 0], [0, 1]], 1000, axis=0).astype(bool)
    actions = rng.normal(size=(3000, 2))

    def effect(actions: np.ndarray) -> np.ndarray:
        return actions.sum(axis=1) + 0.6 * actions.prod(axis=1)

    outcome = effect(actions) + rng.normal(size=3000)
    posterior = bi.fit(bi.RegimeData.from_arrays(actions, outcome, was_set), **LAPLACE)
    corners = 3.2 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    assert share_covered(posterior, corners, effect(corners)) >= 0.5
