"""Base class of rows that are read in passes and are never all in memory.

The first pass counts and validates the rows and takes a sample. Fits determine scales and knots
from the sample, and select terms by sufficient statistics from one more pass.
"""

from abc import abstractmethod
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Self

from bayes_intgen._arguments import whole_number
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data import reservoir
from bayes_intgen.data.columns import Columns
from bayes_intgen.data.content import Content, refuse_new_nonfinite
from bayes_intgen.data.lift_tests import LiftTest
from bayes_intgen.data.outcome_kind import OutcomeKind, kind_of
from bayes_intgen.data.reservoir import Reservoir
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.data.validation import check_covariates, check_enough_rows, check_observational
from bayes_intgen.errors import DataError
from bayes_intgen.identification.masks import Mask


class OutOfCoreRows(Rows):
    """Rows that can be read repeatedly, with a sample from the first pass.

    Parameters
    ----------
    columns : Columns
    first_pass : Reservoir
        Result of the first pass.
    require_observational : bool
        As in :meth:`RegimeData.from_arrays`.

    Raises
    ------
    DataError
        If there are too few rows, a column never varies, or observational rows are required and
        missing.
    """

    def __init__(
        self, columns: Columns, first_pass: Reservoir, require_observational: bool
    ) -> None:
        columns.refuse_missing(first_pass.missing)
        if not first_pass.counts:
            every = first_pass.missing.total
            kind = f"no row without missing cells; all {every} have some" if every else "no rows"
            raise DataError(f"the source holds {kind}")
        self.names = columns.actions
        self.outcome_name = columns.outcome
        self.lift_tests = ()
        self._columns, self._first_pass = columns.with_two_valued(first_pass.values), first_pass
        self.columns = self._columns.known
        self.dropped = first_pass.missing.rows
        check_enough_rows(self.in_memory, len(self))
        if require_observational:
            check_observational(self.in_memory)
        check_covariates(self.in_memory, len(self))
        first_pass.missing.warn(self.names, len(self) + first_pass.missing.total)

    @property
    def regimes(self) -> dict[Mask, int]:
        """Number of rows per mask, fewest interventions first."""
        return self._first_pass.counts

    @property
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for actions without levels."""
        return self._columns.categories

    @property
    def outcome_kind(self) -> OutcomeKind:
        """``"continuous"``, ``"binary"`` or ``"count"``, by the outcomes of all rows."""
        return kind_of(self._first_pass.outcome)

    @property
    def digest(self) -> str:
        """Digest of all rows, those outside the sample too."""
        return repr(self._first_pass.content)

    @abstractmethod
    def _read(self) -> Iterator[Observations]:
        """Read all rows, in pieces of any size."""

    @cached_property
    def in_memory(self) -> Observations:
        """Rows in memory: a sample of every regime."""
        return self._sample(reservoir.SAMPLE_ROWS)

    def sample(self, rows: int) -> Observations:
        """Sample the same rows as :meth:`RegimeData.sample`, at most those in memory."""
        rows = whole_number(rows, "rows", 1, DataError)
        return self.in_memory if rows >= reservoir.SAMPLE_ROWS else self._sample(rows)

    def _sample(self, rows: int) -> Observations:
        sample = self._first_pass.sample(rows, self._columns)
        return replace(sample, lift_tests=self.lift_tests, dropped=self.dropped)

    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self:
        same = copy(self)
        same.lift_tests = tests
        # The cached sample carries the previous tests.
        same.__dict__.pop("in_memory", None)
        return same

    def batches(self, rows: int) -> Iterator[Observations]:
        """Yield all rows in consecutive batches of at most ``rows`` rows.

        Raises
        ------
        DataError
            If the source no longer holds the rows of the first pass.
        """
        rows = whole_number(rows, "rows", 1, DataError)
        content = Content()
        for piece in self._read():
            refuse_new_nonfinite(piece)
            content = content.merge(Content.of(piece))
            yield from piece.batches(rows)
        self._first_pass.content.refuse_other(content)

    def __len__(self) -> int:
        return self._first_pass.content.rows
