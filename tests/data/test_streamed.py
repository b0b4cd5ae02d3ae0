import threading
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from _sources import assert_same_rows, parquet, pieces

import bayes_intgen as bi
from bayes_intgen.data import files
from bayes_intgen.data.files import ROWS_PER_READ, parquet_tables
from bayes_intgen.data.first_pass import SAMPLE_ROWS
from bayes_intgen.data.text_files import PART

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
    # More than twice as many rows as the reservoir holds.
    frame = table(7 * SAMPLE_ROWS)
    sampled = frame["regime"].value_counts(dropna=False).clip(upper=SAMPLE_ROWS).sum()
    assert len(frame) > 2 * sampled
    split = pieces(frame, -(-len(frame) // batches))
    stream = bi.StreamedData.from_batches(split, *COLUMNS, progress=False)
    whole = bi.RegimeData.from_frame(frame, *COLUMNS)
    for rows in (150, 5000, SAMPLE_ROWS):
        expected = whole.sample(rows)
        assert rows <= len(expected) <= rows + 4
        assert_same_rows(stream.sample(rows), expected)


def test_iterators_and_other_batches_than_tables_raise() -> None:
    with pytest.raises(bi.DataError, match="read once only"):
        bi.StreamedData.from_batches(iter([table()]), *COLUMNS)
    with pytest.raises(bi.DataError, match="not int"):
        bi.StreamedData.from_batches([3], *COLUMNS, progress=False)


def test_a_producer_may_fill_the_same_table_again() -> None:
    whole = table().assign(n=lambda f: 1.0 + f.index % 3)
    numbers = ["x", "y", "z", "n"]

    def refilled() -> Iterator[pd.DataFrame]:
        cells = {name: np.empty(100) for name in numbers}
        for piece in pieces(whole, 100):
            for name in numbers:
                cells[name][:] = piece[name]
            yield pd.DataFrame({**cells, "regime": piece["regime"].array}, copy=False)

    expected = bi.read(whole, *COLUMNS, weights="n")
    stream = bi.read(refilled, *COLUMNS, weights="n", progress=False)
    assert_same_rows(stream.in_memory, expected)
    # Threads that are handed all batches still have their rows.
    for name in ("actions", "outcome", "weights"):
        read = np.concatenate([getattr(batch, name) for batch in [*stream.batches(100)]])
        np.testing.assert_array_equal(read, getattr(expected, name))


def with_levels(rows: int = 900) -> pd.DataFrame:
    """Rows with x as text, with a level that occurs in the last rows only, and y as 0 or 1."""
    frame = table(rows).sort_values("z").reset_index(drop=True)
    names = np.where(frame["x"] > 0, "on", "off").astype(object)
    names[-50:] = "boost"
    return frame.assign(x=names, y=(frame["y"] > 0).astype(int))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("x", "onn", r"'x' has no level 'onn' \(row 402\); did you mean 'on'"),
        ("y", 3, r"'y' has no level 3 \(row 402\); the levels are 0, 1"),
        ("x", None, "column 'x' has 1 missing cell .*, the first in row 402"),
    ],
)
def test_levels_that_appear_in_a_later_pass_raise(column, value, message) -> None:
    frame = with_levels()
    changed = frame.copy()
    changed.loc[402, column] = value
    source = [frame]
    stream = bi.StreamedData.from_batches(lambda: pieces(source[0], 300), *COLUMNS, progress=False)
    assert sum(map(len, stream.batches(200))) == 900
    source[0] = changed
    with pytest.raises(bi.DataError, match=message):
        list(stream.batches(200))


def test_weights_that_become_unusable_in_a_later_pass_raise() -> None:
    source = [table(300).assign(n=2.0)]
    stream = bi.StreamedData.from_batches(lambda: source, *COLUMNS, weights="n", progress=False)
    source[0] = source[0].assign(n=np.where(source[0].index == 150, 0, 2.0))
    message = "holds unusable cells, .* when it was first read: weights must be positive.* row 150"
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
        (lambda f: f.assign(z=-f["z"]), "held other values"),
        (lambda f: f.assign(regime=f["regime"].replace({"x": "y", "y": "x"})), "other values"),
        (lambda f: f.assign(x=f["x"].where(f.index != 7, np.nan)), "now holds unusable cells"),
        (lambda f: f.assign(y=f["y"].where(f.index != 7, np.inf)), "now holds unusable cells"),
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


def test_a_pass_that_stops_early_leaves_no_thread(tmp_path) -> None:
    paths = parquet(table(), tmp_path)
    stream = bi.StreamedData.from_parquet(paths, *COLUMNS, progress=False)
    before = threading.active_count()

    def fail(batch: bi.RegimeData) -> int:
        raise ZeroDivisionError

    for _ in stream.batches(50):
        break
    with pytest.raises(ZeroDivisionError):
        next(stream.map_batches(fail, "", False))
    # Negative control: threads work in the middle of a pass.
    batches = stream.batches(50)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before
    assert sum(stream.map_batches(len, "", False)) == 3000


