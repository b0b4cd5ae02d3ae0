"""Covariates, groups, weights and missing cells in tables, arrays, streams and on a cluster."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from dask import dataframe as dd
from distributed import Client, LocalCluster

import bayes_intgen as bi
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.first_pass import SAMPLE_ROWS

COLUMNS = {
    "actions": ["tv", "radio"],
    "outcome": "sales",
    "regime": "regime",
    "covariates": ["age", "season", "promo"],
    "groups": ["region", "patient"],
    "weights": "n",
    "outcome_sd": "sd",
}
ARRAYS = ("actions", "outcome", "intervened", "covariates", "weights", "within")


def table(rows: int = 600, patients: int = 150, seed: int = 0) -> pd.DataFrame:
    """Rows with every kind of column; a rare season occurs once."""
    rng = np.random.default_rng(seed)
    season = rng.choice(["spring", "autumn"], size=rows).astype(object)
    season[rows // 2] = "carnival"
    return pd.DataFrame(
        {
            "tv": rng.normal(size=rows),
            "radio": rng.normal(size=rows),
            "sales": rng.normal(size=rows),
            "regime": rng.choice([None, "tv", "radio"], size=rows),
            "age": rng.normal(40, 10, size=rows),
            "season": season,
            "promo": rng.integers(0, 2, size=rows),
            "region": rng.choice(["north", "south", "east"], size=rows),
            "patient": rng.integers(0, patients, size=rows),
            "n": rng.integers(1, 9, size=rows),
            "sd": rng.uniform(0.5, 2, size=rows),
            "week": "2026-01-01",
        }
    )


def read(frame: object, **changes: object) -> bi.RegimeData:
    return bi.RegimeData.from_frame(frame, **{**COLUMNS, **changes})


def streamed(frame: pd.DataFrame, size: int, **changes: object) -> bi.StreamedData:
    pieces = [frame[start : start + size] for start in range(0, len(frame), size)]
    return bi.StreamedData.from_batches(pieces, **{**COLUMNS, "progress": False, **changes})


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def assert_same_rows(one: bi.Rows, other: bi.Rows) -> None:
    # Rows from arrays have no names of the columns of regimes and weights.
    unnamed = {"regime": "", "weights": "", "outcome_sd": ""}
    first, second = (vars(replace(rows.columns, **unnamed)) for rows in (one, other))
    assert first == second
    assert one.categories == other.categories
    assert one.dropped == other.dropped
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_covariates_groups_and_weights_are_read() -> None:
    frame = table()
    data = read(frame)
    assert data.columns.names == ("age", "season", "promo")
    assert data.columns.categories[0] is None
    assert data.columns.categories[1].labels == ("autumn", "carnival", "spring")
    assert data.columns.categories[2].labels == (0.0, 1.0)
    assert data.columns.labels[0] == ("east", "north", "south")
    assert len(data.columns.labels[1]) == frame["patient"].nunique() > MAX_GROUP_COLUMNS
    levels = data.columns.categories[1]
    assert levels.decode(data.covariates[:, 1]).tolist() == frame["season"].tolist()
    regions = [data.columns.labels[0][int(code)] for code in data.covariates[:, 3]]
    assert regions == frame["region"].tolist()
    np.testing.assert_array_equal(data.weights, frame["n"])
    expected = np.where(frame["n"] == 1, 0, (frame["n"] - 1) * frame["sd"] ** 2)
    np.testing.assert_allclose(data.within, expected)
    assert "covariates: 'age', 'season', 'promo'" in repr(data)
    arrays = bi.RegimeData.from_arrays(
        frame[["tv", "radio"]],
        frame["sales"],
        data.intervened,
        ["tv", "radio"],
        outcome_name="sales",
        covariates={name: frame[name] for name in ("age", "season", "promo")},
        groups={"region": frame["region"], "patient": frame["patient"]},
        weights=frame["n"],
        outcome_sd=frame["sd"],
    )
    assert_same_rows(arrays, data)


@pytest.mark.parametrize("size", [600, 70])
def test_stream_equals_frame(size) -> None:
    frame = table()
    data, stream = read(frame), streamed(frame, size)
    assert_same_rows(stream.in_memory, data)
    assert repr(stream) == repr(data).replace("RegimeData", "StreamedData")
    pieces = list(stream.batches(64))
    for name in ARRAYS:
        np.testing.assert_array_equal(
            np.concatenate([getattr(piece, name) for piece in pieces]), getattr(data, name)
        )


def test_parquet_and_cluster_equal_frame(tmp_path, client) -> None:
    frame = table()
    data = read(frame)
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=100)
    path, quiet = tmp_path / "rows.parquet", {"progress": False}
    for rows in (
        bi.StreamedData.from_parquet(path, **COLUMNS, **quiet),
        bi.DistributedData.from_parquet(path, **COLUMNS, client=client, **quiet),
        bi.DistributedData.from_dask(
            dd.from_pandas(frame, npartitions=4), **COLUMNS, client=client, **quiet
        ),
    ):
        assert_same_rows(rows.in_memory, data)
        read_again = np.concatenate([piece.covariates for piece in rows.batches(80)])
        np.testing.assert_array_equal(read_again, data.covariates)


def test_samples_contain_whole_units_extremes_and_levels() -> None:
    frame = table(3000, patients=1000)
    data, stream = read(frame), streamed(frame, 700)
    sample = data.sample(300)
    assert_same_rows(stream.sample(300), sample)
    age, season = sample.covariates[:, 0], sample.covariates[:, 1]
    assert (age.min(), age.max()) == (frame["age"].min(), frame["age"].max())
    assert set(season) == {0.0, 1.0, 2.0}
    # Rows in the sample by chance alone would rarely be of the same patients.
    patients = np.array(data.columns.labels[1], dtype=int)[sample.covariates[:, 4].astype(int)]
    rows_of = frame["patient"].value_counts()
    shared = np.mean([np.sum(patients == p) / rows_of[p] for p in np.unique(patients)])
    alone = read(frame, groups=["region"]).sample(300)
    by_age = frame.set_index("age")["patient"]
    others = by_age[alone.covariates[:, 0]].to_numpy()
    chance = np.mean([np.sum(others == p) / rows_of[p] for p in np.unique(others)])
    assert shared > 0.75 > 0.55 > chance


def test_subsets_carry_all_columns() -> None:
    data = read(table())
    part = data.only([], ["tv"])
    rows = ~data.intervened[:, 1]
    np.testing.assert_array_equal(part.covariates, data.covariates[rows])
    np.testing.assert_array_equal(part.within, data.within[rows])
    assert part.columns.labels == data.columns.labels
    tested = data.add_lift_test("tv", 0.0, 1.0, 0.5, 0.1)
    assert tested.weights is data.weights


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
        r"column 'region' has 1 .* row 11; column 'sales' has 1 .* row 12\. Fill them in, or pass "
        r"missing='drop' to leave out the 8 rows with missing cells, or 'level' to make those of "
        r"'season' a level of their own"
    )
    for reader in (read, lambda frame: read(pl.from_pandas(frame)), lambda f: streamed(f, 150)):
        with pytest.raises(bi.DataError, match=message):
            reader(with_gaps())


def test_rows_with_missing_cells_are_dropped_with_a_warning(client) -> None:
    frame = with_gaps()
    message = r"8 of 600 rows have missing cells and are left out \(observational 6, do\(tv\) 2\)"
    with pytest.warns(bi.DataWarning, match=message):
        data = read(frame, missing="drop")
    expected = read(frame.drop(index=GAPS))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(data, name), getattr(expected, name))
    assert data.dropped == {(False, False): 6, (True, False): 2}
    lost = "8 rows with missing cells left out: observational 6, do(tv) 2"
    assert lost in repr(data)
    assert data.only([], ["tv"]).dropped == data.dropped
    assert sum(data.sample(50).dropped.values()) == 8
    with pytest.warns(bi.DataWarning, match=message):
        stream = streamed(frame, 150, missing="drop")
    with pytest.warns(bi.DataWarning, match=message):
        cluster = bi.DistributedData.from_dask(
            dd.from_pandas(frame, npartitions=3), **COLUMNS, missing="drop", client=client
        )
    for rows in (stream, cluster):
        assert len(rows) == 592
        assert_same_rows(rows.in_memory, data)
        assert sum(map(len, rows.batches(50))) == 592
        assert lost in repr(rows)


def test_rows_keep_their_numbers_where_others_are_dropped() -> None:
    frame = with_gaps()
    frame.loc[500, "age"] = np.inf
    for reader in (read, lambda f, **c: streamed(f, 150, **c)):
        with pytest.raises(bi.DataError, match="'age' has 1 infinite cells, the first in row 500"):
            reader(frame, missing="drop")


def test_missing_text_may_be_a_level() -> None:
    frame = with_gaps().drop(index=[3, 7, 11, 12, 400])
    kinds = {
        "text": frame,
        "categories": frame.astype({"season": "category"}),
        "polars": pl.from_pandas(frame),
    }
    for kind in kinds.values():
        data = read(kind, missing="level")
        levels = data.columns.categories[1]
        assert set(levels.labels) == {"autumn", "carnival", "missing", "spring"}
        cells = levels.decode(data.covariates[:, 1])
        assert cells.tolist() == frame["season"].fillna("missing").tolist()
    stream = streamed(frame, 90, missing="level")
    assert_same_rows(stream.in_memory, read(frame, missing="level"))
    with pytest.warns(bi.DataWarning, match="5 of 600 rows"):
        mixed = read(
            with_gaps(),
            missing={"season": "level", "age": "drop", "region": "drop", "sales": "drop"},
        )
    assert len(mixed) == 595
    # Numbers have no level, and unnamed columns are not dropped.
    with pytest.raises(bi.DataError, match="'age' has 3 missing cells .* 'sales' has 1"):
        read(with_gaps(), missing="level")
    with pytest.raises(bi.DataError, match="'age' has 3 missing cells"):
        read(with_gaps(), missing={"season": "level"})


def test_missing_cells_of_arrays() -> None:
    frame = with_gaps()
    arrays = (frame[["tv", "radio"]], frame["sales"], (frame[["regime"]] == "tv") & [[True, False]])
    arrays = (*arrays[:2], np.stack([frame["regime"] == "tv", np.zeros(600, bool)], axis=1))
    more = {"covariates": {"season": frame["season"].tolist()}, "outcome_name": "sales"}
    with pytest.raises(bi.DataError, match="'season' has 4 .*'sales' has 1 .* or 'level' to make"):
        bi.RegimeData.from_arrays(*arrays, **more)
    with pytest.warns(bi.DataWarning, match="5 of 600 rows"):
        data = bi.RegimeData.from_arrays(*arrays, **more, missing="drop")
    assert len(data) == 595
    assert "missing" not in data.columns.categories[0].labels
    missing = {"season": "level", "sales": "drop"}
    with pytest.warns(bi.DataWarning, match="1 of 600 rows"):
        data = bi.RegimeData.from_arrays(*arrays, **more, missing=missing)
    assert "missing" in data.columns.categories[0].labels


def test_standard_deviations_may_be_missing_where_a_row_is_one_unit() -> None:
    frame = table()
    frame.loc[frame["n"] == 1, "sd"] = np.nan
    data = read(frame)
    assert (data.within[frame["n"] == 1] == 0).all()
    frame.loc[frame.index[frame["n"] == 2][0], "sd"] = np.nan
    with pytest.raises(bi.DataError, match="'sd' has 1 missing cells"):
        read(frame)


def change(**columns: object):
    return lambda frame: frame.assign(**columns)


BAD = {
    "covariate that is an action": (None, {"covariates": ["age", "tv"]}, "'tv' is passed as acti"),
    "group that is a covariate": (None, {"groups": ["age"]}, "'age' is passed as covariates and"),
    "constant covariate": (change(age=3.0), {}, "covariate 'age' never varies; omit it"),
    "constant text": (change(season="spring"), {}, "covariate 'season' never varies"),
    "single group": (change(region="north"), {}, "grouping 'region' has a single group"),
    "one group per row": (change(patient=range(600)), {}, "each row has a 'patient' of its own"),
    "two fine groupings": (
        change(region=lambda f: f.index % 100), {}, "'region', 'patient' have more than 64 groups",
    ),
    "negative weights": (change(n=lambda f: f["n"].where(f.index != 5, -1)), {}, "row 5 has -1"),
    "zero weights": (change(n=lambda f: f["n"].where(f.index != 5, 0)), {}, "row 5 has 0"),
    "infinite weights": (change(n=lambda f: f["n"].where(f.index != 5, np.inf)), {}, "5 has inf"),
    "negative sd": (
        change(n=4, sd=lambda f: f["sd"].where(f.index != 5, -1)), {}, "not negative, .*row 5",
    ),
    "sd without weights": (None, {"weights": None}, "pass their number as weights too"),
    "text as weights": (change(n="many"), {}, "column 'n' holds text, such as 'many' in row 0"),
    "missing columns": (
        lambda frame: frame.drop(columns=["age", "n"]), {}, "the frame has no column 'age', 'n'; ",
    ),
    "duplicates": (None, {"covariates": ["age", "age"]}, "'age' is passed as covariates, twice"),
    "one string": (None, {"covariates": "age"}, r"covariates must be a list .*\['age'\]"),
    "durations": (change(age=pd.Timedelta(days=1)), {}, "column 'age' holds .* in row 0; convert"),
    "unknown treatment": (None, {"missing": "fill"}, "missing must be 'error', 'drop', 'level', n"),
    "unknown column": (None, {"missing": {"agee": "drop"}}, "unknown column 'agee'; did you mean"),
    "level of an action": (None, {"missing": {"tv": "level"}}, "only the cells of covariates"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "changes", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("reader", ["frame", "stream"])
def test_unusable_columns_raise(reader, spoil, changes, message) -> None:
    frame = table() if spoil is None else spoil(table())
    reads = read if reader == "frame" else partial(streamed, size=250)
    with pytest.raises(bi.DataError, match=message):
        bi.fit(reads(frame, **changes), progress=False)


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
    assert "2 more columns have missing cells" in str(caught.value)
