import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, ipc

import bayes_intgen as bi
from bayes_intgen.data.files import columns_of_file, regular_file

ROWS = pd.DataFrame(
    {
        "x": np.arange(40.0) ** 2,
        "NA": np.sin(np.arange(40.0)),
        "y": np.cos(np.arange(40.0)),
        "regime": ["", "x", "NA", "x+NA"] * 10,
    }
)


def write(path: Path) -> None:
    table = pa.Table.from_pandas(ROWS, preserve_index=False)
    match path.suffixes[-1]:
        case ".csv":
            ROWS.to_csv(path, index=False)
        case ".gz":
            path.write_bytes(gzip.compress(ROWS.to_csv(index=False).encode()))
        case ".tsv":
            ROWS.to_csv(path, index=False, sep="\t")
        case ".txt":
            path.write_text("\ufeff" + ROWS.to_csv(index=False, sep=";", lineterminator="\r\n"))
        case ".parquet":
            ROWS.to_parquet(path)
        case ".feather":
            feather.write_feather(table, path)
        case ".arrow":
            with ipc.new_file(path, table.schema) as file:
                file.write_table(table)
        case ".arrows":
            with ipc.new_stream(path, table.schema) as file:
                file.write_table(table)


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.csv.gz", "a.tsv", "a.txt", "a.parquet", "a.feather", "a.arrow", "a.arrows"],
)
def test_files_of_every_format_give_the_same_rows(tmp_path, name) -> None:
    write(tmp_path / name)
    data = bi.read(tmp_path / name, ["x", "NA"], "y", "regime", progress=False)
    assert isinstance(data, bi.StreamedData) == (name == "a.parquet")
    assert data.names == ("x", "NA")
    # The label of an action called NA is not missing.
    assert dict(data.regimes) == dict.fromkeys(
        [(False, False), (True, False), (False, True), (True, True)], 10
    )
    np.testing.assert_array_equal(data.in_memory.actions[:, 0], ROWS["x"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", None, "there is no file"),
        ("a.xlsx", b"", "unknown ending '.xlsx'"),
        ("a", b"", "unknown ending ''"),
        ("a.csv", b"", "no header line"),
        ("a.csv", b"x,y,regime\n\xff,2,\n", "not UTF-8"),
        ("a.csv", b"x,x,regime\n1,2,\n", "two columns called 'x'"),
        ("a.csv", b"x,y,regime\n1,two,\n", "column 'y' holds text, such as 'two' in row 0"),
        (
            "a.csv",
            b"x,y,regime\none,1,\n,2,\n",
            r"column 'x' has 1 missing cells \(observational 1\), .* row 1",
        ),
        ("a.csv", b'x,y,regime\n"1,2,\n', "cannot be read as a table"),
        ("a.csv", b"x,z,regime\n1,2,\n", "no column 'y'"),
        ("a.csv", b"x,y,regime\n1,NA,\n", "column 'y' has 1 missing cells"),
        ("a.csv", b"x,y,regime\n1,2,\n1,5,2,\n1,2,x,4\n", "more cells than the header's 3"),
        ("a.csv", b"x,y\n1,5,2\n2,5,3\n", "more cells than the header's 2"),
        ("a.csv", b'x,y,regime\n"1,5",2,x,4\n', "more cells than the header's 3"),
        ("a.csv.gz", b"x,y,regime\n1,2,\n", "cannot be read"),
        ("a.parquet", b"x,y,regime\n", "cannot be read as Parquet"),
        ("a.feather", b"x,y,regime\n", "cannot be read as Arrow"),
    ],
)
def test_unusable_files_raise(tmp_path, name, content, message) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(bi.DataError, match=message):
        bi.read(tmp_path / name, ["x"], "y", "regime", progress=False)


def test_tables_files_and_batches_are_read_by_one_function(tmp_path) -> None:
    for name in ("a.csv", "a.parquet"):
        write(tmp_path / name)
    csv, parquet = tmp_path / "a.csv", tmp_path / "a.parquet"
    roles = {"actions": ["x", "NA"], "outcome": "y", "progress": False}
    for source, kind in (
        (ROWS, bi.RegimeData),
        (str(csv), bi.RegimeData),
        (parquet, bi.StreamedData),
        ([parquet], bi.StreamedData),
        ([ROWS[:20], ROWS[20:]], bi.StreamedData),
        (lambda: iter([ROWS]), bi.StreamedData),
    ):
        rows = bi.read(source, **roles)
        assert type(rows) is kind
        np.testing.assert_array_equal(rows.in_memory.outcome, ROWS["y"])
    assert bi.read(ROWS.assign(units=2), **roles, weights="units").columns.weights == "units"
    with pytest.raises(bi.DataError, match="source must be a table .*, a path, .*, not int"):
        bi.read(3, **roles)
    with pytest.raises(TypeError, match="argument 'covariate'; did you mean 'covariates'"):
        bi.read(csv, **roles, covariate=["NA"])


def test_lines_may_end_with_a_separator(tmp_path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"{i},{i**2},{'x' * (i % 2)}" for i in range(20)]
    rows = []
    for end in ("", ","):
        path.write_text("\n".join(["x,y,regime", *(line + end for line in lines)]))
        rows.append(bi.read(path, ["x"], "y", "regime").in_memory)
    np.testing.assert_array_equal(rows[0].actions, rows[1].actions)
    np.testing.assert_array_equal(rows[0].intervened, rows[1].intervened)


def test_a_pipe_is_copied_to_be_read_again(tmp_path) -> None:
    lines = ["x,y,regime", *(f"{i},{2 * i % 7},{'x' * (i % 2)}" for i in range(20))]
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(pipe.write_text, "\n".join(lines))
        with regular_file(pipe) as copy:
            assert columns_of_file(copy) == ["x", "y", "regime"]
            assert len(bi.read(copy, ["x"], "y", "regime")) == 20
        written.result(10)
    assert not copy.exists()
