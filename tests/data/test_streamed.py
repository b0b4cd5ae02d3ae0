import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayes_intgen as bi
from bayes_intgen.data.files import ROWS_PER_READ, parquet_tables
from bayes_intgen.data.first_pass import SAMPLE_ROWS
from bayes_intgen.inference.pilot.pilot import PILOT_ROWS

COLUMNS = (["x", "y"], "z", "regime")


def table(rows: int = 3000, seed: int = 0) -> pd.DataFrame:
    """Rows with heavy-tailed actions, x moving y, the regimes in no order."""
    rng = np.random.default_rng(seed)
    regime = rng.choice([None, "x", "y"], size=rows, p=[0.6, 0.3, 0.1])
    cause = rng.normal(size=(rows, 2))
    x = np.where(regime == "x", rng.normal(size=rows), cause[:, 0] + rng.standard_t(3, size=rows))
    y = np.where(regime == "y", rng.normal(size=rows), 0.5 * x + cause[:, 1])
    z = np.sin(x) + y + cause.sum(axis=1) + 0.3 * rng.normal(size=rows)
    return pd.DataFrame({"x": x, "y": y, "z": z, "regime": regime, "other": "text"})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parquet")
    frame = table()
    paths = [folder / "first.parquet", folder / "second.parquet"]
    frame[:1700].to_parquet(paths[0])
    frame[1700:].to_parquet(paths[1], row_group_size=123)
    return frame, paths


def test_rows_equal_those_of_the_frame(files) -> None:
    frame, paths = files
    whole = bi.RegimeData.from_frame(frame, *COLUMNS)
    stream = bi.StreamedData.from_parquet(paths, *COLUMNS, progress=False)
    assert isinstance(stream, bi.StreamedData)
    assert len(stream) == len(whole)
    assert list(stream.regimes.items()) == list(whole.regimes.items())
    for name in ("actions", "outcome", "intervened"):
        read = np.concatenate([getattr(batch, name) for batch in stream.batches(200)])
        np.testing.assert_array_equal(read, getattr(whole, name))
        np.testing.assert_array_equal(getattr(stream.in_memory, name), getattr(whole, name))
    assert repr(stream) == repr(whole).replace("RegimeData", "StreamedData")


def test_files_longer_than_one_read_keep_their_rows_in_order(tmp_path) -> None:
    frame = table(ROWS_PER_READ + 5000)
    frame.to_parquet(tmp_path / "rows.parquet")
    whole = bi.RegimeData.from_frame(frame, *COLUMNS)
    stream = bi.StreamedData.from_parquet(tmp_path / "rows.parquet", *COLUMNS, progress=False)
    assert stream.regimes == whole.regimes
    for name in ("actions", "outcome", "intervened"):
        read = np.concatenate([getattr(batch, name) for batch in stream.batches(50_000)])
        np.testing.assert_array_equal(read, getattr(whole, name))


def test_memory_of_reading_does_not_grow_with_the_number_of_rows(tmp_path) -> None:
    rows, columns = 1_000_000, {"x": "float64", "y": "float64", "z": "float64"}
    rng = np.random.default_rng(0)
    path = tmp_path / "long.parquet"
    frame = pd.DataFrame({name: rng.normal(size=rows) for name in columns})
    frame.to_parquet(path, row_group_size=10_000)
    before = pa.total_allocated_bytes()
    allocated = []
    for batch in parquet_tables(path, list(columns)):
        del batch
        allocated.append(pa.total_allocated_bytes() - before)
    # One batch and its row groups.
    assert max(allocated) < frame.memory_usage(index=False).sum() / 4


