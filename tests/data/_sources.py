"""One table with columns of every kind, as every source of rows."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import xarray as xr
from dask import dataframe as dd
from pyarrow import feather, ipc

import bayes_intgen as bi

COLUMNS = {
    "actions": ["tv", "radio", "drug"],
    "outcome": "sales",
    "regime": "regime",
    "covariates": ["age", "season", "promo", "week"],
    "groups": ["region", "patient"],
    "weights": "n",
    "outcome_sd": "sd",
    "unit": "shop",
    "time": "week",
}
ARRAYS = (
    *("actions", "outcome", "intervened", "covariates", "weights", "within"),
    *("series", "time"),
)


def table(rows: int = 600, patients: int = 150, seed: int = 0) -> pd.DataFrame:
    """Rows with every kind of column; a season occurs once, and a drug in the last rows only."""
    rng = np.random.default_rng(seed)
    season = rng.choice(["spring", "autumn"], size=rows).astype(object)
    season[rows // 2] = "carnival"
    drug = rng.choice(["off", "on"], size=rows).astype(object)
    drug[-rows // 20 :] = "boost"
    # Numbers that text files keep exactly.
    tv, radio, sales, age = rng.integers(-500, 500, size=(4, rows)) / 64
    return pd.DataFrame(
        {
            "tv": tv,
            "radio": radio,
            "drug": drug,
            "sales": sales,
            "regime": rng.choice([None, "tv", "radio"], size=rows),
            "age": age + 40,
            "season": season,
            "promo": rng.integers(0, 2, size=rows),
            "week": pd.date_range("2024-01-01", periods=rows).strftime("%Y-%m-%d"),
            "region": rng.choice(["north", "south", "east"], size=rows),
            "patient": rng.integers(0, patients, size=rows),
            "n": rng.integers(1, 9, size=rows),
            "sd": rng.integers(32, 128, size=rows) / 64,
            "shop": [f"shop {i // 10:02}" for i in range(rows)],
            "unused": "text",
        }
    )


def read(source: Any, **changes: Any) -> bi.Rows:
    return bi.read(source, **{**COLUMNS, "progress": False, **changes})


def pieces(frame: pd.DataFrame, size: int = 70) -> list[pd.DataFrame]:
    return [frame[start : start + size] for start in range(0, len(frame), size)]


def parquet(frame: pd.DataFrame, folder: Path, files: int = 3) -> list[Path]:
    """Files of about three row groups each."""
    size = -(-len(frame) // files)
    paths = [folder / f"{i}.parquet" for i in range(files)]
    for path, piece in zip(paths, pieces(frame, max(1, size)), strict=False):
        piece.to_parquet(path, row_group_size=max(1, -(-size // 3)))
    return [path for path in paths if path.exists()]


def text_file(name: str, **settings: Any) -> Callable[[pd.DataFrame, Path], Path]:
    def write(frame: pd.DataFrame, folder: Path) -> Path:
        frame.to_csv(folder / name, index=False, **settings)
        return folder / name

    return write


def arrow_file(name: str, write: Any) -> Callable[[pd.DataFrame, Path], Path]:
    def written(frame: pd.DataFrame, folder: Path) -> Path:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        with write(folder / name, table.schema) as file:
            file.write_table(table)
        return folder / name

    return written


def feather_file(frame: pd.DataFrame, folder: Path) -> Path:
    feather.write_feather(frame, folder / "rows.feather")
    return folder / "rows.feather"


def opened(frame: pd.DataFrame, folder: Path) -> Callable[[], Iterator[Any]]:
    return lambda: iter(pa.Table.from_pandas(frame).to_batches(max_chunksize=40))


IN_MEMORY: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "pandas": lambda frame, _: frame,
    "nullable": lambda frame, _: frame.convert_dtypes(),
    "polars": lambda frame, _: pl.from_pandas(frame),
    "lazy": lambda frame, _: pl.from_pandas(frame).lazy(),
    "arrow": lambda frame, _: pa.Table.from_pandas(frame),
    "views": lambda frame, _: pl.from_pandas(frame).to_arrow(compat_level=pl.CompatLevel.newest()),
    "record batch": lambda frame, _: pa.Table.from_pandas(frame).to_batches()[0],
    "reader": lambda frame, _: pa.Table.from_pandas(frame).to_reader(max_chunksize=64),
    "duckdb": lambda frame, _: duckdb.from_df(frame).filter("true"),
    "xarray": lambda frame, _: xr.Dataset.from_dataframe(frame),
    "csv": text_file("rows.csv"),
    "csv.gz": text_file("rows.csv.gz"),
    "tsv": text_file("rows.tsv", sep="\t"),
    "txt": text_file("rows.txt", sep=";", lineterminator="\r\n", encoding="utf-8-sig"),
    "feather": feather_file,
    "arrow file": arrow_file("rows.arrow", ipc.new_file),
    "arrow stream": arrow_file("rows.arrows", ipc.new_stream),
    # Rows that follow each other; others are streamed.
    "parquet": lambda frame, folder: str(parquet(frame, folder, files=1)[0]),
}
STREAMED: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "one batch": lambda frame, _: [frame],
    "batches": lambda frame, _: pieces(frame),
    "polars batches": lambda frame, _: [pl.from_pandas(piece) for piece in pieces(frame)],
    "function": opened,
    "readers": lambda frame, _: lambda: pa.Table.from_pandas(frame).to_reader(max_chunksize=64),
    "parquet files": parquet,
    "parquet folder": lambda frame, folder: parquet(frame, folder)[0].parent,
    "csv in parts": lambda frame, folder: [text_file("rows.csv")(frame, folder)],
    "gz in parts": lambda frame, folder: [text_file("rows.csv.gz")(frame, folder)],
    "txt in parts": lambda frame, folder: [IN_MEMORY["txt"](frame, folder)],
    "arrow files": lambda frame, folder: [IN_MEMORY["arrow file"](frame, folder)],
    "arrow streams": lambda frame, folder: [IN_MEMORY["arrow stream"](frame, folder)],
}
ON_CLUSTER: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "parquet on workers": lambda frame, folder: parquet(frame, folder, files=1)[0],
    "parquet files on workers": parquet,
    "parquet folder on workers": lambda frame, folder: str(parquet(frame, folder)[0].parent),
    "dask": lambda frame, _: dd.from_pandas(frame, npartitions=4),
}


def assert_same_rows(one: bi.RegimeData, other: bi.RegimeData) -> None:
    assert vars(replace(one.columns)) == vars(replace(other.columns))
    assert one.categories == other.categories
    assert one.regimes == other.regimes
    assert (one.dropped, one.lift_tests) == (other.dropped, other.lift_tests)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
