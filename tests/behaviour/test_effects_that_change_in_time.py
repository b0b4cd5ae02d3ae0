"""Effects that grow, or that history and experiments show at other dates."""

import warnings

import numpy as np
import pandas as pd
import pytest
from _kinds import fitted
from _rows import moments, one_at_a_time

import bayes_intgen as bi

ACTIONS = ("tv", "radio", "search")
SLOPES = np.array([1.0, -0.8, 0.6])
DAY0 = np.datetime64("2024-01-01")
TO, START = [[1.0, -1.0, 1.0]], [[0.0, 0.0, 0.0]]
REPORTED = "The effects of tv, radio and search depend on day."


def table(growth: float, of_biases: float = 0.0, seed: int = 0, late: float = 0.0) -> pd.DataFrame:
    """Effects multiply by 1 + growth each year, and so may what hidden causes add.

    Experiments run over a year that begins ``late`` years after the history.
    """
    rng, mask = np.random.default_rng(seed), one_at_a_time(3, 400)
    days = (365 * (rng.random(len(mask)) + late * mask.any(axis=1))).astype(int)
    causes, own = rng.normal(size=(2, *mask.shape))
    actions, years = np.where(mask, own, 0.8 * causes + 0.6 * own), days / 365
    sales = (1 + growth * years) * (actions @ SLOPES) + 0.3 * np.sin(2 * np.pi * years)
    sales += (1 + of_biases * years) * (causes @ [0.6, 0.6, -0.4])
    sales += 0.4 * rng.normal(size=len(mask))
    regime = np.where(mask.any(axis=1), np.array(ACTIONS)[mask.argmax(axis=1)], "")
    frame = pd.DataFrame(dict(zip(ACTIONS, actions.T, strict=True)))
    return frame.assign(sales=sales, day=DAY0 + days.astype("timedelta64[D]"), regime=regime)


def posterior(frame: pd.DataFrame, **order: str) -> bi.Posterior:
    data = bi.RegimeData.from_frame(frame, ACTIONS, "sales", "regime", covariates=["day"], **order)
    return fitted(data, draws=100)


@pytest.mark.parametrize(("growth", "of_biases"), [(0.4, 0.0), (0.0, 0.0), (0.0, 0.4)])
def test_growth_of_effects_is_reported_and_no_other(growth: float, of_biases: float) -> None:
    """Biases that grow alone, and a level with a season, are no effects that do."""
    seeds = range(4)
    reported = [REPORTED in str(posterior(table(growth, of_biases, seed))) for seed in seeds]
    assert sum(reported) == len(seeds) if growth else sum(reported) < 2


def test_growth_by_numbered_weeks_is_reported_if_they_are_the_time() -> None:
    dated = table(growth=0.4)
    dated["store"] = "s" + dated.groupby("day").cumcount().astype(str)
    frame, order = dated.assign(day=(dated["day"] - DAY0).dt.days), {"unit": "store", "time": "day"}
    fits = []
    for rows, columns, reported in ((frame, order, True), (frame, {}, False), (dated, order, True)):
        fits.append(posterior(rows, **columns))
        assert (REPORTED in str(fits[-1])) == reported
    # Along a straight line from the first day on, as by dates.
    for day in (3, 180, 360):
        date = str(DAY0 + np.timedelta64(day, "D"))
        own, other = fits[0].given(day=day), fits[2].given(day=date)
        (mean, _), (by_date, sd) = (moments(one.contrast(TO, START)) for one in (own, other))
        assert abs(mean - by_date) < 0.3 * sd


def test_changes_at_dates_are_right() -> None:
    """Also on average over the dates of the history."""
    fit = posterior(table(growth=0.5))
    for years in (0.1, 0.5, 0.9):
        day = str(DAY0 + np.timedelta64(int(365 * years), "D"))
        mean, sd = moments((fit if years == 0.5 else fit.given(day=day)).contrast(TO, START))
        assert sd < 0.2
        assert abs(mean - (1 + 0.5 * years) * np.abs(SLOPES).sum()) < 3 * sd


def test_a_change_beyond_the_experiments_is_extrapolation() -> None:
    """Negative controls: a date within these, and effects that do not change."""
    with pytest.warns(bi.DataWarning, match="no date in 'day' has both history"):
        fit, other = (posterior(table(growth, late=1.0)) for growth in (0.5, 0.0))
    words = "day = 2024-06-01 is beyond the rows of do\\(tv\\)"
    average = "effects change with 'day', .* beyond the rows of do\\(tv\\).* by given={'day': ...}"
    for ask in (
        lambda fit: fit.contrast(TO, START),
        lambda fit: fit.slope("tv", START),
        lambda fit: fit.best(bi.Decision(cost=dict.fromkeys(ACTIONS, 0.1))),
    ):
        with pytest.warns(bi.SupportWarning, match=words):
            ask(fit.given(day="2024-06-01"))
        with pytest.warns(bi.SupportWarning, match=average):
            ask(fit)
    with warnings.catch_warnings(action="error", category=bi.SupportWarning):
        fit.given(day="2025-06-01").contrast(TO, START)
        other.contrast(TO, START)
