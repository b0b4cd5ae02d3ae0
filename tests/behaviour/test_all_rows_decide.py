"""All rows select terms, test fits and tell the kind of the outcome, not a sample alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _rows import fitted, frame_of, moments, sampled

import bayes_intgen as bi

ROWS, KINK = 20_000, 0.5
COLUMNS = (["red", "green"], "sales", "regime")


def bump(red):
    """A function with three kinks, too narrow for the smooth functions of a fit."""
    return np.maximum(0.6 - 2 * np.abs(red - KINK), 0)


class Table:
    """Rows of which those outside of the sample have a bump."""

    def __init__(self, seed: int = 0) -> None:
        own = [lambda a, c, v: c + v] * 2
        rows = sampled(own, ROWS, seed, settings=1.0, names=COLUMNS[0])
        frame = frame_of(replace(rows, outcome_name="sales"))
        frame["regime"] = frame["regime"].where(frame["regime"] != "", None)
        sample = bi.RegimeData.from_frame(frame, *COLUMNS).sample(30_000)
        outside = ~frame["red"].isin(sample.actions[:, 0])
        self.share = outside.mean()
        frame.loc[outside, "sales"] += bump(frame["red"][outside])
        self.frame = frame

    def stream(self) -> bi.StreamedData:
        pieces = [self.frame[:ROWS], self.frame[ROWS:]]
        return bi.StreamedData.from_batches(pieces, *COLUMNS, progress=False)

    def height(self, data: bi.Rows, model: bi.models.AdditiveModel) -> float:
        """Height of the bump in the joint effect, over that in the mean of all rows."""
        points = [[KINK - 0.3, 0.0], [KINK, 0.0], [KINK + 0.3, 0.0]]
        left, middle, right = moments(fitted(data, model).joint_effect(points))[0]
        return (middle - (left + right) / 2) / (self.share * 0.6)


@pytest.fixture(scope="module")
def table() -> Table:
    return Table()


# The sample, on which functions that are finer yet are tested, has no bump.
@pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")
def test_a_bump_outside_of_the_sample_is_found_in_one_pass(table) -> None:
    data, model = table.stream(), bi.models.additive()
    begun = data.passes.made
    assert 0.4 < table.height(data, model) < 1.1
    # Sums from bins serve selection, tests and the fit.
    assert data.passes.made == begun + 1
    # Negative control: the sample.
    assert abs(table.height(data.in_memory, model)) < 0.1


def test_a_bump_outside_of_the_sample_that_no_term_follows_is_reported(table) -> None:
    model = bi.models.additive("polynomial")
    with pytest.warns(bi.LackOfFitWarning, match="does not follow the contribution of 'red'"):
        table.height(table.stream(), model)
    table.height(table.stream().in_memory, model)


# More than a stream keeps in memory of a regime.
MORE_ROWS = 31_000


def zeros_and_ones(last: float) -> pd.DataFrame:
    """Zeros and ones, except in one of the rows that no sample has."""
    rng = np.random.default_rng(1)
    red = rng.normal(size=2 * MORE_ROWS)
    outcome = (rng.random(2 * MORE_ROWS) < 0.5 + 0.1 * red).astype(float)
    frame = pd.DataFrame({"red": red, "y": outcome, "regime": np.repeat(["", "red"], MORE_ROWS)})
    in_memory = stream(frame).in_memory.actions[:, 0]
    outside = np.flatnonzero(~np.isin(red, in_memory))
    return frame.assign(y=np.where(np.arange(2 * MORE_ROWS) == outside[-1], last, frame["y"]))


def stream(frame: pd.DataFrame, **roles: str) -> bi.StreamedData:
    return bi.read([frame[:40_000], frame[40_000:]], ["red"], "y", progress=False, **roles)


@pytest.mark.parametrize(("last", "kind"), [(1.0, "binary"), (2.0, "count"), (-1.0, "continuous")])
def test_one_row_outside_the_sample_decides(last, kind) -> None:
    rows = stream(zeros_and_ones(last))
    assert set(rows.in_memory.outcome) == {0.0, 1.0}
    assert rows.outcome_kind == kind
    assert fitted(rows, bi.models.additive("linear"), draws=50, chains=1).outcome_kind == kind


def test_means_of_several_units_are_numbers() -> None:
    frame = zeros_and_ones(1.0)
    of_several = frame.assign(units=1 + (frame.index >= 40_000))
    assert stream(of_several, weights="units").outcome_kind == "continuous"
    assert stream(frame).outcome_kind == "binary"


def test_an_action_that_several_others_move_has_effects_from_many_rows() -> None:
    def outcome(actions: np.ndarray, causes: np.ndarray) -> np.ndarray:
        return np.tanh(actions).sum(axis=1) + 0.5 * causes.sum(axis=1)

    own = [lambda a, c, v: c] * 3 + [lambda a, c, v: a.sum(axis=1) + c]
    data = sampled(own, 7_000, 3, outcome=outcome, noise=0.5, settings=1.2)
    mean, sd = moments(fitted(data).contrast([[1.0] * 4], [[-1.0] * 4]))
    assert abs(mean - 8 * np.tanh(1)) < 4 * sd
