"""Actions that act for some periods: windows, rows that are usable, and answers."""

import warnings

import numpy as np
import pandas as pd
import pytest
from _rows import fitted, moments

import bayes_intgen as bi
from bayes_intgen.models.carryover import carried_over
from bayes_intgen.posterior.effects import effect_table
from bayes_intgen.simulators import MarketingPanel, WeeklyPanel

NAMES = ["tv", "radio"]


def panel(
    rate: float, seed: int = 0, persistence: float = 0.0, regions: int = 12, weeks: int = 80
) -> pd.DataFrame:
    """Regions week by week: a third of them history only, 16 weeks of one experiment in others."""
    rng = np.random.default_rng(seed)
    shape = (regions, weeks + 8, 2)
    causes = rng.normal(size=shape)
    for t in range(1, shape[1]):
        fresh = np.sqrt(1 - persistence**2) * causes[:, t]
        causes[:, t] = persistence * causes[:, t - 1] + fresh
    actions, regime = causes + rng.normal(size=shape), np.full(shape[:2], "", dtype=object)
    for region in np.flatnonzero(np.arange(regions) % 3 < 2):
        weeks_set = slice(start := rng.integers(8, weeks - 8), start + 16)
        actions[region, weeks_set, region % 3] = 1.5 * rng.normal(size=16)
        regime[region, weeks_set] = NAMES[region % 3]
    weights = rate ** np.arange(8) / np.sum(rate ** np.arange(8))
    carried = sum(w * np.roll(actions, lag, axis=1) for lag, w in enumerate(weights))
    outcome = np.tanh(carried[..., 0]) + 0.5 * carried[..., 1] + 0.8 * causes.sum(axis=-1)
    outcome = outcome + 0.5 * rng.normal(size=shape[:2])
    region, week = np.indices((regions, weeks))
    columns = {"y": outcome, "regime": regime, "tv": actions[..., 0], "radio": actions[..., 1]}
    return pd.DataFrame({name: cells[:, 8:].ravel() for name, cells in columns.items()}).assign(
        region=[f"r{i}" for i in region.ravel()], week=week.ravel()
    )


def read(frame: pd.DataFrame, **options: object) -> bi.RegimeData:
    options = {"unit": "region", "time": "week"} | options
    return bi.RegimeData.from_frame(frame, NAMES, "y", "regime", **options)


def fit_of(frame: pd.DataFrame, carryover: dict[str, bi.Adstock] | None, **prior) -> bi.Posterior:
    return fitted(read(frame), bi.models.additive(carryover=carryover, **prior))


