from collections import Counter

import numpy as np
import pandas as pd
import pytest
from _rows import frame_of, sampled
from studies import run

import bayes_intgen as bi
from bayes_intgen.data.first_pass import Digest

import bad_arguments
import bad_files
import bad_input
from _attempts import attempt
from _posteriors import made_up
from bad_input import Case, fit_case, frames, read_and_evaluate, search


def failing(results: list[tuple[Case | str, str]]) -> list[str]:
    return [f"{outcome}: {case!r}" for case, outcome in results if outcome.startswith("FAILURE")]


def test_every_frame_gives_results_or_a_package_error() -> None:
    """In units of any kind; the study tries thousands."""
    results = search(100, read_and_evaluate, frames())
    assert not failing(results)
    outcomes = Counter(outcome for _, outcome in results)
    assert min(outcomes["answer"], outcomes["DataError"]) > 15


def test_fits_are_equivariant_to_units() -> None:
    results = search(2, fit_case, frames(most_actions=2, clean=True).map(bad_input.cheap))
    assert not failing(results)
    assert len(results) == 2


def test_wrong_units_and_foreign_errors_are_failures(monkeypatch) -> None:
    """Negative controls: an outcome in the wrong unit, and an error of another package."""
    right = bad_input.in_units

    def forgets(data: bi.RegimeData, factors: np.ndarray) -> bi.RegimeData:
        return right(data, np.append(factors[:-1], 1.0))

    monkeypatch.setattr(bad_input, "in_units", forgets)
    results = search(20, read_and_evaluate, frames(clean=True).map(bad_input.cheap))
    assert "densities" in "\n".join(failing(results))

    def breaks(case: Case) -> str:
        raise IndexError("from the depths")

    case = results[0][0]
    assert attempt(breaks, case).startswith("FAILURE IndexError in test_bad_input.py: from the")


@pytest.mark.parametrize("prior", ["linear", "gp"])
def test_thirty_actions(prior) -> None:
    """Thirty actions with few rows and an unknown graph have an answer."""
    names = [f"lever {k}" for k in range(30)]
    frame = frame_of(sampled([lambda a, c, v: v] * 30, 20, noise=1.0, names=names))
    case = Case(frame, names, "pandas", "nothing", prior, 0)
    assert attempt(read_and_evaluate, case) == "answer"


@pytest.mark.parametrize("seed", [3, 4])
def test_an_outcome_that_is_an_action_with_an_outlier_is_refused(seed) -> None:
    """The outlier has nearly all of the variance, so the first fit may see the rest as noise."""
    values = np.random.default_rng(seed).normal(size=81)
    values[0] = 1e8
    frame = pd.DataFrame({"a": values, "outcome": values, "regime": [""] * 80 + ["a"]})
    case = Case(frame, ["a"], "pandas", "repeated", "linear", seed)
    assert attempt(bad_input.prepare, case) == "DataError"


def test_every_argument_has_an_answer_or_a_package_error(data, posterior) -> None:
    """Each right and each wrong value of every argument once."""
    few = data.take(slice(None, None, 9))
    small = made_up(data.names, data=few, draws=4)
    results = bad_arguments.results(len(bad_arguments.cases_of(few, small)), few, small)
    assert not failing(results)
    assert len({kind for kind, _ in results}) > 60


def test_every_file_and_stream_is_read_rightly_or_refused(tmp_path) -> None:
    results = bad_files.results(150, tmp_path)
    assert not failing(results)
    assert sum(outcome == "answer" for _, outcome in results) > 30


def test_wrong_answers_about_files_are_failures(tmp_path, monkeypatch) -> None:
    """Negative control: a source whose changes go unnoticed."""
    monkeypatch.setattr(Digest, "refuse_other", lambda self, now: None)
    results = bad_files.results(150, tmp_path)
    negated = [outcome for kind, outcome in results if kind.endswith("stream, negated")]
    assert any(outcome.startswith("FAILURE: answer") for outcome in negated)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["stdout closed", "stderr closed, error", "ASCII", "pipe"])
def test_command_in_unusual_processes(tmp_path, kind) -> None:
    assert not failing([bad_files.environment_case(tmp_path, kind)])


def test_describing_a_wide_frame_is_timed(tmp_path, monkeypatch) -> None:
    run("describe_speed", monkeypatch, tmp_path)
    assert "ratio of memory" in (tmp_path / "describe_speed.csv").read_text()
