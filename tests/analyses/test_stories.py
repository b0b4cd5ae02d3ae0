import sys

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi


def run(module, monkeypatch, folder) -> None:
    """Run an analysis as the command line does, at quick size."""
    monkeypatch.setattr(sys, "argv", [module.__name__, "--quick", "--output", str(folder)])
    module.main()


@pytest.mark.slow
def test_media_plan_from_parquet_to_figure(tmp_path, monkeypatch, capsys) -> None:
    import media_mix

    run(media_mix, monkeypatch, tmp_path)
    frame = pd.read_parquet(tmp_path / "media_mix.parquet")
    assert list(frame.columns) == ["tv", "radio", "search", "sales", "experiment"]
    assert frame["experiment"].value_counts().to_dict() == {
        "": 390, "tv": 100, "radio": 100, "search": 100,
    }  # fmt: skip
    data = bi.RegimeData.from_frame(frame, media_mix.CHANNELS, "sales", "experiment")
    assert not data.intervened.all(axis=1).any()

    table = pd.read_csv(tmp_path / "media_mix_plans.csv", comment="#").set_index("plan")
    assert list(table.index) == list(media_mix.PLANS)
    plan = table.loc["all three"]
    assert plan["5%"] < plan["25%"] < plan["change of sales"] < plan["75%"] < plan["95%"]
    assert plan["5%"] < plan["simulator"] < plan["95%"]
    # The mean lies between outcomes, whose band is far wider.
    assert plan["sales 95%"] - plan["sales 5%"] > 3 * (plan["95%"] - plan["5%"])
    # Demand moves spend and sales: the history promises more of every change than is there.
    assert (table["history alone"].abs() > 1.2 * table["simulator"].abs()).all()
    wrong_by = (table["history alone"] - table["simulator"]).abs()
    assert abs(plan["change of sales"] - plan["simulator"]) < wrong_by["all three"]
    assert not plan["history 5%"] < plan["simulator"] < plan["history 95%"]
    for name in ("media_mix.png", "media_mix.svg"):
        assert (tmp_path / name).stat().st_size > 500
    assert "never seen together" in capsys.readouterr().out


def test_data_file_in_a_new_folder(tmp_path) -> None:
    import media_mix

    firm = bi.simulators.MediaMix.random(3, seed=media_mix.FIRM)
    file = tmp_path / "new" / "folder" / "rows.parquet"
    media_mix.write_data(file, firm, history=30, lift=10, seed=0)
    assert len(pd.read_parquet(file)) == 60


def test_changes_are_taken_within_draws() -> None:
    import media_mix

    draws = np.array([[[1.0, 3.0, 2.0]], [[5.0, 7.0, 6.0]]])
    np.testing.assert_array_equal(media_mix.changes(draws), [[[2.0, 1.0]], [[2.0, 1.0]]])


@pytest.mark.slow
def test_decision_from_rows_to_plans(tmp_path, monkeypatch, capsys) -> None:
    import decide

    run(decide, monkeypatch, tmp_path)
    plans = pd.read_csv(tmp_path / "decide_plans.csv", comment="#").set_index("plan")
    spend = plans[decide.CHANNELS]
    today, best = spend.loc["today"], plans.loc["best"]
    assert (plans["cost"] <= plans["cost"]["today"] + 0.01).all()
    limited = spend.drop(index=decide.UNLIMITED)
    assert (limited >= today / decide.FACTOR - 0.01).all(axis=None)
    assert (limited <= today * decide.FACTOR + 0.01).all(axis=None)
    # Nothing within the limits has a larger mean, a smaller regret, or a larger true gain.
    within = plans.drop(index=decide.UNLIMITED)
    assert best["gain"] >= within["gain"].max() - 0.05
    assert best["expected regret"] <= within["expected regret"].min() + 0.05
    assert plans["true gain"][decide.OPTIMUM] >= within["true gain"].max() - 0.01
    # A 90% band misses the truth once in ten; twice its width hardly ever.
    middle, width = (best["5%"] + best["95%"]) / 2, best["95%"] - best["5%"]
    assert abs(best["true gain"] - middle) < width
    frontier = pd.read_csv(tmp_path / "decide_frontier.csv", comment="#")
    assert (frontier[decide.CHANNELS].sum(axis=1) <= frontier["budget"] + 0.02).all()
    assert (frontier["gain"].diff()[1:] > 0).all()
    assert (frontier["true gain"] <= frontier["largest true gain"] + 0.01).all()
    same = frontier.set_index("share of today's").loc[1.0]
    assert same["gain"] == pytest.approx(best["gain"], abs=0.02)
    for name in ("decide.png", "decide.svg"):
        assert (tmp_path / name).stat().st_size > 500
    assert 'id="planner"' in (tmp_path / "report.html").read_text()
    assert "Best plan for sales" in capsys.readouterr().out


