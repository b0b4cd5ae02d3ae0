"""Experiments after all history: levels rest on the trend, and changes do not."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from _kinds import Case, case_named, fitted, history_first, read
from _questions import contrast

import bayes_intgen as bi

WORDS = "no date in 'week' has both history and any experiment"
DECISION = bi.Decision(cost={"tv": 1.0, "radio": 1.0})
LEVELS: list[Callable[[Case, bi.Posterior], object]] = [
    lambda case, fit: fit.joint_effect(case.points),
    lambda case, fit: fit.outcome(case.points),
    lambda case, fit: fit.effect(case.points, ["tv", "radio"]),
    lambda case, fit: fit.joint_effect(case.points, given={"week": "2026-05-04"}),
    lambda case, fit: fit.ratio(case.points, case.start),
    lambda case, fit: fit.cheapest(DECISION, target=5.0, beyond_support=True),
]
CHANGES: list[Callable[[Case, bi.Posterior], object]] = [
    lambda case, fit: fit.contrast(case.points, case.start),
    lambda case, fit: fit.slope("tv", case.points),
    lambda case, fit: fit.best(DECISION),
]


@pytest.fixture(scope="module")
def asked() -> tuple[Case, bi.Posterior]:
    case = history_first()
    words = f"^{WORDS}.*; add history at the dates of experiments$"
    with pytest.warns(bi.DataWarning, match=words):
        return case, case.fit(case)


@pytest.mark.parametrize("level", LEVELS)
def test_levels_are_said_to_rest_on_the_trend(asked, level) -> None:
    with pytest.warns(bi.SupportWarning, match=f"^{WORDS}.* rests on the trend, but changes"):
        level(*asked)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_not(asked, change) -> None:
    with warnings.catch_warnings(action="error", category=bi.SupportWarning):
        change(*asked)


def test_changes_are_right(asked) -> None:
    case, fit = asked
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        contrast(case, fit, {})


def test_every_summary_says_so_once(asked, tmp_path) -> None:
    case, fit = asked
    words = WORDS.removeprefix("no ").split(" any")[0]
    said = fit, bi.report_identification(case.data), case.data.identify(["tv"]), fit.best(DECISION)
    for text in map(str, said):
        assert " ".join(text.split()).count(words) == 1
    fit.save(tmp_path / "fit.nc")
    with pytest.warns(bi.SupportWarning, match=WORDS):
        bi.load(tmp_path / "fit.nc").joint_effect(case.points)
    assert fit.support(case.points).attrs["level_rests_on"] == "week"


def test_history_at_the_dates_of_experiments_is_enough(tmp_path) -> None:
    """Negative control, with a date beyond the experiments."""
    case = case_named("dates_and_season", tmp_path)
    with warnings.catch_warnings(action="error", category=bi.BayesIntgenWarning):
        fit = case.fit(case)
        for level in LEVELS[:3]:
            level(case, fit)
        fit.joint_effect(case.points, given={"week": "2024-05-06"})
    assert fit.support(case.points).attrs["level_rests_on"] == ""


def test_a_date_beyond_an_experiment_is_extrapolation() -> None:
    """Negative control: a date within the experiment."""
    case = history_first(step=0.0)
    frame = case.frame.copy()
    history = frame["regime"] == ""
    frame.loc[history, "week"] += 2 * (frame.loc[history, "week"] - frame["week"].min())
    fit = fitted(read(frame, case.world, covariates=["week"]))
    words = "week = 2024-05-06 is beyond the rows of do\\(tv\\)"
    with pytest.warns(bi.SupportWarning, match=words):
        fit.joint_effect(case.points, given={"week": "2024-05-06"})
    with warnings.catch_warnings(action="error", category=bi.SupportWarning):
        fit.joint_effect(case.points, given={"week": "2026-12-07"})
        fit.joint_effect(case.points)


def test_differences_of_products_rest_on_the_level() -> None:
    """Ratios are the changes of a product."""
    case = history_first(step=0.0)
    frame = case.frame.assign(y=np.exp(case.frame["y"] / 3))
    with pytest.warns(bi.DataWarning, match=WORDS):
        fit = fitted(
            read(frame, case.world, covariates=["week"]), bi.models.multiplicative(), draws=100
        )
    with pytest.warns(bi.SupportWarning, match=f"{WORDS}.*; ask for posterior.ratio$"):
        fit.contrast(case.points, case.start)
    with warnings.catch_warnings(action="error", category=bi.SupportWarning):
        fit.ratio(case.points, case.start)
