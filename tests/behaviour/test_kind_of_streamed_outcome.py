"""All rows of a stream decide what its outcome can be, not only those in memory."""

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

# More than a stream keeps in memory of a regime.
ROWS = 31_000


def table(last: float) -> pd.DataFrame:
    """Zeros and ones, except in one of the rows that no sample has."""
    rng = np.random.default_rng(1)
    red = rng.normal(size=2 * ROWS)
    outcome = (rng.random(2 * ROWS) < 0.5 + 0.1 * red).astype(float)
    frame = pd.DataFrame({"red": red, "y": outcome, "regime": np.repeat(["", "red"], ROWS)})
    in_memory = stream(frame).in_memory.actions[:, 0]
    outside = np.flatnonzero(~np.isin(red, in_memory))
    return frame.assign(y=np.where(np.arange(2 * ROWS) == outside[-1], last, frame["y"]))


def stream(frame: pd.DataFrame) -> bi.StreamedData:
    pieces = [frame[:40_000], frame[40_000:]]
    return bi.StreamedData.from_batches(pieces, ["red"], "y", "regime", progress=False)


@pytest.mark.parametrize(("last", "kind"), [(1.0, "binary"), (2.0, "count"), (-1.0, "continuous")])
def test_one_row_outside_the_sample_decides(last, kind) -> None:
    rows = stream(table(last))
    assert set(rows.in_memory.outcome) == {0.0, 1.0}
    assert rows.outcome_kind == kind
    linear = bi.models.additive("linear")
    fit = bi.fit(rows, linear, method="laplace", draws=50, chains=1, progress=False)
    assert fit.outcome_kind == kind


def test_means_of_several_units_are_numbers() -> None:
    frame = table(1.0)
    pieces = [frame.assign(units=1)[:40_000], frame.assign(units=2)[40_000:]]
    rows = bi.StreamedData.from_batches(
        pieces, ["red"], "y", "regime", weights="units", progress=False
    )
    assert rows.outcome_kind == "continuous"
    assert stream(frame).outcome_kind == "binary"
