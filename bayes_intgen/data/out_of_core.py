"""Rows that are read in passes and are never all in memory.

The first pass counts and validates the rows and takes a sample. Fits determine scales and knots
from the sample, and select terms by sufficient statistics from one more pass.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from operator import attrgetter
from typing import Any, Self, Unpack

from bayes_intgen._arguments import whole_number
from bayes_intgen._work import in_threads, stage
from bayes_intgen.data.files import Paths, listed, parquet_tables
from bayes_intgen.data.first_pass import SAMPLE_ROWS, Digest, Reservoir, applied
from bayes_intgen.data.in_time import WithPast, refuse_without_past
from bayes_intgen.data.rows import (
    Observations,
    OutcomeKind,
    Passes,
    Rows,
    Transformation,
    check_enough_rows,
    in_batches,
    kind_of_outcome,
)
from bayes_intgen.data.schema import Each, Options, Schema, numbered_tables, shows_options
from bayes_intgen.data.validation import check_covariates, check_observational
from bayes_intgen.errors import DataError
from bayes_intgen.identification.regimes import Mask

Tables = Callable[[], Iterable[Any]]


class OutOfCoreRows(Rows):
    """Rows that can be read repeatedly, with a sample from the first pass.

    Parameters
    ----------
    schema : Schema
    first_pass : Reservoir
        Result of the first pass.
    passes : Passes
        Passes so far.

    Raises
    ------
    DataError
        If there are too few rows, a column never varies, or observational rows are required and
        missing.
    """

    def __init__(self, schema: Schema, first_pass: Reservoir, passes: Passes) -> None:
        missing = first_pass.missing
        schema.refuse_missing(missing)
        missing.refuse_all(sum(first_pass.counts.values()))
        schema = schema.with_two_valued(first_pass.values)
        self._schema, self._first_pass, self._passes = schema, first_pass, passes
        passes.first = passes.made
        self._source = first_pass.digest
        # Steps before the first pass, and functions of rows after it.
        self._steps: tuple[WithPast, ...] = ()
        self._transformations: tuple[Transformation, ...] = ()
        self.names, self.outcome_name = schema.actions, schema.outcome
        self.categories, self.columns = schema.categories, schema.columns
        self.lift_tests, self.dropped, self.left_out = (), missing.rows, 0
        check_enough_rows(self)
        if schema.require_observational:
            check_observational(self)
        check_covariates(self)
        missing.warn(self.names, len(self) + missing.total)

    def with_outcome(self, transformation: Transformation) -> Self:
        """Replace the outcome whenever rows are read; see :meth:`Rows.with_outcome`."""
        same = self._replace(_transformations=(*self._transformations, transformation))
        # Errors of the transformation are raised here rather than in a later pass.
        _ = same.in_memory
        return same

    def with_past(self, function: Transformation, periods: int) -> Self:
        """Apply a function in every pass; see :meth:`Rows.with_past`."""
        earlier = (WithPast(own, 0) for own in self._transformations)
        steps = (*self._steps, *earlier, WithPast(function, periods))
        first_pass = self._sampled(steps)
        if not first_pass.counts:
            refuse_without_past("", self.columns)
        return self._replace(
            _steps=steps,
            _transformations=(),
            _first_pass=first_pass._replace(missing=self._first_pass.missing),
            categories=first_pass.rows.categories,
            left_out=self.left_out + len(self) - first_pass.digest.rows,
        )

    @property
    def this_period(self) -> Self:
        """Rows with the actions of their period, if these were carried over."""
        if self.in_memory.periods is None:
            return self
        return self.with_outcome(attrgetter("this_period"))

    def _replace(self, **changes: Any) -> Self:
        same = copy(self)
        # The cached sample carries the previous tests and outcome.
        same.__dict__.pop("in_memory", None)
        same.__dict__.update(changes)
        return same

    @property
    def passes(self) -> Passes:
        """How often all rows were read."""
        return self._passes

    @property
    def regimes(self) -> dict[Mask, int]:
        """Number of rows per mask, fewest interventions first."""
        return dict(self._first_pass.counts)

    @property
    def outcome_kind(self) -> OutcomeKind:
        """``"continuous"``, ``"binary"`` or ``"count"``, by the outcomes of all rows."""
        return "continuous" if self._transformations else kind_of_outcome(self._first_pass.outcome)

    @property
    def digest(self) -> int:
        """Sum of a 64-bit hash of all rows, those outside the sample too."""
        return self._first_pass.digest.hash

    @abstractmethod
    def _read[T](self, function: Callable[[Observations], T]) -> Iterator[T]:
        """Apply a function to all rows, in pieces of any size."""

    @abstractmethod
    def _sampled(self, steps: Sequence[WithPast]) -> Reservoir:
        """Count and sample what steps make of the rows, in a pass."""

    @cached_property
    def in_memory(self) -> Observations:
        """Rows in memory: a sample of every regime."""
        return self._finished(self._first_pass.sample(SAMPLE_ROWS))

    @property
    def opening(self) -> Observations:
        """First rows by unit and time; see :attr:`Rows.opening`."""
        return self._finished(self._first_pass.opening)

    def sample(self, rows: int) -> Observations:
        """Sample the same rows as :meth:`RegimeData.sample`, at most those in memory.

        With ``missing="drop"`` they are others, unless a grouping has many groups: rows are
        numbered in the source here, and without those left out in memory.
        """
        rows = whole_number(rows, "rows", 1, DataError)
        if rows >= SAMPLE_ROWS:
            return self.in_memory
        return self._finished(self._first_pass.sample(rows))

    def _finished(self, rows: Observations) -> Observations:
        """Rows of the first pass as those of later passes."""
        names = ("categories", "columns", "lift_tests", "dropped", "left_out")
        more = {name: getattr(self, name) for name in names}
        return applied(self._transformations, replace(rows, **more))

    def batches(self, rows: int) -> Iterator[Observations]:
        """Yield all rows in consecutive batches of at most ``rows`` rows.

        Raises
        ------
        DataError
            If the source no longer holds the rows of the first pass.
        """
        rows = whole_number(rows, "rows", 1, DataError)
        digest = Digest()

        def read() -> Iterable[Observations]:
            nonlocal digest
            for piece, own in self._read(lambda piece: (piece, Digest().followed_by(piece))):
                digest = digest.merge(own)
                yield piece

        batches = in_batches(applied(self._steps, read()), rows)
        yield from map(partial(applied, self._transformations), batches)
        self._source.refuse_other(digest)

    def __len__(self) -> int:
        return self._first_pass.digest.rows


def counted(tables: Tables, passes: Passes) -> Iterator[Any]:
    """Read tables, and count the pass at their end."""
    yield from tables()
    passes.made += 1


class StreamedData(OutOfCoreRows):
    """Rows streamed from a source that can be read repeatedly; build it with :meth:`from_parquet`.

    :func:`bayes_intgen.fit` takes it like :class:`RegimeData`; attributes and methods are those of
    :class:`Rows`. Memory does not grow with the number of rows.
    """

    def __init__(
        self, tables: Tables, schema: Schema, progress: bool, each: Each = in_threads
    ) -> None:
        passes = Passes()
        self._tables = tables = partial(counted, tables, passes)
        self._each = each
        with stage("Reading", progress, "rows") as count:

            def with_progress() -> Iterator[Any]:
                for table, _ in numbered_tables(tables()):
                    yield table
                    count(len(table))

            schema = schema.with_levels(schema.contents_of(tables(), each=each))
            first_pass = Reservoir.over(schema, with_progress(), each=each)
        super().__init__(schema, first_pass, passes)

    @classmethod
    @shows_options
    def from_parquet(
        cls,
        paths: Paths,
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> Self:
        """Read Parquet files: here, and again by every fit, which says how often.

        If an action or covariate has text, booleans or categories as values, or there are groups,
        a further pass collects them.

        Parameters
        ----------
        paths : path or sequence of paths
            Files, in the order of their rows.
        actions, outcome, regime, covariates, groups, weights, outcome_sd, unit, time, labels,
        missing
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
        schema = Schema.of(actions, outcome, regime, **options)
        read_file = partial(parquet_tables, wanted=schema.every)
        return cls(lambda: chain.from_iterable(map(read_file, files)), schema, progress)

    @classmethod
    @shows_options
    def from_batches(
        cls,
        tables: Tables | Iterable[Any],
        actions: Sequence[str],
        outcome: str,
        regime: str,
        *,
        progress: bool = True,
        **options: Unpack[Options],
    ) -> Self:
        """Read consecutive tables of any kind.

        Parameters
        ----------
        tables : iterable of tables, or callable that returns one
            Tables as in :meth:`RegimeData.from_frame`, or Arrow record batches. They are read
            repeatedly; instead of an iterator that allows one pass only, pass a function that
            returns a new iterator. The next one is asked for when nothing of a table is in use any
            more, so that it may be filled again.
        actions, outcome, regime, covariates, groups, weights, outcome_sd, unit, time, labels,
        missing
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
        schema = Schema.of(actions, outcome, regime, **options)

        def opened() -> Iterable[Any]:
            batches = tables() if callable(tables) else tables
            if not isinstance(batches, Iterable):
                raise DataError(f"tables must be tables, not {batches!r}")
            if not callable(tables) and iter(batches) is batches:
                raise DataError(
                    "the batches can be read once only, and a fit reads them again; pass a list of "
                    "paths, or a function that opens them, such as lambda: reader()"
                )
            return batches

        return cls(opened, schema, progress, each=map)

    def _sampled(self, steps: Sequence[WithPast]) -> Reservoir:
        return Reservoir.over(self._schema, self._tables(), 0, steps, self._each)

    def _read[T](self, function: Callable[[Observations], T]) -> Iterator[T]:
        return self._each(
            lambda numbered: function(self._schema.reread(numbered)),
            numbered_tables(self._tables()),
        )
