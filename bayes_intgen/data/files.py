"""Reading of CSV, Parquet and Arrow files."""

import io
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import narwhals as nw

from bayes_intgen._arguments import items, one_of
from bayes_intgen.data.cells import ANSWERS, Cells, Dates, Decimal, words_of_cells
from bayes_intgen.data.tables import KINDS, as_table
from bayes_intgen.data.text_files import Cleaned, cleaned_columns, read_text, text_parts
from bayes_intgen.errors import PACKAGE, BayesIntgenError, DataError, DataWarning
from bayes_intgen.text.messages import option

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

# Standard input as a file to read.
INPUTS = (Path("-"), Path("/dev/stdin"))
# Maximum number of rows per batch.
ROWS_PER_READ = 65_536
# Maximum number of files of a folder whose first rows are looked at.
MAX_PARTS = 20
# Maximum size, in bytes, of files of text or Arrow that are read as a whole, which takes some eight
# times that for text.
MAX_WHOLE = 2**29
Paths = str | PathLike[str] | Sequence[str | PathLike[str]]


def listed(paths: Paths) -> list[str | PathLike[str]]:
    """Convert paths to a list; raises DataError if it is empty."""
    files = (
        [paths] if isinstance(paths, str | PathLike) else items(paths, "paths", "files", DataError)
    )
    if not files or not all(isinstance(file, str | PathLike) for file in files):
        raise DataError("paths must name at least one Parquet file")
    return [part for file in files for part in parts_of(file)]


def parts_of(path: str | PathLike[str]) -> Sequence[Path]:
    """Parquet files of a folder, in the order of their names; any other path itself.

    Names that start with a dot or an underscore are those of other programs.

    Raises
    ------
    DataError
        If a folder has no Parquet files, or folders in it have some.

    Examples
    --------
    >>> for name in ("b.pq", "a.parquet", "_metadata.parquet", ".a.parquet", "notes.txt"):
    ...     (folder / name).touch()
    >>> [part.name for part in parts_of(folder)]
    ['a.parquet', 'b.pq']
    >>> (folder / "year=1").mkdir()
    >>> (folder / "year=1" / "c.parquet").touch()
    >>> parts_of(folder)
    Traceback (most recent call last):
    bayes_intgen.errors.DataError: folders in ... have Parquet files, too, such as ...year=1; ...
    """
    own = Path(path)
    if not own.is_dir():
        return [own]
    parts = [
        part
        for part in sorted(own.rglob("*"))
        if part.suffix.lower() in PARQUET and part.is_file()
        if not any(name.startswith((".", "_")) for name in part.relative_to(own).parts)
    ]
    if not parts:
        raise DataError(f"{path} is a folder without Parquet files; name a file")
    if deeper := [part.parent for part in parts if part.parent != own]:
        remedy = option("give the list of all files", command="join them in one file")
        raise DataError(f"folders in {path} have Parquet files, too, such as {deeper[0]}; {remedy}")
    return parts


def kind_of(source: Path) -> str:
    """Format of a file: ``"text"``, ``"parquet"`` or ``"arrow"``; raises DataError on others."""
    if not source.exists():
        raise DataError(f"there is no file {source}")
    if source.is_dir() and parts_of(source):
        return "parquet"
    ending, before = source.suffix.lower(), Path(source.stem).suffix.lower()
    if ending == ".gz" and before in TEXT:
        ending = before
    for kind, endings in {"text": TEXT, "parquet": PARQUET, "arrow": ARROW}.items():
        if ending in endings:
            return kind
    raise DataError(
        f"{source} has an unknown ending {ending!r}; the endings are "
        f"{', '.join((*TEXT, *PARQUET, *ARROW))}: save the table as CSV or Parquet"
    )


def is_streamed(source: Path, by_time: bool = False) -> bool:
    """Whether a file is read in passes: Parquet, folders, and others above half a gigabyte.

    Parquet of rows ``by_time`` only from that size on, as its rows may be in any order then.
    """
    is_parquet = kind_of(source) == "parquet"
    is_whole = by_time or not is_parquet
    return source.is_dir() or not is_whole or source.stat().st_size > MAX_WHOLE


