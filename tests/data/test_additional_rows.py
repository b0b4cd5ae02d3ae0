import numpy as np
import pandas as pd
import pytest
from _sources import assert_same_rows

import bayes_intgen as bi
from bayes_intgen.data.regime_data import with_rows

from _posteriors import data_with_groups, frame_with_groups, frame_with_levels
from conftest import confounded_rows


def with_levels(frame: pd.DataFrame) -> bi.RegimeData:
    return bi.RegimeData.from_frame(
        frame, list(frame.columns[:5]), "sales", "regime", require_observational=False
    )


def test_rows_with_levels_are_those_of_the_whole_table() -> None:
    frame = frame_with_levels(320)
    # The new rows lack a level, so that their own codes are others.
    new = (np.arange(320) >= 200) & (frame["drug"] != "a")
    whole = pd.concat([frame[~new], frame[new]])
    assert with_levels(frame[new]).categories != with_levels(frame).categories
    test = ("drug", "b", "placebo", 1.0, 0.2)
    joined = with_rows(with_levels(frame[~new]), with_levels(frame[new]).add_lift_test(*test))
    assert_same_rows(joined, with_levels(whole).add_lift_test(*test))
    assert not joined.actions.flags.writeable
    with pytest.raises(bi.DataError, match="'drug' has the level 'a', which the fit has not"):
        with_rows(with_levels(frame[new]), with_levels(frame))


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


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["red", "blue"], {}, "other actions than the fit: 'red', 'blue' instead"),
        (["red", "green"], {"outcome_name": "y"}, "other outcome than the fit: 'y' instead of"),
        (["red", "green"], {"weights": np.ones(90)}, "other weights than the fit: some instead"),
    ],
)
def test_other_columns_are_named(data, names, options, message) -> None:
    other = confounded_rows(30, seed=1)
    arrays = (other.actions, other.outcome, other.intervened)
    new = bi.RegimeData.from_arrays(*arrays, names, **{"outcome_name": "intensity", **options})
    with pytest.raises(bi.DataError, match=message):
        with_rows(data, new)
    with pytest.raises(bi.DataError, match="holds no rows"):
        with_rows(data, new.take([]))


def test_meanings_of_labels_add_up_and_may_not_contradict() -> None:
    frame = pd.DataFrame({"tv": [1.0, 2, 3, 4, 5, 6] * 10, "radio": [3.0, 1, 4, 1, 5, 9] * 10})
    frame = frame.assign(y=frame["tv"] ** 2, test=["BAU", "BAU", "first"] * 20)

    def read(frame: pd.DataFrame, **labels: str | None) -> bi.RegimeData:
        return bi.RegimeData.from_frame(frame, ["tv", "radio"], "y", "test", labels=labels)

    data = read(frame, BAU=None, first="tv")
    more = read(frame.replace({"test": {"first": "second"}}), BAU=None, second="radio")
    both = with_rows(data, more).columns.meanings
    assert both == {"BAU": (), "first": ("tv",), "second": ("radio",)}
    with pytest.raises(bi.DataError, match="another meaning of the label 'first'"):
        with_rows(data, read(frame, BAU=None, first="radio"))
