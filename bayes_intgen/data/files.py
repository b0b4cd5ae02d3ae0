"""Reading of CSV, Parquet and Arrow files."""

import csv
import gzip
import io
import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from bayes_intgen._arguments import items
from bayes_intgen.data.tables import as_table
from bayes_intgen.errors import BayesIntgenError, DataError

if TYPE_CHECKING:
    import narwhals as nw

TEXT = (".csv", ".tsv", ".txt")
PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc", ".arrows")

# First bytes of formats, and their endings.
STARTS = {
    b"PAR1": ".parquet",
    b"ARROW1": ".arrow",
    b"\xff\xff\xff\xff": ".arrows",
    b"\x1f\x8b": ".csv.gz",
}

# Maximum number of rows per batch.
ROWS_PER_READ = 65_536
Paths = str | PathLike[str] | Sequence[str | PathLike[str]]

# Markers of missing numbers in a text file. In the column of regimes, where an action may be called
# "NA", only empty cells are missing.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


def listed(paths: Paths) -> list[str | PathLike[str]]:
    """Convert paths to a list; raises DataError if it is empty."""
    files = (
        [paths] if isinstance(paths, str | PathLike) else items(paths, "paths", "files", DataError)
    )
    if not files or not all(isinstance(file, str | PathLike) for file in files):
        raise DataError("paths must name at least one Parquet file")
    return list(files)


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


@contextmanager
def regular_file(path: Path) -> Iterator[Path]:
    """Path of a file that can be read repeatedly: a copy of a pipe, removed at the end.

    ``-`` and ``/dev/stdin`` are standard input. The first bytes of a pipe without an ending tell
    its format.

    Examples
    --------
    >>> with regular_file(folder / "rows.csv") as same:
    ...     same == folder / "rows.csv"
    True
    """
    is_input = path in (Path("-"), Path("/dev/stdin"))
    if not (is_input or path.is_fifo() or path.is_relative_to("/dev/fd")):
        yield path
        return
    if is_input and sys.stdin is None:
        raise DataError("standard input is closed; name a file")
    content = sys.stdin.buffer.read() if is_input else path.read_bytes()
    kinds = (ending for start, ending in STARTS.items() if content.startswith(start))
    with NamedTemporaryFile(suffix="".join(path.suffixes) or next(kinds, ".csv")) as copy:
        copy.write(content)
        copy.flush()
        try:
            yield Path(copy.name)
        except BayesIntgenError as error:
            name = "standard input" if is_input else str(path)
            raise type(error)(str(error).replace(copy.name, name)) from error


def read_table(
    source: Path, regime: str | None = None, *, head: bool = False
) -> "nw.DataFrame[Any]":
    """Read a whole file as a table, or with ``head`` only the first rows of a Parquet file.

    In text files the column ``regime`` is read as labels.

    Raises
    ------
    DataError
        If the file cannot be read, or two columns have the same name.
    """
    table = as_table(_native_table(source, regime, head))
    assert table is not None
    return table


def _native_table(source: Path, regime: str | None, head: bool) -> Any:
    kind = kind_of(source)
    if kind == "text":
        return _read_text(source, regime)
    if kind == "parquet":
        with parquet_file(source) as file:
            if not head:
                return file.read()
            return next(file.iter_batches(ROWS_PER_READ), file.schema_arrow.empty_table())
    with _reading(source, "Arrow"):
        import pyarrow as pa
        from pyarrow import feather, ipc

        if source.suffix.lower() == ".arrows":
            with pa.OSFile(str(source)) as file, ipc.open_stream(file) as reader:
                return reader.read_all()
        return feather.read_table(source)


@contextmanager
def _reading(path: str | PathLike[str], kind: str) -> Iterator[None]:
    """Raise DataError if pyarrow is missing, or cannot read a file of a kind."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise DataError(
            f"reading {kind} files needs pyarrow: pip install 'bayes-intgen[parquet]'"
        ) from error
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as {kind} ({error})") from error


@contextmanager
def parquet_file(path: str | PathLike[str]) -> Iterator[Any]:
    """Open a Parquet file; raises DataError if it cannot be opened or read."""
    with _reading(path, "Parquet"):
        from pyarrow import parquet

        # Pre-buffering would also keep everything that has been read.
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            yield file


def parquet_tables(
    path: str | PathLike[str], wanted: Sequence[str], groups: Sequence[int] | None = None
) -> Iterator[Any]:
    """Yield record batches of a file or of some of its row groups, with the columns present."""
    with parquet_file(path) as file:
        present = [name for name in wanted if name in file.schema_arrow.names]
        yield from file.iter_batches(ROWS_PER_READ, row_groups=groups, columns=present)


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
