"""Reading of CSV, Parquet and Arrow files."""

import csv
import gzip
import io
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw

from bayes_intgen.data.parquet import parquet_file
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.rows import Rows
from bayes_intgen.data.streamed import StreamedData
from bayes_intgen.data.tables import as_table
from bayes_intgen.errors import DataError
from bayes_intgen.text.messages import quoted

if TYPE_CHECKING:
    import os


TEXT = (".csv", ".tsv", ".txt")
PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc", ".arrows")

# Markers of missing numbers in a text file. In the column of regimes, where an action may be called
# "NA", only empty cells are missing.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


def rows_of_file(
    path: "str | os.PathLike[str]",
    actions: Sequence[str] | Callable[[Sequence[str]], Sequence[str] | None] | None,
    outcome: str,
    regime: str,
    *,
    in_memory: bool = False,
    require_observational: bool = True,
    progress: bool = True,
) -> Rows:
    r"""Read data from a file in the format of its ending.

    Parameters
    ----------
    path : path
        CSV (``.csv``, ``.tsv``, ``.txt``, also with ``.gz``), Parquet (``.parquet``, ``.pq``) or
        Arrow (``.arrow``, ``.feather``, ``.ipc``, ``.arrows``). Parquet files are streamed.
    actions : sequence of str, callable or None
        Columns of the actions, or a function that selects them among the names of all columns;
        None for all numeric columns except the outcome.
    outcome, regime : str
        As in :meth:`RegimeData.from_frame`.
    in_memory : bool
        Whether to read Parquet files into memory instead.
    require_observational : bool
        As in :meth:`RegimeData.from_arrays`.
    progress : bool
        Whether to show a progress bar of Parquet rows on standard error.

    Raises
    ------
    DataError
        If the file does not exist or cannot be read, and as in :meth:`RegimeData.from_frame`.

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
    streamed = kind_of(source) == "parquet" and not in_memory
    # A pipe can be read once only.
    frame = _head(source) if streamed else read_table(source, regime)
    table = as_table(frame)
    assert table is not None
    if callable(actions):
        actions = actions(table.columns)
    columns = _numeric_columns(source, table, outcome, regime) if actions is None else list(actions)
    if streamed:
        return StreamedData.from_parquet(
            source,
            columns,
            outcome,
            regime,
            require_observational=require_observational,
            progress=progress,
        )
    return RegimeData.from_frame(
        frame, columns, outcome, regime, require_observational=require_observational
    )


def kind_of(source: Path) -> str:
    """Format of a file: ``"text"``, ``"parquet"`` or ``"arrow"``; raises DataError on others."""
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
        f"{source} has an unknown ending {ending!r}; the endings are "
        f"{', '.join((*TEXT, *PARQUET, *ARROW))}"
    )


def read_table(source: Path, regime: str | None = None) -> Any:
    """Read a whole file as a pandas or Arrow table.

    In text files the column ``regime`` is read as labels.

    Raises
    ------
    DataError
        If the file cannot be read, or two columns have the same name.
    """
    kind = kind_of(source)
    if kind == "text":
        return _read_text(source, regime)
    if kind == "parquet":
        with parquet_file(source) as file:
            return file.read()
    try:
        import pyarrow as pa
        from pyarrow import feather, ipc
    except ImportError as error:
        raise DataError(
            f"reading {source} needs pyarrow: pip install 'bayes-intgen[parquet]'"
        ) from error
    try:
        if source.suffix.lower() == ".arrows":
            with pa.OSFile(str(source)) as file, ipc.open_stream(file) as reader:
                return reader.read_all()
        return feather.read_table(source)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{source} cannot be read as Arrow ({error})") from error


def _numeric_columns(
    source: Path, table: nw.DataFrame[Any], outcome: str, regime: str
) -> list[str]:
    names = [
        name
        for name, kind in table.schema.items()
        if kind.is_numeric() and name not in (outcome, regime)
    ]
    if not names:
        raise DataError(
            f"{source} has no numeric column except the outcome; name the columns of the actions "
            f"among {quoted(table.columns)}"
        )
    return names


def _head(source: Path) -> Any:
    """Columns of a Parquet file, as a table without rows."""
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
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{source} cannot be read ({error})") from error
    head = text.split("\n", 1)[0].rstrip("\r")
    if not head.strip():
        raise DataError(f"{source} has no header line: the first line must name the columns")
    separator = max(",;\t", key=head.count)
    try:
        names = next(csv.reader([head], delimiter=separator))
        has_longer_lines = _has_longer_lines(text, separator, len(names))
    except csv.Error as error:
        raise DataError(
            f"{source} cannot be read as a table ({error}); save it with the line ends of Unix or "
            "Windows, and short names of columns"
        ) from error
    # pandas would rename the second of two equal columns.
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise DataError(f"{source} has two columns called {repeated[0]!r}; rename one")
    if has_longer_lines:
        raise DataError(
            f"{source} has lines with more cells than the header's {len(names)}; quote cells that "
            f"contain {separator!r}, or name every column"
        )
    try:
        with warnings.catch_warnings():
            # Lines may end with a separator: the cells beyond the header are empty.
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype={regime: str} if regime in names else None,
                keep_default_na=False,
                na_values={name: [""] if name == regime else list(MISSING) for name in names},
                index_col=False,
            )
    except ValueError as error:  # includes pandas' parser errors
        reason = str(error).strip().splitlines()[-1]
        raise DataError(f"{source} cannot be read as a table ({reason})") from error


def _has_longer_lines(text: str, separator: str, count: int) -> bool:
    """Whether some line has a cell beyond the header's columns, which pandas would drop."""
    # Quoted cells may contain separators and line breaks; otherwise only suspects are parsed.
    lines = (
        io.StringIO(text)
        if '"' in text
        else (line for line in text.splitlines() if line.count(separator) >= count)
    )
    return any(
        any(cell.strip() for cell in row[count:]) for row in csv.reader(lines, delimiter=separator)
    )
