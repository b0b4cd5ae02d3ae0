"""Study of updates, at quick size."""

import sys

import numpy as np
import pandas as pd
import pytest
from saved_tables import mark


def test_summary_of_made_up_updates() -> None:
    import updates

    common = {"kind": "linear", **{f"sd {name}": "1.0" for name in updates.OTHER_FITS}}
    rows = [
        {
            **common,
            "pilot": pilot,
            **{f"distance {name}": distance for name in updates.OTHER_FITS},
            "seconds update": seconds,
            "seconds": "1.0",
        }
        for pilot, distance, seconds in (
            ("same", "0.3", "0.1"),
            ("same", "0.4", "0.4"),
            ("new", "0.0", "0.9"),
        )
    ]
    every, same, new, of_kind = updates.summary(rows)
    assert {**every, "worlds of": "linear"} == of_kind
    assert [line["worlds"] for line in (every, same, new)] == [3, 2, 1]
    assert same["distance, update"] == f"{np.sqrt((0.3**2 + 0.4**2) / 2):.3f}"
    assert every["median distance, order"] == "0.300"
    assert (same["time ratio"], every["median"]) == ("0.20", "0.40")
    assert every["same pilot fit"] == "0.67"


@pytest.mark.slow
def test_study_of_updates(tmp_path, monkeypatch) -> None:
    import updates

    words = ["updates", "--quick", "--processes", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, "--kinds", "linear"])
    updates.main()
    line = pd.read_csv(tmp_path / "updates.csv", comment="#").iloc[0]
    assert line["worlds"] == 1
    # Within Monte Carlo error of few draws; without the new rows, farther.
    assert line["distance, update"] < 0.5
    models = tmp_path / "updates_models.csv"
    seconds = pd.read_csv(models, comment="#").iloc[0]
    # Other tests run at the same time, so that a bound of the ratio would fail now and then.
    ratio = seconds["seconds update"] / seconds["seconds"]
    assert 0 < line["time ratio"] == pytest.approx(ratio, abs=0.01)
    before = mark(models)
    updates.main()
    assert models.read_text() == before