POINTS = np.array([[-0.5, 0.3], [0.4, -0.6], [0.8, 0.5]])
TRUTH = np.tanh(POINTS[:, 0]) + 0.5 * POINTS[:, 1]
DELAYED = {"tv": bi.Adstock(0.5, delay=2, length=2)}
OPEN = dict.fromkeys(NAMES, bi.Adstock())
LONG = {"region": np.arange(960) // 160, "week": np.arange(960) % 160, "regime": ""}


@pytest.mark.parametrize("origin", [0.0, 1000.0])
def test_windows_are_of_the_same_unit_in_any_order(origin) -> None:
    # Where an action persists, rows of experiments need windows of their own.
    frame = panel(0.0, seed=2, regions=3, weeks=40, persistence=0.9)
    frame["tv"] += origin
    rows = carried_over(read(frame), {"tv": bi.Adstock(0.5, length=3)})
    table = frame.assign(old=frame.groupby("region")["tv"].shift(1))
    table["older"] = table.groupby("region")["tv"].shift(2)
    expected = (4 * table["tv"] + 2 * table["old"] + table["older"]) / 7
    kept = table["week"].isin(range(2, 40)) & (
        (table["regime"] != "tv") | (table.groupby("region")["regime"].shift(2).eq("tv"))
    )
    np.testing.assert_allclose(rows.actions[:, 0], expected[kept])
    np.testing.assert_array_equal(rows.actions[:, 1], frame["radio"][kept])
    np.testing.assert_array_equal(rows.this_period.actions[:, 0], frame["tv"][kept])
    assert rows.left_out == len(frame) - kept.sum() > 0
    # Negative control.
    fresh = carried_over(read(panel(0.0, regions=3, weeks=40)), {"tv": bi.Adstock(0.5, length=3)})
    assert fresh.left_out == 3 * 2
    shuffled = frame.sample(frac=1, random_state=0)
    again = carried_over(read(shuffled), {"tv": bi.Adstock(0.5, length=3)})
    np.testing.assert_allclose(np.sort(again.actions[:, 0]), np.sort(rows.actions[:, 0]))


def test_a_delay_and_a_missing_week() -> None:
    frame = panel(0.0, regions=3, weeks=40)
    table = frame.assign(old=frame.groupby("region")["tv"].shift(2))
    table["older"] = table.groupby("region")["tv"].shift(3)
    expected = ((2 * table["old"] + table["older"]) / 3)[table["week"] >= 3]
    rows = carried_over(read(frame), DELAYED)
    np.testing.assert_allclose(rows.actions[:, 0], expected)
    # Most of what acts in week 7 was in the week that is missing, and a third of it in week 8.
    gap = (frame["week"] == 5) & (frame["region"] == "r0")
    left_out = (frame["week"] < 3) | ((frame["region"] == "r0") & frame["week"].isin([5, 7, 8]))
    without = carried_over(read(frame[~gap]), DELAYED)
    np.testing.assert_allclose(without.actions[:, 0], expected[~left_out[table["week"] >= 3]])
    assert without.left_out == 3 * 3 + 2


def test_months_of_different_lengths_follow_each_other() -> None:
    frame = panel(0.0, regions=3, weeks=72)
    months = pd.date_range("2020-01-01", periods=72, freq="MS")
    monthly = frame.assign(week=months[frame["week"]])
    gap = (frame["week"] != 40).to_numpy()
    for of_month, of_number in ((monthly, frame), (monthly[gap], frame[gap])):
        one, other = (carried_over(read(own), DELAYED) for own in (of_month, of_number))
        np.testing.assert_array_equal(one.actions, other.actions)


def test_held_actions_are_carried_over_as_they_are() -> None:
    frame = panel(0.0).assign(tv=lambda t: t.groupby("region")["tv"].transform("first"))
    rows = carried_over(read(frame), {"tv": bi.Adstock(0.7, sd=0.3)})
    np.testing.assert_allclose(rows.actions, rows.this_period.actions)
    np.testing.assert_allclose(rows.periods[:, 2:4], 0, atol=1e-12)


@pytest.mark.parametrize(("rate", "outliers"), [(0.0, False), (0.6, False), (0.6, True)])
def test_the_sustained_effect_at_an_estimated_rate(rate, outliers) -> None:
    frame = panel(rate, seed=3 * outliers, regions=24)
    frame.loc[::15, "y"] += 25 * outliers * np.random.default_rng(3).normal(size=128)
    fit = fit_of(frame, OPEN, noise="student_t" if outliers else "gaussian")
    mean, sd = moments(fit.joint_effect(POINTS))
    assert (np.abs(mean - TRUTH) < 3.5 * sd).all()
    assert sd.max() < 0.5
    rates = [adstock.rate for adstock in fit.terms.carryover.values()]
    np.testing.assert_allclose(rates, rate, atol=0.2)
    if rate and not outliers:
        # Negative control: the effect of one week, without carry-over.
        mean, sd = moments(fit_of(frame, None).contrast(POINTS[2:], POINTS[:1]))
        assert mean - (TRUTH[2] - TRUTH[0]) < -3.5 * sd


def test_a_value_may_be_held_that_no_carried_over_action_reached() -> None:
    """Weekly settings vary more than what they carry over to."""
    frame = panel(0.6, seed=6)
    known = dict.fromkeys(NAMES, bi.Adstock(0.6))
    carried = carried_over(read(frame), known)
    top = frame.loc[frame["regime"] == "radio", "radio"].max()
    assert isinstance(carried, bi.RegimeData)
    assert carried.actions[:, 1].max() < 0.8 * top
    with pytest.warns(bi.SupportWarning, match="no experiment near 'radio'"):
        change = fit_of(frame, known).contrast([[0.0, top / 2], [0.0, top]], [[0.0, 0.0]])
    mean, sd = moments(change)
    np.testing.assert_array_less(np.abs(mean - 0.5 * top * np.array([0.5, 1.0])), 2.5 * sd)
    assert sd[1] > 2 * sd[0]
    assert mean[1] > 1.5 * mean[0]


@pytest.mark.parametrize(("label", "rate"), [("finer", 0.8), ("| week) change", 0.6)])
@pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")
def test_biases_follow_the_actions_of_a_week(label, rate) -> None:
    frame = panel(rate, seed=1)
    for name in NAMES:
        by_week, jumps = frame[name] * frame["week"] / 20, np.sign(np.sin(6 * frame[name]))
        frame["y"] += (frame["regime"] != name) * (jumps if label == "finer" else by_week)
    model = bi.models.additive(carryover={"tv": bi.Adstock(rate)})
    terms = fitted(read(frame, covariates=["week"]), model).terms.terms
    assert any(t.of_period and t.name.endswith(label) and t.action == 0 for t in terms)


def test_persistent_causes_do_not_pass_for_carry_over() -> None:
    frame = panel(0.0, seed=3, persistence=0.8)
    fit = fit_of(frame, OPEN)
    assert any(term.name == "delta(tv) past" for term in fit.terms.terms)
    mean, sd = moments(fit.contrast(POINTS[1:], POINTS[:1]))
    assert (np.abs(mean - (TRUTH[1:] - TRUTH[:1])) < 4 * sd).all()
    # Negative control: causes that do not persist leave no trace in earlier weeks.
    assert not any("past" in term.name for term in fit_of(panel(0.0, seed=3), OPEN).terms.terms)


@pytest.mark.parametrize("seed", [4, 5, 10])
def test_persistent_noise_does_not_pass_for_slow_carry_over(seed) -> None:
    def rates(noise: float, rate: float) -> list[float]:
        regions = MarketingPanel.random(2, seed, regions=9, differences=0.0)
        weeks = WeeklyPanel(regions, noise=noise, hold=8, carryover=rate).frame(seed)
        fit = fit_of(weeks.rename(columns={"outcome": "y"}), OPEN)
        return [adstock.rate for adstock in fit.terms.carryover.values()]

    # With all rows taken as independent, one of them is 0.9.
    assert max(rates(0.9, 0.0)) < 0.3
    # Control: carry-over is found.
    np.testing.assert_allclose(rates(0.0, 0.6), 0.6, atol=0.25)


def test_answers_say_for_how_long_actions_are_held(tmp_path) -> None:
    fit = fit_of(panel(0.6), OPEN | {"radio": bi.Adstock(0.6)})
    lasting = fit.joint_effect(POINTS)
    assert lasting.attrs["population"] == "tv and radio held for as long as they act"
    assert "tv and radio held for as long as they act" in str(fit.best(bi.Decision()))
    once = fit.joint_effect(POINTS, periods=1)
    assert "held for 1 period, before at" in once.attrs["population"]
    np.testing.assert_array_equal(once["tv"], POINTS[:, 0])
    changes = (fit.contrast(POINTS[1:], POINTS[:1], periods=own) for own in (1, None))
    change, lasting_change = (np.abs(moments(own)[0]) for own in changes)
    assert (change < 0.6 * lasting_change).all()
    np.testing.assert_allclose(fit.joint_effect(POINTS, periods=8), lasting)
    straight, (one, none) = fit_of(panel(0.6), OPEN, prior="linear"), ([[1, 0]], [[0, 0]])
    share = straight.contrast(one, none, periods=1) / straight.contrast(one, none)
    assert 0.01 < float(share.std()) < 0.1
    text = str(fit)
    assert "radio acts for 8 periods: rate 0.6, given." in text
    assert "tv acts for 8 periods: rate 0." in text
    assert "rows are left out" in " ".join(text.split())
    fit.save(tmp_path / "fit.nc")
    again = bi.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(again.joint_effect(POINTS), lasting)
    assert str(again) == text
    for was_set, not_set in ((["tv"], "radio"), ([], "tv")):
        with pytest.raises(bi.PointsError, match=f"'{not_set}' is not"):
            fit.contrast(POINTS[1:], POINTS[:1], intervened=was_set, periods=1)
    with pytest.raises(bi.PointsError, match="'rdio'"):
        effect_table(fit, POINTS, ["tv", "rdio"], periods=1)
    with pytest.raises(bi.PointsError, match="no action carries over"):
        fit_of(panel(0.0), None).joint_effect(POINTS, periods=1)


def test_levels_after_some_periods_have_the_warnings_of_all_levels() -> None:
    regions = MarketingPanel.random(2, seed=0, regions=6)
    weeks = WeeklyPanel(regions, weeks=40, block=8, carryover=0.5, concurrent=False)
    model = bi.models.additive("linear", carryover={"tv": bi.Adstock(0.5)})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = bi.fit(weeks.dataset(seed=1), model, method="laplace", draws=20, progress=False)
        of_fit = len(said)
        fit.joint_effect([[50.0, 50.0]])
        of_level = [str(own.message) for own in said[of_fit:]]
        fit.joint_effect([[50.0, 50.0]], periods=2)
    assert "both history and any experiment" in of_level[-1]
    assert [str(own.message) for own in said[of_fit + len(of_level) :]] == of_level


def test_rows_of_a_fit_are_recognised_and_updated() -> None:
    frame = panel(0.5)
    first, rest = frame[frame["week"] < 70], frame[frame["week"] >= 70]
    fit = fit_of(first, {"tv": bi.Adstock()})
    density = fit.to_arviz(read(first), rows=100)["log_likelihood"]["outcome"]
    assert np.isfinite(density).all()
    with pytest.raises(bi.DataError, match="rows of regime"):
        fit.to_arviz(read(first[:-5]))
    updated = fit.update(read(rest, require_observational=False), progress=False)
    whole = fit_of(pd.concat([first, rest]), {"tv": bi.Adstock()})
    np.testing.assert_array_equal(updated.joint_effect(POINTS), whole.joint_effect(POINTS))
    assert not bi.check(read(frame), fit.model, held_out=0, progress=False).violated


@pytest.mark.parametrize(
    ("changes", "options", "carryover", "message"),
    [
        ({}, {"unit": None, "time": None}, {"tv": bi.Adstock()}, "with time and unit"),
        ({}, {"unit": None}, {"tv": bi.Adstock()}, "two rows have the same week"),
        ({"week": 3}, {}, {"tv": bi.Adstock()}, "two rows of 'r0' have the same week"),
        ({}, {}, {"print": bi.Adstock()}, "carryover: unknown action 'print'"),
        ({"tv": ["a", "b"] * 480}, {}, {"tv": bi.Adstock()}, "'tv' has named levels"),
        ({}, {}, {"tv": bi.Adstock(0.95, 0, 90)}, "no row of .*week.*without gaps.*shorter length"),
        (LONG, {}, {"tv": bi.Adstock(0.95, 152)}, r"^6 rows \(of 960\) with the earlier periods"),
        ({}, {}, {"tv": 0.5}, "carryover\\['tv'\\] must be a Adstock.*bi.Adstock\\(\\)"),
    ],
)
def test_unusable_rows_and_models_are_refused(changes, options, carryover, message) -> None:
    frame = panel(0.0, persistence=0.9).assign(**changes)
    with pytest.raises(bi.BayesIntgenError, match=message):
        bi.fit(read(frame, **options), bi.models.additive(carryover=carryover), progress=False)
