"""Rows behind a source that can be read again and again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

from tqdm.auto import tqdm

from bayes_intgen.data.columns import Columns, read_batches, tables_of
from bayes_intgen.data.out_of_core import OutOfCoreRows
from bayes_intgen.data.parquet import Paths, listed, parquet_tables
from bayes_intgen.data.reservoir import Reservoir
from bayes_intgen.data.rows import Observations
from bayes_intgen.errors import DataError

Tables = Callable[[], Iterable[Any]]


class StreamedData(OutOfCoreRows):
    """Rows behind a source that can be read again and again; build it with :meth:`from_parquet`.

    Takes the place of a :class:`RegimeData` in :func:`bayes_intgen.fit`; memory does not grow
    with the number of rows.

    Attributes
    ----------
    names : tuple of str, length K
        The actions.
    outcome_name : str
    regimes : dict from mask to int
        The masks that occur, each with its number of rows; fewest interventions first.
    """

    def __init__(
        self, tables: Tables, columns: Columns, kept: Reservoir, require_observational: bool
    ) -> None:
        super().__init__(columns, kept, require_observational)
        self._tables = tables

    @classmethod
    def from_parquet(
        cls,
        paths: Paths,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Rows of Parquet files, which are read once here and once by every fit.

        Where an action has text, booleans or categories as values, the rows are read once more
        before, for its levels.

        Parameters
        ----------
        paths : path or sequence of paths
            Files, read in the order given.
        actions, outcome, regime, require_observational
            As in :meth:`RegimeData.from_frame`.
        progress : bool
            Whether to report rows a second on standard error.

        Raises
        ------
        DataError
            Where a file cannot be read, and as :meth:`RegimeData.from_frame` does; rows count
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
        wanted = [*actions, outcome, regime]

        def tables() -> Iterator[Any]:
            for path in files:
                yield from parquet_tables(path, wanted)

        return cls.from_batches(
            tables,
            actions,
            outcome,
            regime,
            require_observational=require_observational,
            progress=progress,
        )

    @classmethod
    def from_batches(
        cls,
        tables: Tables | Iterable[Any],
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Rows of tables of any kind, one after the other.

        Parameters
        ----------
        tables : iterable of tables, or callable that gives one
            Tables as of :meth:`RegimeData.from_frame`, or Arrow record batches. They are gone
            through more than once, so an iterator that is used up after one pass must come as a
            function that opens it anew.
        actions, outcome, regime, require_observational
            As in :meth:`RegimeData.from_frame`.
        progress : bool

        Raises
        ------
        DataError
            As :meth:`RegimeData.from_frame`, and where the tables can be gone through once only.

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
        columns = Columns.of(actions, outcome, regime)
        if not callable(tables):
            several = tables
            if iter(several) is several:
                raise DataError(
                    "the batches can be gone through once only, and a fit goes through them again; "
                    "pass a function that opens them, such as lambda: reader()"
                )

            def tables() -> Iterable[Any]:
                return several

        with tqdm(
            desc="Reading", unit=" rows", unit_scale=True, leave=False, disable=not progress
        ) as bar:

            def reported() -> Iterator[Observations]:
                for batch in read_batches(tables(), columns):
                    yield batch
                    bar.update(len(batch))

            columns = columns.with_levels(tables_of(tables()))
            kept = Reservoir.over(reported())
        return cls(tables, columns, kept, require_observational)

    def _pieces(self) -> Iterator[Observations]:
        return read_batches(self._tables(), self._columns)
