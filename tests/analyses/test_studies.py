"""Studies at quick size, and what they compute of their rows."""

import itertools
from dataclasses import fields, replace
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from studies import assert_figures, assert_resumes, read, run

import bayes_intgen as bi
from bayes_intgen.inference.settings import Techniques


@pytest.fixture
def study_of(tmp_path, monkeypatch):
    """Run a study twice; return the tables of its summary and of single models."""

    def tables_of(name: str, *words: str, figures: bool = True) -> list[pd.DataFrame]:
        study = run(name, monkeypatch, tmp_path, "--processes", "1", *words)
        if figures:
            assert_figures(tmp_path / name)
        tables = [tmp_path / f"{name}.csv", tmp_path / f"{name}_models.csv"]
        summary = tables[0].read_text()
        assert all(t.read_text().startswith(f"# python analyses/{name}.py --mod") for t in tables)
        results = [read(table) for table in tables]
        shares = results[1].filter(like="coverage").to_numpy(dtype=float)
        assert not ((shares < 0) | (shares > 1)).any()
        assert not (results[1].filter(regex="^error$") <= 0).any(axis=None)
        assert_resumes(study, tables[1])
        assert tables[0].read_text() == summary
        return results

    return tables_of


# Words of the command line, whether there are pictures, and rows of the table of single models.
STUDIES: dict[str, tuple[tuple[str, ...], bool, int]] = {
    "published_ratio": ((), True, 8), "published_convergence": ((), True, 16),
    "violations": ((), True, 8), "checks": ((), True, 15), "shapes": ((), False, 28),
    "lift_tests": ((), True, 12), "interactions": ((), True, 18), "alike": ((), False, 16),
    "panels": ((), False, 4), "level_of_bias": ((), False, 4), "small_trials": ((), False, 12),
    "outliers": ((), False, 12), "ablations": (("--techniques", "pruning"), False, 2),
    "laplace": (("--kinds", "linear"), False, 2), "chosen_plans": ((), True, 14),
    "rows_in_time": ((), True, 9), "updates": (("--kinds", "linear"), False, 1),
    "real_worlds": ((), True, 20),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_quick_run_has_a_table_of_each_model_and_a_summary(study_of, name) -> None:
    pytest.importorskip("sklearn")
    words, figures, rows = STUDIES[name]
    lines, models = study_of(name, *words, figures=figures)
    assert len(lines)
    assert len(models) == rows


def test_confounding_in_small_trials_offsets_or_amplifies_effects() -> None:
    study = import_module("small_trials")

    def registry_and_trials(kind: str) -> tuple[float, float]:
        data = study.trials(study.KINDS[kind], 4_000, np.random.default_rng(0))
        masks, total, registry = np.asarray(data.intervened), 0.0, 0.0
        for k, value in itertools.product(range(3), (0, 1)):
            own, sign = data.actions[:, k] == value, 2 * value - 1
            total += sign * data.outcome[masks[:, k] & own].mean()
            registry += sign * data.outcome[~masks.any(axis=1) & own].mean()
        mean, sd = study.of_trials(data, 1.0, visits=1)
        assert mean == pytest.approx(total)
        assert abs(mean - sum(study.KINDS[kind].effects)) < 4 * sd
        return registry, mean

    # Seen from the registry, offset effects look small, and amplified ones large.
    registry, mean = registry_and_trials("offset")
    assert mean < registry / 2 < 0
    registry, mean = registry_and_trials("amplified")
    assert registry < mean < 0


def test_alike_actions_differ_where_they_should() -> None:
    study = import_module("alike")
    for kind in study.KINDS:
        world = study.World(kind, 100)
        # Reallocations cost nothing.
        plans = world.plans()["reallocation"]
        np.testing.assert_allclose(plans.sum(axis=1), study.TODAY * world.count)
        alone = study.TODAY * np.eye(world.count)
        assert (np.ptp(world.effect(alone)) < 1e-12) == (kind == "equal")


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
    rows = [row | {"seed": seed} for seed in "01"]
    np.testing.assert_allclose(study.limit_curve(rows, ratios), unequal / equal)


def test_limits_of_both_studies_agree() -> None:
    pytest.importorskip("sklearn")
    study, accuracy = import_module("published_convergence"), import_module("accuracy")
    expected = accuracy.limit(bi.simulators.Polynomial.random(2, seed=3), 700)
    assert study.limit_of_one_row(2, 3) / np.sqrt(700) == pytest.approx(expected)


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


def test_regions_and_season_of_panels_move_actions_as_far_as_they_say() -> None:
    panels = import_module("panels")
    spread = []
    for kind in ("no regions", "regions 0.3", "regions 1.5"):
        rows = panels.panel(kind, 5, 2000).rows
        history = rows[rows["regime"] == ""]
        spread.append(history.groupby("region")["a1"].mean().std())
        assert rows["regime"].value_counts().to_dict() == dict.fromkeys(["", *panels.NAMES], 2000)
        # At most one experiment per region.
        tests = rows[rows["regime"] != ""].groupby("region")["regime"].nunique()
        assert (tests == 1).all()
    assert spread[0] < 0.3 < 1.1 * spread[1]
    assert spread[2] == pytest.approx(5 * spread[1], rel=0.4)
    shares = panels.panel("zeros", 5, 2000).rows.query("regime == ''")["a1"].eq(0).mean()
    assert 0.2 < shares < 0.5
    levels = panels.panel("four levels", 5, 200)
    assert sorted(levels.rows["a2"].unique()) == [0, 1, 2, 3]
    assert levels.edges.empty


@pytest.mark.slow
def test_study_of_covariates(study_of) -> None:
    lines, study = study_of("covariates")[0].set_index("kind"), import_module("covariates")
    assert list(lines.index) == list(study.QUICK_KINDS)
    assert (lines["worlds"] == 2).all()
    # Means of cells with their standard deviations have the posterior of the rows.
    cells = lines.loc[study.CELLS]
    assert cells["shift over sd"] < 0.3
    assert abs(cells["sd ratio"] - 1) < 0.2


@pytest.mark.slow
def test_study_of_outcomes(study_of) -> None:
    lines, study = study_of("outcomes")[0], import_module("outcomes")
    assert list(lines["kind"].unique()) == list(study.QUICK_KINDS)
    assert (lines["worlds"] == 2).all()
    assert lines["coverage90"].between(0.7, 1).all()
    by_kind = lines.set_index("kind")
    # Zeros and ones and counts are never negative; numbers are.
    assert (by_kind.loc[["binary", "counts of 1.5"], "negative"] == 0).all()
    assert by_kind.loc["gamma", "negative"] > 0
    assert by_kind.loc["binary", "slope"] > 0
    products = by_kind.loc[study.LOG_ADDITIVE]
    assert products["negative"] == 0
    assert 0 < products["oracle error"] < products["error"] < 2
    assert 0.4 < products["effect coverage90"] <= 1
    assert lines.loc[lines["kind"] != study.LOG_ADDITIVE, "oracle error"].isna().all()


def test_ranks_of_outcomes_of_the_law_are_uniform() -> None:
    study, rng = import_module("outcomes"), np.random.default_rng(0)
    draws, outcome = rng.poisson(1.5, (2, 200, 3000)), rng.poisson(1.5, 3000)
    at = study.ranks(draws, outcome, rng)
    assert abs(np.mean(np.abs(at - 0.5) < 0.25) - 0.5) < 0.04
    # Negative control: another mean.
    other = study.ranks(draws, rng.poisson(3.0, 3000), rng)
    assert np.mean(np.abs(other - 0.5) < 0.25) < 0.42


def test_joint_effects_are_the_means_of_outcomes() -> None:
    study = import_module("outcomes")
    for kind in study.KINDS:
        world = study.OutcomeWorld(kind, 7)
        rng = np.random.default_rng(1)
        actions, outcome = world.sample(world.names, 200_000, rng)
        gap = outcome - world.joint_effect(actions)
        assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(len(gap))
        slopes = np.linalg.lstsq(np.tanh(actions), gap, rcond=None)[0]
        assert np.abs(slopes).max() < 10 * gap.std() / np.sqrt(len(gap))


def test_every_technique_has_a_row_and_tables() -> None:
    study = import_module("ablations")
    left_out = {name for own in study.TECHNIQUES.values() for name in own.without}
    assert left_out == {field.name for field in fields(Techniques)}
    for kind in {kind for own in study.TECHNIQUES.values() for kind in own.kinds}:
        assert len(study.case_of(kind, seed=1, rows=40).data)


@pytest.mark.parametrize(
    ("error", "coverage", "seconds", "false", "earns"),
    [
        (1.0, 0.9, 1.0, 0, "no"), (1.05, 0.9, 1.0, 0, "yes"), (1.02, 0.9, 1.0, 0, "no"),
        (1.0, 0.86, 1.0, 0, "yes"), (1.0, 0.885, 1.0, 0, "no"), (1.0, 0.9, 1.3, 0, "yes"),
        # Worse with the technique than without.
        (1.0, 0.9, 1.0, 1, "yes"), (0.8, 0.9, 0.5, -1, "no"),
    ],
)  # fmt: skip
def test_what_earns_a_technique_its_lines(error, coverage, seconds, false, earns) -> None:
    common = {"technique": "pruning", "kind": "noise 0.5, held 4", "coverage50": "0.5"}
    fits = (("with", 1, 1, 0.9, 0), ("without", error, seconds, coverage, false))
    rows = []
    for seed, (fit, size, time, share, wrong) in itertools.product(range(4), fits):
        own = {"seed": seed, "error": size * (1 + 0.001 * seed), "seconds": time, "fit": fit}
        own |= {"coverage90": share, "false terms": wrong, "outcome50": "", "outcome90": ""}
        rows.append(common | {name: str(cell) for name, cell in own.items()})
    (line,) = import_module("ablations").summary(rows)
    assert (line["worlds"], line["earns its lines"]) == (4, earns)


def test_worlds_with_decisions_have_the_truths_that_their_rows_show() -> None:
    worlds = import_module("_decision_worlds")
    for kind in worlds.KINDS:
        world = worlds.decision_world(kind, 1)
        names, rng = list(world.data.names), np.random.default_rng(0)
        rows = world.data.actions[rng.choice(len(world.data.outcome), 400)]
        effect = world.effect(rows)
        assert effect.shape == (400,)
        assert np.ptp(effect) > 0
        plan, start = (dict(zip(names, row.tolist(), strict=True)) for row in rows[:2])
        gain, error = world.gain(plan, start)
        assert gain == pytest.approx(effect[0] - effect[1])
        assert error == 0
        # Further rows come from the same world.
        mask = np.arange(len(names)) == 0
        more = world.more(mask, 5_000, rng)
        assert (more.intervened == mask).all()
        own = (world.data.intervened == mask).all(axis=1)
        few = world.data.outcome[own]
        assert abs(few.mean() - more.outcome.mean()) < 4 * more.outcome.std() / np.sqrt(len(few))
    # The equal split is the best one.
    equal = worlds.decision_world(worlds.AT_OPTIMUM, 1)
    start = dict(equal.decision.baseline)
    moved = start | {"a1": start["a1"] + 0.3, "a2": start["a2"] - 0.3}
    assert equal.gain(moved, start)[0] < 0


def test_kinds_of_rows_in_time_have_the_panels_that_their_names_say() -> None:
    study = import_module("rows_in_time")
    assert {topic for topic, _ in study.KINDS.values()} == set(study.FITS)
    for kind, (topic, _) in study.KINDS.items():
        panel = study.world(kind, 1, quick=True)
        assert panel.concurrent == ("apart" not in kind)
        assert panel.hold == int(kind.split("held ")[1][0] if "held" in kind else 1)
        assert (panel.carryover > 0) == ("carry-over 0.3" in kind or "carry-over 0.6" in kind)
        assert bool(panel.panel.level.any()) == (topic == "dependence")
        sd = replace(panel, shift=0.0, slope=0.0).frame(1)["outcome"].std()
        assert panel.shift == pytest.approx(sd / 3 if kind.startswith("shift") else 0)
        assert panel.slope == pytest.approx(sd / 3 if kind.startswith("slope") else 0)


@pytest.mark.slow
def test_loops_differ_in_their_experiments_only() -> None:
    study = import_module("experiment_loop")
    of_world = study.FIRST_SEED, "one channel at a time"
    loops = [study.run_loop(*of_world, name, 2) for name in ("chosen", "equal")]
    start, end = ([rows[i] for rows in loops] for i in (0, 1))
    assert start[0]["regret"] == start[1]["regret"]
    assert end[0]["further rows"] == end[1]["further rows"] == 2 * study.BATCH
    labels = ["do(tv)", "do(radio)", "do(search)", "observational"]
    assert [end[1][label] for label in labels] == [1, 1, 0, 0]
    assert sum(end[0][label] for label in labels) == 2
    assert end[0]["do(tv, radio, search)"] == 0
    assert all(0 <= row["regret"] < 50 for rows in loops for row in rows)


def test_estimates_by_hand_are_right_without_hidden_causes() -> None:
    pytest.importorskip("sklearn")
    study = import_module("real_worlds")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.integers(0, 2 + (name == "b"), 8000) for name in "abc"})
    frame["y"] = 2.0 * frame["a"] + frame["b"] ** 2 - frame["c"] + 0.1 * rng.normal(size=8000)
    frame["regime"] = rng.choice(["observational", "a", "b", "c", "a+b+c"], 8000)
    joint = pd.DataFrame({"a": [0, 1, 1], "b": [2, 0, 2], "c": [0, 1, 1], "effect": [4.0, 1, 5]})
    known = bi.datasets.Dataset(frame, joint, ("a", "b", "c"), "y")
    estimates = study.other_estimates(known)
    assert {*estimates, study.LIBRARY, study.MGCV} == {*study.ESTIMATORS}
    for name, estimate in estimates.items():
        # By hand subtracts the mean of the history from those of two experiments.
        tolerance = 0.3 if name == study.HAND else 0.05
        np.testing.assert_allclose(estimate, joint["effect"], atol=tolerance, err_msg=name)
