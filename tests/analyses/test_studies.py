import sys
from importlib import import_module
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from saved_tables import mark

import bayes_intgen as bi

FIGURES = (".png", ".svg")


def run(name, tmp_path, monkeypatch):
    """Run a study twice at quick size; return the tables of its summary and of single models."""
    study = import_module(name)
    argv = [f"{name}.py", "--quick", "--processes", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", argv)
    study.main()
    for suffix in FIGURES:
        assert (tmp_path / name).with_suffix(suffix).stat().st_size > 5000
    tables = [tmp_path / f"{name}.csv", tmp_path / f"{name}_models.csv"]
    before = [table.read_text() for table in tables]
    assert all(text.startswith(f"# python analyses/{name}.py --models 2") for text in before)
    results = [pd.read_csv(table, comment="#") for table in tables]
    # A second run uses the saved rows.
    before[1] = mark(tables[1])
    study.main()
    assert [table.read_text() for table in tables] == before
    return results


def in_order(errors: pd.Series, low: float, high: float) -> bool:
    return bool(np.isfinite(errors).all() and errors.between(low, high).all())


@pytest.mark.slow
def test_study_of_ratios(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("sklearn")
    lines, models = run("published_ratio", tmp_path, monkeypatch)
    assert lines["ratio"].tolist() == [0.5, 0.5, 2.0, 2.0]
    assert set(lines["estimator"]) == {"this library", "published (ridge a regime)"}
    assert len(models) == 2 * 4
    ours = models[models["estimator"] == "this library"]
    assert in_order(models["error"], 1e-3, 10)
    assert in_order(ours["coverage90"], 0, 1)
    # Errors of the library are of the size of the limit, which is that of data like these.
    assert in_order(lines[lines["estimator"] == "this library"]["mean"], 0.1, 5)
    assert in_order(ours["limit"] / ours["limit at the equal split"], 0.5, 2)
    np.testing.assert_allclose(
        lines["mean"],
        (models["error"] / models["limit at the equal split"])
        .groupby([models["ratio"], models["estimator"]], sort=False)
        .mean(),
        atol=6e-4,
    )
    assert "smallest error at ratio" in capsys.readouterr().out


def test_split_preserves_the_number_of_rows_and_the_ratio() -> None:
    pytest.importorskip("sklearn")
    study = import_module("published_ratio")
    for ratio in study.RATIOS:
        observational, per_action = study.split(ratio, 5, 12_000)
        assert observational + 5 * per_action == 12_000
        assert per_action / observational == pytest.approx(ratio, rel=0.02)
    assert study.split(1.0, 5, 12_000) == (2000, 2000)


def test_limit_at_each_ratio_matches_its_closed_form() -> None:
    pytest.importorskip("sklearn")
    study = import_module("published_ratio")
    ratios = np.geomspace(0.02, 20, 20_001)
    # The level alone, at equal variances: the observational regime has K - 1 times the rows.
    level = study.limit(ratios, 5, 12_000, 0.3, 5 * 0.3, shape=0)
    assert ratios[level.argmin()] == pytest.approx(1 / 4, rel=1e-3)
    # sqrt(n_0) : sqrt(n_j) as weights: the variance is (sum of |weight| sd)^2 / rows.
    assert level.min() == pytest.approx(np.sqrt(0.3 * (4 + 5) ** 2 / 12_000))
    curved = study.limit(ratios, 5, 12_000, 0.3, 5 * 0.3)
    assert ratios[curved.argmin()] == pytest.approx(np.sqrt(3) / 4, rel=1e-3)
    unequal = study.limit(ratios, 5, 12_000, 0.2, 1.7)
    assert ratios[unequal.argmin()] == pytest.approx(np.sqrt(3 * 1.7 / 5 / 0.2) / 4, rel=1e-3)
    # At the equal split it is the limit of a balanced design.
    equal = study.limit(np.array([1.0]), 5, 12_000, 0.2, 1.7)
    np.testing.assert_allclose(equal, np.sqrt((1.7 * 3 + 16 * 0.2) / 2000))
    row = {"actions": "5", "variance observed": "0.2", "variances set": "1.7"}
    rows = [{**row, "seed": "0"}, {**row, "seed": "1"}]
    np.testing.assert_allclose(study.limit_curve(rows, ratios), unequal / equal)


@pytest.mark.slow
def test_study_of_convergence(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("sklearn")
    lines, models = run("published_convergence", tmp_path, monkeypatch)
    assert lines["total"].tolist() == [300] * 4 + [600] * 4
    assert set(models["rows"]) == {100, 200}
    assert len(models) == 2 * 2 * 4
    assert in_order(models["error"], 1e-4, 10)
    assert in_order(lines[["mean", "limit", "seconds"]].stack(), 0, 600)
    ours = models[models["estimator"] == "this library"]
    assert in_order(ours["coverage90"], 0, 1)
    assert in_order(ours["error"] / ours["limit"], 0.05, 5)
    # The limit falls as the root of the rows, exactly.
    least = lines[lines["estimator"] == "this library"]["limit"].to_numpy()
    assert least[0] / least[1] == pytest.approx(np.sqrt(2), rel=1e-3)
    assert "errors fall as rows to the power of" in capsys.readouterr().out


def test_limits_of_both_studies_agree() -> None:
    pytest.importorskip("sklearn")
    study, accuracy = import_module("published_convergence"), import_module("accuracy")
    expected = accuracy.limit(bi.simulators.Polynomial.random(2, seed=3), 700)
    assert study.limit_of_one_row(2, 3) / np.sqrt(700) == pytest.approx(expected)


@pytest.mark.slow
def test_study_of_violations(tmp_path, monkeypatch, capsys) -> None:
    lines, models = run("violations", tmp_path, monkeypatch)
    assert lines["violation"].tolist() == [
        "interacting", "interacting", "shared confounder", "shared confounder",
        "shifted support", "shifted support",
    ]  # fmt: skip
    assert lines["strength"].tolist() == [0, 0.8, 0, 0.9, 0, 3]
    # The model at zero is fitted once for all three.
    assert models["violation"].value_counts().to_dict() == {
        "none": 2, "interacting": 2, "shared confounder": 2, "shifted support": 2,
    }  # fmt: skip
    assert in_order(models["error"], 1e-3, 10)
    assert in_order(models["coverage90"], 0, 1)
    assert lines[lines["strength"] == 0]["error"].nunique() == 1
    error = lines.set_index(["violation", "strength"])["error"]
    # No additive model fits a product of independent actions: it is entirely in the error.
    assert error["interacting", 0.8] > 0.6
    assert error["shifted support", 3.0] > 2 * error["shifted support", 0.0]
    assert "base model's joint effect" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["polynomial", "media mix", "dose response"])
def test_query_points_lie_in_the_range_of_the_base_model(kind) -> None:
    study = import_module("violations")
    base = study.KINDS[kind].random(3, seed=0)
    points, _ = base.sample(base.names, 50, np.random.default_rng(1))
    for violation, strengths in study.STRENGTHS.items():
        assert all(0 < low < high for low, high in pairwise(strengths))
        for strength in strengths:
            model = study.VIOLATIONS[violation](base, strength)
            assert np.isfinite(model.joint_effect(points)).all()


@pytest.mark.slow
def test_study_of_checks(tmp_path, monkeypatch, capsys) -> None:
    lines, models = run("checks", tmp_path, monkeypatch)
    counts = {"none": 4, "shared confounder": 4, "interacting": 4, "confounded interaction": 3}
    assert models["violation"].value_counts().to_dict() == counts
    assert in_order(models["p"], 0, 1)
    every = lines[lines["kind"] == "all"].set_index("violation")
    assert every["models"].to_dict() == counts
    assert (every["low"] <= every["found"]).all()
    assert (every["found"] <= every["high"]).all()
    # Rows with several actions set show both kinds of interaction; sound worlds pass.
    assert every["found"]["interacting"] == 1
    assert every["right pair"]["interacting"] == 1
    assert every["found"]["none"] == 0
    assert 0 < every["p of uniformity"]["none"] <= 1
    assert "right pair" in capsys.readouterr().out


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_worlds_unlike_the_simulators_share_causes_only_as_asked(correlation) -> None:
    study = import_module("_unlike")
    for kind in study.KINDS:
        data = study.unlike(kind, 2, 300, seed=1, correlation=correlation)
        assert len(data) == 900
        assert np.isfinite(data.actions).all()
        assert np.isfinite(data.outcome).all()
        again = study.unlike(kind, 2, 300, seed=1, correlation=correlation)
        np.testing.assert_array_equal(data.outcome, again.outcome)
    assert set(np.unique(study.unlike("three values", 2, 100, seed=0).actions)) == {0, 1, 2}


@pytest.mark.parametrize("kind", ["polynomial", "linear", "media mix", "dose response"])
def test_interactions_explain_the_stated_share_of_variance(kind) -> None:
    study = import_module("checks")
    base = study.KINDS[kind].random(3, seed=0)
    for regime in (base.names, base.names[:2]):
        world = study.broken(base, "interacting", study.EXPLAINED, regime)
        actions, outcome = world.sample(regime, 200_000, np.random.default_rng(5))
        added = world.interaction(actions) - base.interaction(actions)
        # Lognormal products have long tails, so their variance has a large standard error.
        share = added.var() / outcome.var()
        assert share == pytest.approx(study.EXPLAINED, rel=0.4)


@pytest.mark.slow
def test_study_of_lift_tests(tmp_path, monkeypatch) -> None:
    lines, models = run("lift_tests", tmp_path, monkeypatch)
    assert len(models) == 2 * 3 * 2
    tested = lines[lines["asked"] == "tested"].set_index("evidence")["median sd over se"]
    # A test alone leaves its standard error; rows and prior can only narrow that.
    assert 0.5 < tested["lift test"] < 1.15 < tested["rows alone"]
    assert tested["lift test, se a quarter"] < 0.3


@pytest.mark.slow
def test_study_of_interactions(tmp_path, monkeypatch, capsys) -> None:
    lines, models = run("interactions", tmp_path, monkeypatch)
    assert len(models) == 2 * 3 * 3
    assert models.groupby(["share", "candidates"]).size().to_dict() == {
        (0.0, "auto"): 6,
        (0.0, "none"): 6,
        (0.3, "auto"): 6,
    }
    assert in_order(models["error"], 1e-3, 100)
    assert (models.loc[models["candidates"] == "none", ["true pairs", "other pairs"]] == 0).all(
        axis=None
    )
    # An interaction of 30% of the variance does not go unnoticed.
    strong = models[models["share"] == 0.3]
    assert strong["true pairs"].sum() >= strong["pairs"].sum() - 1
    every = lines[lines["kind"] == "all"].set_index("share")
    assert in_order(every["error ratio"], 0.5, 3)
    assert every["error relative to"].tolist() == ["no candidates", "no interaction"]
    assert "coverage90" in capsys.readouterr().out


@pytest.mark.slow
def test_study_of_real_worlds(tmp_path, monkeypatch) -> None:
    pytest.importorskip("sklearn")
    lines, models = run("real_worlds", tmp_path, monkeypatch)
    assert lines["kind"].tolist() == ["compiler", "stream processing"]
    study = import_module("real_worlds")
    assert set(models["estimator"]) == set(study.ESTIMATORS)
    assert len(models) == 2 * 2 * len(study.ESTIMATORS)
    assert in_order(models["error"], 1e-3, 10)
    # The history is confounded, by selection alone.
    sound = lines[lines["kind"] == "compiler"].iloc[0]
    assert sound["error, library"] < 0.5 * sound["error, history"]
    ours = models[models["estimator"] == "library"]
    np.testing.assert_allclose(
        lines.set_index("kind")["coverage90"],
        ours.groupby("kind")["coverage90"].mean(),
        atol=6e-4,
    )


def test_estimates_by_hand_are_right_without_hidden_causes() -> None:
    pytest.importorskip("sklearn")
    study = import_module("real_worlds")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 2, 4000), "b": rng.integers(0, 3, 4000)})
    frame["y"] = 2.0 * frame["a"] + frame["b"] ** 2 + 0.1 * rng.normal(size=4000)
    frame["regime"] = rng.choice(["observational", "a", "b"], 4000)
    joint = pd.DataFrame({"a": [0, 1, 1], "b": [2, 0, 2], "effect": [4.0, 2.0, 6.0]})
    known = bi.datasets.Dataset(frame, joint, ("a", "b"), "y")
    for name, estimate in study.other_estimates(known).items():
        # By hand subtracts the mean of the history from those of two experiments.
        tolerance = 0.3 if name == study.HAND else 0.05
        np.testing.assert_allclose(estimate, joint["effect"], atol=tolerance, err_msg=name)
