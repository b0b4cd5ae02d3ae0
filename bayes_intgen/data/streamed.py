"""Rows streamed from files or batches that can be read repeatedly."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

from bayes_intgen._progress import stage
from bayes_intgen.data.columns import Batch, Columns, read_again, read_batches, tables_of
from bayes_intgen.data.missing import Missing
from bayes_intgen.data.out_of_core import OutOfCoreRows
from bayes_intgen.data.parquet import Paths, listed, parquet_tables
from bayes_intgen.data.reservoir import Reservoir
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import DataError

Tables = Callable[[], Iterable[Any]]


class StreamedData(OutOfCoreRows):
    """Rows streamed from a source that can be read repeatedly; build it with :meth:`from_parquet`.

    :func:`bayes_intgen.fit` takes it like :class:`RegimeData`; attributes and methods are those of
    :class:`Rows`. Memory does not grow with the number of rows.
    """

    def __init__(
        self, tables: Tables, columns: Columns, first_pass: Reservoir, require_observational: bool
    ) -> None:
        super().__init__(columns, first_pass, require_observational)
        self._tables = tables

    @classmethod
    def from_parquet(
        cls,
        paths: Paths,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        covariates: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        weights: str | None = None,
        outcome_sd: str | None = None,
        missing: Missing = "error",
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Read Parquet files: once here and once per fit.

        If an action or covariate has text, booleans or categories as values, or there are groups,
        a further pass collects them.

        Parameters
        ----------
        paths : path or sequence of paths
            Files, in the order of their rows.
        actions, outcome, regime, covariates, groups, weights, outcome_sd, missing
            As in :meth:`RegimeData.from_frame`.
        require_observational : bool
            As in :meth:`RegimeData.from_arrays`.
        progress : bool
            Whether to show a progress bar on standard error.

        Raises
        ------
        DataError
            If a file cannot be read, and as in :meth:`RegimeData.from_frame`; rows are numbered
            from the first row of the first file.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame(
        ...     {"x": range(20), "y": range(20), "regime": [None, "x"] * 10}
        ... )
        >>> frame.to_parquet(folder / "rows.parquet")
        >>> StreamedData.from_parquet(folder / "rows.parquet", ["x"], "y", "regime", progress=False)
        StreamedData: 20 rows, outcome 'y', actions 'x'
          observational  10
          do(x)          10
        """
        files = listed(paths)
        columns = Columns.of(
            actions, outcome, regime, covariates, groups, weights, outcome_sd, missing
        )

        def tables() -> Iterator[Any]:
            for path in files:
                yield from parquet_tables(path, columns.every)

        return cls._over(tables, columns, require_observational, progress)

    @classmethod
    def from_batches(
        cls,
        tables: Tables | Iterable[Any],
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        covariates: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        weights: str | None = None,
        outcome_sd: str | None = None,
        missing: Missing = "error",
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Read consecutive tables of any kind.

        Parameters
        ----------
        tables : iterable of tables, or callable that returns one
            Tables as in :meth:`RegimeData.from_frame`, or Arrow record batches. They are read
            repeatedly; instead of an iterator that allows one pass only, pass a function that
            returns a new iterator.
        actions, outcome, regime, covariates, groups, weights, outcome_sd, missing
            As in :meth:`RegimeData.from_frame`.
        require_observational : bool
            As in :meth:`RegimeData.from_arrays`.
        progress : bool
            Whether to show a progress bar on standard error.

        Raises
        ------
        DataError
            As in :meth:`RegimeData.from_frame`, and if the tables allow one pass only.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame(
        ...     {"x": range(20), "y": range(20), "regime": [None, "x"] * 10}
        ... )
        >>> halves = [frame[:10], frame[10:]]
        >>> len(StreamedData.from_batches(halves, ["x"], "y", "regime", progress=False))
        20
        """
        columns = Columns.of(
            actions, outcome, regime, covariates, groups, weights, outcome_sd, missing
        )
        open_ = tables if callable(tables) else lambda: tables

        def opened() -> Iterable[Any]:
            batches = open_()
            if not isinstance(batches, Iterable):
                raise DataError(f"tables must be tables, not {batches!r}")
            if not callable(tables) and iter(batches) is batches:
                raise DataError(
                    "the batches can be read once only, and a fit reads them again; pass a "
                    "function that opens them, such as lambda: reader()"
                )
            return batches

        return cls._over(opened, columns, require_observational, progress)

    @classmethod
    def _over(
        cls, tables: Tables, columns: Columns, require_observational: bool, progress: bool
    ) -> Self:
        """Make the first pass over tables."""
        with stage("Reading", progress, "rows") as bar:

            def with_progress() -> Iterator[Batch]:
                for batch in read_batches(tables(), columns):
                    yield batch
                    bar.update(len(batch.rows))

            columns = columns.with_levels(tables_of(tables()))
            first_pass = Reservoir.over(with_progress())
        return cls(tables, columns, first_pass, require_observational)

    def _read(self) -> Iterator[Observations]:
        return read_again(self._tables(), self._columns)
