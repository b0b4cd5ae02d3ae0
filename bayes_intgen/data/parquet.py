"""Reading of Parquet files as Arrow record batches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

from bayes_intgen._arguments import items
from bayes_intgen.errors import DataError

# Maximum number of rows per batch.
ROWS_PER_READ = 65_536
Paths = str | PathLike[str] | Sequence[str | PathLike[str]]


def listed(paths: Paths) -> list[str | PathLike[str]]:
    """Convert paths to a list; raises DataError if it is empty."""
    files = (
        [paths] if isinstance(paths, str | PathLike) else items(paths, "paths", "files", DataError)
    )
    if not files or not all(isinstance(file, str | PathLike) for file in files):
        raise DataError("paths must name at least one Parquet file")
    return list(files)


@contextmanager
def parquet_file(path: str | PathLike[str]) -> Iterator[Any]:
    """Open a Parquet file; raises DataError if it cannot be opened or read."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            "reading Parquet files needs pyarrow: pip install 'bayes-intgen[parquet]'"
        ) from error
    try:
        # Pre-buffering would also keep everything that has been read.
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error})") from error


def parquet_tables(
    path: str | PathLike[str], wanted: Sequence[str], groups: Sequence[int] | None = None
) -> Iterator[Any]:
    """Yield record batches of a file or of some of its row groups, with the columns present."""
    with parquet_file(path) as file:
        present = [name for name in wanted if name in file.schema_arrow.names]
        yield from file.iter_batches(ROWS_PER_READ, row_groups=groups, columns=present)
