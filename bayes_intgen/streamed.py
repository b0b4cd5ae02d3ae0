"""Rows that are read in passes and never held all at once.

The first pass counts rows, checks every cell and keeps a sample; fitting learns scales, knots
and the structure of the model from the sample, and makes one more pass for the sums.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from functools import cached_property, reduce
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import narwhals as nw
import numpy as np
from tqdm.auto import tqdm

from bayes_intgen.bases import Array
from bayes_intgen.categories import Categories, at_most_three
from bayes_intgen.certificates import Certificate, certify, mask_label, settings_of
from bayes_intgen.errors import DataError
from bayes_intgen.frames import KINDS, as_table
from bayes_intgen.identification import Mask
from bayes_intgen.lift import LiftTest, TakesLiftTests
from bayes_intgen.regimes import (
    Columns,
    RegimeData,
    even_shares,
    in_order,
    refuse_cells_that_are_not_finite,
)
from bayes_intgen.streams import generator

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

# Rows of each regime that are kept, and rows from which fits learn scales and structure.
HELD_ROWS = 30_000
# Rows that a Parquet file is read by.
ROWS_PER_READ = 65_536

Tables = Callable[[], Iterable[Any]]
Paths = str | PathLike[str] | Sequence[str | PathLike[str]]


class ReadInPasses(TakesLiftTests):
    """Rows of which a first pass kept a sample, and that can be read again.

    Takes the place of a :class:`RegimeData` in :func:`bayes_intgen.fit`.

    Attributes
    ----------
    names : tuple of str, length K
        The actions.
    outcome_name : str
    regimes : dict from mask to int
        The masks that occur, each with its number of rows; fewest interventions first.
    categories : tuple of Categories or None, length K
        As of :class:`RegimeData`, from all rows.

    Raises
    ------
    DataError
        Where the rows are too few, a column never varies, or there are no observational rows
        though they are required.
    """

    def __init__(self, columns: Columns, kept: "Kept", require_observational: bool) -> None:
        if not kept.counts:
            raise DataError("the source holds no rows")
        self.names = columns.actions
        self.outcome_name = columns.outcome
        self.regimes = kept.counts
        self.lift_tests = ()
        self._columns, self._kept = columns.with_two_valued(kept.values), kept
        self._count = sum(kept.counts.values())
        self.held._check_enough(len(self), require_observational)

    @property
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for those that have none."""
        return self._columns.categories

    @abstractmethod
    def _pieces(self) -> Iterator[RegimeData]:
        """All rows in pieces of any size, read anew."""

    @cached_property
    def held(self) -> RegimeData:
        """The rows in memory: a sample of those of every regime."""
        return self._sampled(HELD_ROWS)

    def sample(self, rows: int) -> RegimeData:
        """The rows that :meth:`RegimeData.sample` would draw; at most as many as are held."""
        return self.held if rows >= HELD_ROWS else self._sampled(rows)

    def _sampled(self, rows: int) -> RegimeData:
        return replace(self._kept.sample(rows, self._columns), lift_tests=self.lift_tests)

    def parted(self, rows: int) -> tuple[RegimeData, None]:
        """As :meth:`RegimeData.parted`, but that the others would have to be read again."""
        return self.sample(rows), None

    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self:
        same = copy(self)
        same.lift_tests = tests
        # What was held had other tests.
        same.__dict__.pop("held", None)
        return same

    def batches(self, rows: int) -> Iterator[RegimeData]:
        """All rows in consecutive pieces of at most ``rows`` rows, read anew.

        Raises DataError where the source holds other rows than when it was first read.
        """
        seen = 0
        for piece in self._pieces():
            seen += len(piece)
            yield from piece.batches(rows)
        self._refuse_other_rows(seen)

    def _refuse_other_rows(self, seen: int) -> None:
        if seen != self._count:
            raise DataError(
                f"the source held {self._count} rows when it was first read and {seen} now; "
                f"make the {type(self).__name__} again, from a source that gives the same rows "
                "every time"
            )

    def identify(self, actions: Sequence[str]) -> Certificate:
        """As :meth:`RegimeData.identify`."""
        held = self.held
        settings = settings_of(self.names, held.actions, held.intervened, held.categories)
        return certify(self.names, self.regimes, actions, settings)

    def support(
        self,
        points: Any,
        intervened: Sequence[str] | None = None,
        graph: Mapping[str, Sequence[str]] | None = None,
    ) -> "xr.Dataset":
        """As :meth:`RegimeData.support`, from the sample that is in memory."""
        return self.held.support(points, intervened, graph)

    def plot_support(self, points: Any = None) -> "Figure":
        """As :meth:`RegimeData.plot_support`, from the sample that is in memory."""
        return self.held.plot_support(points)

    def label(self, mask: Sequence[bool]) -> str:
        """A mask in words, as :meth:`RegimeData.label`."""
        return mask_label(self.names, mask)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return self.held.described(type(self).__name__, len(self), self.regimes)


