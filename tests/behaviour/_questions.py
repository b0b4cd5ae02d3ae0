"""Questions to a fit, each of which checks its own answer against the truth of the world.

A question takes a case, its posterior asked about a population, and ``over``: the values ``given``
or the ``population``, or nothing. It fails on a wrong answer; errors of the package pass through.
"""

import contextlib
import io
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpyro
import pandas as pd
import pytest
import xarray as xr
from _kinds import Case
from _pages import open_page, plan_of, readout
from _rows import moments
from _worlds import Array
from matplotlib import pyplot as plt

import bayes_intgen as bi
from bayes_intgen import cli

from _posteriors import asked

Over = Mapping[str, Any]
# Errors above this number of posterior standard deviations are wrong answers.
MAX_Z = 4.0


def assert_near(draws: xr.DataArray, truth: Array, rounding: float = 1e-9) -> None:
    """The truth lies within ``MAX_Z`` posterior standard deviations of the mean."""
    assert draws.dims[2:] in (("point",), ("estimate",), ())
    mean, sd = moments(draws)
    z = (mean - truth) / np.hypot(sd, rounding)
    wrong = np.abs(z) >= MAX_Z  # not where the truth is unknown
    assert not wrong.any(), f"z {z.round(1)}: mean {mean}, sd {sd}, truth {truth}"


def joint_effect(case: Case, fit: bi.Posterior, over: Over) -> None:
    effect = fit.joint_effect(case.points)
    assert effect.sizes["point"] == 3
    said = len(case.data.columns) or (case.model is not None and case.model.carryover)
    assert ("population" in effect.attrs) == bool(said)
    assert_near(effect, case.truth(case.points, over))


def effect(case: Case, fit: bi.Posterior, over: Over) -> None:
    for intervened in ([], case.actions[:1]):
        if not case.identifies(intervened):
            with pytest.warns(bi.SupportWarning, match="not identified"):
                fit.effect(case.points, intervened)
            continue
        truth = case.truth(case.points, over, intervened)
        assert_near(fit.effect(case.points, intervened), truth)


def outcome(case: Case, fit: bi.Posterior, over: Over) -> None:
    draws = fit.outcome(case.points, seed=1)
    assert draws.dims == ("chain", "draw", "point")
    mean, sd = moments(draws)
    error = np.hypot(moments(fit.joint_effect(case.points))[1], sd / np.sqrt(draws[..., 0].size))
    z = (mean - case.truth(case.points, over)) / error
    assert not (np.abs(z) >= MAX_Z).any(), f"z {z}"
    np.testing.assert_array_equal(draws, fit.outcome(case.points, seed=1))
    kinds = {"binary": "binary", "count": "count"}
    assert fit.outcome_kind == kinds.get(case.world.law, "continuous")
    if fit.outcome_kind != "continuous":
        np.testing.assert_array_equal(draws, np.round(draws))
    if case.single:
        # Their quartiles, which heavy tails do not move, as wide as those of the truth.
        own = np.ptp(np.quantile(draws, [0.25, 0.75], axis=(0, 1)), axis=0)
        true = np.ptp(case.world.quartiles(case.points, case.averaged_over(over)), axis=0)
        ratio = (own + 1e-9) / (true + 1e-9)
        assert ((ratio > 0.6) & (ratio < 1.6)).all() or fit.outcome_kind == "binary", ratio


def contrast(case: Case, fit: bi.Posterior, over: Over) -> None:
    change = fit.contrast(case.points, case.start)
    assert_near(change, case.truth(case.points, over) - case.truth(case.start, over))
    difference = fit.joint_effect(case.points) - fit.joint_effect(case.start).to_numpy()
    rounding = 1e-9 * float(np.abs(difference).max())
    np.testing.assert_allclose(change, difference, rtol=1e-6, atol=rounding)
    summary = change.summary()
    assert ((summary.low <= summary["mean"]) & (summary["mean"] <= summary.high)).all()


def ratio(case: Case, fit: bi.Posterior, over: Over) -> None:
    truth = case.truth(case.points, over) / case.truth(case.start, over)
    assert_near(fit.ratio(case.points, case.start), truth)