@pytest.mark.parametrize("batches", [1, 7, 300])
def test_sample_does_not_depend_on_batches(batches) -> None:
    # More observational rows than the reservoir holds.
    frame = table(2 * SAMPLE_ROWS)
    assert frame["regime"].isna().sum() > SAMPLE_ROWS
    size = -(-len(frame) // batches)
    pieces = [frame[start : start + size] for start in range(0, len(frame), size)]
    stream = bi.StreamedData.from_batches(pieces, *COLUMNS, progress=False)
    whole = bi.RegimeData.from_frame(frame, *COLUMNS)
    for rows in (150, SAMPLE_ROWS):
        expected = whole.sample(rows)
        assert rows <= len(expected) <= rows + 4
        for name in ("actions", "outcome", "intervened"):
            sampled = getattr(stream.sample(rows), name)
            np.testing.assert_array_equal(sampled, getattr(expected, name))


# Splines do not follow the sine far out.
@pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")
def test_streamed_fit_equals_fit_in_memory() -> None:
    # More rows than the sample.
    rows = 3 * PILOT_ROWS // 2
    # Chains on the surrogate, in single precision, would magnify the rounding of the sums.
    settings = {"method": "laplace", "draws": 5, "chains": 2, "progress": False}
    frame = table(rows)
    stream = bi.StreamedData.from_batches([frame[:900], frame[900:]], *COLUMNS, progress=False)
    whole = bi.RegimeData.from_frame(frame, *COLUMNS)
    one, other = (
        bi.fit(rows, bi.models.additive("spline"), **settings) for rows in (stream, whole)
    )
    points = [[0.3, -0.2], [1.0, 1.0]]
    # Sums in another order differ by rounding.
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(one.joint_effect(points), other.joint_effect(points), **close)
    # Negative control: another seed.
    seed = bi.fit(whole, bi.models.additive("spline"), seed=1, **settings)
    assert not np.isclose(one.joint_effect(points), seed.joint_effect(points), **close).any()
    assert int(one.tree["constant_data"]["rows"].sum()) == rows
    assert one.with_log_likelihood(stream, rows=50)["log_likelihood"].sizes["row"] == 50
    assert bi.prior_predictive(stream, draws=3)["prior_predictive"].sizes["draw"] == 3


def test_reads_batches_of_every_kind() -> None:
    frame = table(300)
    arrow = pa.Table.from_pandas(frame)
    expected = bi.RegimeData.from_frame(frame, *COLUMNS)
    for source in (
        [pl.from_pandas(frame)],
        arrow.to_batches(max_chunksize=40),
        lambda: iter(arrow.to_batches(max_chunksize=40)),
        lambda: arrow.to_reader(max_chunksize=64),
    ):
        stream = bi.StreamedData.from_batches(source, *COLUMNS, progress=False)
        np.testing.assert_array_equal(stream.in_memory.outcome, expected.outcome)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(y=f["y"].where(f.index != 250)), "'y'.*first in row 250"),
        (lambda f: f.assign(regime=f["regime"].where(f.index != 250, "w")), "row 250.*'w'"),
        (lambda f: f.assign(x=1.0), "'x' never varies"),
        (lambda f: f.assign(z=1.0), "'z' never varies"),
        (lambda f: f.assign(regime="x"), "no observational rows"),
        (lambda f: f[:4], "4 rows are fewer"),
        (lambda f: f[:0], "no rows"),
        (lambda f: f.drop(columns="y"), "no column 'y'"),
    ],
)
def test_errors_name_the_number_of_the_bad_row(change, message) -> None:
    frame = change(table(300))
    batches = [frame[:100], frame[100:]]
    with pytest.raises(bi.DataError, match=message):
        bi.StreamedData.from_batches(batches, *COLUMNS, progress=False)


def test_unreadable_and_changing_sources_raise(files, tmp_path) -> None:
    frame, _ = files
    with pytest.raises(bi.DataError, match="read once only"):
        bi.StreamedData.from_batches(iter([frame]), *COLUMNS)
    with pytest.raises(bi.DataError, match="not int"):
        bi.StreamedData.from_batches([3], *COLUMNS, progress=False)
    (tmp_path / "not.parquet").write_text("x,y,z")
    for path in (tmp_path / "absent.parquet", tmp_path / "not.parquet"):
        with pytest.raises(bi.DataError, match=r"\.parquet cannot be read"):
            bi.StreamedData.from_parquet(path, *COLUMNS, progress=False)
    grown = [frame]
    stream = bi.StreamedData.from_batches(grown, *COLUMNS, progress=False)
    grown.append(frame[:5])
    with pytest.raises(bi.DataError, match="3000 rows when it was first read and 3005 now"):
        list(stream.batches(1000))


