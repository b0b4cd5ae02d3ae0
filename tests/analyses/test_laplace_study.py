"""Study of the Laplace approximation, at quick size."""

import sys

import numpy as np
import pandas as pd
import pytest
from saved_tables import mark


def test_comparison_of_made_up_fits() -> None:
    import laplace

    common = {"kind": "linear", "change": "1.0", "outcome": "0.9"}
    rows = [
        {**common, "seed": seed, "method": method, "error": error, "effect": effect, "pareto k": k}
        for seed, method, error, effect, k in (
            ("1", "nuts", "0.1", "0.8", ""),
            ("1", "laplace", "0.2", "0.7", "0.9"),
            ("2", "nuts", "0.1", "0.9", ""),
            ("2", "laplace", "0.05", "0.9", "0.3"),
            # Of an interrupted run: a world with one fit only.
            ("3", "nuts", "9.0", "0.1", ""),
        )
    ]
    every, of_kind = laplace.summary(rows)
    assert {**every, "kind": "linear"} == of_kind
    assert every["worlds"] == 2
    assert every["error ratio"] == "1.0000"
    assert every["effect, difference"] == "-0.0500"
    assert every["Pareto k above 0.7"] == "0.5000"


@pytest.mark.slow
def test_study_of_the_laplace_approximation(tmp_path, monkeypatch) -> None:
    import laplace

    words = ["laplace", "--quick", "--processes", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, "--kinds", "linear"])
    laplace.main()
    line = pd.read_csv(tmp_path / "laplace.csv", comment="#").iloc[0]
    assert line["worlds"] == 1
    assert 0.5 < line["error ratio"] < 2
    assert line["Pareto k above 0.7"] == 0
    models = pd.read_csv(tmp_path / "laplace_models.csv", comment="#")
    assert models["method"].tolist() == ["nuts", "laplace"]
    assert np.isnan(models["pareto k"][0])
    before = mark(tmp_path / "laplace_models.csv")
    laplace.main()
    assert (tmp_path / "laplace_models.csv").read_text() == before
