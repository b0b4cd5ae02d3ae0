"""Rows that are read in passes and never all in memory.

The first pass counts rows, checks every cell and takes a sample; fits learn scales, knots and
the structure of the model from the sample, and make one more pass for sufficient statistics.
"""

from abc import abstractmethod
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Self

from bayes_intgen.basis.categories import Categories
from bayes_intgen.data import reservoir
from bayes_intgen.data.columns import Columns
from bayes_intgen.data.lift_tests import LiftTest
from bayes_intgen.data.reservoir import Reservoir
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.data.validation import check_enough_rows
from bayes_intgen.errors import DataError
from bayes_intgen.identification.masks import Mask


class OutOfCoreRows(Rows):
    """Rows of which a first pass kept a sample, and that can be read again.

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

    def __init__(self, columns: Columns, kept: Reservoir, require_observational: bool) -> None:
        if not kept.counts:
            raise DataError("the source holds no rows")
        self.names = columns.actions
        self.outcome_name = columns.outcome
        self._regimes = kept.counts
        self.lift_tests = ()
        self._columns, self._kept = columns.with_two_valued(kept.values), kept
        self._count = sum(kept.counts.values())
        check_enough_rows(self.in_memory, len(self), require_observational)

    @property
    def regimes(self) -> dict[Mask, int]:
        return self._regimes

    @property
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for those that have none."""
        return self._columns.categories

    @abstractmethod
    def _pieces(self) -> Iterator[Observations]:
        """All rows in pieces of any size, read anew."""

    @cached_property
    def in_memory(self) -> Observations:
        """The rows in memory: a sample of those of every regime."""
        return self._sampled(reservoir.SAMPLE_ROWS)

    def sample(self, rows: int) -> Observations:
        """The rows that :meth:`RegimeData.sample` would draw; at most as many as are held."""
        return self.in_memory if rows >= reservoir.SAMPLE_ROWS else self._sampled(rows)

    def _sampled(self, rows: int) -> Observations:
        return replace(self._kept.sample(rows, self._columns), lift_tests=self.lift_tests)

    def split(self, rows: int) -> tuple[Observations, None]:
        """As :meth:`RegimeData.split`, but that the others would have to be read again."""
        return self.sample(rows), None

    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self:
        same = copy(self)
        same.lift_tests = tests
        # What was held had other tests.
        same.__dict__.pop("held", None)
        return same

    def batches(self, rows: int) -> Iterator[Observations]:
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

    def __len__(self) -> int:
        return self._count
