"""Rows from files: CSV, Parquet, Arrow."""

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_intgen.data.parquet import parquet_file
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.rows import Rows
from bayes_intgen.data.streamed import StreamedData
from bayes_intgen.errors import DataError

if TYPE_CHECKING:
    import os


TEXT = (".csv", ".tsv", ".txt")
PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc", ".arrows")

# What stands for a missing number in a text file. Not in the column of regimes, where an action
# may be called "NA": there a cell is missing only where it is empty.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


def rows_of_file(
    path: "str | os.PathLike[str]",
    actions: Sequence[str] | None,
    outcome: str,
    regime: str,
    *,
    in_memory: bool = False,
    require_observational: bool = True,
    progress: bool = True,
) -> Rows:
    r"""The rows of a file, which its ending says how to read.

    Parameters
    ----------
    path : path
        CSV (``.csv``, ``.tsv``, ``.txt``, also with ``.gz``), Parquet (``.parquet``, ``.pq``) or
        Arrow (``.arrow``, ``.feather``, ``.ipc``, ``.arrows``). Parquet is read in passes and
        never held all at once.
    actions : sequence of str, or None
        Columns of the actions; None for all columns of numbers besides the outcome.
    outcome, regime : str
        As in :meth:`RegimeData.from_frame`.
    in_memory : bool
        Whether to hold the rows of Parquet files, too.
    require_observational : bool
        As in :meth:`RegimeData.from_arrays`.
    progress : bool
        Whether to report on standard error how many rows of Parquet have been read.

    Raises
    ------
    DataError
        Where the file is not there or cannot be read, and as :meth:`RegimeData.from_frame`.

    Examples
    --------
    >>> lines = ["x,y,regime", *(f"{i},{2 * i},{'x' * (i % 2)}" for i in range(20))]
    >>> _ = (folder / "rows.csv").write_text("\n".join(lines))
    >>> rows_of_file(folder / "rows.csv", ["x"], "y", "regime")
    RegimeData: 20 rows, outcome 'y', actions 'x'
      observational  10
      do(x)          10
    """
    source = Path(path)
    kind = kind_of(source)
    chosen = list(actions) if actions is not None else _columns_of_numbers(source, outcome, regime)
    if kind == "parquet" and not in_memory:
        return StreamedData.from_parquet(
            source,
            chosen,
            outcome,
            regime,
            require_observational=require_observational,
            progress=progress,
        )
    frame = read_table(source, regime)
    return RegimeData.from_frame(
        frame, chosen, outcome, regime, require_observational=require_observational
    )


def kind_of(source: Path) -> str:
    """``"text"``, ``"parquet"`` or ``"arrow"``; raises DataError on other files."""
    if not source.exists():
        raise DataError(f"there is no file {source}")
    if source.is_dir():
        raise DataError(f"{source} is a folder; name a file")
    endings = [ending.lower() for ending in source.suffixes]
    ending = endings[-1] if endings else ""
    if ending in TEXT or (ending == ".gz" and endings[-2:-1] and endings[-2] in TEXT):
        return "text"
    if ending in PARQUET:
        return "parquet"
    if ending in ARROW:
        return "arrow"
    raise DataError(
        f"{source} ends in {ending or 'nothing'!r}, which says not what it holds; rename it to "
        f"one of {', '.join((*TEXT, *PARQUET, *ARROW))}"
    )


def columns_of_file(path: "str | os.PathLike[str]") -> list[str]:
    r"""Names of a file's columns; raises DataError where it cannot be read.

    Examples
    --------
    >>> _ = (folder / "rows.csv").write_text("x,y,regime\n1,2,x\n")
    >>> columns_of_file(folder / "rows.csv")
    ['x', 'y', 'regime']
    """
    import narwhals as nw

    return list(nw.from_native(_head(Path(path), None)).columns)


def read_table(source: Path, regime: str | None = None) -> Any:
    """The whole file as a pandas or Arrow table; in text, ``regime`` is a column of labels.

    Raises DataError where it cannot be read, or two columns have one name.
    """
    kind = kind_of(source)
    if kind == "text":
        return _read_text(source, regime)
    try:
        import pyarrow as pa
        from pyarrow import feather, ipc, parquet
    except ImportError as error:
        raise DataError(
            f"reading {source} needs pyarrow: pip install 'bayes-intgen[parquet]'"
        ) from error
    try:
        if kind == "parquet":
            return parquet.ParquetFile(source).read()
        if source.suffix.lower() == ".arrows":
            with pa.OSFile(str(source)) as file, ipc.open_stream(file) as reader:
                return reader.read_all()
        return feather.read_table(source)
    except (OSError, pa.ArrowException) as error:
        name = {"parquet": "Parquet", "arrow": "Arrow"}[kind]
        raise DataError(f"{source} cannot be read as {name} ({error})") from error


def _columns_of_numbers(source: Path, outcome: str, regime: str) -> list[str]:
    import narwhals as nw

    frame = nw.from_native(_head(source, regime))
    found = [
        name
        for name, kind in frame.schema.items()
        if kind.is_numeric() and name not in (outcome, regime)
    ]
    if not found:
        raise DataError(
            f"{source} has no column of numbers besides the outcome; name the actions' columns, "
            f"of {', '.join(map(repr, frame.columns))}"
        )
    return found


def _head(source: Path, regime: str | None) -> Any:
    """A table with the columns of a file, of Parquet without its rows."""
    if kind_of(source) != "parquet":
        return read_table(source, regime)
    with parquet_file(source) as file:
        return file.schema_arrow.empty_table()


def _read_text(source: Path, regime: str | None) -> Any:
    import pandas as pd

    try:
        raw = source.read_bytes()
        if source.suffix.lower() == ".gz":
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{source} is not UTF-8 text ({error}); save it as UTF-8") from error
    except (OSError, EOFError) as error:
        raise DataError(f"{source} cannot be read ({error})") from error
    head = text.split("\n", 1)[0].rstrip("\r")
    if not head.strip():
        raise DataError(f"{source} has no header line: the first line must name the columns")
    separator = max(",;\t", key=head.count)
    names = next(csv.reader([head], delimiter=separator))
    # pandas would rename the second of two.
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DataError(f"{source} has two columns called {twice[0]!r}; rename one")
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=separator,
            dtype={regime: str} if regime in names else None,
            keep_default_na=False,
            na_values={name: [""] if name == regime else list(MISSING) for name in names},
            index_col=False,
        )
    except ValueError as error:  # pandas' parser errors are such
        said = str(error).strip().splitlines()[-1]
        raise DataError(f"{source} cannot be read as a table ({said})") from error