def encoder_of(output: Path) -> Callable[[Any], bytes]:
    """Function that encodes a table in the format that the ending of a file names.

    Raises
    ------
    DataError
        If it names neither Parquet nor CSV.
    """
    ending = output.suffix.lower()
    if ending not in (".csv", *PARQUET):
        raise DataError(f"{output} must end with .parquet or .csv, not {ending!r}")

    def encode(frame: Any) -> bytes:
        table, file = nw.from_native(frame, eager_only=True), io.BytesIO()
        if ending == ".csv":
            try:
                return bytes(table.write_csv(), "utf-8")
            except Exception as error:  # any error of the library of the table
                reason = f"the table cannot be written as CSV ({error}); name a .parquet file"
                raise DataError(reason) from error
        with _reading(output, "Parquet"):
            table.write_parquet(file)
        return file.getvalue()

    return encode


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
    is_input = path in INPUTS
    if not (is_input or path.is_fifo() or path.is_relative_to("/dev/fd")):
        yield path
        return
    if is_input and sys.stdin is None:
        raise DataError("standard input is closed; name a file")
    content = sys.stdin.buffer.read() if is_input else path.read_bytes()
    kinds = (ending for start, ending in STARTS.items() if content.startswith(start))
    ending = "".join(path.suffixes) or next(kinds, ".csv")
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        copy = Path(folder, ("standard-input" if is_input else path.name.split(".")[0]) + ending)
        copy.write_bytes(content)
        show = warnings.showwarning

        def show_named(message: Warning | str, *where: Any, **more: Any) -> None:
            show(str(message).replace(f"{folder}/", ""), *where, **more)

        warnings.showwarning = show_named
        try:
            yield copy
        except BayesIntgenError as error:
            raise type(error)(str(error).replace(f"{folder}/", "")) from error


def read_table(
    source: Path,
    regime: str | None = None,
    *,
    head: bool = False,
    cells: Cells | None = None,
) -> nw.DataFrame[Any]:
    """Read a whole file as a table, or with ``head`` only the first rows of one that is streamed.

    In text files the column ``regime`` is read as labels, and ``cells`` as in :func:`clean`.

    Raises
    ------
    DataError
        If the file cannot be read, two columns have the same name, or there are ``cells`` of a file
        that is no text.

    Warns
    -----
    DataWarning
        Of everything in a text file that programs would read in different ways.

    Examples
    --------
    The files of a folder are one table; one of them may have no rows.

    >>> import pandas as pd
    >>> for part, values in enumerate(([], [1.0], [2.0])):
    ...     pd.DataFrame({"tv": values}, dtype=float).to_parquet(folder / f"{part}.parquet")
    >>> [read_table(folder, head=head)["tv"].to_list() for head in (False, True)]
    [[1.0, 2.0], [1.0, 2.0]]
    """
    if head and not cells and is_streamed(source):
        parts = parts_of(source)[:MAX_PARTS]
        firsts = [next(file_tables(part, None, regime, set()), None) for part in parts]
        # A file may hold columns without rows.
        found = [first for first in firsts if first is not None]
        native = _joined(source, found) if found else _native_table(source)
    elif kind_of(source) == "text":
        cleaned = read_text(source, regime, cells=cells)
        if said := cleaned.summary(str(source)):
            warnings.warn(said, DataWarning, skip_file_prefixes=(PACKAGE,))
        native = cleaned.frame
    elif cells:
        words = shlex.join(["clean", str(source), *words_of_cells(cells)])
        raise DataError(f"--cell needs a text file, or `bayes-intgen {words} -o NAME.parquet`")
    else:
        native = _native_table(source)
    table = as_table(native)
    assert table is not None
    return table


