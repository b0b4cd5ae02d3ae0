"""Tasks on partitions of distributed rows, and the tree reduction of their results."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import batched
from typing import TYPE_CHECKING, Any

from bayes_intgen._blas import single_blas_thread
from bayes_intgen._progress import bar_of_steps
from bayes_intgen.data.batches import ROWS_PER_BATCH
from bayes_intgen.data.columns import Columns, read_again, read_batches, tables_of
from bayes_intgen.data.content import Content, refuse_new_nonfinite
from bayes_intgen.data.observed_levels import TableLevels
from bayes_intgen.data.parquet import parquet_file, parquet_tables
from bayes_intgen.data.reservoir import Reservoir
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import DataError

if TYPE_CHECKING:
    from distributed import Client, Future

# Number of results that one task combines.
TREE_ARITY = 8


@dataclass(frozen=True)
class ParquetGroups:
    """Row groups of a Parquet file that form a partition.

    Attributes
    ----------
    path : str
    groups : tuple of int
    """

    path: str
    groups: tuple[int, ...]


def tree_reduce(
    client: "Client",
    leaves: "list[Future]",
    combine: Callable[[Any, Any], Any],
    label: str,
    progress: bool,
) -> Any:
    """Combine the results of all leaves in order, in a tree; raise the first error."""
    from distributed import as_completed

    level, height = leaves, 1
    while len(level) > 1 or level is leaves:
        height += 1
        # Nearly complete nodes go first, so that few results wait in memory.
        level = [
            client.submit(combine_attempts, combine, *several, pure=False, priority=height)
            for several in batched(level, TREE_ARITY)
        ]
    with bar_of_steps(label, progress, len(leaves), "partitions") as bar:
        for leaf in as_completed(leaves):
            bar.update()
            # Tasks of the tree hold the result as long as they need it.
            leaf.release()
        return result_of(level[0].result())


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function; return a DataError instead of raising it.

    The error of the first bad row is reported, regardless of which worker fails first.
    """
    try:
        return function(*arguments)
    except DataError as error:
        return error


def result_of(attempt: Any) -> Any:
    """Return the result of an attempt, or raise its error."""
    if isinstance(attempt, DataError):
        raise attempt
    return attempt


def combine_attempts(combine: Callable[[Any, Any], Any], *attempts: Any) -> Any:
    """Combine results in order, or return the first error among them."""
    errors = [attempt for attempt in attempts if isinstance(attempt, DataError)]
    return errors[0] if errors else reduce(combine, attempts)


def combine_digested[T](
    combine: Callable[[T, T], T], before: tuple[Content, T], after: tuple[Content, T]
) -> tuple[Content, T]:
    """Combine two results with the digests of their rows."""
    return before[0].merge(after[0]), combine(before[1], after[1])


def identity[T](value: T) -> T:
    """Return the value, as a task that can be repeated."""
    return value


def row_group_sizes(path: str) -> list[int]:
    """Numbers of rows of the row groups of a Parquet file."""
    with parquet_file(path) as file:
        metadata = file.metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def _tables(partition: Any, columns: Columns) -> Iterable[Any]:
    if not isinstance(partition, ParquetGroups):
        return [partition]
    return parquet_tables(partition.path, columns.every, partition.groups)


def _read(partition: Any, first_row: int, columns: Columns) -> Iterator[Observations]:
    return read_again(_tables(partition, columns), columns, first_row)


def read_rows(partition: Any, first_row: int, columns: Columns) -> list[Observations]:
    """Read the rows of a partition, which starts at row ``first_row``."""
    return list(_read(partition, first_row, columns))


def read_head(path: str) -> Any:
    """Read the columns of a Parquet file as a table without rows."""
    with parquet_file(path) as file:
        return file.schema_arrow.empty_table()


def read_levels(partition: Any, first_row: int, columns: Columns) -> TableLevels:
    """Collect the levels in a partition."""
    tables: Iterable[Any] = tables_of(_tables(partition, columns))
    return columns.levels_of(tables, first_row) or TableLevels({})


def read_reservoir(partition: Any, first_row: int, columns: Columns) -> Reservoir:
    """Sample the rows of a partition."""
    return Reservoir.over(read_batches(_tables(partition, columns), columns, first_row))


def reduce_rows(
    partition: Any,
    first_row: int,
    columns: Columns,
    both: tuple[Callable[[Observations], Any], Callable[[Any, Any], Any]],
) -> tuple[Content, Any]:
    """Digest of a partition, and the combined results of a function of its batches."""
    function, combine = both
    content = Content()
    batches: list[Observations] = []
    for piece in _read(partition, first_row, columns):
        refuse_new_nonfinite(piece)
        content = content.merge(Content.of(piece))
        batches += piece.batches(ROWS_PER_BATCH)
    # BLAS results depend on the number of threads. Workers under a nanny have a single one anyway.
    with single_blas_thread():
        return content, reduce(combine, map(function, batches))
