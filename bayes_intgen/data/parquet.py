"""Parquet files as batches of Arrow tables."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

from bayes_intgen.errors import DataError

# Rows that a Parquet file is read by.
ROWS_PER_READ = 65_536
Paths = str | PathLike[str] | Sequence[str | PathLike[str]]


def listed(paths: Paths) -> list[str | PathLike[str]]:
    """Paths as a list; raises DataError where there is none."""
    files = [paths] if isinstance(paths, str | PathLike) else list(paths)
    if not files:
        raise DataError("no Parquet file was given")
    return files


@contextmanager
def parquet_file(path: str | PathLike[str]) -> Iterator[Any]:
    """An open Parquet file; raises DataError where it cannot be read, here or within."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            "reading Parquet files needs pyarrow: pip install 'bayes-intgen[parquet]'"
        ) from error
    try:
        # A buffer of what is to come keeps all that has been read, too.
        with parquet.ParquetFile(path, pre_buffer=False) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error})") from error


def parquet_tables(
    path: str | PathLike[str], wanted: Sequence[str], groups: Sequence[int] | None = None
) -> Iterator[Any]:
    """Arrow record batches of a file, or of some of its row groups; those columns it has."""
    with parquet_file(path) as file:
        present = [name for name in wanted if name in file.schema_arrow.names]
        yield from file.iter_batches(ROWS_PER_READ, row_groups=groups, columns=present)
