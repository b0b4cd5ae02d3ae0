"""Rows that the workers of a Dask cluster read, one partition at a time.

Each pass reduces every partition to a small result and combines these in a tree. Partitions and
tree depend on the source only, so the result is bitwise the same for any number of workers, and
after failures.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import accumulate, batched, chain, groupby, islice
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

import pandas as pd

from bayes_intgen._work import single_blas_thread, stage
from bayes_intgen.data.files import Paths, listed, parquet_file, parquet_tables
from bayes_intgen.data.first_pass import Digest, Reservoir, applied
from bayes_intgen.data.in_time import WithPast
from bayes_intgen.data.levels import merged
from bayes_intgen.data.out_of_core import OutOfCoreRows
from bayes_intgen.data.rows import (
    ROWS_PER_BATCH,
    Observations,
    Passes,
    Transformation,
    by_regime,
    in_batches,
)
from bayes_intgen.data.schema import Options, Schema, shows_options
from bayes_intgen.errors import DataError

if TYPE_CHECKING:
    from dask.dataframe import DataFrame
    from distributed import Client

# Number of partitions of several row groups up to which they have the minimum number of rows: some
# seconds of work, since the products of 3,000 columns take half a second of a partition. Beyond
# that they grow, up to the maximum.
PARTITIONS, MIN_ROWS_PER_PARTITION, MAX_ROWS_PER_PARTITION = 32, 262_144, 1_048_576
# Number of results that one task combines, all of them in its memory.
TREE_ARITY = 4


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
        partitions: Sequence[tuple[Any, int]],
        schema: Schema,
        head: Any,
        progress: bool,
    ) -> None:
        self._client, self._schema, self._passes = client, schema, Passes()
        self._partitions, rows = [part for part, _ in partitions], [n for _, n in partitions]
        self._first_rows = list(accumulate(rows, initial=0))[:-1]
        # Parquet files without row groups make no partition.
        first_pass = Reservoir.over(schema, [])
        if partitions:
            if schema.has_levels(head):
                contents = self._reduced("Levels", progress, Schema.contents_of, merged)
                self._schema = schema.with_levels(contents)
            first_pass = self._sampled((), progress)
        super().__init__(self._schema, first_pass, self._passes)
        # The lengths of the partitions are from a pass of their own.
        complete = sum(rows) - first_pass.missing.total
        first_pass.digest._replace(rows=complete).refuse_other(first_pass.digest)

    @classmethod
    @shows_options
    def from_parquet(
        cls,
        paths: Paths,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        client: "Client",
        progress: bool = True,
        **options: Unpack[Options],
    ) -> Self:
        """Read Parquet files that every worker can open.

        A partition consists of consecutive row groups of one file: about 260,000 rows, or up to a
        million where all are more than 8 million, and at most one row group more. Write large
        files with smaller row groups, so that there are enough partitions for all workers. With a
        ``time`` it is a file, which holds all rows of its units.

        Parameters
        ----------
        paths : path or sequence of paths
            Files, in the order of their rows.
        actions, outcome, regime, covariates, groups, weights, outcome_sd, unit, time, labels,
        missing
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
        schema = Schema.of(actions, outcome, regime, **options)
        # Workers may run in another folder.
        files = [str(Path(fspath(path)).absolute()) for path in listed(paths)]
        found = client.gather(client.map(partial(attempt, head_and_sizes), files, pure=False))
        heads, sizes = zip(*map(result_of, found), strict=True)
        even = sum(map(sum, sizes)) // PARTITIONS
        rows_of_each = min(max(even, MIN_ROWS_PER_PARTITION), MAX_ROWS_PER_PARTITION)
        if schema.columns.time:
            # The rows of a unit stay together.
            rows_of_each = 1 + sum(map(sum, sizes))
        partitions = []
        for path, group_sizes in zip(files, sizes, strict=True):
            # A partition begins with each group that contains a multiple of the number of rows.
            part = [end // rows_of_each for end in accumulate(group_sizes)]
            for _, run in groupby(range(len(part)), part.__getitem__):
                groups = tuple(run)
                tables = partial(parquet_tables, path, schema.every, groups)
                partitions.append((tables, sum(group_sizes[group] for group in groups)))
        return cls(client, partitions, schema, heads[0], progress)

    @classmethod
    @shows_options
    def from_dask(
        cls,
        frame: "DataFrame",
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        client: "Client",
        progress: bool = True,
        **options: Unpack[Options],
    ) -> Self:
        """Read a Dask data frame, by its own partitions.

        Unless it is persisted, the frame is computed for the lengths of the partitions, for the
        sample, and in each pass of a fit. It must yield the same rows each time.

        Parameters
        ----------
        frame : dask.dataframe.DataFrame
        covariates, groups, weights, outcome_sd, unit, time, labels, missing
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
        schema = Schema.of(actions, outcome, regime, **options)
        from dask.dataframe import DataFrame

        if not isinstance(frame, DataFrame):
            raise DataError(f"frame must be a dask.dataframe.DataFrame, not {type(frame).__name__}")
        partitions = frame[[n for n in schema.every if n in frame.columns]].to_delayed()
        rows = client.gather(client.map(len, client.compute(partitions), pure=False, priority=1))
        sized = list(zip(partitions, rows, strict=True))
        # The columns of the frame, without computing it.
        head = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in frame.dtypes.items()})
        return cls(client, sized, schema, head, progress)

    def map_reduce[Part, T](
        self,
        function: Callable[[Observations], Part],
        combine: Callable[[T, T], T],
        label: str,
        progress: bool,
        total: Callable[[Iterable[Part]], T] | None = None,
        of_regime: int = 0,
    ) -> T:
        """Combine results over each partition, and then these; see :meth:`Rows.map_reduce`."""
        split = partial(in_batches, rows=ROWS_PER_BATCH)
        if of_regime:
            split = partial(by_regime, rows=of_regime, regimes=tuple(self.regimes))
        total = total or partial(reduce, combine)
        steps = self._steps, self._transformations, split, function, total
        merged = partial(combine_sums, combine)
        digest, sums = self._reduced(label, progress, sum_rows, merged, steps)
        self._source.refuse_other(digest)
        return cast(T, sums[0])

    def _sampled(self, steps: Sequence[WithPast], progress: bool = False) -> Reservoir:
        sample = self._reduced("Reading", progress, Reservoir.over, Reservoir.beside, steps)
        return cast(Reservoir, sample)

    def _read[T](self, function: Callable[[Observations], T]) -> Iterator[T]:
        _require_open(self._client)
        task = partial(on_partition, read_rows, self._schema)
        for partition, first_row in zip(self._partitions, self._first_rows, strict=True):
            source = self._client.compute(partition)
            rows = result_of(self._client.submit(task, source, first_row, pure=False).result())
            yield from map(function, rows)
        self._passes.made += 1

    def _reduced(
        self,
        label: str,
        progress: bool,
        function: Callable[..., Any],
        combine: Callable[[Any, Any], Any],
        *shared: Sequence[Any],
    ) -> Any:
        """Apply a function to each partition, and combine the results in order, in a tree.

        Raises the first error.
        """
        from distributed import as_completed

        _require_open(self._client)
        client, task = self._client, partial(on_partition, function, self._schema)
        # Partitions of a frame are computed by tasks of their own; files are passed unchanged.
        sources = client.compute(self._partitions)
        # Sent to the cluster as the result of a task, since Dask repeats the tasks of a lost
        # worker but does not restore scattered data.
        sent = [client.submit(tuple, own, pure=False) for own in shared]
        same = ([own] * len(sources) for own in sent)
        # A higher priority than reading, so that few partitions wait in memory.
        leaves = client.map(task, sources, self._first_rows, *same, pure=False, priority=1)
        level, height = leaves, 1
        while len(level) > 1 or level is leaves:
            height += 1
            # Nearly complete nodes go first, so that few results wait in memory.
            level = [
                client.submit(combine_attempts, combine, *several, pure=False, priority=height)
                for several in batched(level, TREE_ARITY)
            ]
        with stage(label, progress, "partitions", len(leaves), logged=False) as count:
            for leaf in as_completed(leaves):
                count()
                # Tasks of the tree hold the result as long as they need it.
                leaf.release()
            self._passes.made += 1
            return result_of(level[0].result())


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
        remedy = "connect again, and make the data again"
        raise DataError(f"the Dask client is {client.status}; {remedy}")


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
    errors = [own for own in attempts if isinstance(own, DataError)]
    return errors[0] if errors else attempt(reduce, combine, attempts)


def combine_sums[T](
    combine: Callable[[T, T], T], before: tuple[Digest, list[T]], after: tuple[Digest, list[T]]
) -> tuple[Digest, list[T]]:
    """Combine two sums, of which those without rows are empty, with the digests of their rows."""
    sums = [*before[1], *after[1]]
    return before[0].merge(after[0]), [reduce(combine, sums)] if sums else []


def head_and_sizes(path: str) -> tuple[Any, list[int]]:
    """Columns of a Parquet file as a table without rows, and numbers of rows of its row groups."""
    with parquet_file(path) as file:
        metadata = file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        return file.schema_arrow.empty_table(), sizes


def on_partition(
    function: Callable[..., Any], schema: Schema, partition: Any, first_row: int, *shared: Any
) -> Any:
    """Attempt a function of a schema, the tables of a partition and the number of its first row."""
    tables = partition() if callable(partition) else [partition]
    return attempt(function, schema, tables, first_row, *shared)


def read_rows(schema: Schema, tables: Iterable[Any], first_row: int) -> list[Observations]:
    """Read the rows of tables."""
    return list(schema.read_again(tables, first_row))


def sum_rows(
    schema: Schema,
    tables: Iterable[Any],
    first_row: int,
    steps: tuple[
        Iterable[WithPast],
        Iterable[Transformation],
        Callable[[Iterable[Observations]], Iterator[Observations]],
        Callable[[Observations], Any],
        Callable[[Iterable[Any]], Any],
    ],
) -> tuple[Digest, list[Any]]:
    """Digest of the rows of tables, and the sum of a function of their batches if there are any."""
    before, transformations, split, function, total = steps
    digest = Digest()

    def read() -> Iterable[Observations]:
        nonlocal digest
        for piece in schema.read_again(tables, first_row):
            digest = digest.followed_by(piece)
            yield piece

    pieces = iter(map(partial(applied, transformations), applied(before, read())))
    # BLAS results depend on the number of threads. Workers under a nanny have a single one anyway.
    with single_blas_thread():
        first = list(islice(pieces, 1))
        sums = [total(map(function, split(chain(first, pieces))))] if first else []
    return digest, sums