def with_levels(rows: int = 900) -> pd.DataFrame:
    """Rows with x as text, with a level that occurs in the last rows only, and y as 0 or 1."""
    frame = table(rows).sort_values("z").reset_index(drop=True)
    names = np.where(frame["x"] > 0, "on", "off").astype(object)
    names[-50:] = "boost"
    return frame.assign(x=names, y=(frame["y"] > 0).astype(int))


def test_levels_are_collected_over_all_batches(tmp_path) -> None:
    frame = with_levels()
    paths = [tmp_path / f"{start}.parquet" for start in range(0, 900, 100)]
    for path in paths:
        frame[int(path.stem) :][:100].to_parquet(path)
    whole = bi.RegimeData.from_frame(frame, *COLUMNS)
    stream = bi.StreamedData.from_parquet(paths, *COLUMNS, progress=False)
    assert stream.categories == whole.categories == stream.in_memory.categories
    assert [levels.labels for levels in whole.categories] == [("boost", "off", "on"), (0.0, 1.0)]
    pieces = list(stream.batches(70))
    assert all(piece.categories == whole.categories for piece in pieces)
    read = np.concatenate([piece.actions for piece in pieces])
    np.testing.assert_array_equal(read, whole.actions)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("x", "onn", r"'x' has no level 'onn' \(row 402\); did you mean 'on'"),
        ("y", 3, r"'y' has no level 3 \(row 402\); the levels are 0, 1"),
        ("x", None, "column 'x' has 1 missing cells .*, the first in row 402"),
    ],
)
def test_levels_that_appear_in_a_later_pass_raise(column, value, message) -> None:
    frame = with_levels()
    changed = frame.copy()
    changed.loc[402, column] = value
    source = [frame]
    stream = bi.StreamedData.from_batches(
        lambda: (source[0][i : i + 300] for i in range(0, 900, 300)), *COLUMNS, progress=False
    )
    assert sum(map(len, stream.batches(200))) == 900
    source[0] = changed
    with pytest.raises(bi.DataError, match=message):
        list(stream.batches(200))


def test_columns_of_mixed_type_across_batches_raise() -> None:
    frame = with_levels()
    numbers = frame.assign(x=1.0)
    for batches in ([frame, numbers], [numbers, frame]):
        with pytest.raises(bi.DataError, match="column 'x' holds"):
            bi.StreamedData.from_batches(batches, *COLUMNS, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(z=100 * f["z"]), "held other values"),
        (lambda f: f.assign(z=-f["z"]), "held other values"),
        (lambda f: f.assign(regime=f["regime"].replace({"x": "y", "y": "x"})), "other values"),
        (lambda f: f.assign(x=f["x"].where(f.index != 7, np.nan)), "now holds cells that are NaN"),
        (lambda f: f.assign(y=f["y"].where(f.index != 7, np.inf)), "now holds cells that are NaN"),
        (lambda f: f.assign(x=f["x"].where(f.index != 7, f["x"] + 1e-9)), "held other values"),
        (lambda f: f[:-1], "3000 rows when it was first read and 2999 now"),
    ],
)
def test_rows_that_change_between_passes_raise(change, message) -> None:
    """Neither their number nor their sums need to change."""
    source = [table()]
    stream = bi.StreamedData.from_batches(lambda: source, *COLUMNS, progress=False)
    source[0] = source[0].sample(frac=1, random_state=0)
    # Negative control: the same rows in another order and in other batches.
    assert sum(map(len, stream.batches(200))) == 3000
    source[0] = change(table())
    with pytest.raises(bi.DataError, match=message):
        list(stream.batches(200))
