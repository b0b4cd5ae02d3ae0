"""Analyses of covariates, groups and weights, at quick size."""

import sys

import numpy as np
import pandas as pd
import pytest
from saved_tables import mark

import bayes_intgen as bi


def run(module, monkeypatch, folder, *more) -> None:
    """Run an analysis as the command line does, at quick size."""
    monkeypatch.setattr(sys, "argv", [module.__name__, "--quick", "--output", str(folder), *more])
    module.main()


@pytest.mark.slow
def test_study_of_covariates(tmp_path, monkeypatch) -> None:
    import covariates

    run(covariates, monkeypatch, tmp_path, "--processes", "1")
    worlds = pd.read_csv(tmp_path / "covariates_models.csv", comment="#")
    lines = pd.read_csv(tmp_path / "covariates.csv", comment="#").set_index("kind")
    assert list(lines.index) == list(covariates.QUICK_KINDS)
    assert (lines["worlds"] == 2).all()
    assert worlds["coverage90"].between(0, 1).all()
    assert worlds["error"].between(1e-3, 10).all()
    # Means of cells with their standard deviations have the posterior of the rows.
    cells = lines.loc[covariates.CELLS]
    assert cells["shift over sd"] < 0.3
    assert abs(cells["sd ratio"] - 1) < 0.2
    assert (tmp_path / "covariates.png").stat().st_size > 5000
    # A second run uses the saved rows.
    before = mark(tmp_path / "covariates_models.csv")
    run(covariates, monkeypatch, tmp_path, "--processes", "1")
    assert (tmp_path / "covariates_models.csv").read_text() == before


def test_panels_and_their_twins_share_random_numbers() -> None:
    import covariates

    cases = covariates.panel_cases("strong season", 1, 100, "linear")
    adjusted, twin = cases["adjusted"].data, cases["twin"].data
    assert adjusted.columns.every == ("week", "region")
    assert twin.columns.every == ()
    was_set = adjusted.intervened
    np.testing.assert_array_equal(adjusted.actions[was_set], twin.actions[was_set])
    assert not np.allclose(adjusted.actions[~was_set], twin.actions[~was_set])


def test_fits_compared_with_leaving_columns_out_have_the_same_rows() -> None:
    import covariates

    null = covariates.null_cases(covariates.NULL, 0, 60, "linear")
    many = covariates.trial_cases(covariates.MANY, 0, 12, "linear")
    for cases, lacking in ((null, 5), (many, 1)):
        with_columns, without = cases["adjusted"], cases["without"]
        np.testing.assert_array_equal(with_columns.data.outcome, without.data.outcome)
        np.testing.assert_array_equal(with_columns.truth, without.truth)
        assert len(with_columns.data.columns) - len(without.data.columns) == lacking


@pytest.mark.slow
def test_geo_experiments_from_parquet_to_figure(tmp_path, monkeypatch, capsys) -> None:
    import geo_experiments

    run(geo_experiments, monkeypatch, tmp_path)
    frame = pd.read_parquet(tmp_path / "geo_experiments.parquet")
    assert frame.groupby("region")["experiment"].nunique().max() == 2
    assert (frame[frame["experiment"] == ""]["region"].nunique()) == 24
    table = pd.read_csv(tmp_path / "geo_experiments_regions.csv", comment="#").set_index("region")
    assert len(table) == 26
    average, new = table.loc["average"], table.loc[geo_experiments.NEW]
    assert abs(average["sales"] - average["simulator"]) < average["95%"] - average["5%"]
    # A new region has the spread between regions in its interval.
    assert new["95%"] - new["5%"] > 2 * (average["95%"] - average["5%"])
    known = table.drop(["average", geo_experiments.NEW])
    inside = (known["5%"] < known["simulator"]) & (known["simulator"] < known["95%"])
    assert inside.mean() > 0.6
    assert np.corrcoef(known["sales"], known["simulator"])[0, 1] > 0.9
    assert (tmp_path / "geo_experiments.png").stat().st_size > 5000
    assert "never seen together" in capsys.readouterr().out


def test_true_sales_are_those_of_the_simulator(tmp_path) -> None:
    import geo_experiments

    panel = bi.simulators.MarketingPanel.random(3, seed=geo_experiments.PANEL)
    file = tmp_path / "panel.parquet"
    geo_experiments.write_data(file, panel, 0.5, seed=0)
    frame = pd.read_parquet(file)
    data = bi.RegimeData.from_arrays(
        frame[geo_experiments.CHANNELS].to_numpy(),
        frame["sales"].to_numpy(),
        np.stack([frame["experiment"] == c for c in geo_experiments.CHANNELS], axis=1),
        geo_experiments.CHANNELS,
        covariates={"week": frame["week"].to_numpy()},
        groups={"region": frame["region"].str.slice(7).astype(int).to_numpy() - 1},
    )
    points = data.actions[:4]
    np.testing.assert_allclose(
        geo_experiments.truth(panel, frame, points), panel.joint_effect(points, data)
    )


@pytest.mark.slow
def test_repeated_visits_from_csv_to_figure(tmp_path, monkeypatch, capsys) -> None:
    import repeated_visits

    run(repeated_visits, monkeypatch, tmp_path)
    frame = pd.read_csv(tmp_path / "repeated_visits.csv")
    assert frame["patient"].nunique() == 4 * 200
    assert (frame.groupby("patient")["age"].nunique() == 1).all()
    table = pd.read_csv(tmp_path / "repeated_visits_ages.csv", comment="#")
    assert len(table) == len(repeated_visits.RAISED) * len(repeated_visits.AGES)
    # The truth of one data set may lie outside a 90% interval; here, within 3.3 deviations.
    error = table["change of score"] - table["simulator"]
    assert (error.abs() < table["95%"] - table["5%"]).all()
    # Changes with age are those of the simulator, and the other fit has none.
    by_age = table.pivot(index="raised", columns="age", values=["change of score", "simulator"])
    trend = by_age.xs(75, axis=1, level="age") - by_age.xs(35, axis=1, level="age")
    assert np.corrcoef(trend.to_numpy().T)[0, 1] > 0.8
    assert (table.groupby("raised")["age and patients ignored"].nunique() == 1).all()
    for name in ("repeated_visits.png", "repeated_visits.svg"):
        assert (tmp_path / name).stat().st_size > 5000
    assert "never seen together" in capsys.readouterr().out


def test_true_change_by_age_is_that_of_the_simulator() -> None:
    import repeated_visits

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
