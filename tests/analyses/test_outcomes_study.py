"""Study of single outcomes, at quick size."""

import sys

import numpy as np
import pandas as pd
import pytest
from saved_tables import mark


def run(module, monkeypatch, folder, *more) -> None:
    """Run an analysis as the command line does, at quick size."""
    monkeypatch.setattr(sys, "argv", [module.__name__, "--quick", "--output", str(folder), *more])
    module.main()


@pytest.mark.slow
def test_study_of_outcomes(tmp_path, monkeypatch) -> None:
    import outcomes

    run(outcomes, monkeypatch, tmp_path, "--processes", "1")
    lines = pd.read_csv(tmp_path / "outcomes.csv", comment="#")
    assert list(lines["kind"].unique()) == list(outcomes.QUICK_KINDS)
    assert (lines["worlds"] == 2).all()
    assert lines["coverage90"].between(0.7, 1).all()
    by_kind = lines.set_index("kind")
    # Zeros and ones and counts are never negative; numbers are.
    assert (by_kind.loc[["binary", "counts of 1.5"], "negative"] == 0).all()
    assert by_kind.loc["gamma", "negative"] > 0
    assert by_kind.loc["binary", "slope"] > 0
    products = by_kind.loc[outcomes.LOG_ADDITIVE]
    assert products["negative"] == 0
    assert 0 < products["oracle error"] < products["error"] < 2
    assert 0.4 < products["effect coverage90"] <= 1
    assert lines.loc[lines["kind"] != outcomes.LOG_ADDITIVE, "oracle error"].isna().all()
    assert (tmp_path / "outcomes.png").stat().st_size > 5000
    # A second run uses the saved rows.
    before = mark(tmp_path / "outcomes_models.csv")
    run(outcomes, monkeypatch, tmp_path, "--processes", "1")
    assert (tmp_path / "outcomes_models.csv").read_text() == before


def test_ranks_of_outcomes_of_the_law_are_uniform() -> None:
    import outcomes

    rng = np.random.default_rng(0)
    draws, outcome = rng.poisson(1.5, (2, 200, 3000)), rng.poisson(1.5, 3000)
    at = outcomes.ranks(draws, outcome, rng)
    assert abs(np.mean(np.abs(at - 0.5) < 0.25) - 0.5) < 0.04
    # Negative control: another mean.
    other = outcomes.ranks(draws, rng.poisson(3.0, 3000), rng)
    assert np.mean(np.abs(other - 0.5) < 0.25) < 0.42


def test_joint_effects_are_the_means_of_outcomes() -> None:
    import outcomes

    for kind in outcomes.KINDS:
        world = outcomes.OutcomeWorld(kind, 7)
        rng = np.random.default_rng(1)
        actions, outcome = world.sample(world.names, 200_000, rng)
        gap = outcome - world.joint_effect(actions)
        assert abs(gap.mean()) < 5 * gap.std() / np.sqrt(len(gap))
        slopes = np.linalg.lstsq(np.tanh(actions), gap, rcond=None)[0]
        assert np.abs(slopes).max() < 10 * gap.std() / np.sqrt(len(gap))
