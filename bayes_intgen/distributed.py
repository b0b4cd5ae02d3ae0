"""Rows that a Dask cluster reads, a partition at a time, wherever its workers are.

Every pass makes a small result of each partition and joins them in a tree. Where partitions
begin, and the shape of the tree, follow from the source alone: the number of workers, and
which of them fail, do not change a bit of the result.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import accumulate, batched
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from bayes_intgen.batches import ROWS_PER_BATCH
from bayes_intgen.columns import Columns, read_batches, tables_of
from bayes_intgen.errors import DataError
from bayes_intgen.observed_levels import ActionLevels
from bayes_intgen.out_of_core import OutOfCoreRows
from bayes_intgen.parquet import Paths, listed, parquet_file, parquet_tables
from bayes_intgen.reservoir import Kept
from bayes_intgen.rows import Observations

if TYPE_CHECKING:
    from dask.dataframe import DataFrame
    from distributed import Client, Future

# Row groups of a Parquet file are read together up to so many rows: a second or so of work.
ROWS_PER_PARTITION = 262_144
# Results that are joined by one task.
JOINED_AT_ONCE = 8


class DistributedData(OutOfCoreRows):
    """Rows that the workers of a Dask cluster read; only a sample of them travels.

    Takes the place of a :class:`RegimeData` in :func:`bayes_intgen.fit`, which then sums over
    the rows on the cluster and samples on the machine that calls it. The workers need
    `bayes_intgen` and, for Parquet files, the same paths.

    Partitions of a worker that dies are read again by the others. On machines of one kind the
    result is the same to the last bit for any number of workers.

    Attributes
    ----------
    names : tuple of str, length K
        The actions.
    outcome_name : str
    regimes : dict from mask to int
        The masks that occur, each with its number of rows; fewest interventions first.
    """

    def __init__(
        self,
        client: "Client",
        partitions: Sequence[Any],
        rows: Sequence[int],
        columns: Columns,
        require_observational: bool,
        progress: bool,
        *,
        with_levels: bool,
    ) -> None:
        self._client, self._partitions = client, partitions
        self._first_rows = list(accumulate(rows, initial=0))[:-1]
        if with_levels and partitions:
            found = self._over_partitions(_levels, self._first_rows, [columns] * len(partitions))
            columns = columns.with_known_levels(
                _tree_reduce(client, found, ActionLevels.joined, "Levels", progress)
            )
        leaves = self._over_partitions(_kept, self._first_rows, [columns] * len(partitions))
        # Parquet files without a row group are no partition.
        kept = (
            _tree_reduce(client, leaves, Kept.joined, "Reading", progress)
            if leaves
            else Kept.over([])
        )
        super().__init__(columns, kept, require_observational)
        self._refuse_other_rows(sum(rows))

    @classmethod
    def from_parquet(
        cls,
        paths: Paths,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        client: "Client",
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Rows of Parquet files that every worker can open.

        A partition is a run of row groups of one file, of some 260,000 rows where the groups
        are smaller; write large files with small groups, so that there is enough to share out.

        Parameters
        ----------
        paths : path or sequence of paths
            Files, whose rows count in the order given.
        actions, outcome, regime, require_observational
            As in :meth:`RegimeData.from_frame`.
        client : distributed.Client
            Of the cluster; in use as long as the data are.
        progress : bool
            Whether to report on standard error how many partitions are done.

        Raises
        ------
        DataError
            Where a file cannot be read, ``client`` is none, Dask is missing, and as
            :meth:`RegimeData.from_frame` does; rows count from the first row of the first file.

        Examples
        --------
        >>> import pandas as pd
        >>> from distributed import Client
        >>> frame = pd.DataFrame(
        ...     {"x": range(20), "y": range(20), "regime": [None, "x"] * 10}
        ... )
        >>> frame.to_parquet(folder / "rows.parquet")
        >>> client = Client(processes=False, n_workers=1, dashboard_address=None)
        >>> DistributedData.from_parquet(
        ...     folder / "rows.parquet", ["x"], "y", "regime", client=client, progress=False
        ... )
        DistributedData: 20 rows, outcome 'y', actions 'x'
          observational  10
          do(x)          10
        >>> client.close()
        """
        _check_client(client)
        columns = Columns.of(actions, outcome, regime)
        # Workers may have been started in another folder.
        files = [str(Path(fspath(path)).absolute()) for path in listed(paths)]
        heads = client.gather(client.map(partial(_attempted, _head), files[:1], pure=False))
        with_levels = columns.has_levels(_result(heads[0]))
        sizes = client.gather(client.map(partial(_attempted, _rows_of_groups), files, pure=False))
        partitions, rows = [], []
        for path, of_groups in zip(files, map(_result, sizes), strict=True):
            for groups in _runs(of_groups, ROWS_PER_PARTITION):
                partitions.append(ParquetGroups(path, tuple(groups)))
                rows.append(sum(of_groups[group] for group in groups))
        return cls(
            client,
            partitions,
            rows,
            columns,
            require_observational,
            progress,
            with_levels=with_levels,
        )

    @classmethod
    def from_dask(
        cls,
        frame: "DataFrame",
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        client: "Client",
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Rows of a Dask data frame, by its own partitions.

        A frame that was not persisted is computed three times, a partition at a time: for the
        lengths of the partitions, for the sample, and for the sums of a fit; it must give the
        same rows each time.

        Parameters
        ----------
        frame : dask.dataframe.DataFrame
        actions, outcome, regime, require_observational
            As in :meth:`RegimeData.from_frame`.
        client : distributed.Client
            Of the cluster; in use as long as the data are.
        progress : bool
            Whether to report on standard error how many partitions are done.

        Raises
        ------
        DataError
            Where ``frame`` is no such frame or gives other rows each time, ``client`` is none,
            Dask is missing, and as :meth:`RegimeData.from_frame` does.

        Examples
        --------
        >>> import pandas as pd
        >>> from dask.dataframe import from_pandas
        >>> from distributed import Client
        >>> frame = pd.DataFrame(
        ...     {"x": range(20), "y": range(20), "regime": [None, "x"] * 10}
        ... )
        >>> client = Client(processes=False, n_workers=1, dashboard_address=None)
        >>> rows = from_pandas(frame, npartitions=3)
        >>> len(DistributedData.from_dask(rows, ["x"], "y", "regime", client=client))
        20
        >>> client.close()
        """
        _check_client(client)
        columns = Columns.of(actions, outcome, regime)
        from dask.dataframe import DataFrame

        if not isinstance(frame, DataFrame):
            raise DataError(f"frame must be a dask.dataframe.DataFrame, not {type(frame).__name__}")
        wanted = [*columns.actions, outcome, regime]
        partitions = frame[[name for name in wanted if name in frame.columns]].to_delayed()
        rows = client.gather(client.map(len, client.compute(partitions), pure=False, priority=1))
        return cls(
            client,
            partitions,
            rows,
            columns,
            require_observational,
            progress,
            with_levels=columns.has_levels(_empty(frame)),
        )

    def map_reduce[T](
        self,
        function: Callable[[Observations], T],
        combine: Callable[[T, T], T],
        label: str,
        progress: bool,
    ) -> T:
        """As :meth:`Rows.map_reduce`, where the rows are."""
        # Sent to the cluster once, as the result of a task: when a worker dies a task is run
        # again, where scattered data would be lost.
        both = self._client.submit(_itself, (function, combine), pure=False)
        count = len(self._partitions)
        leaves = self._over_partitions(
            _reduced, self._first_rows, [self._columns] * count, [both] * count
        )
        counted = partial(_combine_counted, combine)
        rows, result = _tree_reduce(self._client, leaves, counted, label, progress)
        self._refuse_other_rows(rows)
        return cast(T, result)

    def _pieces(self) -> Iterator[Observations]:
        for partition, first_row in zip(self._partitions, self._first_rows, strict=True):
            there = self._client.compute(partition)
            batches = self._client.submit(
                partial(_attempted, _batches), there, first_row, self._columns, pure=False
            )
            yield from _result(batches.result())

    def _over_partitions(
        self, function: Callable[..., Any], *arguments: Sequence[Any]
    ) -> "list[Future]":
        """One task for each partition; results are as of :func:`_attempted`."""
        # Partitions of a frame are computed by tasks of their own; files stay what they are.
        there = self._client.compute(list(self._partitions))
        # Summing what has been read comes before reading more.
        return list(
            self._client.map(
                partial(_attempted, function), there, *arguments, pure=False, priority=1
            )
        )


@dataclass(frozen=True)
class ParquetGroups:
    """Some row groups of a Parquet file.

    Attributes
    ----------
    path : str
    groups : tuple of int
    """

    path: str
    groups: tuple[int, ...]


def _check_client(client: Any) -> None:
    try:
        import dask.dataframe  # noqa: F401
        from distributed import Client
    except ImportError as error:
        raise DataError("Dask is missing: pip install 'bayes-intgen[dask]'") from error
    if not isinstance(client, Client) or client.asynchronous:
        raise DataError(
            f"client must be a distributed.Client that waits for results, not "
            f"{type(client).__name__}; Client(address) makes one"
        )


def _empty(frame: "DataFrame") -> Any:
    """A pandas frame with the columns of a Dask frame, of which nothing is computed."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in frame.dtypes.items()})


def _runs(sizes: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Positions of consecutive sizes, together as long as they do not exceed the limit."""
    run: list[int] = []
    total = 0
    for i, size in enumerate(sizes):
        if run and total + size > limit:
            yield run
            run, total = [], 0
        run.append(i)
        total += size
    if run:
        yield run


def _tree_reduce(
    client: "Client",
    leaves: "list[Future]",
    combine: Callable[[Any, Any], Any],
    label: str,
    progress: bool,
) -> Any:
    """Combine the results of all leaves in their order; raise the first of their errors."""
    from distributed import as_completed

    level, height = leaves, 1
    while len(level) > 1 or level is leaves:
        height += 1
        # Nearly complete nodes go first, so that few results wait in memory.
        level = [
            client.submit(_combined, combine, *several, pure=False, priority=height)
            for several in batched(level, JOINED_AT_ONCE)
        ]
    with tqdm(
        total=len(leaves), desc=label, unit=" partitions", leave=False, disable=not progress
    ) as bar:
        for leaf in as_completed(leaves):
            bar.update()
            # The tree keeps it as long as it is needed.
            leaf.release()
        return _result(level[0].result())


# What follows runs on the workers.


def _attempted(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, or the DataError that it raises.

    Returned, not raised: the error of the first bad row must win, whichever worker is first.
    """
    try:
        return function(*arguments)
    except DataError as error:
        return error


def _result(attempt: Any) -> Any:
    if isinstance(attempt, DataError):
        raise attempt
    return attempt


def _combined(combine: Callable[[Any, Any], Any], *attempts: Any) -> Any:
    """Combine results in their order, or return the first error among them."""
    errors = [attempt for attempt in attempts if isinstance(attempt, DataError)]
    return errors[0] if errors else reduce(combine, attempts)


def _combine_counted[T](
    combine: Callable[[T, T], T], before: tuple[int, T], after: tuple[int, T]
) -> tuple[int, T]:
    """Combine results that come with their numbers of rows."""
    return before[0] + after[0], combine(before[1], after[1])


def _itself[T](value: T) -> T:
    return value


def _rows_of_groups(path: str) -> list[int]:
    with parquet_file(path) as file:
        metadata = file.metadata
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


def _tables(partition: Any, columns: Columns) -> Iterable[Any]:
    if not isinstance(partition, ParquetGroups):
        return [partition]
    wanted = [*columns.actions, columns.outcome, columns.regime]
    return parquet_tables(partition.path, wanted, partition.groups)


def _read(partition: Any, first_row: int, columns: Columns) -> Iterator[Observations]:
    return read_batches(_tables(partition, columns), columns, first_row)


def _batches(partition: Any, first_row: int, columns: Columns) -> list[Observations]:
    return list(_read(partition, first_row, columns))


def _head(path: str) -> Any:
    with parquet_file(path) as file:
        return file.schema_arrow.empty_table()


def _levels(partition: Any, first_row: int, columns: Columns) -> ActionLevels:
    tables: Iterable[Any] = tables_of(_tables(partition, columns))
    return columns.levels_of(tables, first_row) or ActionLevels({})


def _kept(partition: Any, first_row: int, columns: Columns) -> Kept:
    return Kept.over(_read(partition, first_row, columns), first_row)


def _reduced(
    partition: Any,
    first_row: int,
    columns: Columns,
    both: tuple[Callable[[Observations], Any], Callable[[Any, Any], Any]],
) -> tuple[int, Any]:
    """Rows of a partition, and the combined results of a function of its batches."""
    function, combine = both
    batches = [
        batch
        for piece in _read(partition, first_row, columns)
        for batch in piece.batches(ROWS_PER_BATCH)
    ]
    # Results of BLAS depend on its threads. Workers that a nanny started have one in any case.
    with threadpool_limits(1, "blas"):
        return sum(map(len, batches)), reduce(combine, map(function, batches))