def clean(
    source: Any,
    *,
    regime: str = "regime",
    decimal: Decimal | None = None,
    dates: Dates | None = None,
    cells: Cells | None = None,
) -> Any:
    """Convert columns of text that are numbers or dates.

    ``bayes-intgen clean`` does the same, and shows the columns.

    Parameters
    ----------
    source : table or path
        A table of any kind as in :meth:`RegimeData.from_frame`, or the path of a file.
    regime : str
        Column of regime labels, which stay text.
    decimal : {",", "."}, optional
        Decimal mark, where numbers such as 1.234 have two readings.
    dates : {"day", "month", "year"}, optional
        What comes first, where dates such as 1/2/2024 have two readings.
    cells : mapping from str to str, optional
        What texts stand for in columns that are numbers or dates otherwise, regardless of case:
        ``{"none": "0", "lost": None}``, None for missing cells. Texts such as "-", "n/a" and
        "unknown" need no mention.

    Returns
    -------
    table
        A table of the same library, computed if it was lazy: Arrow's for DuckDB; a pandas frame for
        a text file or a Dataset. Columns with two readings stay text. The names of columns have no
        blanks at their ends.

    Raises
    ------
    DataError
        If the source cannot be read, or is of another kind, or a text in ``cells`` does not occur.

    Warns
    -----
    DataWarning
        Of what was read, and of open questions.

    Examples
    --------
    >>> import warnings, pandas as pd
    >>> frame = pd.DataFrame({"tv": ["€13,125", "€800", "n/a"], "dose": ["10 mg", "5 mg", "0"]})
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     bi.clean(frame)["dose"].tolist()
    [10, 5, 0]
    >>> print(caught[0].message)
    'tv': '€13,125' read as 13125, 1 cell such as 'n/a' as missing; 'dose': '10 mg' read as 10
    """
    cleaned = cleaned_table(source, regime=regime, decimal=decimal, dates=dates, cells=cells)
    if said := cleaned.summary():
        warnings.warn(said, DataWarning, skip_file_prefixes=(PACKAGE,))
    return cleaned.frame


def cleaned_table(
    source: Any,
    *,
    regime: str,
    decimal: Decimal | None = None,
    dates: Dates | None = None,
    cells: Cells | None = None,
) -> Cleaned:
    """Convert columns of text, with an account of every column, as :func:`clean`."""
    for name, value in (("decimal", decimal), ("dates", dates)):
        if value is not None:
            one_of(value, name, ANSWERS[name], DataError)
    if not isinstance(cells, Mapping | None) or not all(isinstance(t, str) for t in cells or ()):
        raise DataError(f"cells must map texts to what they stand for, not {cells!r}")
    answers: Any = {"decimal": decimal, "dates": dates, "cells": cells}
    if isinstance(source, str | PathLike):
        if kind_of(Path(source)) == "text":
            return read_text(Path(source), regime, **answers)
        source = _native_table(Path(source))
    table = as_table(source)
    if table is None:
        raise DataError(f"source must be {KINDS} or a path, not {type(source).__name__}")
    return cleaned_columns(table, regime, **answers)


def _native_table(source: Path) -> Any:
    if kind_of(source) == "parquet":
        return _joined(source, map(_whole, parts_of(source)))
    with arrow_file(source) as file:
        return file.read_all()


def _whole(path: Path) -> Any:
    with parquet_file(path) as file:
        return file.read()


def _joined(source: Path, pieces: Iterable[Any]) -> Any:
    """Join the rows of a file or of the files of a folder, each a table or a batch of Arrow."""
    first, *others = pieces
    if not others:
        return first
    with _reading(source, "Parquet"):
        import pyarrow as pa

        tables = [
            own if isinstance(own, pa.Table) else pa.Table.from_batches([own])
            for own in (first, *others)
        ]
        return pa.concat_tables(tables, promote_options="permissive")


