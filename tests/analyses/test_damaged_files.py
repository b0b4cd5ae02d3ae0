import os
import time
from functools import partial

import pytest
from studies import read, run

import bayes_intgen as bi

import damaged_files
from _worker import Worker


@pytest.mark.slow
def test_damaged_files_give_the_same_numbers_or_one_error(tmp_path, monkeypatch, capsys) -> None:
    run("damaged_files", monkeypatch, tmp_path)
    table = read(tmp_path / "damaged_files.csv")
    every = table[table["damage"] == "all"].set_index("what")
    assert every["tried"].to_dict() == {"saved fit": 100, "checkpoint": 8}
    assert every["FAILURE"].to_dict() == {"saved fit": 0, "checkpoint": 0}, capsys.readouterr().out
    # A run of zeros over zeros.
    assert every["same numbers"].between(0, 10).all()


def test_other_numbers_are_failures(posterior, tmp_path) -> None:
    """The negative control."""
    one, other = str(tmp_path / "one.nc"), str(tmp_path / "other.nc")
    posterior.save(one)
    tree = posterior.tree.copy(deep=True)
    tree["coefficients"]["coefficients"][0, 0, 0] += 1e-9
    bi.Posterior(tree).save(other)
    assert damaged_files.outcome_of_load(one, one) == "same numbers"
    assert damaged_files.outcome_of_load(other, one) == "FAILURE other numbers"


@pytest.mark.slow
def test_crashes_hangs_and_other_errors_are_failures() -> None:
    with Worker(__name__, seconds=2) as worker:
        assert worker.call("crash") == "FAILURE crash with exit status -6"
        assert worker.call("hang") == "FAILURE hang of 2 s"
        assert worker.call("fail") == "FAILURE IndexError: from the depths"
        assert worker.call("succeed") == "done"


# The worker calls these by their names.
crash, hang, succeed = os.abort, partial(time.sleep, 60), partial(str, "done")


def fail() -> None:
    raise IndexError("from the depths")


@pytest.mark.slow
def test_interrupted_writes_lose_nothing(tmp_path, monkeypatch, capsys) -> None:
    run("interrupted_writes", monkeypatch, tmp_path)
    table = read(tmp_path / "interrupted_writes.csv", "what")
    assert not table["FAILURE"].any(), capsys.readouterr().out
    assert table.loc["kill during a fit", "tried"] == 2
    assert table.loc["kill during a save", "tried"] == 2
