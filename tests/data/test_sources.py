"""Rows of one table, from every source: the same rows, and the same errors."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from _sources import (
    ARRAYS,
    COLUMNS,
    IN_MEMORY,
    ON_CLUSTER,
    STREAMED,
    assert_same_rows,
    parquet,
    pieces,
    read,
    table,
)
from dask import dataframe as dd
from distributed import Client, LocalCluster

import bayes_intgen as bi
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS, days_of
from bayes_intgen.data.files import read_table, regular_file
from bayes_intgen.data.first_pass import SAMPLE_ROWS


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize("name", [*IN_MEMORY, *STREAMED, *ON_CLUSTER])
def test_rows_are_the_same(name, tmp_path, request) -> None:
    frame = table()
    expected = bi.RegimeData.from_frame(frame, **COLUMNS)
    if name in IN_MEMORY:
        rows, kind = read(IN_MEMORY[name](frame, tmp_path)), bi.RegimeData
    elif name in STREAMED:
        rows, kind = read(STREAMED[name](frame, tmp_path)), bi.StreamedData
    else:
        client = request.getfixturevalue("client")
        rows, kind = read(ON_CLUSTER[name](frame, tmp_path), client=client), bi.DistributedData
    assert type(rows) is kind
    assert_same_rows(rows.in_memory, expected)
    assert repr(rows) == repr(expected).replace("RegimeData", kind.__name__)
    batches = list(rows.batches(64))
    assert all(batch.categories == expected.categories for batch in batches)
    for array in ARRAYS:
        read_again = np.concatenate([getattr(batch, array) for batch in batches])
        np.testing.assert_array_equal(read_again, getattr(expected, array))


def test_what_is_read_is_what_the_table_holds() -> None:
    frame = table()
    data = read(frame)
    columns, levels = data.columns, data.columns.categories
    assert columns.names == ("age", "season", "promo", "week")
    assert [own and own.labels for own in (*data.categories, *levels)] == [
        None, None, ("boost", "off", "on"),
        None, ("autumn", "carnival", "spring"), (0.0, 1.0), None,
    ]  # fmt: skip
    assert columns.dates == ("week",)
    assert columns.labels[0] == ("east", "north", "south")
    assert len(columns.labels[1]) == frame["patient"].nunique() > MAX_GROUP_COLUMNS
    assert data.categories[2].decode(data.actions[:, 2]).tolist() == frame["drug"].tolist()
    assert levels[1].decode(data.covariates[:, 1]).tolist() == frame["season"].tolist()
    np.testing.assert_array_equal(data.covariates[:, 3], np.arange(600) + 19723.0)
    regions = [columns.labels[0][int(code)] for code in data.covariates[:, 4]]
    assert regions == frame["region"].tolist()
    np.testing.assert_array_equal(data.weights, frame["n"])
    expected = np.where(frame["n"] == 1, 0, (frame["n"] - 1) * frame["sd"] ** 2)
    np.testing.assert_allclose(data.within, expected)
    assert "covariates: 'age', 'season', 'promo', 'week'" in repr(data)
    assert columns.units == tuple(f"shop {i:02}" for i in range(60))
    np.testing.assert_array_equal(data.series, np.arange(600) // 10)
    np.testing.assert_array_equal(data.time, data.covariates[:, 3])
    assert "rows of a shop follow each other by week" in repr(data)


def test_arrays_give_the_same_rows() -> None:
    frame = table()
    data = read(frame)
    actions, columns = COLUMNS["actions"], {"weights": frame["n"], "outcome_sd": frame["sd"]}
    columns |= {"unit": frame["shop"], "time": frame["week"]}
    for kind in ("covariates", "groups"):
        columns[kind] = {name: frame[name] for name in COLUMNS[kind]}
    masks = pd.DataFrame(data.intervened, columns=actions)
    given = (frame[actions[::-1]], frame["sales"], masks[actions[::-1]], actions)
    arrays = bi.RegimeData.from_arrays(*given, outcome_name="sales", **columns)
    # Rows from arrays have no names of the columns of regimes and weights.
    dates = ("week", "time")
    names = {"regime": "", "weights": "", "outcome_sd": "", "unit": "unit", "time": "time"}
    unnamed = replace(data.columns, dates=dates, **names)
    assert_same_rows(arrays, replace(data, columns=unnamed))


def test_dates_of_every_type_are_days() -> None:
    text = table()
    expected = read(text)
    times = text.assign(week=pd.to_datetime(text["week"]))
    for frame in (times, text.assign(week=times["week"].dt.date), pl.from_pandas(times)):
        assert_same_rows(read(frame), expected)
    terms = bi.models.additive("linear").decompose(expected)
    names = [term.name for term in terms.terms if "week" in term.name]
    assert names == ["gamma(week) slope", "gamma(week) trend", "gamma(week) season 365.25"]
    text.loc[3, "week"] = None
    with pytest.raises(bi.DataError, match="'week' has 1 missing cell"):
        read(text)


@pytest.mark.parametrize("zone", [None, "America/New_York"])
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_times_of_day_are_days_of_the_clock_in_the_order_of_utc(zone, unit) -> None:
    times = pd.Series(pd.date_range("1969-12-30 23:59:58.7", periods=600, freq="7h", tz=zone))
    times = times.astype(f"datetime64[{unit}{f', {zone}' if zone else ''}]")
    expected = [days_of(time, "week", bi.DataError) for time in times]
    frame = table().assign(week=times)
    for kind in (frame, frame.astype({"week": object}), pl.from_pandas(frame), pa.table(frame)):
        rows = read(kind, unit=None)
        np.testing.assert_array_equal(rows.covariates[:, 3], expected)
        np.testing.assert_allclose(rows.time * 86_400, times.map(pd.Timestamp.timestamp), 0, 1e-6)


@pytest.mark.parametrize("name", ["csv", "feather", "arrow file", "arrow stream", "duckdb"])
def test_small_files_and_queries_are_in_memory(name, tmp_path) -> None:
    changes = {"unit": None, "time": None}
    rows = read(IN_MEMORY[name](table(), tmp_path), **changes)
    assert_same_rows(rows, read(table(), **changes))


def test_a_query_that_rounds_differently_every_time_is_read_once() -> None:
    calls, connection = [], duckdb.connect()

    def noise(x: float) -> float:
        calls.append(x)
        return x + len(calls)

    # Stands for an average in parallel.
    connection.create_function("noise", noise, ["DOUBLE"], "DOUBLE", side_effects=True)
    frame = table()  # noqa: F841
    query = connection.sql("select * replace (noise(sales) as sales) from frame")
    rows = read(query, unit=None, time=None)
    assert sum(map(len, rows.batches(64))) == len(rows) == len(calls) == 600


@pytest.mark.parametrize("name", ["feather", "arrow file", "arrow stream", "duckdb", "parquet"])
def test_large_sources_without_a_time_are_streamed(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("bayes_intgen.data.files.MAX_WHOLE", 1000)
    monkeypatch.setattr("bayes_intgen.data.reading.MAX_ROWS", 599)
    changes = {"unit": None, "time": None}
    rows = read(IN_MEMORY[name](table(), tmp_path), **changes)
    assert type(rows) is bi.StreamedData
    assert_same_rows(rows.in_memory, read(table(), **changes))
    with pytest.raises(bi.DataError, match="no column 'profit'"):
        read(IN_MEMORY[name](table(), tmp_path), **changes, outcome="profit")


def test_groups_of_arrays_are_labelled_like_those_of_frames() -> None:
    frame = table(40, patients=4)
    mixed = pd.Series([1, 2.0, "a", True, "a "] * 8, dtype=object)
    days = pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"] * 20)).astype("datetime64[ns]")
    frame = frame.assign(mixed=mixed, day=days)
    actions, columns = ["tv", "radio"], {"groups": ["mixed", "day"]}
    expected = bi.RegimeData.from_frame(frame, actions, "sales", "regime", **columns)
    assert expected.columns.labels[0] == ("1", "2", "a", "True")
    assert expected.columns.labels[1] == ("2024-01-01", "2024-01-02")
    for cells in (mixed.tolist(), mixed.to_numpy()):
        arrays = bi.RegimeData.from_arrays(
            frame[actions], frame["sales"], expected.intervened, actions,
            groups={"mixed": cells, "day": days.to_numpy()},
        )  # fmt: skip
        assert arrays.columns.labels == expected.columns.labels
        np.testing.assert_array_equal(arrays.covariates, expected.covariates)


def test_every_pass_is_counted_once(client) -> None:
    frame, numbers = table(), {"covariates": ["age"], "groups": None, "unit": None, "time": None}
    numbers["actions"] = ["tv", "radio"]
    sources = (pieces(frame), {}), (dd.from_pandas(frame, npartitions=3), {"client": client})
    for source, more in sources:
        for changes, passes in (({}, 2), (numbers, 1)):
            rows = read(source, **changes, **more)
            assert (rows.passes.first, rows.passes.made) == (passes, passes)
            tested = rows.add_lift_test("tv", 0.0, 1.0, 0.5, 0.1)
            assert tested.map_reduce(len, int.__add__, "", False) == len(frame)
            assert len(list(rows.batches(50))) > 1
            # Negative control: a pass that stops early.
            next(iter(rows.batches(50)))
            assert (rows.passes.first, rows.passes.made) == (passes, passes + 2)
    assert read(frame).passes.made == 0


def test_samples_contain_whole_units_extremes_and_levels() -> None:
    # Of these rows, no sample contains the season that occurs once by chance.
    frame = table(3000, patients=1000, seed=2)
    data, stream = read(frame), read(pieces(frame, 700))
    sample = data.sample(300)
    assert_same_rows(stream.sample(300), sample)
    age, season = sample.covariates[:, 0], sample.covariates[:, 1]
    assert (age.min(), age.max()) == (frame["age"].min(), frame["age"].max())
    assert set(season) == {0.0, 1.0, 2.0}
    # Rows in the sample by chance alone would rarely be of the same patients.
    rows_of = frame["patient"].value_counts()

    def share_of_rows(sample: bi.RegimeData) -> float:
        # No two rows have the same week.
        days = sample.covariates[:, 3].astype(int) - 19723
        patients = frame["patient"].to_numpy()[days]
        return float(np.mean([np.sum(patients == p) / rows_of[p] for p in np.unique(patients)]))

    alone = read(frame, groups=["region"]).sample(300)
    assert share_of_rows(sample) > 0.75 > 0.55 > share_of_rows(alone)


def test_subsets_carry_all_columns() -> None:
    data = read(table())
    part, rows = data.only([], ["tv"]), ~data.intervened[:, 1]
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(part, name), getattr(data, name)[rows])
    assert (part.names, part.categories) == (data.names, data.categories)
    assert part.columns.labels == data.columns.labels
    assert data.add_lift_test("tv", 0.0, 1.0, 0.5, 0.1).weights is data.weights


def with_gaps() -> pd.DataFrame:
    """Rows with missing ages, seasons, regions and sales, the last in one row."""
    frame = table().astype({"promo": float})
    frame.loc[[3, 7, 400], "age"] = np.nan
    frame.loc[[7, 8, 9, 401], "season"] = None
    frame.loc[11, "region"] = None
    frame.loc[12, "sales"] = np.nan
    frame["regime"] = np.where(frame.index < 300, "", "tv")
    return frame


GAPS = [3, 7, 8, 9, 11, 12, 400, 401]


def test_missing_cells_are_counted_by_column_and_regime() -> None:
    message = (
        r"column 'age' has 3 missing cells \(observational 2, do\(tv\) 1\), the first in row 3; "
        r"column 'season' has 4 missing cells \(observational 3, do\(tv\) 1\), the first in row 7; "
        r"column 'region' has 1 .* row 11; column 'sales' has 1 .* row 12\. Fill them in, or leave "
        r"out the 8 rows with missing cells: missing='drop', or make those of text a level with "
        r"missing={'': 'drop', 'season': 'level'}"
    )
    frame = with_gaps()
    for source in (frame, frame.convert_dtypes(), pl.from_pandas(frame), pieces(frame)):
        with pytest.raises(bi.DataError, match=message):
            read(source)


def test_rows_with_missing_cells_are_dropped_with_a_warning(client) -> None:
    frame = with_gaps()
    expected = read(frame.drop(index=GAPS), missing="drop")
    dropped = {(False, False, False): 6, (True, False, False): 2}
    lost = "8 rows with missing cells left out: observational 6, do(tv) 2"
    for source, more in (
        (frame, {}),
        (pieces(frame), {}),
        (dd.from_pandas(frame, npartitions=3), {"client": client}),
    ):
        with pytest.warns(bi.DataWarning, match=r"8 of 600 rows .*\(observational 6, do\(tv\) 2\)"):
            rows = read(source, missing="drop", **more)
        assert len(rows) == sum(map(len, rows.batches(50))) == 592
        assert_same_rows(rows.in_memory, replace(expected, dropped=dropped))
        assert lost in repr(rows)
        assert sum(rows.sample(50).dropped.values()) == 8


def test_rows_keep_their_numbers_where_others_are_dropped() -> None:
    infinite, text = with_gaps(), with_gaps()[3:].assign(sales="high")
    infinite.loc[500, "age"] = np.inf
    cases = {"'age' has 1 infinite cells, the first in row 500": infinite, "'high' in row 1,": text}
    for message, frame in cases.items():
        for source in (frame, pieces(frame)):
            with pytest.raises(bi.DataError, match=message):
                read(source, missing="drop")


def test_missing_text_and_booleans_may_be_a_level(tmp_path) -> None:
    frame = with_gaps().drop(index=[3, 7, 11, 12, 400])
    for kind in (frame, frame.astype({"season": "category"}), pl.from_pandas(frame), [frame]):
        data = read(kind, missing="level")
        levels = data.columns.categories[1]
        assert set(levels.labels) == {"autumn", "carnival", "missing", "spring"}
        cells = levels.decode(data.in_memory.covariates[:, 1])
        assert cells.tolist() == frame["season"].fillna("missing").tolist()
    treatments = {"season": "level", "age": "drop", "region": "drop", "sales": "drop"}
    for missing in (treatments, {"": "drop", "season": "level"}):
        with pytest.warns(bi.DataWarning, match="5 of 600 rows"):
            assert len(read(with_gaps(), missing=missing)) == 595
    # Numbers have no level, and unnamed columns are not dropped.
    with pytest.raises(bi.DataError, match="'age' has 3 missing cells .* 'sales' has 1"):
        read(with_gaps(), missing="level")
    with pytest.raises(bi.DataError, match="'age' has 3 missing cells"):
        read(with_gaps(), missing={"season": "level"})
    frame, path = table().assign(season=[True, False, None, True] * 150), tmp_path / "rows.csv"
    frame.to_csv(path, index=False)
    for source in (frame, path):
        levels = read(source, missing="level").columns.categories[1].labels
        assert levels == (False, "missing", True)
        with pytest.warns(bi.DataWarning, match="150 of 600 rows"):
            rows = bi.read(source, ["tv", "radio"], "season", missing="drop")
        assert rows.outcome_kind == "binary"


def test_missing_cells_of_arrays() -> None:
    frame = with_gaps()
    masks = np.stack([frame["regime"] == "tv", np.zeros(600, bool)], axis=1)
    arrays = (frame[["tv", "radio"]], frame["sales"], masks)
    more = {"covariates": {"season": frame["season"].tolist()}, "outcome_name": "sales"}
    with pytest.raises(bi.DataError, match="'season' has 4 .*'sales' has 1 .* or make those"):
        bi.RegimeData.from_arrays(*arrays, **more)
    for missing, rows in (("drop", 595), ({"season": "level", "sales": "drop"}, 599)):
        with pytest.warns(bi.DataWarning, match=f"{600 - rows} of 600 rows"):
            data = bi.RegimeData.from_arrays(*arrays, **more, missing=missing)
        assert len(data) == rows
        assert ("missing" in data.columns.categories[0].labels) == (missing != "drop")


def test_standard_deviations_may_be_missing_where_a_row_is_one_unit() -> None:
    frame = table()
    frame.loc[frame["n"] == 1, "sd"] = np.nan
    data = read(frame)
    assert (data.within[frame["n"] == 1] == 0).all()
    frame.loc[frame.index[frame["n"] == 2][0], "sd"] = np.nan
    with pytest.raises(bi.DataError, match="'sd' has 1 missing cell"):
        read(frame)


def test_labels_stand_for_the_same_in_every_source(client, tmp_path) -> None:
    frame = table().assign(regime=lambda f: f["regime"].map({"tv": "TV test", "radio": "Waves"}))
    # Also where a label occurs in the last rows alone, and only in rows with missing cells.
    frame["regime"] = frame["regime"].fillna("BAU")
    frame.loc[frame["regime"] == "Waves", "regime"] = "BAU"
    frame.loc[frame.index[-20:], ["regime", "age"]] = ["Waves", np.nan]
    labels = {"TV test": "tv", "Waves": "radio", "BAU": None}
    sources = (
        (frame, {}),
        (pieces(frame), {}),
        (parquet(frame, tmp_path), {}),
        (dd.from_pandas(frame, npartitions=30), {"client": client}),
    )
    for source, more in sources:
        with pytest.warns(bi.DataWarning, match="20 of 600 rows"):
            rows = read(source, labels=labels, missing="drop", **more)
        assert rows.regimes == {
            (False, False, False): int((frame["regime"] == "BAU").sum()),
            (True, False, False): int((frame["regime"] == "TV test").sum()),
        }
        with pytest.raises(bi.DataError, match="no row has the label 'BUA'; did you mean 'BAU'"):
            read(source, labels={**labels, "BUA": None}, missing="drop", **more)


def change(**columns: object):
    return lambda frame: frame.assign(**columns)


def with_cell(row: int, column: str, value: object):
    return lambda frame: frame.assign(**{column: frame[column].where(frame.index != row, value)})


BAD = {
    "covariate that is an action": (None, {"covariates": ["age", "tv"]}, "'tv' is passed as acti"),
    "group that is a covariate": (None, {"groups": ["age"]}, "'age' is passed as covariates and"),
    "constant action": (change(tv=1.0), {}, "'tv' never varies"),
    "constant outcome": (change(sales=1.0), {}, "'sales' never varies"),
    "constant covariate": (change(age=3.0), {}, "covariate 'age' never varies; omit it"),
    "constant text": (change(season="spring"), {}, "covariate 'season' never varies"),
    "single group": (change(region="north"), {}, "grouping 'region' has a single group"),
    "one group per row": (change(patient=range(600)), {}, "each row has a 'patient' of its own"),
    "two fine groupings": (
        change(region=lambda f: f.index % 100), {}, "'region', 'patient' have more than 64 groups",
    ),
    "missing cell": (with_cell(250, "radio", np.nan), {}, "'radio' has 1 .*first in row 250"),
    "unknown label": (with_cell(250, "regime", "w"), {}, "row 250.*'w'"),
    "no observational rows": (change(regime="tv"), {}, "no observational rows"),
    "few rows": (lambda f: f[:4], {}, "4 rows are fewer"),
    "negative weights": (with_cell(5, "n", -1), {}, "row 5 has \N{MINUS SIGN}1"),
    "zero weights": (with_cell(5, "n", 0), {}, "row 5 has 0"),
    "infinite weights": (with_cell(5, "n", np.inf), {}, "5 has inf"),
    "negative sd": (
        change(n=4, sd=lambda f: f["sd"].where(f.index != 5, -1)), {}, "not negative, .*row 5",
    ),
    "sd without weights": (None, {"weights": None}, "the column of their number, too: weights"),
    "text as weights": (change(n="many"), {}, "column 'n' holds text such as 'many' in row 0"),
    "text as outcome": (change(sales="text"), {}, "'sales' holds"),
    "missing columns": (
        lambda frame: frame.drop(columns=["age", "n"]), {}, "the table has no column 'age', 'n'; ",
    ),
    "duplicates": (None, {"covariates": ["age", "age"]}, "'age' is passed as covariates, twice"),
    "one string": (None, {"covariates": "age"}, r"covariates must be a list .*\['age'\]"),
    "durations": (change(age=pd.Timedelta(days=1)), {}, "column 'age' holds .* in row 0; convert"),
    "unknown treatment": (None, {"missing": "fill"}, "missing must be 'error', 'drop', 'level', "),
    "unknown column": (None, {"missing": {"agee": "drop"}}, "unknown column 'agee'; did you mean"),
    "level of an action": (None, {"missing": {"tv": "level"}}, "only the cells of covariates"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "changes", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("source", ["frame", "batches", "dask"])
def test_unusable_columns_raise(source, spoil, changes, message, client) -> None:
    frame = table() if spoil is None else spoil(table())
    if source == "batches":
        frame = pieces(frame, 250)
    if source == "dask":
        frame = dd.from_pandas(frame, npartitions=1 + len(frame) // 120)
        changes = {**changes, "client": client}
    with pytest.raises(bi.DataError, match=message):
        bi.fit(read(frame, **changes), progress=False)


def test_sources_without_rows_or_of_no_kind_raise(client) -> None:
    none = table()[:0]
    of_dask = (dd.from_pandas(none, npartitions=2), {"client": client})
    for source, more in ((none, {}), ([none], {}), of_dask):
        with pytest.raises(bi.DataError, match="no rows"):
            read(source, **more)
    with pytest.raises(bi.DataError, match="source must be a table .*, a path, .*, not int"):
        read(3)
    with pytest.raises(bi.DataError, match="must be a synchronous distributed.Client, not None"):
        read(dd.from_pandas(table(), npartitions=2))
    with pytest.raises(TypeError, match="argument 'covariate'; did you mean 'covariates'"):
        read(table(), covariate=["age"])


def test_text_with_many_levels_is_refused_soon() -> None:
    rows = 100_000
    frame = table(rows).assign(season=[f"shop {i}" for i in range(rows)])
    message = "'season' has 100000 levels .*, more than the maximum of 50; .* pass it in groups"
    with pytest.raises(bi.DataError, match=message):
        read(frame, groups=["region"])
    groups = read(frame.assign(season="", shop=lambda f: [f"s{i // 2}" for i in f.index]),
                  covariates=["age"], groups=["shop"])  # fmt: skip
    assert len(groups.columns.labels[0]) == rows // 2 > SAMPLE_ROWS


def test_message_counts_at_most_six_columns() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 9)), columns=list("abcdefghy"))
    frame.loc[2, list("abcdefgh")] = np.nan
    frame["regime"] = ""
    with pytest.raises(bi.DataError) as caught:
        bi.RegimeData.from_frame(frame, list("abcdefgh"), "y", "regime")
    assert len(re.findall("has 1 missing", str(caught.value))) == 6
    assert "missing cells in 2 more columns" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", None, "there is no file"),
        ("a.xlsx", b"", "unknown ending '.xlsx'.*: save the table as CSV or Parquet"),
        ("a", b"", "unknown ending ''"),
        ("a.csv", b"", "no header line"),
        ("a.csv", b"x,y,regime\n\x81,2,\n", "not UTF-8"),
        ("a.csv", b"x,x,regime\n1,2,\n", "two columns called 'x'"),
        ("a.csv", b"x,y,regime\n1,two,\n", "column 'y' holds text such as 'two' in row 0"),
        ("a.csv", b"x,y,regime\none,1,\n,2,\n", "'x' has 1 missing .*observational 1.* row 1"),
        ("a.csv", b'x,y,regime\n"1,2,\n', "cannot be read as a table"),
        ("a.csv", b"x,z,regime\n1,2,\n", "no column 'y'"),
        ("a.csv", b"x,y,regime\n1,NA,\n", "column 'y' has 1 missing cell"),
        ("a.csv", b"x,y,regime\n1,2,\n1,5,2,\n1,2,x,4\n", "more cells than the header's 3"),
        ("a.csv", b"x,y\n1,5,2\n2,5,3\n", "more cells than the header's 2"),
        ("a.csv", b'x,y,regime\n"1,5",2,x,4\n', "more cells than the header's 3"),
        ("a.csv.gz", b"x,y,regime\n1,2,\n", "cannot be read"),
        ("a.parquet", b"x,y,regime\n", "cannot be read as Parquet"),
        ("a.parquet", 2 * pd.DataFrame({"x": [1.0]}).to_parquet(), "several Parquet files in one"),
        ("a.feather", b"x,y,regime\n", "cannot be read as Arrow"),
    ],
)
def test_unusable_files_raise(tmp_path, name, content, message) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(bi.DataError, match=message):
        bi.read(tmp_path / name, ["x"], "y", progress=False)


def test_an_action_may_be_called_na_and_lines_may_end_with_a_separator(tmp_path) -> None:
    path, rows = tmp_path / "a.csv", []
    lines = [f"{i},{i % 7},{i**2},{('', 'x', 'NA', 'x+NA')[i % 4]}" for i in range(40)]
    for end in ("", ","):
        path.write_text("\n".join(["x,NA,y,regime", *(line + end for line in lines)]))
        rows.append(bi.read(path, ["x", "NA"], "y"))
    assert set(rows[0].regimes.values()) == {10}
    assert len(rows[0].regimes) == 4
    assert_same_rows(*rows)


def test_a_pipe_is_copied_to_be_read_again(tmp_path) -> None:
    lines = ["x,y,regime", *(f"{i},{2 * i % 7},{'x' * (i % 2)}" for i in range(20))]
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(pipe.write_text, "\n".join(lines))
        with regular_file(pipe) as copy:
            assert read_table(copy, head=True).columns == ["x", "y", "regime"]
            assert len(bi.read(copy, ["x"], "y")) == 20
        written.result(10)
    assert not copy.exists()