def slope(case: Case, fit: bi.Posterior, over: Over) -> None:
    for name in case.actions:
        if name not in case.smooth:
            with pytest.raises(bi.PointsError, match="levels"):
                fit.slope(name, case.points)
            continue
        beside = (case.points.assign(**{name: case.points[name] + step}) for step in (1e-4, -1e-4))
        ahead, behind = (case.truth(points, over) for points in beside)
        assert_near(fit.slope(name, case.points), (ahead - behind) / 2e-4)


def mechanisms(case: Case, fit: bi.Posterior, over: Over) -> None:
    curves = fit.mechanisms(case.points)
    assert curves.unconfounded.dims == ("chain", "draw", "action", "point")
    assert curves.confounded.dims == curves.unconfounded.dims
    assert np.isfinite(curves.confounded).all()
    assert len(curves.to_dataframe())
    if case.world.together is not None or case.world.moderated is not None:
        return
    for name, action in case.world.actions.items():
        own = curves.unconfounded.sel(action=name)
        effects = action.effect(case.points[name].to_numpy())
        assert_near(own - own.isel(point=0), effects - effects[0])


def support(case: Case, fit: bi.Posterior, over: Over) -> None:
    table = fit.support(case.points)
    assert table.supported.dims == ("point",)
    assert table.distance.dims == ("point", "regime", "action")
    if case.identified:
        assert table.supported.all()
    far = case.points.assign(**dict.fromkeys(case.smooth, 1e4))
    assert not case.smooth or not fit.support(far).supported.any()


def contraction(case: Case, fit: bi.Posterior, over: Over) -> None:
    widths = fit.contraction(case.points)
    assert widths.effect_contraction.dims == ("point",)
    assert ((widths.effect_contraction > 0) & (widths.effect_contraction < 1.2)).all()
    assert len(widths.to_dataframe())


def sensitivity(case: Case, fit: bi.Posterior, over: Over) -> None:
    moved = fit.sensitivity(case.points, [0.0, 0.2])
    assert moved.low.dims == ("rho", "point")
    draws = fit.joint_effect(case.points)
    np.testing.assert_allclose(moved.effect, moments(draws)[0])
    np.testing.assert_allclose(moved.low.sel(rho=0), np.quantile(draws, 0.05, axis=(0, 1)))
    assert (moved.low.sel(rho=0.2) < moved.low.sel(rho=0)).all()
    assert (moved.high.sel(rho=0.2) > moved.high.sel(rho=0)).all()


def decision(case: Case) -> bi.Decision:
    """Plans between the points, where a unit of an action, or the next level of it, costs one."""
    bounds: dict[str, Any] = {}
    cost: dict[str, Any] = {}
    for name, levels in zip(case.actions, case.data.categories, strict=True):
        own = case.points[name]
        if levels is None:
            bounds[name], cost[name] = (max(float(own.min()), 0.0), float(own.max())), 1.0
        else:
            bounds[name] = sorted({*own.tolist()})
            cost[name] = {label: float(i) for i, label in enumerate(bounds[name])}
    return bi.Decision(cost, None, bounds, case.start.iloc[0].to_dict())


def lowest_and_highest_cost(own: bi.Decision) -> Array:
    ends = [
        (0.0, max(price.values())) if isinstance(price, Mapping) else own.bounds[name]
        for name, price in own.cost.items()
    ]
    return np.sum(ends, axis=0)


def assert_consistent(case: Case, fit: bi.Posterior, plan: bi.Plan, over: Over) -> None:
    """A plan has its joint effect and contrast before the correction, and about its true gain."""
    point, baseline = pd.DataFrame([plan.point]), pd.DataFrame([plan.baseline])
    effect = float(fit.joint_effect(point)[..., 0].mean()) - plan.optimism
    np.testing.assert_allclose(float(plan.effect.mean()), effect, rtol=1e-6)
    gain = float(fit.contrast(point, baseline)[..., 0].mean()) - plan.optimism
    np.testing.assert_allclose(float(plan.gain.mean()), gain, rtol=1e-6, atol=1e-9)
    assert_near(plan.gain, case.truth(point, over)[0] - case.truth(baseline, over)[0])
    assert plan.supported
    assert str(plan)


