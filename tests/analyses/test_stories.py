"""Analyses of one data set at quick size, from rows to figures."""

import json
import re
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from studies import assert_figures, assert_resumes, read, run

import bayes_intgen as bi
from bayes_intgen.simulators import Polynomial

import non_identifiable


def test_diagram_of_the_assumption(tmp_path, monkeypatch) -> None:
    assumption = run("assumption", monkeypatch, tmp_path)
    assert_figures(tmp_path / "assumption")
    # A bias is in the sum of a regime where its action was not set, and only there.
    for chosen, total in assumption.REGIMES.values():
        for action in ("tv", "radio"):
            assert (f"delta_{{{action}}}" in total) == (action not in chosen)


@pytest.mark.slow
def test_media_plan_from_parquet_to_figure(tmp_path, monkeypatch, capsys) -> None:
    media_mix = run("media_mix", monkeypatch, tmp_path)
    table = read(tmp_path / "media_mix_plans.csv", "plan")
    assert list(table.index) == list(media_mix.PLANS)
    plan = table.loc["all three"]
    assert plan["5%"] < plan["simulator"] < plan["95%"]
    # Demand moves spend and sales: the history promises more of every change than is there.
    assert (table["history alone"].abs() > 1.2 * table["simulator"].abs()).all()
    assert not plan["history 5%"] < plan["simulator"] < plan["history 95%"]
    assert_figures(tmp_path / "media_mix")
    assert "never seen together" in capsys.readouterr().out


@pytest.mark.slow
def test_decision_from_rows_to_plans(tmp_path, monkeypatch, capsys) -> None:
    decide = run("decide", monkeypatch, tmp_path)
    plans = read(tmp_path / "decide_plans.csv", "plan")
    best = plans.loc["best"]
    assert (plans["cost"] <= plans["cost"]["today"] + 0.01).all()
    # Nothing within the limits has a smaller expected regret, or a larger true gain.
    within = plans.drop(index=decide.UNLIMITED)
    regret = plans["expected regret"][decide.BY_MEAN]
    assert regret <= within["expected regret"].min() + 0.05
    assert plans["true gain"][decide.OPTIMUM] >= within["true gain"].max() - 0.01
    # A 90% band misses the truth once in ten; twice its width hardly ever.
    middle, width = (best["5%"] + best["95%"]) / 2, best["95%"] - best["5%"]
    assert abs(best["true gain"] - middle) < width
    frontier = read(tmp_path / "decide_frontier.csv")
    same = frontier.set_index("share of today's").loc[1.0]
    assert same["gain"] == pytest.approx(best["gain"], abs=0.02)
    assert_figures(tmp_path / "decide")
    assert 'id="planner"' in (tmp_path / "report.html").read_text()
    assert "Best plan for sales" in capsys.readouterr().out


# A corner of the square lies beyond the rows of a quick run.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_two_worlds_with_one_data_set(tmp_path, monkeypatch) -> None:
    run("non_identifiable", monkeypatch, tmp_path)
    table = read(tmp_path / "non_identifiable.csv")
    value = table.set_index(["world", "what"])["value"]
    where = "joint effect at (1.5, 1.5)"
    low, high = map(float, value["both", f"{where}, 90% band"].split(" to "))
    worlds = list(non_identifiable.WORLDS)
    additive, interacting = (float(value[world, f"{where}, truth"]) for world in worlds)
    # The truth of one data set lies outside a 90% band once in ten; here, within 3.3 deviations.
    assert abs(additive - (low + high) / 2) < high - low
    assert interacting - high > 2 * (high - low)
    coverage = [float(value[w, "coverage of 90% bands over the square"]) for w in worlds]
    assert coverage[0] > 0.6
    assert coverage[1] < 0.4
    # Rows with one action set say nothing against additivity, in either world.
    gain = float(value["both", "elpd of saturated less additive, training rows"])
    assert gain < 2 * float(value["both", "its standard error"])

    what = "share of 40 sets rejected, 100 joint rows"
    additive_share, interacting_share = (float(value[world, what]) for world in worlds)
    assert additive_share <= 0.3
    assert interacting_share > 0.95
    assert int(value["interacting world", "joint rows for 90% of sets to be rejected, b = 1"]) <= 50
    assert_figures(tmp_path / "non_identifiable")


