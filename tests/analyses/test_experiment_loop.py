"""Study of the loop from rows to a decision to the next experiment."""

from importlib import import_module

import numpy as np
import pytest

study = import_module("experiment_loop")
NUMBERS = np.array([0.0, 100.0, 200.0])


@pytest.mark.parametrize(
    ("chosen", "share"),
    [
        # The regret of others after 100 and 200 rows is reached after 50 and 75 rows.
        ([4.0, 0.0, 0.0], (0.5 + 0.375) / 2),
        # As fast as the others.
        ([4.0, 2.0, 1.0], 1.0),
        # Never.
        ([4.0, 4.0, 4.0], 1.0),
        # At once.
        ([1.0, 0.5, 0.5], 0.0),
        # Slower.
        ([4.0, 3.0, 2.0], 1.0),
    ],
)
def test_share_of_rows(chosen, share) -> None:
    # Two firms with these means.
    regrets = np.array(chosen) + np.array([[0.3], [-0.3]])
    other = np.array([4.0, 2.0, 1.0]) + np.array([[0.5], [-0.5]])
    assert study.share_of_rows(NUMBERS, regrets, other) == pytest.approx(share)


@pytest.mark.slow
def test_loops_differ_in_their_experiments_only() -> None:
    loops = {
        name: study.run_loop(study.FIRST_SEED, "one channel at a time", name, 2)
        for name in ("chosen", "equal")
    }
    start, end = ([rows[i] for rows in loops.values()] for i in (0, 1))
    assert start[0]["regret"] == start[1]["regret"]
    assert end[0]["further rows"] == end[1]["further rows"] == 2 * study.BATCH
    labels = ["do(tv)", "do(radio)", "do(search)", "observational"]
    assert [end[1][label] for label in labels] == [1, 1, 0, 0]
    assert sum(end[0][label] for label in labels) == 2
    assert end[0]["do(tv, radio, search)"] == 0
    assert all(0 <= row["regret"] < 50 for rows in loops.values() for row in rows)