def best(case: Case, fit: bi.Posterior, over: Over) -> None:
    plan = fit.best(decision(case))
    assert_consistent(case, fit, plan, over)
    assert float(plan.gain.mean()) > -1e-9
    assert float(plan.regret.mean()) > -1e-9


def best_cvar(case: Case, fit: bi.Posterior, over: Over) -> None:
    plan = fit.best(decision(case), bi.CVaR(0.1))
    assert_consistent(case, fit, plan, over)
    worst = np.sort(plan.gain.to_numpy().ravel())[: round(0.1 * plan.gain.size)]
    np.testing.assert_allclose(plan.value, worst.mean(), rtol=1e-6, atol=1e-9)


def frontier(case: Case, fit: bi.Posterior, over: Over) -> None:
    own = decision(case)
    low, high = lowest_and_highest_cost(own)
    table = fit.frontier(own, [0.6 * low + 0.4 * high, high], "mean")
    assert table.plan.dims == ("budget", "action")
    assert (table.cost <= table.budget + 1e-6).all()
    before = (table.gain + table.optimism).to_numpy()
    assert before[1] >= before[0] - 1e-9
    assert np.isfinite(table.gain).all()
    assert (table.gain_low <= table.gain_high).all()


def profit(case: Case, fit: bi.Posterior, over: Over) -> None:
    """Profit is value times effect minus cost, and no plan of a budget has more by the mean."""
    own = replace(decision(case), value=2.0)
    plan = fit.best(own, "mean")
    np.testing.assert_allclose(plan.profit, 2.0 * plan.effect - plan.cost, rtol=1e-6)
    # Beyond the bounds, the baseline cannot stay where the correction takes all of the gain.
    before = float(plan.gain.mean()) + plan.optimism
    assert before > -1e-9
    _, high = lowest_and_highest_cost(own)
    within = fit.frontier(own, [float(high)], "mean")
    assert before >= float(within.gain[0] + within.optimism[0]) - 1e-3 * float(plan.gain.std())


def contributions(case: Case, fit: bi.Posterior, over: Over) -> None:
    """What an action brings is the contrast of the baseline with its reference."""
    table = fit.contributions(decision(case))
    assert table.contribution.dims == ("action",)
    assert (table.contribution_low <= table.contribution_high).all()
    start = pd.DataFrame([dict(zip(case.actions, table.baseline.to_numpy(), strict=True))])
    for k, name in enumerate(case.actions):
        without = start.assign(**{name: [table.reference.to_numpy()[k]]})
        change = fit.contrast(start, without)[..., 0]
        assert float(change.mean()) == pytest.approx(float(table.contribution[k]), abs=1e-9)
        assert_near(change, case.truth(start, over)[0] - case.truth(without, over)[0])
    levels = [own is not None for own in fit.categories]
    assert table.next_unit.isnull().to_numpy().tolist() == levels


def cheapest(case: Case, fit: bi.Posterior, over: Over) -> None:
    own = decision(case)
    table = fit.frontier(own, lowest_and_highest_cost(own).tolist())
    target = float(table.effect.mean())
    plan = fit.cheapest(own, target)
    assert plan.value >= target - 1e-6 * abs(target)
    assert plan.cost is not None
    assert float(table.cost[0]) - 1e-9 <= plan.cost <= float(table.cost[1]) + 1e-9


def experiments(case: Case, fit: bi.Posterior, over: Over) -> None:
    table = fit.experiments(decision(case), rows=100)
    assert table.evsi.dims == ("experiment",)
    assert np.isfinite(table.evsi).all()
    assert (table.evsi > -4 * table.evsi_error - 1e-9).all()
    assert (table.width_after <= table.width_before + 1e-9).all()