class StreamedData(ReadInPasses):
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
        self, tables: Tables, columns: Columns, kept: "Kept", require_observational: bool
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

            def reported() -> Iterator[RegimeData]:
                for batch in read_batches(tables(), columns):
                    yield batch
                    bar.update(len(batch))

            columns = columns.with_levels(tables_of(tables()))
            kept = Kept.over(reported())
        return cls(tables, columns, kept, require_observational)

    def _pieces(self) -> Iterator[RegimeData]:
        return read_batches(self._tables(), self._columns)


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


def read_batches(
    tables: Iterable[Any], columns: Columns, first_row: int = 0
) -> Iterator[RegimeData]:
    """The rows of tables, empty ones left out; in errors rows count from ``first_row``."""
    for table in tables_of(tables):
        yield columns.read(table, first_row)
        first_row += len(table)


def tables_of(batches: Iterable[Any]) -> Iterator[nw.DataFrame[Any]]:
    """Batches as tables, empty ones left out; raises DataError on anything else."""
    for native in batches:
        table = as_table(native)
        if table is None:
            raise DataError(f"a batch must be {KINDS}, not {type(native).__name__}")
        if len(table):
            yield table


class Extreme(NamedTuple):
    """A row at which an action is lowest, or highest.

    Attributes
    ----------
    value : float
        The action, its sign turned where the highest is sought.
    mask : mask
        Of the row.
    row : ndarray, shape (K + 3,)
        As in :class:`Kept`.
    """

    value: float
    mask: Mask
    row: Array