def file_tables(
    path: str | PathLike[str], wanted: Sequence[str] | None, regime: str | None, said: set[str]
) -> Iterator[Any]:
    """Yield the rows of a file of any kind as tables with the columns wanted, or all.

    In text files the column ``regime`` is read as labels. Warns of what is around their rows,
    unless that was ``said`` in an earlier pass.
    """
    kind = kind_of(Path(path))
    if kind == "text":
        notes = yield from text_parts(Path(path), wanted, regime)
        message = Cleaned(None, (), notes).summary(str(path))
        if message and message not in said:
            said.add(message)
            warnings.warn(message, DataWarning, skip_file_prefixes=(PACKAGE,))
    else:
        yield from (parquet_tables if kind == "parquet" else arrow_tables)(path, wanted)


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
            _refuse_joined(path, file.metadata)
            yield file


def _refuse_joined(path: str | PathLike[str], metadata: Any) -> None:
    """Raise DataError if Parquet files were joined by their bytes: only one would be read."""
    last = metadata.row_group(metadata.num_row_groups - 1) if metadata.num_row_groups else None
    columns = [last.column(k) for k in range(last.num_columns)] if last else []
    ends = [
        (own.dictionary_page_offset or own.data_page_offset) + own.total_compressed_size
        for own in columns
    ]
    # Little is between the rows and the end of a file, unless it is the end of another one.
    with open(path, "rb") as file:
        file.seek(max(ends, default=0))
        if b"PAR1PAR1" in file.read():
            raise DataError(f"{path} is several Parquet files in one; name their folder")


def parquet_tables(
    path: str | PathLike[str], wanted: Sequence[str] | None, groups: Sequence[int] | None = None
) -> Iterator[Any]:
    """Yield record batches of a file or of some of its row groups, with the columns wanted.

    Where one is absent all columns, so that an error can name the one that was meant.
    """
    with parquet_file(path) as file:
        columns = wanted if wanted and {*wanted} <= {*file.schema_arrow.names} else None
        yield from file.iter_batches(ROWS_PER_READ, row_groups=groups, columns=columns)


@contextmanager
def arrow_file(path: str | PathLike[str], wanted: Sequence[str] | None = None) -> Iterator[Any]:
    """Open an Arrow file or stream, with all columns or those wanted, if all are present.

    Files are mapped into memory, so that only the parts in use take any. Raises DataError if it
    cannot be opened or read.
    """
    with _reading(path, "Arrow"):
        import pyarrow as pa
        from pyarrow import ipc

        open_ = ipc.open_stream if Path(path).suffix.lower() == ".arrows" else ipc.open_file
        with pa.memory_map(str(path)) as file:
            with open_(file) as reader:
                names = reader.schema.names
            some = [names.index(name) for name in wanted or () if name in names]
            columns = some if wanted and len(some) == len(wanted) else None
            file.seek(0)
            with open_(file, options=ipc.IpcReadOptions(included_fields=columns)) as reader:
                yield reader


def arrow_tables(path: str | PathLike[str], wanted: Sequence[str] | None) -> Iterator[Any]:
    """Yield record batches of an Arrow file, with columns as in :func:`parquet_tables`."""
    with arrow_file(path, wanted) as file:
        batches: Any = file
        if hasattr(file, "num_record_batches"):
            batches = map(file.get_batch, range(file.num_record_batches))
        yield from _sliced(batches)


def relation_tables(relation: Any, wanted: Sequence[str]) -> Iterator[Any]:
    """Run a query of DuckDB, and yield its rows as record batches with the columns wanted."""
    with _reading("the query", "Arrow"):
        import pyarrow as pa

        if {*wanted} <= {*relation.columns}:
            relation = nw.from_native(relation).select(wanted).to_native()
        yield from _sliced(pa.RecordBatchReader.from_stream(relation))


def _sliced(batches: Iterable[Any]) -> Iterator[Any]:
    """Slice record batches that are large."""
    for batch in batches:
        for start in range(0, len(batch), ROWS_PER_READ):
            yield batch.slice(start, ROWS_PER_READ)
