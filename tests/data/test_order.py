"""Units and times of rows: which rows follow each other."""

import numpy as np
import pandas as pd
import pytest
from _sources import assert_same_rows

import bayes_intgen as bi
from bayes_intgen.data.regime_data import with_rows

COLUMNS = {"actions": ["tv"], "outcome": "y", "regime": "regime"}
ORDER = {"unit": "region", "time": "week"}


def panel(rows: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "tv": rng.normal(size=rows),
            "y": rng.normal(size=rows),
            "regime": np.where(np.arange(rows) < rows // 2, "", "tv"),
            "region": np.array(["west", "north", "east"])[np.arange(rows) % 3],
            "week": np.repeat(pd.date_range("2024-01-01", periods=rows // 3, freq="7D"), 3),
        }
    )


def read(frame: pd.DataFrame, **options: object) -> bi.RegimeData:
    return bi.RegimeData.from_frame(frame, **COLUMNS, **{**ORDER, **options})


@pytest.mark.parametrize(
    "roles",
    [
        {},
        {"groups": ["region"], "covariates": ["week"]},
        {"groups": ["region", "week"]},
        {"covariates": ["region", "week"]},
    ],
)
def test_units_and_times_may_be_in_the_model(roles) -> None:
    frame = panel()
    rows = read(frame, **roles)
    labels = rows.columns.labels_of["region"]
    assert [labels[code] for code in rows.series] == frame["region"].tolist()
    np.testing.assert_array_equal(rows.time, 19723 + 7 * np.repeat(np.arange(20), 3))
    stream = bi.read([frame[:25], frame[25:]], **COLUMNS, **ORDER, **roles, progress=False)
    assert_same_rows(stream.in_memory, rows)


def test_times_are_numbers_too_and_units_optional() -> None:
    frame = panel().assign(week=np.arange(60) / 4)
    rows = read(frame, unit=None)
    np.testing.assert_array_equal(rows.time, frame["week"])
    assert not rows.series.any()
    assert "rows follow each other by week" in repr(rows)
    # Negative control: rows without a time have no order.
    without = bi.RegimeData.from_frame(frame, **COLUMNS)
    assert without.series is without.time is None
    assert "follow" not in repr(without)


def test_rows_keep_their_times() -> None:
    rows = read(panel())
    np.testing.assert_array_equal(rows.only(["tv"]).time, rows.time[30:])
    assert rows.only(["tv"]).digest != read(panel().assign(week=0)).only(["tv"]).digest


def test_new_rows_match_units_by_label() -> None:
    frame = panel()
    first, rest = frame[frame["region"] != "north"][:20], frame[20:]
    joined = with_rows(read(first), read(rest))
    assert joined.columns.units == ("east", "west", "north")
    regions = [joined.columns.units[code] for code in joined.series]
    assert regions == pd.concat([first, rest])["region"].tolist()
    as_groups = {"groups": ["region"]}
    grouped = with_rows(read(first, **as_groups), read(rest, **as_groups))
    np.testing.assert_array_equal(grouped.series, joined.series)
    for other in (read(rest, unit=None), read(rest.assign(week=rest.index))):
        with pytest.raises(bi.DataError, match="the new rows have other (unit|dates)"):
            with_rows(read(first), other)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"time": None}, "unit is .* name the column of their time, too: time"),
        ({}, {"time": "region"}, "'region' is passed as unit and time"),
        ({}, {"time": "tv"}, "'tv' is passed as actions and time"),
        ({}, {"time": "month"}, "no column 'month'"),
        ({"week": [np.inf] + [1.0] * 59}, {}, "'week' has 1 infinite cells.* row 0"),
        ({"week": [None] + [1.0] * 59}, {}, "'week' has 1 missing cell.* row 0"),
        ({"region": [None] + ["a"] * 59}, {}, "'region' has 1 missing cell.* row 0"),
        ({"week": [pd.Timestamp(0, tz=z) for z in ["UTC", "Japan"] * 30]}, {}, "of several zones"),
        ({"week": [f"week {i}" for i in range(60)]}, {}, "'week' holds text such as 'week 0'"),
    ],
)
def test_unusable_columns_are_named(changes, options, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        read(panel().assign(**changes), **options)
