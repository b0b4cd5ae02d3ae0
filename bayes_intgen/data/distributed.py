"""Rows that the workers of a Dask cluster read, one partition at a time.

Each pass reduces every partition to a small result and combines these in a tree. Partitions and
tree depend on the source only, so the result is bitwise the same for any number of workers, and
after failures.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from bayes_intgen.data.columns import Columns
from bayes_intgen.data.missing import Missing
from bayes_intgen.data.observed_levels import TableLevels
from bayes_intgen.data.out_of_core import OutOfCoreRows
from bayes_intgen.data.parquet import Paths, listed
from bayes_intgen.data.partitions import (
    ParquetGroups,
    attempt,
    combine_digested,
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
from bayes_intgen.data.reservoir import Reservoir
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import DataError

if TYPE_CHECKING:
    from dask.dataframe import DataFrame
    from distributed import Client, Future

# Maximum number of rows in a partition of several row groups: about a second of work.
ROWS_PER_PARTITION = 262_144


class DistributedData(OutOfCoreRows):
    """Rows that the workers of a Dask cluster read; only a sample is sent to the client.

    :func:`bayes_intgen.fit` takes it like :class:`RegimeData`, computes sufficient statistics on
    the cluster and draws samples on the client. The workers need `bayes_intgen` and, for Parquet
    files, the same paths.

    Attributes and methods are those of :class:`Rows`. The partitions of a lost worker are read
    again by the others. On machines of the same kind the result is bitwise the same for any number
    of workers.
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
                tree_reduce(client, leaves, TableLevels.merge, "Levels", progress)
            )
        leaves = self._over_partitions(
            read_reservoir, self._first_rows, [columns] * len(partitions)
        )
        # Parquet files without row groups make no partition.
        first_pass = (
            tree_reduce(client, leaves, Reservoir.merge, "Reading", progress)
            if leaves
            else Reservoir.over([])
        )
        super().__init__(columns, first_pass, require_observational)
        # The lengths of the partitions are from a pass of their own.
        complete = sum(rows) - first_pass.missing.total
        first_pass.content._replace(rows=complete).refuse_other(first_pass.content)

    @classmethod
    def from_parquet(
        cls,
        paths: Paths,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        client: "Client",
        covariates: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        weights: str | None = None,
        outcome_sd: str | None = None,
        missing: Missing = "error",
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Read Parquet files that every worker can open.

        A partition consists of consecutive row groups of one file, up to about 260,000 rows. Write
        large files with smaller row groups, so that there are enough partitions for all workers.

        Parameters
        ----------
        paths : path or sequence of paths
            Files, in the order of their rows.
        actions, outcome, regime, covariates, groups, weights, outcome_sd, missing
            As in :meth:`RegimeData.from_frame`.
        client : distributed.Client
            Client of the cluster. It must stay open while the data are in use.
        require_observational : bool
            As in :meth:`RegimeData.from_arrays`.
        progress : bool
            Whether to show a progress bar of partitions on standard error.

        Raises
        ------
        DataError
            If a file cannot be read, ``client`` is not a client, Dask is missing, and as in
            :meth:`RegimeData.from_frame`; rows are numbered from the first row of the first file.

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
        columns = Columns.of(
            actions, outcome, regime, covariates, groups, weights, outcome_sd, missing
        )
        # Workers may run in another folder.
        files = [str(Path(fspath(path)).absolute()) for path in listed(paths)]
        heads = client.gather(client.map(partial(attempt, read_head), files[:1], pure=False))
        with_levels = columns.has_levels(result_of(heads[0]))
        sizes = client.gather(client.map(partial(attempt, row_group_sizes), files, pure=False))
        partitions, rows = [], []
        for path, group_sizes in zip(files, map(result_of, sizes), strict=True):
            for run in _runs(group_sizes, ROWS_PER_PARTITION):
                partitions.append(ParquetGroups(path, tuple(run)))
                rows.append(sum(group_sizes[group] for group in run))
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
        covariates: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        weights: str | None = None,
        outcome_sd: str | None = None,
        missing: Missing = "error",
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Read a Dask data frame, by its own partitions.

        Unless it is persisted, the frame is computed three times: for the lengths of the
        partitions, for the sample, and for the sufficient statistics of a fit. It must yield the
        same rows each time.

        Parameters
        ----------
        frame : dask.dataframe.DataFrame
        covariates, groups, weights, outcome_sd, missing
            As in :meth:`RegimeData.from_frame`.
        actions, outcome, regime, client, require_observational, progress
            As in :meth:`from_parquet`.

        Raises
        ------
        DataError
            If ``frame`` is not a Dask frame or its rows change, ``client`` is not a client,
            Dask is missing, and as in :meth:`RegimeData.from_frame`.

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
        columns = Columns.of(
            actions, outcome, regime, covariates, groups, weights, outcome_sd, missing
        )
        from dask.dataframe import DataFrame

        if not isinstance(frame, DataFrame):
            raise DataError(f"frame must be a dask.dataframe.DataFrame, not {type(frame).__name__}")
        partitions = frame[[n for n in columns.every if n in frame.columns]].to_delayed()
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
        """Run :meth:`Rows.map_reduce` on the cluster."""
        _require_open(self._client)
        # Sent to the cluster as the result of a task, since Dask repeats the tasks of a lost
        # worker but does not restore scattered data.
        both = self._client.submit(identity, (function, combine), pure=False)
        count = len(self._partitions)
        leaves = self._over_partitions(
            reduce_rows, self._first_rows, [self._columns] * count, [both] * count
        )
        digested = partial(combine_digested, combine)
        content, result = tree_reduce(self._client, leaves, digested, label, progress)
        self._first_pass.content.refuse_other(content)
        return cast(T, result)

    def _read(self) -> Iterator[Observations]:
        _require_open(self._client)
        for partition, first_row in zip(self._partitions, self._first_rows, strict=True):
            source = self._client.compute(partition)
            batches = self._client.submit(
                partial(attempt, read_rows), source, first_row, self._columns, pure=False
            )
            yield from result_of(batches.result())

    def _over_partitions(
        self, function: Callable[..., Any], *arguments: Sequence[Any]
    ) -> "list[Future]":
        """Submit one task per partition; results as of :func:`attempt`."""
        # Partitions of a frame are computed by tasks of their own; files are passed unchanged.
        sources = self._client.compute(list(self._partitions))
        # A higher priority than reading, so that few partitions wait in memory.
        return list(
            self._client.map(
                partial(attempt, function), sources, *arguments, pure=False, priority=1
            )
        )


def _check_client(client: Any) -> None:
    try:
        import dask.dataframe  # noqa: F401
        from distributed import Client
    except ImportError as error:
        raise DataError("Dask is missing: pip install 'bayes-intgen[dask]'") from error
    if not isinstance(client, Client) or client.asynchronous:
        raise DataError(
            f"client must be a synchronous distributed.Client, not {type(client).__name__}; "
            "create one with Client(address)"
        )
    _require_open(client)


def _require_open(client: "Client") -> None:
    if client.status != "running":
        raise DataError(
            f"the Dask client is {client.status}; connect again, and make the data again"
        )


def _empty(frame: "DataFrame") -> Any:
    """Empty pandas frame with the columns of a Dask frame, without computing it."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in frame.dtypes.items()})


def _runs(sizes: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Yield positions of consecutive sizes whose sum stays within a limit, in groups."""
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