def split(case: Case, fit: bi.Posterior, over: Over) -> None:
    table = fit.split(300, case.points)
    np.testing.assert_allclose(table.share.sum(), 1.0)
    assert float(table.width) <= float(table.width_of_equal_split) * (1 + 1e-6)
    assert float(table.width) < float(table.width_before)
    assert fit.rows_for(float(table.width), case.points) <= 330


def check(case: Case, fit: bi.Posterior, over: Over) -> None:
    result = bi.check(case.data, case.model, held_out=len(case.data.lift_tests) / 4, progress=False)
    states = ("no sign of a violation", "could not be tested")
    assert result.state in (("violated",) if any(case.world.interacting) else states)
    assert (result.violated is None) == bool(result.obstacle)
    assert case.actions == [str(name) for name in result.table["action"].to_numpy()]
    assert str(fit.with_check(result))


def predictions(case: Case, fit: bi.Posterior, over: Over) -> None:
    """At rows, on average, and at the covariates of each row."""
    points = case.points
    own = fit.predictions(points)
    np.testing.assert_allclose(own.draws, fit.joint_effect(points), rtol=1e-9)
    assert_near(own.draws, case.truth(points, over))
    whole = fit.predictions(points, by=True)
    assert_near(whole.draws, case.truth(points, over).mean(keepdims=True))
    np.testing.assert_allclose(whole.draws[..., 0], own.draws.mean("estimate"), rtol=1e-9)
    given = {name: case.given[name] for name in case.given if name not in over.get("given", {})}
    if given and "population" not in over:
        at, expected = fit.predictions(points.assign(**given)), fit.given(given)
        np.testing.assert_allclose(at.draws, expected.joint_effect(points), rtol=1e-6, atol=1e-9)
    first = case.actions[0]
    values = points[first].drop_duplicates().tolist()
    grid = fit.predictions(points.head(1), variables={first: values}).to_dataframe()
    assert grid[first].tolist() == values
    assert str(own)


def comparisons(case: Case, fit: bi.Posterior, over: Over) -> None:
    """Each action alone, in turn, from the start."""
    ends = {
        name: [case.start[name].iloc[0], *case.points[name].drop_duplicates()]
        for name in case.actions
    }
    own = fit.comparisons(ends, case.points)
    table = own.to_dataframe()
    assert table["term"].nunique() == len(case.actions)
    assert table["estimate"].between(table["low"], table["high"]).all()
    done = 0
    for name, values in ends.items():
        start = case.points.assign(**{name: values[0]})
        before = case.truth(start, over)
        for value in values[1:]:
            end = case.points.assign(**{name: value})
            draws = own.draws[..., done : done + len(end)]
            assert_near(draws, case.truth(end, over) - before)
            unit = float(np.abs(fit.joint_effect(end)).max())
            np.testing.assert_allclose(draws, fit.contrast(end, start), rtol=1e-6, atol=1e-9 * unit)
            done += len(end)
    assert done == len(own)
    averages = fit.comparisons(ends, case.points, by=True)
    assert len(averages) == done / len(case.points)


def slopes(case: Case, fit: bi.Posterior, over: Over) -> None:
    for name in set(case.actions) - set(case.smooth):
        with pytest.raises(bi.PointsError, match="levels"):
            fit.slopes(name, case.points)
    if not case.smooth:
        with pytest.raises(bi.PointsError, match="no levels"):
            fit.slopes(newdata=case.points)
        return
    own = fit.slopes(newdata=case.points)
    each = [fit.slope(name, case.points) for name in case.smooth]
    np.testing.assert_allclose(own.draws, np.concatenate(each, axis=-1), rtol=1e-6, atol=1e-9)
    average = fit.slopes(case.smooth[0], case.points, by=True)
    np.testing.assert_allclose(average.draws[..., 0], each[0].mean("point"), rtol=1e-6, atol=1e-9)


