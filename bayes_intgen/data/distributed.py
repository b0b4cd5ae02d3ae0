"""Rows that the workers of a Dask cluster read, a partition at a time.

Every pass makes a small result of each partition and combines them in a tree. Where partitions
begin, and the shape of the tree, follow from the source alone: neither the number of workers nor
their failures change a bit of the result.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from bayes_intgen.data.columns import Columns
from bayes_intgen.data.observed_levels import ActionLevels
from bayes_intgen.data.out_of_core import OutOfCoreRows
from bayes_intgen.data.parquet import Paths, listed
from bayes_intgen.data.reservoir import Reservoir
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import DataError

if TYPE_CHECKING:
    from dask.dataframe import DataFrame
    from distributed import Client, Future
from bayes_intgen.data.partitions import (
    ParquetGroups,
    attempt,
    combine_counted,
    identity,
    read_head,
    read_levels,
    read_reservoir,
    read_rows,
    reduce_rows,
    result_of,
    row_group_sizes,
    tree_reduce,
)

# Row groups of a Parquet file are read together up to so many rows: a second or so of work.
ROWS_PER_PARTITION = 262_144


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
            leaves = self._over_partitions(
                read_levels, self._first_rows, [columns] * len(partitions)
            )
            columns = columns.with_known_levels(
                tree_reduce(client, leaves, ActionLevels.merge, "Levels", progress)
            )
        leaves = self._over_partitions(
            read_reservoir, self._first_rows, [columns] * len(partitions)
        )
        # Parquet files without a row group are no partition.
        kept = (
            tree_reduce(client, leaves, Reservoir.merge, "Reading", progress)
            if leaves
            else Reservoir.over([])
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
        heads = client.gather(client.map(partial(attempt, read_head), files[:1], pure=False))
        with_levels = columns.has_levels(result_of(heads[0]))
        sizes = client.gather(client.map(partial(attempt, row_group_sizes), files, pure=False))
        partitions, rows = [], []
        for path, of_groups in zip(files, map(result_of, sizes), strict=True):
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
        both = self._client.submit(identity, (function, combine), pure=False)
        count = len(self._partitions)
        leaves = self._over_partitions(
            reduce_rows, self._first_rows, [self._columns] * count, [both] * count
        )
        counted = partial(combine_counted, combine)
        rows, result = tree_reduce(self._client, leaves, counted, label, progress)
        self._refuse_other_rows(rows)
        return cast(T, result)

    def _pieces(self) -> Iterator[Observations]:
        for partition, first_row in zip(self._partitions, self._first_rows, strict=True):
            there = self._client.compute(partition)
            batches = self._client.submit(
                partial(attempt, read_rows), there, first_row, self._columns, pure=False
            )
            yield from result_of(batches.result())

    def _over_partitions(
        self, function: Callable[..., Any], *arguments: Sequence[Any]
    ) -> "list[Future]":
        """One task for each partition; results are as of :func:`attempt`."""
        # Partitions of a frame are computed by tasks of their own; files stay what they are.
        there = self._client.compute(list(self._partitions))
        # Summing what has been read comes before reading more.
        return list(
            self._client.map(partial(attempt, function), there, *arguments, pure=False, priority=1)
        )


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