@pytest.mark.parametrize("seed", [0, 1])
def test_worlds_agree_on_training_rows_and_differ_on_joint_rows(seed) -> None:
    first, second = (non_identifiable.training_rows(b, 0.1, seed) for b in (0.0, 1.0))
    np.testing.assert_array_equal(first.actions, second.actions)
    np.testing.assert_array_equal(first.outcome, second.outcome)
    both = (True, True)
    samples = [non_identifiable.sample(b, both, 20, np.random.default_rng(seed)) for b in (0, 1)]
    np.testing.assert_array_equal(samples[0][0], samples[1][0])
    assert np.abs(samples[0][1] - samples[1][1]).max() > 1


@pytest.mark.parametrize("b", [0.0, 1.0])
def test_joint_truth_is_the_mean_of_joint_rows(b) -> None:
    rng = np.random.default_rng(0)
    points, outcome = non_identifiable.sample(b, (True, True), 200_000, rng)
    residual = outcome - non_identifiable.joint_truth(b, points)
    for weights in (np.ones(len(points)), points[:, 0], points[:, 1], points.prod(axis=1)):
        error = (residual * weights).std() / np.sqrt(len(points))
        assert abs((residual * weights).mean()) < 4 * error


@pytest.mark.slow
def test_geo_experiments_from_parquet_to_figure(tmp_path, monkeypatch, capsys) -> None:
    geo_experiments = run("geo_experiments", monkeypatch, tmp_path)
    table = read(tmp_path / "geo_experiments_regions.csv", "region")
    assert len(table) == 26
    average, new = table.loc["average"], table.loc[geo_experiments.NEW]
    assert abs(average["sales"] - average["simulator"]) < average["95%"] - average["5%"]
    # A new region has the spread between regions in its interval.
    assert new["95%"] - new["5%"] > 2 * (average["95%"] - average["5%"])
    known = table.drop(["average", geo_experiments.NEW])
    inside = (known["5%"] < known["simulator"]) & (known["simulator"] < known["95%"])
    assert inside.mean() > 0.6
    assert_figures(tmp_path / "geo_experiments")
    assert "never seen together" in capsys.readouterr().out


def test_true_sales_are_those_of_the_simulator(tmp_path) -> None:
    geo_experiments = import_module("geo_experiments")
    panel = bi.simulators.MarketingPanel.random(3, seed=geo_experiments.PANEL)
    file = tmp_path / "panel.parquet"
    geo_experiments.write_data(file, panel, 0.5, seed=0)
    frame = pd.read_parquet(file)
    codes = frame.assign(region=frame["region"].str.slice(7).astype(int) - 1)
    roles = {"regime": "experiment", "covariates": ["week"], "groups": ["region"]}
    data = bi.read(codes, geo_experiments.CHANNELS, "sales", **roles)
    points = data.actions[:4]
    expected = panel.joint_effect(points, data)
    np.testing.assert_allclose(geo_experiments.truth(panel, frame, points), expected)


@pytest.mark.slow
def test_repeated_visits_from_csv_to_figure(tmp_path, monkeypatch, capsys) -> None:
    repeated_visits = run("repeated_visits", monkeypatch, tmp_path)
    table = read(tmp_path / "repeated_visits_ages.csv")
    assert len(table) == len(repeated_visits.RAISED) * len(repeated_visits.AGES)
    # The truth of one data set may lie outside a 90% interval; here, within 3.3 deviations.
    error = table["change of score"] - table["simulator"]
    assert (error.abs() < table["95%"] - table["5%"]).all()
    # Changes with age are those of the simulator, and the other fit has none.
    by_age = table.pivot(index="raised", columns="age", values=["change of score", "simulator"])
    trend = by_age.xs(75, axis=1, level="age") - by_age.xs(35, axis=1, level="age")
    assert np.corrcoef(trend.to_numpy().T)[0, 1] > 0.8
    assert_figures(tmp_path / "repeated_visits")
    assert "never seen together" in capsys.readouterr().out