def to_arviz(case: Case, fit: bi.Posterior, over: Over) -> None:
    tree = fit.to_arviz(case.data, case.points, rows=50)
    for name in ("log_likelihood", "posterior_predictive", "prior_predictive"):
        own = tree[name]["outcome"]
        assert own.dims == ("chain", "draw", "row")
        assert own["row"].equals(tree["observed_data"]["row"])
        assert own.sizes["row"] == 50
        assert np.isfinite(own).all()
        assert name == "log_likelihood" or case.world.law != "log" or (own > 0).all()
    for name in ("posterior", "prior"):
        np.testing.assert_array_equal([*tree[name].data_vars], [*tree["posterior"].data_vars])
        assert tree[name].sizes == tree["posterior"].sizes
    assert np.isfinite(tree["prior"].to_dataset().to_array()).all()
    assert np.isfinite(tree["log_prior"].to_dataset().to_array()).all()
    xr.testing.assert_equal(tree["effects"]["effect"], fit.joint_effect(case.points))
    if isinstance(case.data, bi.RegimeData):
        observed = tree["observed_data"]["outcome"]
        np.testing.assert_allclose(observed, case.data.outcome[observed["row"]])


def program(case: Case, fit: bi.Posterior, over: Over) -> None:
    own = fit.program(case.data)

    @jax.jit
    def site(key: jax.Array, *outcome: None) -> tuple[jax.Array, jax.Array]:
        seeded = numpyro.handlers.seed(own, key)
        one = numpyro.handlers.trace(seeded).get_trace(*outcome)["outcome"]
        return one["fn"].log_prob(one["value"]), one["value"]

    each, observed = site(jax.random.key(0))
    assert np.isfinite(each).all()
    if case.world.law == "log":
        # It is of the outcome itself, in JAX's precision.
        np.testing.assert_array_equal(observed, jax.numpy.asarray(case.frame["y"].to_numpy()))
        assert (site(jax.random.key(0), None)[1] > 0).all()
    assert len(each) == fit.tree["constant_data"]["rows"].sum()


def plots(case: Case, fit: bi.Posterior, over: Over) -> None:
    first = case.actions[0]
    at = {name: case.start[name].iloc[0] for name in case.actions[1:]}
    drawn = [
        fit.plot_joint_effect(first, at, predictive=0.9),
        fit.plot_contraction(),
        fit.plot_graph(),
        case.data.plot_support(case.points),
    ]
    curves = fit.mechanisms(case.points)
    if "interaction" in curves and curves.sizes.get("pair"):
        pair = (str(curves[name].to_numpy()[0]) for name in ("first", "second"))
        drawn.append(fit.plot_interaction(*pair, size=8))
    if fit.model.link == "identity":
        drawn.append(fit.plot_sensitivity(case.points.head(1), [0.0, 0.2]))
    refusals = []
    for name in case.actions:
        try:
            drawn.append(fit.plot_bias(name, case.data))
        except bi.PointsError as error:
            refusals.append(str(error))
    assert all("has no control variable: " in text for text in refusals)
    for picture in drawn:
        getattr(picture, "figure", picture).draw_without_rendering()
    plt.close("all")


def printed(case: Case, fit: bi.Posterior, over: Over) -> None:
    text = str(fit)
    assert all(name in text for name in case.actions)
    assert ("differ in their noise" in text) == (case.world.uneven is not None)
    assert "nan" not in text.lower().split()
    assert fit._repr_html_()
    assert str(bi.report_identification(case.data))
    certificate = case.data.identify(case.actions)
    assert ("not identified" not in str(certificate)) == case.identified


def saved_again(case: Case, fit: bi.Posterior, over: Over, folder: Path) -> None:
    if not over:
        # Asked first, without values given or a population.
        fit.save(folder / "again.nc")
    again = asked(bi.load(folder / "again.nc"), **over)
    np.testing.assert_array_equal(again.joint_effect(case.points), fit.joint_effect(case.points))
    np.testing.assert_array_equal(again.outcome(case.points), fit.outcome(case.points))


