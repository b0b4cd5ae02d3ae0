from collections import Counter

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

import bad_input
from bad_input import Case, fit_case, frames, outcome_of, read_and_evaluate, search


def failures(results: list[tuple[Case, str]]) -> str:
    return "\n".join(f"{o}: {case!r}" for case, o in results if o.startswith("FAILURE"))


def test_every_frame_gives_results_or_a_package_error() -> None:
    """In units of any kind; the study tries thousands."""
    results = search(150, read_and_evaluate, frames())
    assert not failures(results)
    outcomes = Counter(outcome for _, outcome in results)
    assert outcomes["answer"] > 25
    assert outcomes["DataError"] > 25


def test_fits_are_equivariant_to_units() -> None:
    cases = frames(most_actions=2, clean=True).map(bad_input.cheap)
    results = search(2, fit_case, cases)
    assert not failures(results)
    assert len(results) == 2


def test_wrong_units_and_foreign_errors_are_failures(monkeypatch) -> None:
    """Negative controls: an outcome in the wrong unit, and an error of another package."""
    right = bad_input.in_units

    def forgets(data: bi.RegimeData, factors: np.ndarray) -> bi.RegimeData:
        return right(data, np.append(factors[:-1], 1.0))

    monkeypatch.setattr(bad_input, "in_units", forgets)
    results = search(20, read_and_evaluate, frames(clean=True).map(bad_input.cheap))
    assert "densities" in failures(results)

    def breaks(case: Case) -> str:
        raise IndexError("from the depths")

    case = results[0][0]
    assert outcome_of(case, breaks).startswith("FAILURE IndexError in test_bad_input.py: from the")


@pytest.mark.parametrize("prior", ["linear", "gp"])
def test_thirty_actions(prior) -> None:
    """A prior with few coefficients fits; one with too many raises an error at once."""
    rng = np.random.default_rng(0)
    count, rows = 30, 20
    names = [f"lever {k}" for k in range(count)]
    labels = np.repeat(["", *names], rows)
    actions = rng.normal(size=(len(labels), count))
    frame = pd.DataFrame(actions, columns=names).assign(
        outcome=actions.sum(axis=1) + rng.normal(size=len(labels)), regime=labels
    )
    case = Case(frame, names, "pandas", "nothing", prior, 0)
    assert outcome_of(case, read_and_evaluate) == ("answer" if prior == "linear" else "ModelError")
    graph = {names[1]: [names[0]]}
    assert bi.models.additive("gp", graph).decompose(case.read()).size < 1000


@pytest.mark.parametrize("seed", [3, 4])
def test_an_outcome_that_is_an_action_with_an_outlier_is_refused(seed) -> None:
    """The outlier has nearly all of the variance, so the first fit may see the rest as noise."""
    values = np.random.default_rng(seed).normal(size=81)
    values[0] = 1e8
    frame = pd.DataFrame({"a": values, "outcome": values, "regime": [""] * 80 + ["a"]})
    case = Case(frame, ["a"], "pandas", "repeated", "linear", seed)
    assert outcome_of(case, bad_input.prepare) == "DataError"
