"""Rows out of memory with another outcome, which is computed batch by batch."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.lift_tests import LiftTest
from bayes_intgen.data.outcome_kind import OutcomeKind
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import ModelError
from bayes_intgen.identification.masks import Mask


class MappedRows(Rows):
    """Rows out of memory whose outcome is a continuous function of their columns.

    Parameters
    ----------
    source : Rows
    function : callable
        Maps some rows to the same rows with another outcome. Workers of a cluster receive it.
    """

    def __init__(self, source: Rows, function: Callable[[Observations], Observations]) -> None:
        self._source, self._function = source, function
        self.names, self.outcome_name = source.names, source.outcome_name
        self.lift_tests, self.columns = source.lift_tests, source.columns
        self.dropped = source.dropped
        self._in_memory = function(source.in_memory)

    @property
    def regimes(self) -> dict[Mask, int]:
        """Number of rows per mask, fewest interventions first."""
        return self._source.regimes

    @property
    def categories(self) -> tuple[Categories | None, ...]:
        """Levels of each action; None for actions without levels."""
        return self._source.categories

    @property
    def outcome_kind(self) -> OutcomeKind:
        """Kind of the new outcome."""
        return "continuous"

    @property
    def in_memory(self) -> Observations:
        """Sample of every regime."""
        return self._in_memory

    def sample(self, rows: int) -> Observations:
        """Sample the rows that the source samples."""
        return self._function(self._source.sample(rows))

    def batches(self, rows: int) -> Iterator[Observations]:
        """Yield all rows in consecutive batches."""
        return map(self._function, self._source.batches(rows))

    def map_reduce[T](
        self,
        function: Callable[[Observations], T],
        combine: Callable[[T, T], T],
        label: str,
        progress: bool,
    ) -> T:
        """Run :meth:`Rows.map_reduce` of the source."""
        composed: Callable[[Observations], T] = partial(_composed, function, self._function)
        return self._source.map_reduce(composed, combine, label, progress)

    def _with_lift_tests(self, tests: tuple[LiftTest, ...]) -> Self:
        raise ModelError("lift tests are of the outcome itself: add them to the data of the fit")

    def __len__(self) -> int:
        return len(self._source)


def _composed(
    function: Callable[[Observations], Any],
    inner: Callable[[Observations], Observations],
    batch: Observations,
) -> Any:
    return function(inner(batch))