def test_last_channel_of_the_true_best_plan_gets_the_rest() -> None:
    import decide

    firm = bi.simulators.MediaMix.random(3, seed=decide.FIRM)
    today = dict(zip(decide.CHANNELS, firm.budget.tolist(), strict=True))
    decision = decide.decision_of(today, sum(today.values()))
    best = decide.true_best(firm, decision)
    assert best.sum() == pytest.approx(sum(today.values()))
    rng = np.random.default_rng(0)
    points = firm.budget * rng.uniform(1 / decide.FACTOR, decide.FACTOR, (20_000, 3))
    points = points[points.sum(axis=1) <= sum(today.values())]
    value = firm.joint_effect(points).max()
    assert value < firm.joint_effect(best[None])[0] < value + 0.5


# A corner of the square lies beyond the rows of a quick run.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_two_worlds_with_one_data_set(tmp_path, monkeypatch) -> None:
    import non_identifiable

    run(non_identifiable, monkeypatch, tmp_path)
    table = pd.read_csv(tmp_path / "non_identifiable.csv", comment="#")
    value = table.set_index(["world", "what"])["value"]
    where = "joint effect at (1.5, 1.5)"
    low, high = map(float, value["both", f"{where}, 90% band"].split(" to "))
    additive, interacting = (float(value[world, f"{where}, truth"]) for world in worlds())
    # The truth of one data set lies outside a 90% band once in ten; here, within 3.3 deviations.
    assert abs(additive - (low + high) / 2) < high - low
    assert interacting - high > 2 * (high - low)
    coverage = [float(value[w, "coverage of 90% bands over the square"]) for w in worlds()]
    assert coverage[0] > 0.6
    assert coverage[1] < 0.4
    # Rows with one action set say nothing against additivity, in either world.
    gain = float(value["both", "elpd of saturated less additive, training rows"])
    assert gain < 2 * float(value["both", "its standard error"])

    what = "share of 40 sets rejected, 100 joint rows"
    additive_share, interacting_share = (float(value[world, what]) for world in worlds())
    assert additive_share <= 0.3
    assert interacting_share > 0.95
    assert int(value["interacting world", "joint rows for 90% of sets to be rejected, b = 1"]) <= 50
    for name in ("non_identifiable.png", "non_identifiable.svg"):
        assert (tmp_path / name).stat().st_size > 500


def worlds() -> list[str]:
    import non_identifiable

    return list(non_identifiable.WORLDS)


@pytest.mark.parametrize("seed", [0, 1])
def test_worlds_agree_on_training_rows_and_differ_on_joint_rows(seed) -> None:
    import non_identifiable

    first, second = (non_identifiable.training_rows(b, 0.1, seed) for b in (0.0, 1.0))
    np.testing.assert_array_equal(first.actions, second.actions)
    np.testing.assert_array_equal(first.outcome, second.outcome)
    both = (True, True)
    samples = [non_identifiable.sample(b, both, 20, np.random.default_rng(seed)) for b in (0, 1)]
    np.testing.assert_array_equal(samples[0][0], samples[1][0])
    assert np.abs(samples[0][1] - samples[1][1]).max() > 1


@pytest.mark.parametrize("b", [0.0, 1.0])
def test_joint_truth_is_the_mean_of_joint_rows(b) -> None:
    import non_identifiable

    rng = np.random.default_rng(0)
    points, outcome = non_identifiable.sample(b, (True, True), 200_000, rng)
    residual = outcome - non_identifiable.joint_truth(b, points)
    for weights in (np.ones(len(points)), points[:, 0], points[:, 1], points.prod(axis=1)):
        error = (residual * weights).std() / np.sqrt(len(points))
        assert abs((residual * weights).mean()) < 4 * error


def test_rows_needed_is_the_start_of_sustained_rejection() -> None:
    import non_identifiable

    is_rejected = np.array([[1, 0, 0, 1, 1, 1]] * 10, dtype=bool)
    assert non_identifiable.rows_needed(is_rejected) == "20"
    assert non_identifiable.rows_needed(~is_rejected) == "over 100"
