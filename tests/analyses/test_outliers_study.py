"""Study of outliers, at quick size."""

import sys

import numpy as np
import pandas as pd
import pytest
from saved_tables import mark


@pytest.mark.slow
def test_study_of_outliers(tmp_path, monkeypatch) -> None:
    import outliers

    words = ["outliers", "--quick", "--processes", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    outliers.main()
    lines = pd.read_csv(tmp_path / "outliers.csv", comment="#").set_index(["share", "noise"])
    assert (lines["worlds"] == 2).all()
    assert lines["coverage90"].between(0.4, 1).all()
    assert lines.loc[(0.0, "gaussian"), "reported"] == 0
    assert (lines.loc[[(0.01, "gaussian"), (0.05, "gaussian")], "reported"] == 1).all()
    assert (lines["ratio of seconds"] > 0).all()
    reports = pd.read_csv(tmp_path / "outliers_reports.csv", comment="#").set_index("share")
    assert reports["reported"].to_dict() == {0.01: 1.0, 0.0: 0.0}
    # A second run uses the saved rows.
    before = mark(tmp_path / "outliers_models.csv")
    outliers.main()
    assert (tmp_path / "outliers_models.csv").read_text() == before


def test_outliers_lie_at_the_stated_distances() -> None:
    import outliers

    world = outliers.world_of("normal", 3)
    data = world.data(500, 1)
    sd = outliers.noise_sd(world)
    moved = outliers.with_outliers(data, sd, 0.05, 3).outcome - data.outcome
    distances = np.abs(moved[moved != 0]) / sd
    assert len(distances) == round(0.05 * len(data))
    assert outliers.DISTANCE[0] <= distances.min() < distances.max() <= outliers.DISTANCE[1]
    assert 0.3 < np.mean(moved[moved != 0] > 0) < 0.7
    assert outliers.with_outliers(data, sd, 0.0, 3).outcome.tolist() == data.outcome.tolist()