def test_true_change_by_age_is_that_of_the_simulator() -> None:
    repeated_visits = import_module("repeated_visits")
    trials = bi.simulators.RepeatedVisits.random(3, seed=repeated_visits.TRIALS)
    points = repeated_visits.low_and_high(trials.base.highest, (True, False, True))
    ages = np.array([30.0, 70.0])
    expected = []
    for age in ages:
        columns = bi.simulators.ObservedColumns({"age": np.full(5, age)}, {})
        effect = trials.base.joint_effect(points) + trials.mean_adjustment(points, columns)
        expected.append(effect[1] - effect[0])
    np.testing.assert_allclose(repeated_visits.true_change(trials, points, ages), expected)
    assert expected[0] != expected[1]


@pytest.mark.slow
def test_light_tunnel_from_rows_to_figure(tmp_path, monkeypatch, capsys) -> None:
    run("light_tunnel", monkeypatch, tmp_path)
    known, posterior = bi.datasets.light_tunnel(rows=150), bi.load(tmp_path / "light_tunnel.nc")
    effect = posterior.joint_effect(known.joint[["red", "green"]])
    answer, unsure = known.joint[["effect", "standard_error"]].to_numpy().T
    mean = effect.mean(("chain", "draw")).to_numpy()
    error = mean - answer
    assert (abs(error) < 4 * np.hypot(effect.std(("chain", "draw")), unsure)).all()
    table = read(tmp_path / "light_tunnel_effects.csv")
    np.testing.assert_allclose(table["joint effect"], mean, atol=0.51)
    # The history is biased.
    assert (table["history"] - table["measured"]).abs().mean() > abs(error).mean()
    assert_figures(tmp_path / "light_tunnel")
    assert "which no row of the data has" in capsys.readouterr().out


@pytest.mark.slow
def test_benchmark_cases_print_ratios_to_the_limit(tmp_path, monkeypatch, capsys) -> None:
    world, scores = Polynomial.random(2, seed=0), {}
    for name in ("cubic_seed1", "cubic_seed2"):
        data = world.dataset(100, seed=len(scores))
        regime = np.where(data.intervened.any(axis=1), data.intervened.argmax(axis=1), -1)
        rows = {"actions": data.actions, "outcome": data.outcome, "regime": regime}
        effect = world.joint_effect(data.actions)
        np.savez(tmp_path / name, points=data.actions, effect=effect, **rows)
        scores[name] = {"limit": 0.5, "joint_topline": 0.1, "published": 5.0}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    run("benchmark_cases", monkeypatch, tmp_path, str(tmp_path))
    out = capsys.readouterr().out
    (ratio,) = re.findall(r"cubic: root mean square of error/limit ([\d.]+) over 2 cases", out)
    assert 0.05 < float(ratio) < 5


@pytest.mark.slow
def test_accuracy_study_saves_each_model_and_resumes(tmp_path, monkeypatch, capsys) -> None:
    accuracy = run("accuracy", monkeypatch, tmp_path)
    table = tmp_path / "accuracy_K2_N100.csv"
    command = "# python analyses/accuracy.py --models 2 --actions 2 --rows 100"
    assert table.read_text().startswith(command)
    assert "2 models of 2 actions" in capsys.readouterr().out
    assert_resumes(accuracy, table)


def test_residual_variance_matches_rows() -> None:
    accuracy, model = import_module("accuracy"), Polynomial.random(2, seed=0)
    points, outcome = model.sample(model.names, 50_000, np.random.default_rng(0))
    expected = (outcome - model.joint_effect(points)).var()
    found = accuracy.residual_variance(model, model.names, seed=3)
    assert found == pytest.approx(expected, rel=0.05)
