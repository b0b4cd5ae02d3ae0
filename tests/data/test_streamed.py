import bayes_intgen.pilot
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayes_intgen as bi
import bayes_intgen.inference
from bayes_intgen.data import parquet, reservoir

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


def test_rows_are_those_of_the_frame(files, monkeypatch) -> None:
    frame, paths = files
    monkeypatch.setattr(parquet, "ROWS_PER_READ", 500)
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


def test_memory_of_reading_does_not_grow_with_the_rows(tmp_path) -> None:
    rows, columns = 1_000_000, {"x": "float64", "y": "float64", "z": "float64"}
    rng = np.random.default_rng(0)
    path = tmp_path / "long.parquet"
    frame = pd.DataFrame({name: rng.normal(size=rows) for name in columns})
    frame.to_parquet(path, row_group_size=10_000)
    before = pa.total_allocated_bytes()
    held = []
    for batch in parquet.parquet_tables(path, list(columns)):
        del batch
        held.append(pa.total_allocated_bytes() - before)
    # A batch and the row groups that it is made of.
    assert max(held) < frame.memory_usage(index=False).sum() / 4


@pytest.mark.parametrize("cut", [1, 7, 3000])
def test_the_sample_is_the_same_whatever_batches_rows_come_in(monkeypatch, cut) -> None:
    monkeypatch.setattr(reservoir, "SAMPLE_ROWS", 150)
    frame = table()
    pieces = np.array_split(np.arange(len(frame)), min(cut, 300))
    stream = bi.StreamedData.from_batches([frame.iloc[p] for p in pieces], *COLUMNS, progress=False)
    own = bi.RegimeData.from_frame(frame, *COLUMNS).sample(150)
    assert 150 <= len(own) <= 154
    for name in ("actions", "outcome", "intervened"):
        np.testing.assert_array_equal(getattr(stream.sample(150), name), getattr(own, name))


def test_a_fit_of_streamed_rows_is_that_of_the_same_rows_in_memory(monkeypatch) -> None:
    for module in (bayes_intgen.inference.pilot.pilot, bayes_intgen.api.fitting):
        monkeypatch.setattr(module, "PILOT_ROWS", 600)
    monkeypatch.setattr(reservoir, "SAMPLE_ROWS", 600)
    frame, settings = table(), {"draws": 30, "warmup": 30, "chains": 2, "progress": False}
    stream = bi.StreamedData.from_batches([frame[:900], frame[900:]], *COLUMNS, progress=False)
    whole = bi.RegimeData.from_frame(frame, *COLUMNS)
    one, other = (
        bi.fit(rows, bi.models.additive("spline"), **settings) for rows in (stream, whole)
    )
    points = [[0.3, -0.2], [1.0, 1.0]]
    # Sums in another order round differently, and chains carry that on; some effects are near zero.
    close = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(one.joint_effect(points), other.joint_effect(points), **close)
    # Negative control: another seed.
    seed = bi.fit(whole, bi.models.additive("spline"), seed=1, **settings)
    assert not np.isclose(one.joint_effect(points), seed.joint_effect(points), **close).any()
    assert int(one.tree["constant_data"]["rows"].sum()) == 3000
    assert one.with_log_likelihood(stream, rows=50)["log_likelihood"].sizes["row"] == 50
    assert bi.prior_predictive(stream, draws=3)["prior_predictive"].sizes["draw"] == 3


def test_batches_of_every_kind_are_read() -> None:
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
def test_bad_rows_are_refused_by_their_number(change, message) -> None:
    frame = change(table(300))
    batches = [frame[:100], frame[100:]]
    with pytest.raises(bi.DataError, match=message):
        bi.StreamedData.from_batches(batches, *COLUMNS, progress=False)


def test_what_cannot_be_read_twice_is_refused(files, tmp_path) -> None:
    frame, _ = files
    with pytest.raises(bi.DataError, match="once only"):
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
    with pytest.raises(bi.ModelError, match="every row in memory"):
        bi.fit(stream, bi.models.additive(noise="student_t"), progress=False)


def test_a_stream_has_the_certificate_of_all_its_rows(files) -> None:
    frame, _ = files
    stream = bi.StreamedData.from_batches([frame], *COLUMNS, progress=False)
    assert stream.identify(["x", "y"]) == bi.RegimeData.from_frame(frame, *COLUMNS).identify(
        ["x", "y"]
    )


def with_levels(rows: int = 900) -> pd.DataFrame:
    """The same with x as text, of which the last rows have a level of their own, and y as 0/1."""
    frame = table(rows).sort_values("z").reset_index(drop=True)
    names = np.where(frame["x"] > 0, "on", "off").astype(object)
    names[-50:] = "boost"
    return frame.assign(x=names, y=(frame["y"] > 0).astype(int))


def test_levels_are_collected_over_all_batches(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_READ", 100)
    frame = with_levels()
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=100)
    whole = bi.RegimeData.from_frame(frame, *COLUMNS)
    stream = bi.StreamedData.from_parquet(tmp_path / "rows.parquet", *COLUMNS, progress=False)
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
        ("x", None, "column 'x' has 1 missing cells, the first in row 402"),
    ],
)
def test_a_level_that_first_occurs_in_a_later_pass_is_an_error(column, value, message) -> None:
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


def test_a_column_of_numbers_and_text_in_turn_is_refused() -> None:
    frame = with_levels()
    numbers = frame.assign(x=1.0)
    for batches in ([frame, numbers], [numbers, frame]):
        with pytest.raises(bi.DataError, match="column 'x' holds"):
            bi.StreamedData.from_batches(batches, *COLUMNS, progress=False)
