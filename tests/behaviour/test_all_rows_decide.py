"""All rows select terms, test fits and tell the kind of the outcome, not a sample alone."""

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

ROWS, KINK = 20_000, 0.5
COLUMNS = (["red", "green"], "sales", "regime")


def bump(red):
    """A function with three kinks, too narrow for the smooth functions of a fit."""
    return np.maximum(0.6 - 2 * np.abs(red - KINK), 0)


class Table:
    """Rows of which those outside of the sample have a bump."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        regime = np.repeat(["", "red", "green"], ROWS)
        causes = rng.normal(size=(len(regime), 2))
        red, green = (causes + rng.normal(size=causes.shape)).T
        red = np.where(regime == "red", rng.normal(size=len(red)), red)
        green = np.where(regime == "green", rng.normal(size=len(red)), green)
        sales = red + green + causes.sum(axis=1) + 0.3 * rng.normal(size=len(red))
        frame = pd.DataFrame({"red": red, "green": green, "sales": sales, "regime": regime})
        frame["regime"] = frame["regime"].where(regime != "", None)
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
        posterior = bi.fit(data, model, method="laplace", progress=False)
        points = [[KINK - 0.3, 0.0], [KINK, 0.0], [KINK + 0.3, 0.0]]
        left, middle, right = posterior.joint_effect(points).mean(("chain", "draw")).to_numpy()
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


def stream(frame: pd.DataFrame) -> bi.StreamedData:
    pieces = [frame[:40_000], frame[40_000:]]
    return bi.StreamedData.from_batches(pieces, ["red"], "y", "regime", progress=False)


@pytest.mark.parametrize(("last", "kind"), [(1.0, "binary"), (2.0, "count"), (-1.0, "continuous")])
def test_one_row_outside_the_sample_decides(last, kind) -> None:
    rows = stream(zeros_and_ones(last))
    assert set(rows.in_memory.outcome) == {0.0, 1.0}
    assert rows.outcome_kind == kind
    linear = bi.models.additive("linear")
    fit = bi.fit(rows, linear, method="laplace", draws=50, chains=1, progress=False)
    assert fit.outcome_kind == kind


def test_means_of_several_units_are_numbers() -> None:
    frame = zeros_and_ones(1.0)
    pieces = [frame.assign(units=1)[:40_000], frame.assign(units=2)[40_000:]]
    rows = bi.StreamedData.from_batches(
        pieces, ["red"], "y", "regime", weights="units", progress=False
    )
    assert rows.outcome_kind == "continuous"
    assert stream(frame).outcome_kind == "binary"


def test_an_action_that_several_others_move_has_effects_from_many_rows() -> None:
    rng = np.random.default_rng(3)
    masks = np.repeat(
        np.concatenate([np.zeros((1, 4), bool), np.eye(4, dtype=bool)]), 7_000, axis=0
    )
    cause = rng.normal(size=masks.shape)
    actions = np.where(masks, 1.2 * rng.normal(size=masks.shape), cause)
    moved = actions[:, :3].sum(axis=1) + cause[:, 3]
    actions[:, 3] = np.where(masks[:, 3], actions[:, 3], moved)
    outcome = np.tanh(actions).sum(axis=1) + 0.5 * cause.sum(axis=1)
    outcome += 0.5 * rng.normal(size=len(masks))
    data = bi.RegimeData.from_arrays(actions, outcome, masks)
    fit = bi.fit(data, method="laplace", progress=False)
    change = fit.contrast([[1.0] * 4], [[-1.0] * 4])
    assert abs(float(change.mean()) - 8 * np.tanh(1)) < 4 * float(change.std())
