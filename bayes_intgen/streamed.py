"""Rows that are read in passes and never held all at once.

The first pass counts rows, checks every cell and keeps a sample; fitting learns scales, knots
and the structure of the model from the sample, and makes one more pass for the sums.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
from tqdm.auto import tqdm

from bayes_intgen.certificates import Certificate, certify
from bayes_intgen.errors import DataError
from bayes_intgen.frames import as_table
from bayes_intgen.identification import Mask
from bayes_intgen.regimes import (
    Columns,
    RegimeData,
    even_shares,
    in_order,
    refuse_cells_that_are_not_finite,
)
from bayes_intgen.streams import generator

# Rows of each regime that are kept, and rows from which fits learn scales and structure.
HELD_ROWS = 30_000
# Rows that a Parquet file is read by.
ROWS_PER_READ = 65_536

Tables = Callable[[], Iterable[Any]]


class StreamedData:
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
        self,
        tables: Tables,
        columns: Columns,
        kept: "_Kept",
        rows: int,
    ) -> None:
        self.names = columns.actions
        self.outcome_name = columns.outcome
        self.regimes = kept.counts
        self._tables, self._columns, self._kept, self._count = tables, columns, kept, rows

    @classmethod
    def from_parquet(
        cls,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        require_observational: bool = True,
        progress: bool = True,
    ) -> Self:
        """Rows of Parquet files, which are read once here and once by every fit.

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
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise DataError(
                "reading Parquet files needs pyarrow: pip install 'bayes-intgen[parquet]'"
            ) from error
        files = [paths] if isinstance(paths, str | PathLike) else list(paths)
        if not files:
            raise DataError("no Parquet file was given")
        wanted = [*actions, outcome, regime]

        def tables() -> Iterator[Any]:
            for path in files:
                try:
                    with parquet.ParquetFile(path) as file:
                        present = [name for name in wanted if name in file.schema_arrow.names]
                        for batch in file.iter_batches(ROWS_PER_READ, columns=present):
                            yield pa.Table.from_batches([batch])
                except (OSError, pa.ArrowException) as error:
                    raise DataError(f"{path} cannot be read as Parquet ({error})") from error

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

        kept = _Kept(len(columns.actions))
        keys = generator(0, "sample")
        rows = 0
        with tqdm(
            desc="Reading", unit=" rows", unit_scale=True, leave=False, disable=not progress
        ) as bar:
            for batch in _batches(tables, columns):
                refuse_cells_that_are_not_finite(batch, rows)
                kept.add(batch, keys.random(len(batch)), rows)
                rows += len(batch)
                bar.update(len(batch))
        if not rows:
            raise DataError("the batches hold no rows")
        data = cls(tables, columns, kept, rows)
        data.held._check_enough(rows, require_observational)
        return data

    @property
    def held(self) -> RegimeData:
        """The rows in memory: a sample of those of every regime."""
        return self.sample(HELD_ROWS)

    def sample(self, rows: int) -> RegimeData:
        """The rows that :meth:`RegimeData.sample` would draw; at most as many as are held."""
        return self._kept.sample(min(rows, HELD_ROWS), self._columns)

    def batches(self, rows: int) -> Iterator[RegimeData]:
        """All rows in consecutive pieces of at most ``rows`` rows, read anew.

        Raises DataError where the source holds other rows than when it was first read.
        """
        seen = 0
        for batch in _batches(self._tables, self._columns):
            seen += len(batch)
            yield from batch.batches(rows)
        if seen != self._count:
            raise DataError(
                f"the source held {self._count} rows when it was first read and {seen} now; "
                "make the StreamedData again, or pass a function that opens the same rows anew"
            )

    def identify(self, actions: Sequence[str]) -> Certificate:
        """As :meth:`RegimeData.identify`."""
        return certify(self.names, self.regimes, actions)

    def label(self, mask: Sequence[bool]) -> str:
        """A mask in words, as :meth:`RegimeData.label`."""
        return self.held.label(mask)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return self.held.described("StreamedData", len(self), self.regimes)


def _batches(tables: Tables, columns: Columns) -> Iterator[RegimeData]:
    row = 0
    for native in tables():
        table = as_table(native)
        if table is None:
            raise DataError(
                f"a batch must be a pandas, Polars or Arrow table, not {type(native).__name__}"
            )
        if len(table):
            yield columns.read(table, row)
            row += len(table)


class _Kept:
    """What a pass keeps: counts, a sample of every regime, and the rows at the extremes.

    Each row has a random key; those of the smallest keys are kept, whatever batches the rows
    came in.
    """

    def __init__(self, actions: int) -> None:
        self.counts: dict[Mask, int] = {}
        # Columns: key, position, actions, outcome.
        self._rows: dict[Mask, np.ndarray[Any, np.dtype[np.float64]]] = {}
        self._lowest: list[tuple[float, Mask, Any]] = []
        self._highest: list[tuple[float, Mask, Any]] = []
        self._size = actions

    def add(self, batch: RegimeData, keys: Any, first_row: int) -> None:
        """Count the rows of a batch, and keep those that belong to the sample."""
        position = np.arange(first_row, first_row + len(batch), dtype=np.float64)
        rows = np.column_stack([keys, position, batch.actions, batch.outcome])
        for mask, count in batch.regimes.items():
            own = rows[(batch.intervened == mask).all(axis=1)]
            self.counts[mask] = self.counts.get(mask, 0) + count
            if mask in self._rows:
                own = np.concatenate([self._rows[mask], own])
            self._rows[mask] = own[np.argsort(own[:, 0], kind="stable")[:HELD_ROWS]]
        self.counts = in_order(self.counts)
        self._lowest = self._extremes(self._lowest, batch, rows, 1)
        self._highest = self._extremes(self._highest, batch, rows, -1)

    def _extremes(
        self, known: list[tuple[float, Mask, Any]], batch: RegimeData, rows: Any, sign: int
    ) -> list[tuple[float, Mask, Any]]:
        """The first row with the lowest value of each action, times ``sign``."""
        out = []
        for k in range(self._size):
            at = int(np.argmin(sign * batch.actions[:, k]))
            value = sign * float(batch.actions[at, k])
            if known and known[k][0] <= value:
                out.append(known[k])
            else:
                out.append((value, tuple(batch.intervened[at].tolist()), rows[at]))
        return out

    def sample(self, rows: int, columns: Columns) -> RegimeData:
        """Some of the rows, in the order in which they were read."""
        total = sum(self.counts.values())
        shares = (
            [HELD_ROWS] * len(self.counts)
            if total <= rows
            else even_shares(list(self.counts.values()), rows)
        )
        chosen: dict[float, tuple[Mask, Any]] = {}
        for mask, share in zip(self.counts, shares, strict=True):
            chosen.update({row[1]: (mask, row) for row in self._rows[mask][:share]})
        chosen.update({row[1]: (mask, row) for _, mask, row in (*self._lowest, *self._highest)})
        ordered = [chosen[position] for position in sorted(chosen)]
        values = np.array([row for _, row in ordered])
        return RegimeData(
            columns.actions,
            columns.outcome,
            np.ascontiguousarray(values[:, 2:-1]),
            np.ascontiguousarray(values[:, -1]),
            np.array([mask for mask, _ in ordered], dtype=bool),
        )


Rows = RegimeData | StreamedData