def command_line(case: Case, fit: bi.Posterior, over: Over, folder: Path) -> None:
    fit.save(folder / "fit.nc")
    (point,), (start,) = (own.head(1).to_dict("records") for own in (case.points, case.start))
    options = []
    if "given" in over:
        options = ["--given", ",".join(f"{name}={value}" for name, value in over["given"].items())]
    if "population" in over:
        over["population"].to_csv(folder / "population.csv", index=False)
        options = ["--population", folder / "population.csv"]
    asked_for = ["--set", texts(point), "--from", texts(start), "--format", "json"]
    (row,) = json.loads(run("effect", folder / "fit.nc", *asked_for, *options))["points"]
    np.testing.assert_allclose(row["mean"], float(fit.joint_effect(point).mean()), rtol=1e-5)
    change = float(fit.contrast(point, start).mean())
    np.testing.assert_allclose(row["change"], change, rtol=1e-4, atol=1e-6)
    assert run("best", folder / "fit.nc", "--baseline", texts(start), *options)
    run("plot", folder / "fit.nc", "--action", case.actions[0], "-o", folder / "plot.png", *options)
    assert (folder / "plot.png").stat().st_size > 5000


def texts(point: Mapping[str, Any]) -> str:
    """A point as the command line takes it."""
    return ",".join(f"{name}={value}" for name, value in point.items())


def run(*arguments: object) -> str:
    """Standard output of a command; the error that it reports, if it refuses its input."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = cli.main([str(argument) for argument in arguments])
    if status == 1:
        raise bi.BayesIntgenError(errors.getvalue())
    assert status == 0, errors.getvalue()
    return out.getvalue()


def report(case: Case, fit: bi.Posterior, over: Over, folder: Path, browser: Any) -> None:
    """The page opens without an error, and shows the effect at its start."""
    open_page(browser, fit, folder / "report.html")
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    text = browser.execute_script("return document.body.innerText")
    assert not {"NaN", "undefined", "Infinity", "nan"} & set(re.findall(r"\w+", text))
    plan = plan_of(browser)
    assert list(plan) == case.actions
    (shown,) = readout(browser)["effect mean"]
    # The page starts at medians, which may not be supported.
    with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
        wanted = fit.joint_effect(plan)
    np.testing.assert_allclose(shown, float(wanted.mean()), atol=1e-6 * float(wanted.std()))


def estimator(case: Case, fit: bi.Posterior, over: Over) -> None:
    """The scikit-learn regressor predicts what the fit of the same rows does."""
    from bayes_intgen.sklearn import JointEffectRegressor

    assert isinstance(case.data, bi.RegimeData)
    columns = case.data.columns
    covariates, groups = list(columns.names), list(columns.groups)
    options = {"covariates": covariates, "groups": groups, "method": "laplace", "draws": 100}
    regressor = JointEffectRegressor(model=case.model, **options)
    rows = case.frame[[*case.actions, *covariates, *groups]]
    outcome, masks = case.frame["y"].to_numpy(), case.data.intervened
    order = {"unit": case.data.series, "time": case.data.time}
    regressor.fit(rows, outcome, intervened=masks, weights=case.data.weights, **order)
    rows = rows.iloc[::97].head(5)
    predicted = regressor.predict(rows)
    # Levels of a fine grouping are integrated out: predictions are for a group of average level.
    coarse = [n for n, own in zip(columns.groups, columns.labels, strict=True) if len(own) <= 64]
    for i, row in enumerate(rows.to_dict("records")):
        given = {name: row[name] for name in (*covariates, *coarse)}
        with warnings.catch_warnings(action="ignore", category=bi.SupportWarning):
            point = {name: row[name] for name in case.actions}
            own = fit.joint_effect(point, given=given or None)
        mean, sd = moments(own)
        # Two fits of the same rows: another seed, or NUTS in place of a Laplace approximation.
        assert abs(predicted[i] - mean[0]) < 0.5 * sd[0]


QUESTIONS = (
    joint_effect, effect, outcome, contrast, ratio, slope, mechanisms, support, contraction,
    sensitivity, best, best_cvar, profit, frontier, cheapest, contributions, experiments, split,
    check, predictions, comparisons, slopes,
    to_arviz, program, plots, printed, saved_again, command_line, estimator, report,
)  # fmt: skip
# Those that take neither given nor population.
ALWAYS_ALIKE = (support, check, program, printed, estimator)
