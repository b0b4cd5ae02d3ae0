"""Study of what each technique of inference buys, at quick size."""

import sys
from dataclasses import fields

import pandas as pd
import pytest
from saved_tables import mark

from bayes_intgen.inference.settings import Techniques


def test_every_technique_has_a_row() -> None:
    import ablations

    left_out = {name for own in ablations.TECHNIQUES.values() for name in own.without}
    assert left_out == {field.name for field in fields(Techniques)}


@pytest.mark.parametrize(
    ("error", "coverage", "seconds", "earns"),
    [
        (1.0, 0.9, 1.0, "no"),
        (1.05, 0.9, 1.0, "yes"),
        (1.02, 0.9, 1.0, "no"),
        (1.0, 0.86, 1.0, "yes"),
        (1.0, 0.885, 1.0, "no"),
        (1.0, 0.9, 1.3, "yes"),
        # Worse with the technique than without.
        (0.8, 0.9, 0.5, "no"),
    ],
)
def test_a_technique_earns_its_lines_by_error_coverage_or_time(
    error: float, coverage: float, seconds: float, earns: str
) -> None:
    import ablations

    rows = [
        {
            "technique": "pruning",
            "kind": "linear",
            "seed": str(seed),
            "fit": fit,
            "error": str(without * (error if fit == "without" else 1) * (1 + 0.001 * seed)),
            "seconds": str(without * (seconds if fit == "without" else 1)),
            "coverage50": "0.5",
            "coverage90": str(coverage if fit == "without" else 0.9),
            "outcome50": "",
            "outcome90": "",
        }
        for seed in range(4)
        for fit, without in (("with", 1.0), ("without", 1.0))
    ]
    (line,) = ablations.summary(rows)
    assert (line["worlds"], line["earns its lines"]) == (4, earns)


@pytest.mark.slow
def test_study_of_ablations(tmp_path, monkeypatch) -> None:
    import ablations

    words = ["ablations", "--quick", "--processes", "1", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, "--techniques", "pruning"])
    ablations.main()
    line = pd.read_csv(tmp_path / "ablations.csv", comment="#").iloc[0]
    assert (line["technique"], line["worlds"]) == ("pruning", 1)
    models = pd.read_csv(tmp_path / "ablations_models.csv", comment="#")
    assert sorted(models["fit"]) == ["with", "without"]
    before = mark(tmp_path / "ablations_models.csv")
    ablations.main()
    assert (tmp_path / "ablations_models.csv").read_text() == before
