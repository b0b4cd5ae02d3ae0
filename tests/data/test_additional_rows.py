import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.data.regime_data import with_rows

from _posteriors import data_with_groups, frame_with_groups, frame_with_levels
from conftest import confounded_rows


def with_levels(frame: pd.DataFrame) -> bi.RegimeData:
    return bi.RegimeData.from_frame(
        frame, list(frame.columns[:5]), "sales", "regime", require_observational=False
    )


def assert_same_rows(one: bi.RegimeData, other: bi.RegimeData) -> None:
    assert one.categories == other.categories
    assert one.regimes == other.regimes
    for name in ("actions", "outcome", "intervened", "covariates", "weights", "within"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_rows_with_levels_are_those_of_the_whole_table() -> None:
    frame = frame_with_levels(320)
    # The new rows lack a level, so that their own codes are others.
    new = (np.arange(320) >= 200) & (frame["drug"] != "a")
    whole = pd.concat([frame[~new], frame[new]])
    assert with_levels(frame[new]).categories != with_levels(frame).categories
    joined = with_rows(with_levels(frame[~new]), with_levels(frame[new]))
    assert_same_rows(joined, with_levels(whole))
    assert not joined.actions.flags.writeable


def test_groups_are_matched_by_their_labels_and_may_be_new() -> None:
    frame = frame_with_groups()
    region = sorted(frame["region"].unique())[0]
    own, new = frame[frame["region"] != region], frame[frame["patient"] == frame["patient"][0]]
    new = pd.concat([new, frame[frame["region"] == region]])
    joined = with_rows(data_with_groups(own), data_with_groups(new))
    columns = joined.columns
    for i, name in enumerate(columns.groups):
        codes = joined.covariates[:, len(columns.names) + i].astype(int)
        labels = np.array(columns.labels[i])[codes]
        assert labels.tolist() == [str(label) for label in pd.concat([own, new])[name]]
    assert columns.labels[0][-1] == region


def test_numbers_of_a_new_table_with_two_values_stay_numbers(data) -> None:
    frame = pd.DataFrame({"red": [0.0, 1.0] * 10, "green": np.linspace(-1, 1, 20)})
    masks = np.tile([True, False], (20, 1))
    new = bi.RegimeData.from_arrays(
        frame, np.arange(20.0), masks, data.names, outcome_name="intensity",
        require_observational=False,
    )  # fmt: skip
    assert new.categories[0] is not None
    joined = with_rows(data, new)
    assert joined.categories == (None, None)
    np.testing.assert_array_equal(joined.actions[-20:, 0], frame["red"])


def test_differences_are_named(data) -> None:
    other = confounded_rows(30, seed=1)
    names = bi.RegimeData.from_arrays(
        other.actions, other.outcome, other.intervened, ["red", "blue"], outcome_name="intensity"
    )
    with pytest.raises(bi.DataError, match="other actions than the fit: 'red', 'blue' instead"):
        with_rows(data, names)
    outcome = bi.RegimeData.from_arrays(
        other.actions, other.outcome, other.intervened, data.names, weights=np.ones(90)
    )
    with pytest.raises(bi.DataError, match="other outcome than the fit: 'outcome' instead of 'int"):
        with_rows(data, outcome)
    weights = bi.RegimeData.from_arrays(
        other.actions, other.outcome, other.intervened, data.names, outcome_name="intensity",
        weights=np.ones(90),
    )  # fmt: skip
    with pytest.raises(bi.DataError, match="other weights than the fit: some instead of none"):
        with_rows(data, weights)
    frame = frame_with_levels(160)
    few = frame[frame["drug"] != "a"]
    with pytest.raises(bi.DataError, match="'drug' has the level 'a', which the fit has not"):
        with_rows(with_levels(few), with_levels(frame))