class Kept(NamedTuple):
    """What a pass keeps: counts, a sample of every regime, and the rows at the extremes.

    Each row has a random key that its position gives it; those of the smallest keys are kept,
    whatever pieces the rows came in and whichever machine read them.

    Attributes
    ----------
    counts : dict from mask to int
        Rows of each regime; fewest interventions first.
    rows : dict from mask to ndarray, shape (n, K + 3)
        Columns: key, position, actions, outcome.
    lowest, highest : tuple of Extreme, length K
        Of each action; empty where there are no rows.
    values : tuple of tuples of float, length K
        The distinct values of each action, at most three of them.
    """

    counts: dict[Mask, int]
    rows: dict[Mask, Array]
    lowest: tuple[Extreme, ...]
    highest: tuple[Extreme, ...]
    values: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def over(cls, batches: Iterable[RegimeData], first_row: int = 0) -> Self:
        """What is kept of consecutive batches, the first of which starts at row ``first_row``.

        Raises DataError on the first batch with a cell that is not finite.
        """

        def each() -> Iterator[Self]:
            row = first_row
            for batch in batches:
                refuse_cells_that_are_not_finite(batch, row)
                yield cls.of(batch, row)
                row += len(batch)

        return reduce(lambda before, after: before.joined(after), each(), cls({}, {}, (), ()))

    @classmethod
    def of(cls, batch: RegimeData, first_row: int) -> Self:
        """What is kept of one batch that is not empty."""
        position = np.arange(first_row, first_row + len(batch), dtype=np.float64)
        keys = keys_of_rows(first_row, len(batch))
        rows = np.column_stack([keys, position, batch.actions, batch.outcome])
        regimes = batch.regimes
        return cls(
            regimes,
            {mask: _smallest(rows[(batch.intervened == mask).all(axis=1)]) for mask in regimes},
            _extremes(batch, rows, 1),
            _extremes(batch, rows, -1),
            tuple(map(at_most_three, batch.actions.T)),
        )

    def joined(self, other: Self) -> Self:
        """What is kept of these rows and of others that come after them."""
        masks = dict.fromkeys([*self.counts, *other.counts])
        return type(self)(
            in_order({m: self.counts.get(m, 0) + other.counts.get(m, 0) for m in masks}),
            {
                m: _smallest(
                    np.concatenate([kept.rows[m] for kept in (self, other) if m in kept.rows])
                )
                for m in masks
            },
            _further(self.lowest, other.lowest),
            _further(self.highest, other.highest),
            _joined_values(self.values, other.values),
        )

    def sample(self, rows: int, columns: Columns) -> RegimeData:
        """Some of the rows, in the order in which they were read."""
        total = sum(self.counts.values())
        shares = (
            [HELD_ROWS] * len(self.counts)
            if total <= rows
            else even_shares(list(self.counts.values()), rows)
        )
        chosen: dict[float, tuple[Mask, Array]] = {}
        for mask, share in zip(self.counts, shares, strict=True):
            chosen.update({row[1]: (mask, row) for row in self.rows[mask][:share]})
        chosen.update({row[1]: (mask, row) for _, mask, row in (*self.lowest, *self.highest)})
        ordered = [chosen[position] for position in sorted(chosen)]
        values = np.array([row for _, row in ordered])
        return RegimeData(
            columns.actions,
            columns.outcome,
            np.ascontiguousarray(values[:, 2:-1]),
            np.ascontiguousarray(values[:, -1]),
            np.array([mask for mask, _ in ordered], dtype=bool),
            categories=columns.categories,
        )


def keys_of_rows(first_row: int, rows: int) -> Array:
    """The random keys of consecutive rows, shape (rows,): those that all rows at once get."""
    keys = generator(0, "sample")
    # A number drawn is one step of the generator, which is NumPy's default.
    cast(np.random.PCG64, keys.bit_generator).advance(first_row)
    return keys.random(rows)


def _smallest(rows: Array) -> Array:
    """The rows of the smallest keys, in their order."""
    return rows[np.argsort(rows[:, 0], kind="stable")[:HELD_ROWS]]


def _extremes(batch: RegimeData, rows: Array, sign: int) -> tuple[Extreme, ...]:
    """The first row with the lowest value of each action, times ``sign``."""
    found = []
    for values in sign * batch.actions.T:
        at = int(np.argmin(values))
        found.append(
            Extreme(float(values[at]), tuple(batch.intervened[at].tolist()), rows[at].copy())
        )
    return tuple(found)


def _further(before: tuple[Extreme, ...], after: tuple[Extreme, ...]) -> tuple[Extreme, ...]:
    """The lower of two rows for each action; the earlier one where they are equal."""
    if not (before and after):
        return before or after
    return tuple(
        one if one.value <= other.value else other for one, other in zip(before, after, strict=True)
    )


def _joined_values(
    before: tuple[tuple[float, ...], ...], after: tuple[tuple[float, ...], ...]
) -> tuple[tuple[float, ...], ...]:
    """At most three distinct values of each action in two parts of the rows."""
    if not (before and after):
        return before or after
    return tuple(
        tuple(sorted({*one, *other})[:3]) for one, other in zip(before, after, strict=True)
    )


Rows = RegimeData | ReadInPasses