@pytest.mark.filterwarnings("ignore::bayes_intgen.LackOfFitWarning")
def test_a_fit_says_how_often_rows_were_read() -> None:
    frame, opened = table(600), 0

    def source() -> list[pd.DataFrame]:
        nonlocal opened
        opened += 1
        return pieces(frame, 100)

    model = bi.models.additive("linear", graph={"x": [], "y": ["x"]})
    for regime in (frame["regime"], frame["regime"].fillna("")):
        frame, opened = frame.assign(regime=regime), 0
        stream = bi.StreamedData.from_batches(source, *COLUMNS, progress=False)
        # The first table alone shows that no column is text.
        assert (opened, stream.passes.made) == (2, 1)
        for _ in range(2):
            before = opened
            posterior = bi.fit(stream, model, method="laplace", progress=False)
            times = opened - before + 1
            assert times > 1
            assert f"importance draws, rows read {times} times" in str(posterior)
    rows = bi.RegimeData.from_frame(frame, *COLUMNS)
    assert "rows read" not in str(bi.fit(rows, model, method="laplace", progress=False))


@pytest.mark.filterwarnings("ignore::bayes_intgen.DataWarning")
def test_a_part_may_lack_all_cells_of_a_column_and_dates_may_be_two(tmp_path) -> None:
    frame = table(400).assign(age=range(400), day=["2024-05-01", "2024-05-02"] * 200)
    frame[:200].assign(age=None).to_parquet(tmp_path / "one.parquet")
    frame[200:].to_parquet(tmp_path / "two.parquet")
    roles = {"covariates": ["age", "day"], "missing": "drop"}
    assert len(next(bi.read(tmp_path, *COLUMNS, **roles, progress=False).batches(200))) == 200


def text_rows(rows: int = 9000) -> pd.DataFrame:
    """Rows of two parts and more, with quoted line ends, text, dates, gaps and codes as text."""
    rng = np.random.default_rng(0)
    frame = (
        table(rows)
        .round(6)
        .assign(
            note='a "quoted"\nnote, ' * 60,
            site=rng.choice(["007", "north", "n/a"], size=rows),
            day=pd.date_range("2024-01-01", periods=rows, freq="h").strftime("%Y-%m-%d"),
        )
    )
    frame.loc[::500, "y"] = np.nan
    # Notes alone, where the first part ends.
    frame.loc[7000:8700, [*"xyz", "regime", "site", "day"]] = None
    return frame


ROLES = {"covariates": ["site", "day"], "missing": {"": "drop", "site": "level"}}


@pytest.mark.filterwarnings("ignore::bayes_intgen.DataWarning")
def test_text_in_parts_is_text_in_memory(tmp_path) -> None:
    path = tmp_path / "rows.csv"
    text_rows().to_csv(path, index=False)
    assert path.stat().st_size > PART
    whole = bi.read(path, *COLUMNS, **ROLES)
    stream = bi.read([path], *COLUMNS, **ROLES, progress=False)
    assert whole.dropped == stream.dropped != {}
    assert whole.columns.categories[0].labels == ("007", "missing", "north")
    assert_same_rows(stream.in_memory, whole)
    assert stream.digest == whole.digest
    assert sum(map(len, stream.batches(1000))) == len(whole)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.assign(x=f["x"].map("{:.2f} €".format)), "'x' holds cells such as '.* €'"),
        (lambda f: f.assign(x=f["x"].where(f.index != 7, "n/a")), "'x' holds cells such as 'n/a'"),
        (lambda f: f.assign(x=f["x"].where(f.index < 8900, "a")), "numbers, and then text"),
        (lambda f: f.assign(site=f["site"].where(f.index > 8900, "1")), "numbers, and then text"),
    ],
)
def test_text_whose_parts_differ_is_refused(tmp_path, spoil, message) -> None:
    spoil(text_rows()).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(bi.DataError, match=message + r".*all at once: bi.read\(bi.clean\("):
        bi.read([tmp_path / "rows.csv"], *COLUMNS, **ROLES, progress=False)


def test_the_first_rows_of_text_in_parts_have_all_columns(tmp_path, monkeypatch) -> None:
    # Cells that need a reading are refused only where they are used.
    text_rows().assign(price="€ 3", other="n/a").to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.setattr(files, "MAX_WHOLE", 1000)
    head = files.read_table(tmp_path / "rows.csv", "regime", head=True)
    assert head.columns == [*text_rows().columns, "price"]
    assert 1000 < len(head) < 9000


def test_what_is_around_text_in_parts_is_said_once_or_refused(tmp_path) -> None:
    path, text = tmp_path / "rows.csv", table(300).to_csv(index=False)
    path.write_bytes(f"Größe\n{text}source: shops\n".encode("cp1252"))
    with pytest.warns(bi.DataWarning) as caught:
        assert len(next(bi.read([path], *COLUMNS, progress=False).batches(300))) == 300
    (warning,), said = caught, "line 1 ('Größe') left out; the last line ('source: shops') left out"
    assert str(warning.message) == f"{path}: read as Windows-1252, not UTF-8; {said}"
    for last, message in (
        ("Total,,12.5,,", "the last line of .*rows.csv is a 'Total'; delete"),
        ("12.5,,,,", "column 'y' has 1 missing cell"),
    ):
        path.write_text(f"{text}{last}\n")
        with pytest.raises(bi.DataError, match=message):
            bi.read([path], *COLUMNS, progress=False)
