"""Rows from sources of every kind, by one function."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from bayes_intgen.data.distributed import DistributedData
from bayes_intgen.data.files import file_tables, is_streamed, listed, read_table, relation_tables
from bayes_intgen.data.out_of_core import StreamedData
from bayes_intgen.data.regime_data import RegimeData
from bayes_intgen.data.rows import Rows
from bayes_intgen.data.schema import Options, Schema, shows_options
from bayes_intgen.data.tables import KINDS, as_table
from bayes_intgen.errors import DataError

if TYPE_CHECKING:
    from distributed import Client

# Maximum number of rows of a query that are read into memory.
MAX_ROWS = 5_000_000


@shows_options
def read(
    source: Any,
    actions: Sequence[str],
    outcome: str,
    regime: str = "regime",
    *,
    client: "Client | None" = None,
    progress: bool = True,
    **options: Unpack[Options],
) -> Rows:
    r"""Read data from a table, a file, batches, a query of DuckDB or a Dask frame.

    Parquet files, text and Arrow files of more than half a gigabyte, files in a sequence and
    queries with more than five million rows are streamed, with the columns that are named. Rows
    with a ``time`` must be in order of it within their units then; Parquet files of up to half a
    gigabyte are read into memory with it, where any order does.

    Parameters
    ----------
    source : table, path, sequence of paths, DuckDB relation, Dask frame, or batches
        A table of any kind, as in :meth:`RegimeData.from_frame`. The path of a CSV file (``.csv``,
        ``.tsv``, ``.txt``, also with ``.gz``), of an Arrow file (``.arrow``, ``.feather``,
        ``.ipc``, ``.arrows``), of a Parquet file (``.parquet``, ``.pq``), or of a folder of
        Parquet files. Batches: an iterable of tables, or a function that returns one.
    actions, outcome, covariates, groups, weights, outcome_sd, unit, time, labels, missing
        As in :meth:`RegimeData.from_frame`.
    regime : str
        Column of regime labels, as there.
    client : distributed.Client, optional
        Cluster whose workers read Parquet files or a Dask frame.
    require_observational : bool
        As in :meth:`RegimeData.from_arrays`.
    progress : bool
        Whether to show a progress bar on standard error where rows are streamed.

    Returns
    -------
    RegimeData, StreamedData or DistributedData
        Rows in memory, of a table, a smaller file or query; streamed rows; rows on a cluster, of a
        Dask frame and with ``client``.

    Raises
    ------
    DataError
        If the source is of another kind or cannot be read, and as in
        :meth:`RegimeData.from_frame`.

    Examples
    --------
    >>> lines = ["x,y,regime", *(f"{i},{2 * i},{'x' * (i % 2)}" for i in range(20))]
    >>> _ = (folder / "rows.csv").write_text("\n".join(lines))
    >>> bi.read(folder / "rows.csv", actions=["x"], outcome="y")
    RegimeData: 20 rows, outcome 'y', actions 'x'
      observational  10
      do(x)          10
    """
    columns = (actions, outcome, regime)
    if (is_dask := _is_of("dask", source)) or client is not None:
        read_by: Any = DistributedData.from_dask if is_dask else DistributedData.from_parquet
        rows: Rows = read_by(source, *columns, client=client, progress=progress, **options)
        return rows
    by_time = options.get("time") is not None
    if isinstance(source, str | PathLike) and not is_streamed(Path(source), by_time):
        source = read_table(Path(source), regime)
    schema = Schema.of(*columns, **options)
    if paths := _paths(source):
        read_file = partial(file_tables, wanted=schema.every, regime=regime, said=set())
        return StreamedData(lambda: chain.from_iterable(map(read_file, paths)), schema, progress)
    is_query = _is_of("duckdb", source) and hasattr(source, "__arrow_c_stream__")
    # Queries that aggregate in parallel round differently when they are run again.
    table = as_table(source.limit(MAX_ROWS + 1) if is_query else source, schema.every)
    if is_query and table is not None and len(table) > MAX_ROWS:
        return StreamedData(partial(relation_tables, source, schema.every), schema, progress)
    if table is not None:
        return RegimeData.from_frame(table, *columns, **options)
    if not isinstance(source, Iterable | Callable) or isinstance(source, Mapping | np.ndarray):
        raise DataError(
            f"source must be {KINDS}, a path, batches or a Dask frame, not {type(source).__name__}"
        )
    return StreamedData.from_batches(source, *columns, progress=progress, **options)


def _is_of(library: str, source: Any) -> bool:
    # A library need not be imported, or installed, to see that.
    return type(source).__module__.partition(".")[0].lstrip("_") == library


def _paths(source: Any) -> Sequence[str | PathLike[str]]:
    paths = source if isinstance(source, list | tuple) else [source]
    are_paths = all(isinstance(path, str | PathLike) for path in paths)
    return listed(paths) if paths and are_paths else ()
